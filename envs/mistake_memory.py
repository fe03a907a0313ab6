"""Memory of a body: by how much it misses what a model expects, lately and at each place of the travel.

Slack, backlash, friction and stiffness differ from body to body. They show as much the same mistake whenever
an actuator comes to the same place, so a mean over the episode tells of them, and loses the noise. What is
left of a mistake depends on the whole face, and lasts as long as that.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from eva_sim.contract import Floats

#: Places along the travel of an actuator for which mistakes are kept.
PLACES = 5
#: Readings without a mistake with which a memory begins, so that the first noisy ones count less.
PRIOR = 2.0
#: Share by which the newest reading replaces what is left of the mistakes before it.
NEWEST = 0.5


class MistakeMemory:
    """Means of the mistakes of N bodies with M actuators.

    A reading counts at the two places next to an actuator's position, by how near it is to each. What is left
    of it there is expected everywhere.

    Args:
        copies: number of bodies, N.
        actuators: number of actuators of each, M.
    """

    def __init__(self, copies: int, actuators: int) -> None:
        self._mistakes = np.zeros((copies, actuators, PLACES))
        self._readings = np.zeros_like(self._mistakes)
        self._left = np.zeros((copies, actuators))
        self._places = np.linspace(-1, 1, PLACES)

    def __len__(self) -> int:
        return len(self._mistakes)

    def forget_bodies(self, which: NDArray[np.bool_]) -> None:
        """Forgets some bodies, (N,)."""
        self._mistakes[which] = self._readings[which] = 0.0
        self._left[which] = 0.0

    def note_mistakes(self, position: Floats, mistake: Floats) -> None:
        """Takes the mistakes (N, M) at positions (N, M), both in command units."""
        near = self._nearness(position)
        self._readings += near
        self._mistakes += near * mistake[..., None]
        left = mistake - self._mean(near, slice(None))
        self._left += NEWEST * (left - self._left)

    def expected_mistakes(
        self, command: Floats, which: NDArray[np.intp] | slice = slice(None)
    ) -> NDArray[np.float32]:
        """Returns the mistakes (K, M) to expect of some bodies at commands (K, M)."""
        expected = self._mean(self._nearness(command), which) + self._left[which]
        return expected.astype(np.float32)

    def _mean(self, near: Floats, which: NDArray[np.intp] | slice) -> Floats:
        """Returns the mean mistakes (K, M) at places that are so near, (K, M, PLACES)."""
        mistakes = (near * self._mistakes[which]).sum(-1)
        mean: Floats = mistakes / ((near * self._readings[which]).sum(-1) + PRIOR)
        return mean

    def _nearness(self, place: Floats) -> Floats:
        """Returns shares of each of the `PLACES`, (..., PLACES), whose sum is 1."""
        gap = self._places[1] - self._places[0]
        near: Floats = np.maximum(0.0, 1 - np.abs(np.clip(place, -1, 1)[..., None] - self._places) / gap)
        return near
