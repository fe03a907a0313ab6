"""Prediction of the person's head, which makes up for most of the robot's delay.

A head is heavy: what it does in the next tenth of a second follows from the last three. A mouth is not; a
predictor of the same kind makes its jerk several times as large (`python -m benchmarks.anticipation`).
"""

from __future__ import annotations

from collections import deque

import numpy as np

from eva_sim.contract import Floats

#: How far the taps look ahead [s]: most of the delay with which the robot's head follows a picture. Further
#: ahead, a head that stops is overshot more: by a quarter here, by a third with 0.08 s, for a turn of 0.4 s.
AHEAD = 0.06
#: Time between two taps [s], and their weights, newest first, rounded to a sum of 1. Fitted on the first half
#: of the sample clip, with weight 1 on the third difference of the prediction: `benchmarks.anticipation`.
TAP_PERIOD = 0.04
TAPS = (0.50, 0.61, 0.38, 0.06, -0.14, -0.22, -0.16, -0.03)


class HeadPredictor:
    """Predicts a turn `AHEAD` from the turns so far, and smooths it.

    Turns may come at any rate; they are interpolated at the times of the taps.
    """

    def __init__(self) -> None:
        self._turns: deque[tuple[float, Floats]] = deque()

    def restart(self, time: float, turn: Floats) -> None:
        """Forgets the past and starts from a turn at rest."""
        self._turns = deque([(time, turn)])

    def __call__(self, time: float, turn: Floats) -> Floats:
        """Returns the predicted turn, (3,) [rad].

        Args:
            time: of the turn [s]; rises from call to call.
            turn: rotation vector, (3,) [rad].
        """
        taps = time - TAP_PERIOD * np.arange(len(TAPS))
        self._turns.append((time, turn))
        while len(self._turns) > 2 and self._turns[1][0] <= taps[-1]:
            self._turns.popleft()
        times, turns = zip(*self._turns, strict=True)
        past = [np.interp(taps, times, column) for column in np.transpose(turns)]
        predicted: Floats = np.array(past) @ TAPS
        return predicted
