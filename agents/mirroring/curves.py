"""Curves of ARKit's blend shapes, as the app Live Link Face writes them, to commands of a robot.

MediaPipe's blend shapes have the names of ARKit's. The face units of the CC0 head say how each moves the
landmarks, so a row of curves is a displacement of an average face. It is retargeted as a person's is.
"""

from __future__ import annotations

import csv
import os
import re
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eva_sim.agents.mirroring.head_and_gaze import HeadAndGaze, NeckAndEyes
from eva_sim.agents.mirroring.neutral_face import SHAPES, face_unit_effects
from eva_sim.agents.mirroring.retargeting import Retargeter
from eva_sim.agents.models.route_model import RouteModel
from eva_sim.contract import FaceSpec, Floats
from eva_sim.detector import BLEND_SHAPES, canonical_face
from eva_sim.errors import DataError
from eva_sim.files import require_regular_file, unreadable
from eva_sim.landmarks import Aligner
from eva_sim.progress import progress

#: Angle of an eye whose curve is 1 [rad; choice: ARKit names no angle, and 30 degrees is far for an eye].
FULL_LOOK = 0.52
#: Frames a second of a timecode; Live Link Face writes 60 unless it is told otherwise.
RATE = 60.0
_TIMECODE = re.compile(r"(\d{1,2}):(\d{1,2}):(\d{1,2})[:;](\d{1,3}(?:\.\d+)?)")
_DAY = 86_400.0
#: A timecode that falls back by more has passed midnight [s]; by less, rows are out of order.
_PAST_MIDNIGHT = 23 * 3600.0
#: Longest take [s; choice: its commands fit into the memory of any computer].
LONGEST_TAKE = 3600.0
_ADVICE = "name a CSV that Live Link Face wrote, with the columns Timecode, JawOpen and the other curves"


class Curves(NamedTuple):
    """Curves of blend shapes.

    Attributes:
        time: of each row, (T,) [s], from 0 on.
        scores: (T, 52) in 0..1, in the order of `BLEND_SHAPES`.
    """

    time: Floats
    scores: Floats


def read_curves(path: str | os.PathLike[str]) -> Curves:
    """Reads a CSV of Live Link Face. The turn of the head and the tongue are not read.

    Raises:
        DataError: it is missing or damaged, lacks curves, is too long, or its time does not rise.
    """
    require_regular_file(path)
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = [row for row in csv.DictReader(file) if any(row.values())]
        time = np.array([_seconds(row["Timecode"]) for row in rows])
        names = {name: _column(name) for name in BLEND_SHAPES}
        scores = np.array([[float(row[c]) if c else 0.0 for c in names.values()] for row in rows])
    except KeyError as error:
        raise DataError(f"{path} has no column {error}; {_ADVICE}.") from error
    except (OSError, ValueError, TypeError, csv.Error) as error:
        raise unreadable(path, error, _ADVICE, "is damaged or no CSV of curves") from error
    if not len(time):
        raise DataError(f"{path} holds no row; {_ADVICE}.")
    if not np.isfinite(scores).all():
        raise DataError(f"{path} holds curves that are no numbers; {_ADVICE}.")
    time = time - time[0] + _DAY * np.cumsum(np.diff(time, prepend=time[0]) < -_PAST_MIDNIGHT)
    if (np.diff(time) < 0).any():
        raise DataError(f"the time in {path} goes back; {_ADVICE}.")
    if time[-1] > LONGEST_TAKE:
        longest = f"{LONGEST_TAKE / 60:.0f} minutes"
        raise DataError(f"{path} lasts {time[-1] / 60:,.0f} minutes, more than {longest}; cut it.")
    return Curves(time, scores.clip(0, 1))


def _column(name: str) -> str:
    """Name of a blend shape's column; empty for MediaPipe's first one, which ARKit lacks."""
    return "" if name.startswith("_") else name[0].upper() + name[1:]


def _seconds(timecode: str) -> float:
    found = _TIMECODE.fullmatch(timecode.strip())
    if found is None:
        raise ValueError(f"{timecode[:20]!r} is no timecode")
    hours, minutes, seconds, frames = (float(part) for part in found.groups())
    return 3600 * hours + 60 * minutes + seconds + frames / RATE


def curve_commands(curves: Curves, model: RouteModel, spec: FaceSpec) -> NDArray[np.float32]:
    """Returns the commands that make a robot follow curves, (T, A), one for each of its control periods.

    Args:
        curves: what the face does.
        model: of the robot.
        spec: of the robot.
    """
    retarget = Retargeter.of_model(spec, model)
    neck_and_eyes, neutral = NeckAndEyes(spec), Aligner.of(canonical_face()).neutral
    steps = np.arange(0, curves.time[-1] + spec.control_dt / 2, spec.control_dt)
    scores = np.array([np.interp(steps, curves.time, curve) for curve in curves.scores.T]).T
    displacements = (scores[:, SHAPES] @ face_unit_effects()).reshape(len(steps), *neutral.shape)
    commands = []
    for row, displacement in zip(scores, progress(displacements, "retarget", unit="steps"), strict=True):
        expression = model.predict(retarget(neutral + displacement, neutral))
        head = HeadAndGaze.at_rest()._replace(gaze=gaze_of(row))
        commands.append(neck_and_eyes.set_command(expression, head))
    return np.array(commands, np.float32)


def gaze_of(scores: Floats) -> Floats:
    """Returns where the eyes look, left and right, as yaw and pitch, (2, 2) [rad]; see `HeadAndGaze`."""
    look = dict(zip(BLEND_SHAPES, scores, strict=True))
    gaze = [
        (
            outwards * (look[f"eyeLookOut{side}"] - look[f"eyeLookIn{side}"]),
            look[f"eyeLookUp{side}"] - look[f"eyeLookDown{side}"],
        )
        for side, outwards in {"Left": 1, "Right": -1}.items()
    ]
    return FULL_LOOK * np.array(gaze)
