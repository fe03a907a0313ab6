"""Words to commands, and the pictures that the `eva` command draws."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eva_sim.contract import load_spec
from eva_sim.errors import CommandError
from eva_sim.expressions import load_expressions, parse_command
from eva_sim.landmarks import face_measurements, landmark_rows
from eva_sim.settling import reset_and_hold
from eva_sim.twin import Twin
from eva_sim.twin import pictures as twin_pictures


def read(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image).astype(int)


def test_words_make_a_command() -> None:
    spec = load_spec()
    command = parse_command(load_spec(), ["joy", "jaw=0.25", "brow_outer_left=-1"])
    assert command[spec.index("jaw")] == 0.25
    assert command[spec.index("brow_outer_left")] == -1
    joy = load_expressions(load_spec())["joy"]
    assert command[spec.index("zygomaticus_right")] == joy[spec.index("zygomaticus_right")]
    assert np.array_equal(parse_command(load_spec(), []), spec.neutral)


@pytest.mark.parametrize("words", [["bliss"], ["jaw=wide"], ["nose=1"], ["jaw=2"], ["jaw=nan"]])
def test_wrong_words_are_named(words: list[str]) -> None:
    with pytest.raises(CommandError):
        parse_command(load_spec(), words)


def test_the_expressions_differ(tmp_path: Path) -> None:
    rows = -(-len(load_expressions(load_spec())) // 4)
    with Twin() as twin:
        twin_pictures.write_expression_sheet(twin, tmp_path / "sheet.png", size=96)
        twin_pictures.write_actuator_sheet(twin, tmp_path / "muscles.png", size=64)
        twin_pictures.write_still(twin, load_expressions(load_spec())["joy"], tmp_path / "joy.png", size=96)
    sheet, muscles, joy = (read(tmp_path / f"{name}.png") for name in ("sheet", "muscles", "joy"))
    assert sheet.shape == (rows * (96 + 26), 4 * 96, 3)
    tiles = 5 * (64 + 26)
    assert muscles.shape == (tiles + 50, 5 * 64, 3)
    bar = muscles[tiles + 15, 8:308].astype(int).sum(1)
    assert bar[-1] > bar[150] > bar[0]  # below the tiles: brighter is farther
    sheet = sheet[26:122, :96]
    assert np.abs(joy - sheet).max() > 40  # joy is not neutral


def test_named_expressions_do_what_their_names_say() -> None:
    """In the measures that people go by, against neutral; in outer-eye distances."""
    with Twin() as twin:
        faces = {
            name: reset_and_hold(twin, command).landmarks
            for name, command in load_expressions(load_spec()).items()
        }
    change = {
        name: {
            key: float(value - face_measurements(faces["neutral"])[key])
            for key, value in face_measurements(face).items()
        }
        for name, face in faces.items()
    }
    inner = {
        name: float((face - faces["neutral"])[landmark_rows(107, 336), 1].mean())
        for name, face in faces.items()
    }
    assert change["joy"]["mouth_width"] > 0.1 and change["joy"]["corner_height"] > 0.02
    assert abs(inner["joy"]) < 0.05  # no anger in the brows
    assert inner["sadness"] > 0.06 and change["sadness"]["corner_height"] < -0.01
    assert change["surprise"]["jaw_opening"] > 0.1 and change["surprise"]["brow_height"] > 0.04
    assert change["surprise"]["lid_opening"] > 0.02 and change["fear"]["lid_opening"] > 0.02
    assert inner["anger"] < -0.008 and change["anger"]["lid_opening"] > -0.03
    assert inner["fear"] > 0.06 and change["fear"]["jaw_opening"] > 0.03
    assert change["disgust"]["lid_opening"] < -0.01 and change["disgust"]["jaw_opening"] > 0.03


@pytest.mark.parametrize(("view", "back"), [("side", 1), ("half-side", 1), ("other-side", -1)])
def test_a_view_shows_the_head_from_its_side(view: str, back: int) -> None:
    """Seen from the robot's left, the back of the head is to the right of the face."""
    with Twin() as twin:
        twin.reset()
        middles = []
        for each in ("front", view):
            twin_pictures.set_view(twin, each)
            middles.append(np.nonzero(twin.segmentation(96))[1].mean())
    assert abs(middles[0] - 47.5) < 1 and back * (middles[1] - middles[0]) > 3
