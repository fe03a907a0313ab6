"""From a person's expression to one that this robot can make.

Hu et al., Science Robotics 9(88), 2024: the person's displacement from their own neutral face,
times 0.9, clipped per landmark to the range the robot has seen itself in, on the robot's neutral.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from eva_sim.contract import Floats
from eva_sim.errors import DataError
from eva_sim.landmarks import POINTS

#: Share of a person's displacement that the robot is asked for.
GAIN = 0.9
#: Trust in each axis: a camera sees depth only indirectly, and MediaPipe's z follows a person's
#: expression weakly and their head pose strongly.
AXES = (1.0, 1.0, 0.5)


class Retargeter:
    """Maps faces of a person to faces of a robot. Everything is (N, 3) [neutral outer-eye distances].

    Args:
        neutral: the robot's aligned landmarks at rest.
        low: the least each coordinate of the robot has been.
        high: the most.
        gain: see `GAIN`.
        axes: see `AXES`.

    Raises:
        DataError: a wrong shape, or a range whose low is above its high.
    """

    def __init__(
        self,
        neutral: ArrayLike,
        low: ArrayLike,
        high: ArrayLike,
        gain: float = GAIN,
        axes: tuple[float, float, float] = AXES,
    ) -> None:
        self.neutral, bottom, top = (np.asarray(a, dtype=float) for a in (neutral, low, high))
        shape = (len(POINTS), 3)
        if not self.neutral.shape == bottom.shape == top.shape == shape or (bottom > top).any():
            raise DataError(f"the robot's own range must be {shape} arrays with low <= high; train again.")
        # Resting is often an end of the range, and always allowed.
        self.low, self.high = np.minimum(bottom, self.neutral), np.maximum(top, self.neutral)
        self._gain = gain * np.array(axes)

    def __call__(self, person: Floats, person_neutral: Floats) -> Floats:
        """What to ask of the robot, (..., N, 3), for a person's aligned expression and neutral face."""
        asked = self.neutral + self._gain * (person - person_neutral)
        return np.clip(asked, self.low, self.high)
