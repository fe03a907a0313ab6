"""Pictures of recordings at one size: a video has one, and policies need the same one in every data set."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import repeat
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from eva_sim.errors import DataError
from eva_sim.recording.reader import Recording

Picture = NDArray[np.uint8]
#: Smallest and largest side of an exported picture [pixels].
_SIDES = (16, 4096)


class PictureSize(NamedTuple):
    """Width and height of a picture [pixels]."""

    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads a size such as `320x240`.

        Raises:
            DataError: it is no size, or one that a video cannot have.
        """
        sides = re.fullmatch(r"\s*(\d+)\s*[xX×]\s*(\d+)\s*", text)
        if sides is None:
            raise DataError(f"{text!r} is no size of a picture; write WIDTHxHEIGHT, such as 320x240.")
        return cls(int(sides[1]), int(sides[2])).checked()

    def checked(self) -> Self:
        """Returns the size itself.

        Raises:
            DataError: a side is odd, too small or too large for H.264.
        """
        low, high = _SIDES
        if any(side % 2 or not low <= side <= high for side in self):
            raise DataError(
                f"pictures of {self} cannot be exported: sides are even numbers from {low} to {high} pixels; "
                "choose others, as in --image-size 320x240."
            )
        return self


def count_sizes(frames: Iterable[tuple[Recording, int]]) -> Counter[PictureSize | None]:
    """Counts the sizes of the pictures of some frames, in the order of their first frames.

    Args:
        frames: recordings, and indices of their frames. Only the headers of their pictures are read.

    Returns:
        Number of frames of each size; None stands for frames without a picture.
    """
    return Counter(picture_size(recording, index) for recording, index in frames)


def picture_size(recording: Recording, index: int) -> PictureSize | None:
    """Size of the picture of one frame, from its header; None if it has none, or a damaged one."""
    with suppress(DataError):
        size = recording.picture_size(index)
        return None if size is None else PictureSize(*size)
    return None


def held_pictures(recording: Recording, rows: Sequence[int]) -> Iterator[Picture]:
    """Yields a picture for each of some frames, of which at least one has a picture.

    A frame without a picture, or with a damaged one, gets the picture before it; the first ones get that of
    the first frame that has one.

    Raises:
        DataError: none of the pictures can be read.
    """
    pending, last = 0, None
    for index in rows:
        picture = _readable(recording, index)
        last = last if picture is None else picture
        pending += 1
        if last is not None:
            yield from repeat(last, pending)
            pending = 0
    if pending:
        raise DataError(f"no picture of the frames {rows[0]} to {rows[-1]} can be read; record again.")


def _readable(recording: Recording, index: int) -> Picture | None:
    with suppress(DataError):
        return recording.picture(index)
    return None


def even_size(size: PictureSize) -> PictureSize:
    """The size without an odd row or column, which H.264 cannot have."""
    return PictureSize(size.width // 2 * 2, size.height // 2 * 2)


def fit_picture(picture: Picture, size: PictureSize) -> Picture:
    """Brings a picture to a size: its middle part of these proportions, scaled.

    Args:
        picture: RGB, uint8 (height, width, 3).
        size: width and height of the result [pixels].

    Returns:
        RGB, uint8 (size.height, size.width, 3). A picture that is at most one row or column larger is cut
        and not scaled, so that it stays sharp.
    """
    height, width = picture.shape[:2]
    if even_size(PictureSize(width, height)) == size:
        return np.ascontiguousarray(picture[: size.height, : size.width])
    from PIL import Image, ImageOps

    return np.asarray(ImageOps.fit(Image.fromarray(picture), size, Image.Resampling.BILINEAR))
