"""robot.toml: a value that nobody means is refused before anything is opened."""

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
from eva_sim.robot_bounds import BOUNDS
from eva_sim.robot_config import robot_config


def changed(folder: Path, file: str, pattern: str, line: str) -> FaceSpec:
    """The spec of a copy of EVA's tables in which one line is another."""
    for name in ("face.toml", "robot.toml", "expressions.toml", "randomise.toml"):
        shutil.copy(asset(name), folder / name)
    text = (folder / file).read_text()
    other, count = re.subn(pattern, line, text, count=1, flags=re.MULTILINE)
    assert count == 1, pattern
    (folder / file).write_text(other)
    return load_spec(folder)


KEYS = [(section, key) for section, bounds in BOUNDS.items() for key in bounds]


def refusal(spec: FaceSpec) -> str:
    with pytest.raises(DataError) as caught:
        robot_config(spec)
    assert "\n" not in str(caught.value) and "assets/robot.toml" in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("value", ["nan", "-nan", "inf", "+inf", "-1.0", "1e12", "'1'", "true", "[]", "{}"])
@pytest.mark.parametrize(("section", "key"), KEYS)
def test_a_number_is_one_within_its_bounds(tmp_path: Path, section: str, key: str, value: str) -> None:
    told = refusal(changed(tmp_path, "robot.toml", rf"^{key} = [^#\n]+", f"{key} = {value} "))
    bounds = BOUNDS[section][key]
    assert "not a finite number" in told or (f"[{section}]: {key} = " in told and str(bounds) in told)


@pytest.mark.parametrize(("section", "key"), KEYS)
def test_a_number_may_not_be_missing_or_misspelt(tmp_path: Path, section: str, key: str) -> None:
    told = refusal(changed(tmp_path, "robot.toml", rf"^{key} = [^#\n]+", ""))
    assert f"[{section}]: {key} is missing; it is {BOUNDS[section][key]}" in told
    told = refusal(changed(tmp_path, "robot.toml", rf"^{key} = ", f"{key}x = "))
    assert f"did you mean {key}?" in told or (section == "pulse" and f"{key} is missing" in told)  # of kinds


@pytest.mark.parametrize(("section", "key"), KEYS)
def test_bounds_leave_room_on_both_sides(section: str, key: str) -> None:
    """No bound is EVA's own value, since other heads differ."""
    value, bounds = robot_config(load_spec())[section][key], BOUNDS[section][key]
    assert bounds.lowest < value < bounds.highest


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("torque_limit", 60),  # per cent for a share
        ("torque_limit", 1.5),
        ("stall_load", 54),
        ("too_hot", 700),
        ("limp_after", 1000),  # milliseconds for seconds
        ("limp_after", 50),
        ("rise", -300),
        ("period", 0),
        ("supply_high", 65),
        ("cable", [800, 22000]),
        ("jaw", [1900, 1300]),  # a mirrored servo has a direction of -1 instead
        ("eye", "'x'"),
        ("lid", [1100]),
        ("narrowest", 900),  # the cables' pulses begin at 800
        ("arm_groups", "'leg'"),
        ("arm_groups", [["leg"], ["jaw"], ["eye", "lid"]]),
        ("arm_groups", [["leg"], ["jaw"], ["eye", "lid"], ["cable", "jaw"]]),
        ("limit", 0),
        ("limit", 1e12),
        ("pair", "'x'"),
        ("protects", 1),
        ("weights", "{ jaw = 'x', levator = 0.4 }"),
        ("weights", "{ jaw = 0.4 }"),
        ("depressor", "{ depressor = -1 }"),
        ("depressor", 1),
    ],
)
def test_a_value_that_nobody_means_is_refused(tmp_path: Path, key: str, value: object) -> None:
    refusal(changed(tmp_path, "robot.toml", rf"^{key} = [^#\n]+", f"{key} = {value} "))


@pytest.mark.parametrize(
    "key", ["cable", "jaw", "eye", "lid", "leg", "arm_groups", "limit", "pair", "weights"]
)
def test_a_table_may_lack_no_kind_and_no_rule_a_part(tmp_path: Path, key: str) -> None:
    assert key in refusal(changed(tmp_path, "robot.toml", rf"^{key} = [^#\n]+", ""))


@pytest.mark.parametrize("section", ["safety", "reversals", "heat"])
def test_a_misspelt_section_is_no_lack_of_limits(tmp_path: Path, section: str) -> None:
    told = refusal(changed(tmp_path, "robot.toml", rf"^\[{section}\]", f"[{section}x]"))
    assert f"did you mean {section}?" in told


@pytest.mark.parametrize(
    ("key", "value", "others"),
    [
        ("limp_after", 0.15, "hold_after"),
        ("limp_after", 0.2, "hold_after"),
        ("stall_load", 0.6, "torque_limit"),  # a servo never exerts more, so no stall would be seen
        ("stall_load", 0.9, "torque_limit"),
        ("supply_low", 6.5, "supply_high"),
        ("slow_from", 70.0, "too_hot"),
        ("ambient", 50.0, None),
        ("watchdog", 1.0, "limp_after"),
    ],
)
def test_limits_fit_each_other(tmp_path: Path, key: str, value: float, others: str | None) -> None:
    spec = changed(tmp_path, "robot.toml", rf"^{key} = [^#\n]+", f"{key} = {value} ")
    if others is None:
        assert robot_config(spec)["heat"][key] == value
    else:
        told = refusal(spec)
        assert key in told and others in told and "is not below" in told


def test_a_face_may_lack_what_only_some_faces_need(tmp_path: Path) -> None:
    text = asset("robot.toml").read_text()
    kept = text.partition("[neck]")[0]
    shutil.copy(asset("face.toml"), tmp_path)
    (tmp_path / "robot.toml").write_text(kept)
    assert set(robot_config(load_spec(tmp_path))) == {"wire", "pulse", "safety", "ratings"}


@pytest.mark.parametrize("value", ["nan", "-inf"])
def test_no_table_of_a_face_has_a_number_that_is_none(tmp_path: Path, value: str) -> None:
    with pytest.raises(DataError, match="not a finite number"):
        changed(tmp_path, "face.toml", r"^rate = .*", f"rate = {value}")
    with pytest.raises(DataError, match="not a finite number"):
        load_expressions(changed(tmp_path, "expressions.toml", r"^(\w+) = .*", rf"\1 = {value}"))
    with pytest.raises(DataError, match="not a finite number"):
        load_randomisation(changed(tmp_path, "randomise.toml", r"^low = .*|low = [^,]*", f"low = {value}"))
