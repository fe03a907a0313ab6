"""A tour of a robot: who it is, a few expressions, and a strip of pictures of them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from eva_sim.contact_sheet import draw_contact_sheet, save_picture
from eva_sim.expressions import expression_command
from eva_sim.files import check_output_folder, write_json
from eva_sim.real.robot import RobotFace

#: What is shown, and for how long each is held [control periods].
EXPRESSIONS = ("joy", "sadness", "surprise", "anger")
HOLD = 15
#: Side of a picture in the strip [pixels].
_SIDE = 320


def describe_robot_face(face: RobotFace) -> dict[str, str]:
    """What there is to know about a robot before it moves, for people."""
    who, calibration = face.identity, face.calibration
    positions = "measured" if who.measured else "only commanded"
    return {
        "board": f"{who.kind} {who.version}, positions are {positions}",
        "robot": who.robot_id,
        "calibration": f"of {calibration.robot}, {calibration.date}",
        "a silent host": f"noticed by the {who.watchdog}",
    }


def run_tour(face: RobotFace, out: Path, names: Iterable[str] = EXPRESSIONS) -> dict[str, Any]:
    """Arms, makes expressions, and comes back to neutral.

    Args:
        face: open.
        out: folder for `strip.png` (if there is a camera) and `run_tour.json`.
        names: of expressions.

    Returns:
        Faults that were told, and for each expression how far the face is seen to have moved [mm].
    """
    check_output_folder(out)  # before anything moves
    rest = face.reset()
    faults, moved, tiles = list(rest.faults), dict[str, float | None](), []
    tiles.append(("neutral", rest.image))
    for name in names:
        for _ in range(HOLD):
            reading = face.move(expression_command(face.spec, name))
            faults += reading.faults
        shift = np.linalg.norm(reading.landmarks - face.neutral_landmarks, axis=1)
        moved[name] = round(1000 * face.outer_eye * float(shift.mean()), 2) if reading.found else None
        tiles.append((name, reading.image))
    face.reset()
    told = {"faults": list(dict.fromkeys(faults)), "moved_mm": moved}
    write_json(out / "tour.json", {**describe_robot_face(face), **told})
    _write_strip([(name, picture) for name, picture in tiles if picture is not None], out / "strip.png")
    return told


def _write_strip(tiles: list[tuple[str, np.ndarray]], path: Path) -> None:
    from eva_sim.real.vision.camera_source import crop_square

    if tiles:
        squares = [(name, crop_square(picture, _SIDE)) for name, picture in tiles]
        save_picture(draw_contact_sheet(squares, columns=len(squares)), path)
