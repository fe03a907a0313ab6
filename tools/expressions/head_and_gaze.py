"""Action units of eyes and head, which landmarks do not show: their actuators follow from the geometry.

FACS: AU51 to AU56 turn the head left, right, up, down and tilt it left, right. AU61 to AU64 turn the eyes
left, right, up and down. At full intensity the head goes as far as the neck may, and the eyes as far as
they turn.
"""

from __future__ import annotations

import numpy as np

from eva_sim.contract import FaceSpec, Floats
from eva_sim.head.neck import leg_extensions
from eva_sim.limits.neck_poses import NeckReach
from tools.expressions.prototypes import ActionUnit

#: Axis about which the head turns, in the head frame: x to its own left, y up, z forward.
_HEAD = {
    "AU51": (0.0, 1.0, 0.0), "AU52": (0.0, -1.0, 0.0), "AU53": (-1.0, 0.0, 0.0), "AU54": (1.0, 0.0, 0.0),
    "AU55": (0.0, 0.0, -1.0), "AU56": (0.0, 0.0, 1.0),
}  # fmt: skip
#: What moves the eyes, and the command's sign.
_EYES = {"AU61": ("eye_yaw", 1), "AU62": ("eye_yaw", -1), "AU63": ("eye_pitch", 1), "AU64": ("eye_pitch", -1)}
#: A turn that no neck reaches [rad].
_BEYOND = 0.5


def rigid_part(unit: ActionUnit) -> str | None:
    """Returns which rigid part an action unit moves: `"neck"`, `"eyes"`, or None if it moves the skin."""
    return "neck" if unit.name in _HEAD else "eyes" if unit.name in _EYES else None


def set_head_and_gaze(spec: FaceSpec, units: dict[ActionUnit, float], command: Floats) -> None:
    """Sets the eyes and the neck's legs of a command, (25,), to the action units' intensities."""
    position = spec.to_physical(command)
    legs, reach = spec.where("leg"), NeckReach(spec)
    turn: Floats = np.zeros(3)
    for unit, intensity in units.items():
        if unit.name in _HEAD:
            turn += intensity * reach(_BEYOND * np.array(_HEAD[unit.name]))
    turn = reach(turn)
    if turn.any():
        position[legs] = leg_extensions(turn)
    command[legs] = np.clip(spec.to_command(position)[legs], -1, 1)
    for unit, intensity in units.items():
        if unit.name in _EYES:
            moves, sign = _EYES[unit.name]
            command[[i for i, a in enumerate(spec.actuators) if a.moves == moves]] += sign * intensity
    command[spec.where("eye")] = np.clip(command[spec.where("eye")], -1, 1)
