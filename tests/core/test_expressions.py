"""Named expressions: what a mistake in their file says."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from eva_sim.contract import load_spec
from eva_sim.errors import CommandError, DataError
from eva_sim.expressions import expression_command, load_expressions, parse_command

ASSETS = Path(__file__).resolve().parents[2] / "assets"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[grin]\nzygomaticus = 0.5\n[\n", r"expressions\.toml is not valid TOML: .*line 3"),
        ('[grin]\nzygomaticus = "high"', r"expressions\.toml, \[grin\]: zygomaticus='high' is not a number"),
        ("[grin]\nzygomaticus = 1.6", r"\[grin\]: commands must be .*: zygomaticus_left=1\.6,"),
        ("[grin]\nzygomatic = 0.6", r"\[grin\]: no actuator called 'zygomatic'"),
        ("grin = 3", r"\[grin\] is no section"),
    ],
)
def test_a_damaged_file_is_told_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    shutil.copy(ASSETS / "face.toml", tmp_path)
    (tmp_path / "expressions.toml").write_text(text)
    with pytest.raises(DataError, match=message):
        load_expressions(load_spec(tmp_path))


def test_words_become_commands() -> None:
    spec = load_spec()
    joy = expression_command(spec, "joy")
    changed = parse_command(spec, ["joy", "jaw=0.2"])
    assert changed[spec.index("jaw")] == pytest.approx(0.2)
    assert (changed != joy).sum() == 1
    with pytest.raises(CommandError, match="would undo the rest"):
        parse_command(spec, ["jaw=0.2", "joy"])
