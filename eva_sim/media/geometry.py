"""Sizes, orientation and pixel shape of pictures."""

from __future__ import annotations

import struct
from typing import NamedTuple

import numpy as np
from PIL import Image

from eva_sim.errors import MediaError
from eva_sim.media.encoding import Picture

#: Longest side of a frame [pixels]; larger ones are shrunk, the detector gains nothing from them.
LARGEST = 1280
#: A picture with more pixels is not decoded. JPEGs can be decoded at a smaller size.
MAX_PIXELS, MAX_JPEG_PIXELS = 64_000_000, 128_000_000
#: Shortest side of a picture that may hold a face [pixels], and largest ratio of its sides.
MIN_SIDE, MAX_RATIO = 16, 20.0
#: Pixels at most this much wider than high, or higher than wide, are believed.
_MAX_PIXEL_ASPECT = 4.0


def check_size(width: int, height: int, name: str, most: int = MAX_PIXELS) -> None:
    """Checks that a picture is worth decoding.

    Args:
        width: [pixels].
        height: [pixels].
        name: of the file, for the message.
        most: pixels that can be decoded.

    Raises:
        MediaError: too many pixels, or too thin or small to hold a face.
    """
    size = f"{name} is {width} x {height} pixels"
    if width * height > most:
        raise MediaError(f"{size}, more than {most // 1_000_000} million; save it smaller.")
    short, long = sorted((width, height))
    if short < MIN_SIDE or long > MAX_RATIO * short:
        raise MediaError(f"{size}, too thin or small to hold a face; give a clip or picture of one.")


def believable_aspect(aspect: float) -> bool:
    """Whether pixels may have this ratio of width to height."""
    return 1 / _MAX_PIXEL_ASPECT <= aspect <= _MAX_PIXEL_ASPECT


def square_size(width: int, height: int, aspect: float = 1.0) -> tuple[int, int]:
    """Returns the size (width, height) of a frame with square pixels, at most `LARGEST` on its longest side.

    Args:
        width: as stored [pixels].
        height: as stored [pixels].
        aspect: width of a pixel over its height; the shorter side of the pixel is stretched.
    """
    wide, high = width * max(aspect, 1.0), height * max(1 / aspect, 1.0)
    scale = min(1.0, LARGEST / max(wide, high))
    return max(1, round(wide * scale)), max(1, round(high * scale))


def fit_with_bars(picture: Picture, width: int, height: int) -> tuple[Picture, float, tuple[int, int]]:
    """Scales a picture into a place of another shape, with black bars on two sides.

    Returns:
        The picture, (height, width, 3); its scale; and the left and upper edge of its content [pixels].
    """
    scale = min(width / picture.shape[1], height / picture.shape[0])
    content = max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale))
    left, top = (width - content[0]) // 2, (height - content[1]) // 2
    image = Image.new("RGB", (width, height))
    image.paste(Image.fromarray(picture).resize(content), (left, top))
    return np.asarray(image), scale, (left, top)


class Orientation(NamedTuple):
    """One of the eight orientations of a picture: rows and columns exchanged first, then flips.

    Attributes:
        exchanged: whether rows and columns are exchanged.
        flipped_across: whether left and right are exchanged.
        flipped_down: whether top and bottom are exchanged.
    """

    exchanged: bool = False
    flipped_across: bool = False
    flipped_down: bool = False

    @classmethod
    def of_display_matrix(cls, matrix: bytes) -> Orientation | None:
        """Returns the orientation of a clip's display matrix; None for a matrix that shows nothing.

        Args:
            matrix: nine 32-bit numbers a b u, c d v, x y w. A stored pixel (x, y), y down, is shown at
                (a x + c y, b x + d y).
        """
        a, b, _, c, d = struct.unpack("=5i", matrix[:20])
        if a * d == b * c:
            return None
        exchanged = abs(b) + abs(c) > abs(a) + abs(d)
        return cls(exchanged, (c if exchanged else a) < 0, (b if exchanged else d) < 0)

    def apply(self, picture: Picture) -> Picture:
        """Returns the upright picture."""
        if self.exchanged:
            picture = picture.swapaxes(0, 1)
        if self.flipped_across:
            picture = picture[:, ::-1]
        if self.flipped_down:
            picture = picture[::-1]
        return np.ascontiguousarray(picture)
