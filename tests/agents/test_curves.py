"""Curves of ARKit's blend shapes: what a CSV of Live Link Face says, and what the robot makes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from eva_sim.agents.mirroring.curves import FULL_LOOK, Curves, curve_commands, gaze_of, read_curves
from eva_sim.agents.models.inverse import SHIPPED_MODEL
from eva_sim.agents.models.model_file import MODEL_FILE
from eva_sim.agents.models.routes import load_model
from eva_sim.contract import FaceSpec
from eva_sim.detector import BLEND_SHAPES
from eva_sim.errors import DataError
from eva_sim.files import asset

NAMES = [name[0].upper() + name[1:] for name in BLEND_SHAPES[1:]]


def write(path: Path, rows: Sequence[Mapping[str, object]], names: Sequence[str] = NAMES) -> Path:
    """Writes a CSV as the app does; curves that a row does not name are 0."""
    lines = [",".join(["Timecode", "BlendShapeCount", *names, "TongueOut", "HeadYaw"])]
    for row in rows:
        values = [str(row.get(name, 0.0)) for name in names]
        lines.append(",".join([str(row["Timecode"]), "61", *values, "0.0", "0.1"]))
    path.write_text("\n".join(lines) + "\n")
    return path


def test_times_and_scores_are_those_of_the_file(tmp_path: Path) -> None:
    rows = [
        {"Timecode": "23:59:59:30.0", "JawOpen": 0.25},
        {"Timecode": "23:59:59:45.500", "JawOpen": 1.5, "MouthSmileLeft": 0.5},
        {"Timecode": "00:00:00:00.0", "EyeBlinkRight": 1.0},
    ]
    curves = read_curves(write(tmp_path / "take.csv", rows))
    assert np.allclose(curves.time, [0, 15.5 / 60, 0.5])
    assert np.allclose(curves.scores[:, BLEND_SHAPES.index("jawOpen")], [0.25, 1, 0])
    assert curves.scores[1, BLEND_SHAPES.index("mouthSmileLeft")] == 0.5
    assert curves.scores[2, BLEND_SHAPES.index("eyeBlinkRight")] == 1 and not curves.scores[:, 0].any()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "holds no row"),
        ("Timecode,JawOpen\n00:00:00:00,0.5\n", "has no column 'BrowDownLeft'"),
        ("Time,JawOpen\n0,0.5\n", "has no column 'Timecode'"),
        ("\0\1\2", "has no column|damaged|holds no row"),
    ],
)
def test_other_files_are_refused_in_one_line(tmp_path: Path, content: str, told: str) -> None:
    path = tmp_path / "take.csv"
    path.write_text(content)
    with pytest.raises(DataError, match=told) as caught:
        read_curves(path)
    assert "\n" not in str(caught.value) and "Live Link Face" in str(caught.value)


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([{"Timecode": "noon"}], "no timecode"),
        ([{"Timecode": "00:00:00:00", "JawOpen": "wide"}], "damaged"),
        ([{"Timecode": "00:00:00:00", "JawOpen": "nan"}], "no numbers"),
        ([{"Timecode": f"00:00:0{s}:00"} for s in (1, 3, 2)], "goes back"),
        ([{"Timecode": "10:00:00:30"}, {"Timecode": "10:00:00:29"}], "goes back"),
        ([{"Timecode": "00:30:00:00"}, {"Timecode": "23:59:00:00"}], "lasts 1,409 minutes, more than 60"),
        ([{"Timecode": "00:00:00:00"}, {"Timecode": f"{'9' * 400}:00:00:00"}], "no timecode"),
    ],
)
def test_damaged_rows_are_refused(tmp_path: Path, rows: list[Mapping[str, object]], told: str) -> None:
    with pytest.raises(DataError, match=told):
        read_curves(write(tmp_path / "take.csv", rows))


@pytest.mark.parametrize(
    ("shapes", "actuator", "sign"),
    [
        (("jawOpen",), "jaw", 1),
        (("mouthSmileLeft", "mouthSmileRight"), "zygomaticus_left", 1),
        (("browOuterUpLeft", "browOuterUpRight", "browInnerUp"), "brow_inner_right", 1),
        (("eyeBlinkLeft", "eyeBlinkRight"), "lid_left", -1),
        (("eyeLookOutLeft", "eyeLookInRight"), "eye_left_yaw", 1),
        (("eyeLookUpLeft", "eyeLookUpRight"), "eye_right_pitch", 1),
    ],
)
def test_each_curve_moves_its_actuator(
    spec: FaceSpec, shapes: tuple[str, ...], actuator: str, sign: int
) -> None:
    scores = np.zeros((2, len(BLEND_SHAPES)))
    scores[1, [BLEND_SHAPES.index(name) for name in shapes]] = 1.0
    model = load_model(asset(SHIPPED_MODEL) / MODEL_FILE)
    commands = curve_commands(Curves(np.array([0.0, 0.08]), scores), model, spec)
    assert commands.shape == (3, len(spec)) and (np.abs(commands) <= 1).all()
    assert sign * (commands[-1] - commands[0])[spec.index(actuator)] > 0.15
    assert np.abs(commands[0] - spec.neutral).max() < 0.2


def test_eyes_look_where_the_curves_say() -> None:
    scores = np.zeros(len(BLEND_SHAPES))
    scores[[BLEND_SHAPES.index(name) for name in ("eyeLookInLeft", "eyeLookOutRight")]] = 1.0
    assert np.allclose(gaze_of(scores), [[-FULL_LOOK, 0], [-FULL_LOOK, 0]])  # both to the own right
