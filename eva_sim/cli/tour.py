"""A tour of a robot: its identity, a few expressions, and a strip of pictures of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eva_sim.contact_sheet import draw_contact_sheet, save_picture
from eva_sim.expressions import expression_command
from eva_sim.files import atomic_files, check_output_folder, write_json
from eva_sim.progress import report
from eva_sim.real.robot import RobotFace
from eva_sim.recording.trajectories import eased_commands

#: Expressions of the tour, and how long each is held once it is reached [control periods].
EXPRESSIONS = ("joy", "sadness", "surprise", "anger")
HOLD = 10
#: Side of a picture in the strip [pixels].
_SIDE = 320


def describe_robot_face(face: RobotFace) -> dict[str, str]:
    """Describes a robot before it moves, for people."""
    identity, calibration = face.identity, face.calibration
    positions = "measured" if identity.measured else "only commanded"
    return {
        "board": f"{identity.kind} {identity.version}, positions are {positions}",
        "robot": identity.robot_id,
        "calibration": f"of {calibration.robot_id}, {calibration.date}",
        "if this program stops": f"the {identity.watchdog} makes the face limp",
    }


def run_tour(face: RobotFace, out: Path, names: Sequence[str] = EXPRESSIONS) -> dict[str, Any]:
    """Arms, makes expressions, and comes back to neutral. All motion is eased: it may be a head's first one.

    Args:
        face: an open robot.
        out: folder for `strip.png` (if there is a camera) and `tour.json`.
        names: names of expressions.

    Returns:
        The faults, and for each expression the mean motion of the landmarks that the camera shows [mm].
    """
    check_output_folder(out)  # before anything moves
    report("The robot is being armed.")
    rest = face.reset()
    faults, moved, tiles = list(rest.faults), dict[str, float | None](), []
    at = face.spec.neutral
    tiles.append(("neutral", rest.image))
    for number, name in enumerate(names, 1):
        report(f"{number}/{len(names)} {name}")
        goal = expression_command(face.spec, name)
        for command in (*eased_commands(at, goal, face.spec), *[goal] * HOLD):
            reading = face.move(command)
            faults += reading.faults
        at = goal
        shift = np.linalg.norm(reading.landmarks - face.neutral_landmarks, axis=1)
        moved[name] = round(1000 * face.outer_eye * float(shift.mean()), 2) if reading.found else None
        tiles.append((name, reading.image))
    for command in eased_commands(at, face.spec.neutral, face.spec):
        faults += face.move(command).faults
    face.reset()
    results = {"faults": list(dict.fromkeys(faults)), "moved_mm": moved}
    with atomic_files(out) as part:
        write_json(part / "tour.json", {**describe_robot_face(face), **results})
        _write_strip([(name, picture) for name, picture in tiles if picture is not None], part / "strip.png")
    return results


def _write_strip(tiles: list[tuple[str, np.ndarray]], path: Path) -> None:
    from eva_sim.real.vision.camera_source import crop_square

    if tiles:
        squares = [(name, crop_square(picture, _SIDE)) for name, picture in tiles]
        save_picture(draw_contact_sheet(squares, columns=len(squares)), path)
