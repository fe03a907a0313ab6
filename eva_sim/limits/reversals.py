"""How often a servo may turn round: a reserve that each reversal uses up, and that refills slowly."""

from __future__ import annotations

import numpy as np

from eva_sim.contract import FaceSpec, Floats
from eva_sim.robot_config import has_robot_config, robot_config

#: The arrays that change, one number for each actuator.
STATE = ("sense", "turning_point", "reserve")


class ReversalLimits:
    """Counts the reversals of each servo. A servo without reserve goes on or waits, but does not turn round.

    Args:
        spec: the face; without limits in `robot.toml` servos turn round as they like.
        shape: of the arrays, (A,) or (N, A).

    Attributes:
        sense: direction of the last counted travel, -1, 0 or 1.
        turning_point: furthest position since the last reversal [command units].
        reserve: reversals that are left.
    """

    sense: Floats
    turning_point: Floats
    reserve: Floats

    def __init__(self, spec: FaceSpec, shape: tuple[int, ...]) -> None:
        limits = robot_config(spec).get("reversals") if has_robot_config(spec) else None
        self._smallest = 2 * limits["smallest"] if limits else np.inf
        self._most = limits["reserve"] if limits else np.inf
        self._refill = limits["per_second"] * spec.control_dt if limits else 0.0
        self._rest = spec.neutral.astype(float)
        for name in STATE:
            setattr(self, name, np.zeros(shape))
        self.reset()

    def reset(self, face: int | None = None) -> None:
        """Fills the reserve of one face, or of all, which is at rest."""
        which = ... if face is None else face
        self.sense[which], self.turning_point[which], self.reserve[which] = 0.0, self._rest, self._most

    def allowed(self, wanted: Floats, before: Floats) -> Floats:
        """Returns the next positions (..., A): a servo without reserve that would turn round stays."""
        empty = self.reserve < 1
        if not empty.any():
            return wanted
        return np.where(empty & ((wanted - before) * self.sense < 0), before, wanted)

    def note(self, now: Floats) -> None:
        """Counts the step to these positions (..., A), one control period after the last."""
        away = now - self.turning_point
        along = away * self.sense
        turned = along < -self._smallest
        starts = (self.sense == 0) & (np.abs(away) > self._smallest)
        moved = turned | starts | (along > 0)
        self.sense = np.where(turned | starts, np.sign(away), self.sense)
        self.turning_point = np.where(moved, now, self.turning_point)
        self.reserve = np.minimum(self._most, self.reserve + self._refill) - turned
