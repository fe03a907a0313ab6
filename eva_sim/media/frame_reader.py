"""The interface of readers: what decoding gives, before times and sizes are made regular."""

from __future__ import annotations

import abc
from collections.abc import Iterator
from typing import NamedTuple

from eva_sim.media.assumptions import Assumptions
from eva_sim.media.encoding import Picture

#: Frames per second where a file says nothing, or nothing that can be.
DEFAULT_FPS = 25.0
#: Rates that a file may claim [frames per second].
_BELIEVABLE_FPS = 0.1, 1000.0


class DecodedFrame(NamedTuple):
    """One decoded picture; its time is what the file claims.

    Attributes:
        picture: upright, with square pixels, RGB uint8 (height, width, 3).
        time: from any origin [s], or None.
        duration: how long the picture stands [s], or None.
    """

    picture: Picture
    time: float | None = None
    duration: float | None = None


class FrameReader(abc.ABC):
    """Decodes the pictures of one file, in their order.

    Attributes:
        fps: frames per second, as far as the file says.
        length: number of pictures, as far as the file says, or None.
        duration: of the whole clip as far as the file says [s], or None.
    """

    fps: float = DEFAULT_FPS
    length: int | None = None
    duration: float | None = None

    @abc.abstractmethod
    def frames(self, assumed: Assumptions) -> Iterator[DecodedFrame]:
        """Yields all pictures from the first on; damaged ones are left out and noted in `assumed`."""


def believable_fps(fps: float) -> float:
    """Returns a claimed rate [frames per second], or `DEFAULT_FPS` for one that cannot be."""
    low, high = _BELIEVABLE_FPS
    return fps if low <= fps <= high else DEFAULT_FPS
