"""robot.toml: a limit that is none is refused before anything is opened."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from eva_sim.contract import FaceSpec, load_spec
from eva_sim.errors import DataError
from eva_sim.expressions import load_expressions
from eva_sim.files import asset
from eva_sim.randomise import load_randomisation
from eva_sim.real.wire.firmware_table import robot_config


def changed(folder: Path, file: str, pattern: str, line: str) -> FaceSpec:
    """The spec of a copy of EVA's tables in which one line is another."""
    for name in ("face.toml", "robot.toml", "expressions.toml", "randomise.toml"):
        shutil.copy(asset(name), folder / name)
    text = (folder / file).read_text()
    other, count = re.subn(pattern, line, text, count=1, flags=re.MULTILINE)
    assert count == 1, pattern
    (folder / file).write_text(other)
    return load_spec(folder)


NAMES = ("hold_after", "limp_after", "held_for", "watchdog", "supply_low", "supply_high", "supply_for",
         "supply_recovery", "arm_gap", "too_hot", "stall_load", "stall_for", "ease", "arm_speed",
         "pause_first", "pause_most", "forget_after")  # fmt: skip


@pytest.mark.parametrize("value", ["nan", "-nan", "inf", "+inf", "0.0", "-1.0", "'1'", "true", "[]"])
@pytest.mark.parametrize("name", NAMES)
def test_a_safety_limit_is_a_number_above_zero(tmp_path: Path, name: str, value: str) -> None:
    spec = changed(tmp_path, "robot.toml", rf"^{name} = \S+", f"{name} = {value}")
    with pytest.raises(DataError) as caught:
        robot_config(spec)
    assert "\n" not in str(caught.value) and "assets/robot.toml" in str(caught.value)


@pytest.mark.parametrize("line", ["", "limp_after = 0.1", "limp_after = 0.2"])
def test_limits_fit_each_other(tmp_path: Path, line: str) -> None:
    spec = changed(tmp_path, "robot.toml", r"^limp_after = .*", line)
    with pytest.raises(DataError, match="limp_after"):
        robot_config(spec)


@pytest.mark.parametrize("value", ["nan", "-inf"])
def test_no_table_of_a_face_has_a_number_that_is_none(tmp_path: Path, value: str) -> None:
    with pytest.raises(DataError, match="not a finite number"):
        changed(tmp_path, "face.toml", r"^rate = .*", f"rate = {value}")
    with pytest.raises(DataError, match="not a finite number"):
        load_expressions(changed(tmp_path, "expressions.toml", r"^(\w+) = .*", rf"\1 = {value}"))
    with pytest.raises(DataError, match="not a finite number"):
        load_randomisation(changed(tmp_path, "randomise.toml", r"^low = .*|low = [^,]*", f"low = {value}"))
