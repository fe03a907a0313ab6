"""Which poses the neck may make: an ellipsoid of poses, on the commands of its six legs."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from eva_sim.contract import FaceSpec, Floats
from eva_sim.head.geometry import PLATFORM_CENTRE
from eva_sim.head.neck import leg_extensions, pose_per_extension
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


class NeckLimits:
    """The limits of the neck's pose. Commands may have a leading dimension for faces.

    The allowed poses are convex and hold the pose at rest. So a pose beyond them is brought within by moving
    it towards rest, and legs that move together in proportion stay within on the way.

    Args:
        spec: the face; without six legs, or limits in `robot.toml`, the neck has none.
    """

    def __init__(self, spec: FaceSpec) -> None:
        limits = robot_config(spec).get("neck") if has_robot_config(spec) else None
        legs = spec.where("leg")
        self._legs = legs if len(legs) == _LEGS else legs[:0]
        self._rest = spec.neutral.astype(float)[self._legs]
        self._shares = np.zeros((_LEGS, len(self._legs)))  # of the limits, per command
        metres = 0.5 * (spec.column("high") - spec.column("low"))[self._legs]
        self._per_metre = 1 / metres
        if limits and len(self._legs):
            shift, lean = 1 / limits["shift"], 1 / np.radians(limits["lean"])
            scale = np.array([shift, 1 / limits["height"], shift, lean, 1 / np.radians(limits["turn"]), lean])
            self._shares = scale[:, None] * pose_per_extension() * metres / _MARGIN

    def load(self, command: Floats) -> Floats:
        """Returns how much of the allowed poses a command (..., A) uses, squared, (...); 1 is the most."""
        away = command[..., self._legs] - self._rest
        # The sum is written out, because the rounding of a matrix product depends on its size.
        shares = (away[..., None, :] * self._shares).sum(axis=-1)
        load: Floats = (shares * shares).sum(axis=-1)
        return load

    def within(self, command: Floats) -> Floats:
        """Returns the command (..., A), with a pose beyond the limits moved towards rest."""
        load = self.load(command)
        if not (load > 1).any():
            return command
        out = command.copy()
        away = command[..., self._legs] - self._rest
        out[..., self._legs] = self._rest + away / np.sqrt(np.maximum(load, 1))[..., None]
        return out

    def reachable_turn(self, turn: Floats) -> Floats:
        """Returns a turn of the head, or as much of it as the legs reach and the limits allow.

        Args:
            turn: as in `eva_sim.head.neck.leg_extensions`, (3,) [rad]; a neck without six legs makes none.
        """
        if not len(self._legs):
            return np.zeros(3)
        if self._makes(turn):
            return turn
        inside, outside = 0.0, 1.0
        for _ in range(_HALVINGS):
            middle = 0.5 * (inside + outside)
            inside, outside = (middle, outside) if self._makes(middle * turn) else (inside, middle)
        return inside * turn

    def _makes(self, turn: Floats) -> bool:
        """Whether the neck may make a turn."""
        command = np.zeros(self._legs.max() + 1)
        command[self._legs] = self._rest + leg_extensions(turn) * self._per_metre
        return bool((np.abs(command) <= 1).all() and self.load(command) <= 1)

    def on_the_way(self, wanted: Floats, aim: Floats, before: Floats) -> Floats:
        """Returns the positions (..., A) of the next step: legs that would leave move in proportion.

        Args:
            wanted: positions of the next step, if each leg goes by itself.
            aim: where the legs go in the end; an allowed pose.
            before: positions now; an allowed pose.
        """
        leaves = self.load(wanted) > 1 + _ROUNDING
        if not leaves.any():
            return wanted
        now, way = before[..., self._legs], (aim - before)[..., self._legs]
        step = wanted[..., self._legs] - now
        share = np.where(np.abs(way) > 0, step / np.where(way == 0, 1.0, way), 1.0).min(
            axis=-1, keepdims=True
        )
        out = wanted.copy()
        out[..., self._legs] = np.where(leaves[..., None], now + share * way, wanted[..., self._legs])
        return out
