"""Fake faces side by side, as twins are."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eva_sim.testing.fake_face import FakeFace


class FakeReadings(NamedTuple):
    """Readings of all faces, stacked."""

    sent: NDArray[np.float32]
    position: NDArray[np.float32]
    landmarks: NDArray[np.float32]


class FakeFaces:
    """Fakes that move side by side.

    Args:
        faces: number of them.
    """

    def __init__(self, faces: int) -> None:
        self.faces, self._all = faces, [FakeFace() for _ in range(faces)]
        self.spec = self._all[0].spec
        self.reset()

    def reset(self) -> None:
        """Puts all faces at rest."""
        self._readings = [face.reset() for face in self._all]

    def read(self) -> FakeReadings:
        """Returns the readings of all faces now."""

        def stacked(name: str) -> NDArray[np.float32]:
            return np.stack([getattr(reading, name) for reading in self._readings])

        return FakeReadings(*(stacked(name) for name in FakeReadings._fields))

    def move(self, commands: NDArray[np.float32]) -> FakeReadings:
        """Sends one command to each face."""
        self._readings = [face.move(command) for face, command in zip(self._all, commands, strict=True)]
        return self.read()
