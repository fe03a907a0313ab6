"""Named expressions: what a mistake in their file says."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from eva_sim.contract import FaceSpec, load_spec
from eva_sim.errors import CommandError, DataError
from eva_sim.expressions import INTENSITIES, expression_command, load_expressions, parse_command
from eva_sim.real.transfer.plan import exceeds_exclusions

ASSETS = Path(__file__).resolve().parents[2] / "assets"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[grin]\nzygomaticus = 0.5\n[\n", r"expressions\.toml is not valid TOML: .*line 3"),
        ('[grin]\nzygomaticus = "high"', r"expressions\.toml, \[grin\]: zygomaticus='high' is not a number"),
        ("[grin]\nzygomaticus = 1.6", r"\[grin\]: commands must be .*: zygomaticus_left=1\.6,"),
        ("[grin]\nzygomatic = 0.6", r"\[grin\]: no actuator called 'zygomatic'"),
        ("grin = 3", r"\[grin\] is no section"),
        (
            "[grin]\nzygomaticus = [0.1, 0.2]",
            r"\[grin\]: write one number in each line, or three: slight",
        ),
        (
            "[grin]\nzygomaticus = [0.1, 0.2, 0.3]\njaw = 0.1",
            r"\[grin\]: write one number in each line, or three",
        ),
        ("[grin]\nzygomaticus = []", r"\[grin\]: write one number in each line, or three"),
        ("[grin]\nzygomaticus = [0.1, 0.2, 1.3]", r"\[grin\]: commands must be .*: zygomaticus_left=1\.3,"),
        ("[grin]\nzygomaticus = [0.1, [0.2], 0.3]", r"\[grin\]: zygomaticus=\[0\.2\] is not a number"),
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


def own(tmp_path: Path, text: str) -> FaceSpec:
    shutil.copy(ASSETS / "face.toml", tmp_path)
    (tmp_path / "expressions.toml").write_text(text)
    return load_spec(tmp_path)


def test_intensities_lie_between_rest_and_the_numbers_of_the_table(tmp_path: Path) -> None:
    spec = own(tmp_path, "[grin]\nzygomaticus = [-0.5, 0.0, 0.8]\n[sigh]\njaw = 0.5\n[calm]\n")
    row, jaw = spec.index("zygomaticus_left"), spec.index("jaw")

    def pull(name: str, intensity: float = 1.0, actuator: int = row) -> float:
        return float(expression_command(spec, name, intensity)[actuator])

    for name, wanted in (("slight", -0.5), ("medium", 0.0), ("full", 0.8)):
        assert pull(f"grin:{name}") == pytest.approx(wanted)
        assert pull("Grin:" + name.upper()) == pytest.approx(wanted)
    assert pull("grin") == pytest.approx(0.8)
    assert pull("grin:0") == pull("grin", 0.0) == -1.0
    assert pull("grin:0.5") == pull("grin", 0.5) == pytest.approx(-0.25)
    assert pull("grin", 1 / 6) == pytest.approx(-0.75)
    assert pull("sigh", 0.5, jaw) == pytest.approx(-0.25)  # one number is the full expression
    assert np.array_equal(expression_command(spec, "calm:slight"), spec.neutral)


@pytest.mark.parametrize("name", ["joy:", "joy:much", "joy:1.2", "joy:-0.1", "joy:nan", "joy:0.5:0.5"])
def test_a_wrong_intensity_is_named(name: str) -> None:
    with pytest.raises(CommandError, match=f"{name}: .* is no intensity; write 0 to 1, or slight"):
        expression_command(load_spec(), name)
    with pytest.raises(CommandError, match=r"intensity=2 is not in 0\.\.1"):
        load_expressions(load_spec(), intensity=2)


def test_the_shipped_expressions_grow_with_intensity() -> None:
    spec = load_spec()
    sizes = [
        {
            name: np.abs(command - spec.neutral).sum()
            for name, command in load_expressions(spec, level).items()
        }
        for level in (0.0, *INTENSITIES)
    ]
    for name in sizes[0]:
        grown = [size[name] for size in sizes]
        assert grown[0] == 0
        assert name == "neutral" or (np.diff(grown) > 0.05).all(), name


def test_the_shipped_expressions_are_those_that_people_know() -> None:
    known = load_expressions(load_spec())
    assert {"neutral", "joy", "sadness", "surprise", "anger", "fear", "disgust", "contempt", "pain", "doubt",
            "sleepiness", "wink_left", "wink_right"} <= known.keys()  # fmt: skip
    spec = load_spec()
    left = [i for i, name in enumerate(spec.names) if name.endswith("_left") and "yaw" not in name]
    right = [spec.names.index(spec.names[i].replace("_left", "_right")) for i in left]
    for name in ("joy", "sadness", "surprise", "anger", "fear", "disgust", "pain", "sleepiness"):
        assert np.array_equal(known[name][left], known[name][right]), name
    for name in ("contempt", "doubt", "wink_left", "wink_right"):
        assert np.abs(known[name][left] - known[name][right]).max() > 0.5, name
    assert known["wink_left"][spec.index("lid_left")] == -1 < known["wink_left"][spec.index("lid_right")]


@pytest.mark.parametrize("level", INTENSITIES)
def test_no_shipped_expression_pulls_cables_against_each_other(level: float) -> None:
    spec = load_spec()
    for name, command in load_expressions(spec, level).items():
        assert not exceeds_exclusions(spec, command), name
