"""Which poses the neck may make: an ellipsoid of poses, on the commands of its six legs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from eva_sim.contract import FaceSpec, Floats
from eva_sim.head.geometry import PLATFORM_CENTRE
from eva_sim.head.neck import leg_extensions, pose_per_extension
from eva_sim.limits.compiling import kernel
from eva_sim.robot_config import has_robot_config, robot_config

#: Share of the ellipsoid that commands may fill. The pose is taken as linear in the legs; within the limits
#: of EVA's neck it is, up to 4 %.
_MARGIN = 0.95
_LEGS = 6
_ROUNDING = 1e-9
#: Halvings of a turn, until the part that is reached is known.
_HALVINGS = 12


def pose_shares(spec: FaceSpec, skull: Floats) -> Floats:
    """Returns how much of each limit a pose uses, (4,): shift, height, lean and turn; none may exceed 1.

    Args:
        spec: the face.
        skull: world-from-head transform, (4, 4).
    """
    limits = robot_config(spec)["neck"]
    moved = skull[:3, :3] @ PLATFORM_CENTRE + skull[:3, 3] - PLATFORM_CENTRE
    x, y, z = Rotation.from_matrix(skull[:3, :3]).as_rotvec(degrees=True)
    return np.array(
        [
            np.hypot(moved[0], moved[2]) / limits["shift"],
            abs(moved[1]) / limits["height"],
            np.hypot(x, z) / limits["lean"],
            abs(y) / limits["turn"],
        ]
    )


class NeckRules(NamedTuple):
    """The limits of the neck's pose, as compiled functions take them.

    The allowed poses are convex and hold the pose at rest. So a pose beyond them is brought within by moving
    it towards rest, and legs that move together in proportion stay within on the way.

    Attributes:
        legs: indices of the legs, (6,); none without limits.
        rest: command of each leg at rest, (6,).
        shares: of each limit that a command above rest uses, (6, 6).
    """

    legs: NDArray[np.intp]
    rest: Floats
    shares: Floats


def load_neck_rules(spec: FaceSpec) -> NeckRules:
    """Returns the limits of a face; a face without six legs, or without limits in `robot.toml`, has none."""
    limits = robot_config(spec).get("neck") if has_robot_config(spec) else None
    legs = np.asarray(spec.where("leg"), dtype=np.intp)
    if not limits or len(legs) != _LEGS:
        return NeckRules(legs[:0], np.zeros(0), np.zeros((_LEGS, 0)))
    shift, lean = 1 / limits["shift"], 1 / np.radians(limits["lean"])
    scale = np.array([shift, 1 / limits["height"], shift, lean, 1 / np.radians(limits["turn"]), lean])
    metres = 0.5 * (spec.column("high") - spec.column("low"))[legs]
    shares = scale[:, None] * pose_per_extension() * metres / _MARGIN
    return NeckRules(legs, spec.neutral.astype(float)[legs], np.ascontiguousarray(shares))


@kernel(nogil=True)
def pose_load(command, rules):  # type: ignore[no-untyped-def]
    """Returns how much of the allowed poses a command (A,) uses, squared; 1 is the most."""
    load = 0.0
    for row in range(len(rules.shares)):
        share = 0.0
        for leg in range(len(rules.legs)):
            share += rules.shares[row, leg] * (command[rules.legs[leg]] - rules.rest[leg])
        load += share * share
    return load


@kernel(nogil=True)
def limit_pose(command, rules):  # type: ignore[no-untyped-def]
    """Moves a pose beyond the limits towards rest, in place, (A,)."""
    load = pose_load(command, rules)
    if load <= 1:
        return
    for leg in range(len(rules.legs)):
        index = rules.legs[leg]
        command[index] = rules.rest[leg] + (command[index] - rules.rest[leg]) / np.sqrt(load)


@kernel(nogil=True)
def move_legs_in_proportion(wanted, aim, before, rules):  # type: ignore[no-untyped-def]
    """Slows legs that would leave the allowed poses on the way, in place, so that they move in proportion.

    Args:
        wanted: positions of the next step, if each leg goes by itself, (A,).
        aim: where the legs go in the end, (A,); an allowed pose.
        before: positions now, (A,); an allowed pose.
        rules: of the face.
    """
    if pose_load(wanted, rules) <= 1 + _ROUNDING:
        return
    share = 1.0
    for index in rules.legs:
        if aim[index] != before[index]:
            share = min(share, (wanted[index] - before[index]) / (aim[index] - before[index]))
    for index in rules.legs:
        wanted[index] = before[index] + share * (aim[index] - before[index])


class NeckReach:
    """How far a neck turns: as far as its legs reach and its limits allow.

    Args:
        spec: the face; a neck without six legs does not turn.
    """

    def __init__(self, spec: FaceSpec) -> None:
        self._legs, self._rest = spec.where("leg"), spec.neutral.astype(float)
        self._per_metre = 2 / (spec.column("high") - spec.column("low"))[self._legs]
        self._rules = load_neck_rules(spec)

    def __call__(self, turn: Floats) -> Floats:
        """Returns a turn of the head, (3,) [rad], or as much of it as the neck may make.

        Args:
            turn: rotation vector in the head frame at neutral, (3,) [rad].
        """
        if len(self._legs) != _LEGS:
            return np.zeros(3)
        if self._makes(turn):
            return turn
        inside, outside = 0.0, 1.0
        for _ in range(_HALVINGS):
            middle = 0.5 * (inside + outside)
            inside, outside = (middle, outside) if self._makes(middle * turn) else (inside, middle)
        return inside * turn

    def _makes(self, turn: Floats) -> bool:
        command = self._rest.copy()
        command[self._legs] += leg_extensions(turn) * self._per_metre
        return bool((np.abs(command) <= 1).all() and pose_load(command, self._rules) <= 1)
