"""Cables that pull while the face should rest, and those that pull against each other: found in the twin."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from eva_sim.actuators import Actuators
from eva_sim.contract import FaceSpec, Floats
from eva_sim.robot_config import robot_config
from eva_sim.skin.anatomy import Drive, load_anatomy
from eva_sim.skin.interface import SkinSolver
from eva_sim.skin.solver import make_skin

#: Control steps until the pull of the cables has settled.
_STEPS = 20
#: Share of its tension that a cable loses when another one lets go, from which the two fight.
_FIGHTS = 0.05
#: Command above its slack end from which a servo has wound its cable in.
_WOUND = 0.02


class TautCable(NamedTuple):
    """A cable that pulls at rest.

    Attributes:
        name: of its actuator.
        tension: at the skin [N].
        against: names of the taut cables without which it would pull less, strongest effect first.
    """

    name: str
    tension: float
    against: tuple[str, ...]


def taut_cables(spec: FaceSpec, rest: ArrayLike) -> tuple[TautCable, ...]:
    """Finds the cables that pull, and fight, where a calibration says that the face rests.

    A calibration whose ends are swapped rests at full pull. Its rest in pulses, converted by the *nominal*
    calibration, tells where its servos are: `nominal.to_command(calibration.limits.rest)`.

    Args:
        spec: the face.
        rest: positions of all actuators, (A,) in command units; beyond the travel they count as its end.

    Returns:
        The cables that are wound in and pull more than `rest_tension` of `robot.toml`, in the table's order.
    """
    position = np.clip(np.asarray(rest, dtype=float), -1.0, 1.0)
    allowed = float(robot_config(spec)["ratings"]["rest_tension"])
    skin, cables = make_skin(load_anatomy(spec), "full"), spec.where("cable")
    together = _settled(spec, skin, position)
    wound = position[cables] > spec.neutral[cables] + _WOUND  # others are only pulled by the skin
    taut = np.flatnonzero((together > allowed) & wound)
    lost = np.zeros((len(cables), len(cables)))  # tension that a cable loses when another lets go [N]
    for other in taut if len(taut) > 1 else ():
        released = position.copy()
        released[cables[other]] = spec.neutral[cables[other]]
        lost[:, other] = together - _settled(spec, skin, released)
    names = [spec.names[i] for i in cables]
    return tuple(
        TautCable(
            names[own],
            float(together[own]),
            tuple(
                names[other]
                for other in np.argsort(-lost[own])
                if other != own and lost[own, other] > _FIGHTS * together[own]
            ),
        )
        for own in taut
    )


def _settled(spec: FaceSpec, skin: SkinSolver, command: Floats) -> Floats:
    """Tension of the cables when all actuators have come from rest to a command, (C,) [N]."""
    actuators = Actuators(spec)
    jaw, lids = spec.where("jaw"), spec.where("lid")
    skin.reset()
    for _ in range(_STEPS):
        actuators.step(command.astype(np.float32), skin.tension)
        opening = float(actuators.position[jaw[0]]) if len(jaw) else 0.0
        skin.step(Drive(opening, actuators.position[lids], actuators.drawn))
    return np.array(skin.tension, dtype=float)
