"""The part of a robot's pictures that changes while it babbles; the rest is background."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from eva_sim.agents.data.dataset import Dataset
from eva_sim.errors import DataError

Pictures = NDArray[np.uint8]
#: Number of pictures, spread over the data set, in which the window is looked for.
_LOOKED_AT = 400
#: Standard deviation from which a pixel counts as changing [levels of 255].
_CHANGES = 4.0
#: Sides of the window are multiples of this, so that grids of cells fit [pixels].
CELL = 8


@dataclass(frozen=True)
class PictureWindow:
    """A rectangle of square pictures [pixels].

    Attributes:
        size: side of the whole pictures.
        top: first row of the rectangle.
        left: first column.
        height: number of rows, a multiple of `CELL`.
        width: number of columns, a multiple of `CELL`.
    """

    size: int
    top: int
    left: int
    height: int
    width: int

    @classmethod
    def of(cls, pictures: Pictures) -> Self:
        """Returns the smallest window outside of which these pictures, (B, S, S, 3), hardly change."""
        size = pictures.shape[1]
        if size < CELL:
            raise DataError(f"pictures of {size} pixels are too small to learn from; record larger ones.")
        changes = pictures.std(0, dtype=np.float32).max(-1) > _CHANGES
        top, height = _span(changes.any(1))
        left, width = _span(changes.any(0))
        return cls(size, top, left, height, width)

    def cut(self, pictures: Pictures) -> Pictures:
        """Returns the window of pictures, (..., S, S, 3) -> (..., height, width, 3)."""
        return pictures[..., self.top : self.top + self.height, self.left : self.left + self.width, :]


def _span(changes: NDArray[np.bool_]) -> tuple[int, int]:
    """Returns start and length, a multiple of `CELL`, of the range that holds all changes."""
    found = np.flatnonzero(changes)
    if not len(found):
        found = np.arange(len(changes))
    middle, most = (found[0] + found[-1] + 1) / 2, len(changes) // CELL * CELL
    length = min(-(-(found[-1] + 1 - found[0]) // CELL) * CELL, most)
    start = int(np.clip(round(middle - length / 2), 0, len(changes) - length))
    return start, int(length)


def find_window(data: Dataset) -> tuple[PictureWindow, Pictures]:
    """Finds the window of a data set.

    Returns:
        The window, and the median picture, (S, S, 3), which is the background outside of it.

    Raises:
        DataError: recorded without pictures, or they are too small.
    """
    chosen = np.unique(np.linspace(0, len(data) - 1, _LOOKED_AT).astype(np.intp))
    pictures = data.images(chosen)
    return PictureWindow.of(pictures), np.median(pictures, axis=0).astype(np.uint8)


def read_windows(data: Dataset, window: PictureWindow) -> Pictures:
    """Reads the window of every picture of a data set, (S, height, width, 3), part by part to save memory."""
    cut = np.empty((len(data), window.height, window.width, 3), np.uint8)
    for shard in np.unique(data.shard):
        rows = np.flatnonzero(data.shard == shard)
        cut[rows] = window.cut(data.images(rows))
    return cut
