"""A face beside which an operator sits, who may end what it does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eva_sim.contract import Face, Reading


class AttendedFace(Face):
    """A face that listens to its operator before each command, and in each wire period in which it is held.

    Args:
        face: the face; it stays open when this one closes.
        attend: what it raises ends the motion.
    """

    def __init__(self, face: Face, attend: Callable[[], None]) -> None:
        self._face, self._attend = face, attend
        self.spec, self.clock, self.outer_eye = face.spec, face.clock, face.outer_eye
        self.neutral_landmarks = face.neutral_landmarks

    def reset(self, seed: int | None = None) -> Reading:
        self._attend()
        return self._face.reset(seed)

    def move(self, command: ArrayLike) -> Reading:
        self._attend()
        return self._face.move(command)

    def hold_still(self) -> None:
        self._attend()
        self._face.hold_still()

    def render(self, size: int) -> NDArray[np.uint8]:
        return self._face.render(size)

    def describe(self) -> dict[str, Any]:
        return self._face.describe()
