"""From a person's expression to one that this robot can make.

A person's displacement from their own neutral face, put on the robot's neutral face, is in general no
face of the robot's: its skin moves elsewhere than theirs. What it should look most like is asked of the
robot's self-image, as in Chen et al., ICRA 2021. Taken over all points alike, the nearest face of the
robot raises the brows half as far as the person, because then many points that barely move outvote the
few that tell. People read a face by its gaps (brow over eye, lids, lips), so those count for themselves.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import least_squares

from eva_sim.agents.models.forward import ForwardModel
from eva_sim.contract import Floats, load_spec
from eva_sim.errors import DataError
from eva_sim.landmarks import POINTS, landmark_rows

#: Trust in each axis: a camera sees depth only indirectly, and MediaPipe's z follows a person's
#: expression weakly and their head pose strongly.
AXES = (1.0, 1.0, 0.5)
#: What one gap counts, where all points together, as their mean square, count 1.
GAP = 1.0
#: What a muscle's pull costs [squared outer-eye distances per squared command]: settles which of two
#: muscles works where the face does not tell, and keeps them from pulling against each other.
EFFORT = 1e-4

_X, _Y, _Z = range(3)
#: Upper (left) and lower (right) points of each gap, and the axis it is taken along: brows over eye
#: corners, inner and outer; lids; lips, also in depth, where the jaw turns; mouth corners.
_GAPS = (
    ((107, 66, 55, 65), (33, 133), _Y),
    ((70, 63, 46, 53), (33, 133), _Y),
    ((336, 296, 285, 295), (263, 362), _Y),
    ((300, 293, 276, 283), (263, 362), _Y),
    ((159,), (145,), _Y),
    ((386,), (374,), _Y),
    ((13,), (14,), _Y),
    ((13,), (14,), _Z),
    ((291,), (61,), _X),
    ((61,), (0, 17), _Y),
    ((291,), (0, 17), _Y),
)


class Retargeter:
    """Maps faces of a person to faces of a robot. Everything is (N, 3) [neutral outer-eye distances].

    Args:
        neutral: the robot's aligned landmarks at rest.
        low: the least each coordinate of the robot has been.
        high: the most.
        image: the robot's self-image: pulls of the actuators that move landmarks to displacement,
            (3 N,).

    Raises:
        DataError: a wrong shape, or a range whose low is above its high.
    """

    def __init__(self, neutral: ArrayLike, low: ArrayLike, high: ArrayLike, image: ForwardModel) -> None:
        self.neutral, bottom, top = (np.asarray(a, dtype=float) for a in (neutral, low, high))
        shape = (len(POINTS), 3)
        if not self.neutral.shape == bottom.shape == top.shape == shape or (bottom > top).any():
            raise DataError(f"the robot's own range must be {shape} arrays with low <= high; train again.")
        # Resting is often an end of the range, and always allowed.
        self.low, self.high = np.minimum(bottom, self.neutral), np.maximum(top, self.neutral)
        spec = load_spec()
        rest = spec.neutral[spec.expressive].astype(float)
        self._bounds = -1 - rest, 1 - rest
        self._metric = _metric()
        self._image, self._told = image, image.through(self._metric)

    def __call__(self, person: Floats, person_neutral: Floats) -> Floats:
        """What to ask of the robot for a person's aligned expression and neutral face.

        The face of the robot that tells most nearly the same, clipped per landmark to where the robot
        has been, since beyond that its self-image only guesses.
        """
        wanted = self._metric @ (person - person_neutral).ravel()
        asked = self.neutral + self._image(self._pulls(wanted)).reshape(self.neutral.shape)
        return np.clip(asked, self.low, self.high)

    def _pulls(self, wanted: Floats) -> Floats:
        """Pulls within the travel that come nearest, (M,)."""
        effort = np.sqrt(EFFORT) * np.eye(len(self._bounds[0]))
        solution = least_squares(
            lambda x: np.concatenate([self._told(x) - wanted, effort @ x]),
            np.zeros(len(effort)),
            lambda x: np.concatenate([self._told.slope(x), effort]),
            bounds=self._bounds,
            method="dogbox",  # rest is an end of travel, from where "trf" starts slowly
        )
        pulls: Floats = solution.x
        return pulls


def _metric() -> Floats:
    """Displacements, (3 N,), to what is compared: weighted coordinates, then gaps."""
    points = np.diag(np.tile(AXES, len(POINTS))) / np.sqrt(len(POINTS))
    gaps = np.zeros((len(_GAPS), len(POINTS), 3))
    for gap, (upper, lower, axis) in zip(gaps, _GAPS, strict=True):
        gap[landmark_rows(*upper), axis] += GAP / len(upper)
        gap[landmark_rows(*lower), axis] -= GAP / len(lower)
    return np.concatenate([points, gaps.reshape(len(gaps), -1)])
