"""JPEGs one after another in one file, as small cameras send them."""

from __future__ import annotations

import io
import mmap
import re
from collections.abc import Iterator
from typing import NamedTuple

from PIL import Image

_START = b"\xff\xd8\xff"
#: A marker that ends a run of coded data. Stuffed bytes, restarts and fill bytes do not.
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)
_IS_START, _IS_END = 0xD8, 0xD9
#: Longest gap between two pictures: padding, or the head of a part of a multipart stream [bytes].
_LONGEST_GAP = 1024
#: How a file begins that holds the answer of a network camera.
_PART = b"--"
#: The mark of an index of several pictures, and where it is looked for [bytes].
_INDEX, _INDEX_WITHIN = b"MPF\x00", 1 << 18


class FoundJpeg(NamedTuple):
    """Where a JPEG is in a file.

    Attributes:
        start: its first byte.
        end: one after its last byte.
        whole: False if the file ends before the JPEG does.
    """

    start: int
    end: int
    whole: bool


def find_jpegs(content: mmap.mmap) -> Iterator[FoundJpeg]:
    """Yields the JPEGs that follow one another directly, from the beginning of the file on.

    In the answer of a network camera that was saved, each has a short head that begins with two hyphens.
    """
    start = content.find(_START, 0, _LONGEST_GAP)
    while start >= 0:
        jpeg = _measure(content, start)
        yield jpeg
        start = content.find(_START, jpeg.end, jpeg.end + _LONGEST_GAP) if jpeg.whole else -1


def is_jpeg_row(content: mmap.mmap) -> bool:
    """Whether a file is a row of JPEGs.

    A JPEG with an index of several pictures is one picture with a preview or a depth map behind it. So is one
    that a film follows, or a JPEG of another size.
    """
    if not content[:_LONGEST_GAP].lstrip().startswith((_START, _PART)):
        return False
    jpegs = find_jpegs(content)
    first, second = next(jpegs, None), next(jpegs, None)
    if first is None or second is None or content.find(_INDEX, 0, min(first.end, _INDEX_WITHIN)) >= 0:
        return False
    return _size(content, first) == _size(content, second)


def _measure(content: mmap.mmap, start: int) -> FoundJpeg:
    position = start + 2
    while marker := _MARKER.search(content, position):
        code, position = content[marker.start() + 1], marker.end()
        if code == _IS_END:
            return FoundJpeg(start, position, True)
        if code == _IS_START:  # the picture before it lacks its end
            return FoundJpeg(start, marker.start(), True)
        position += max(2, int.from_bytes(content[position : position + 2], "big"))
    return FoundJpeg(start, len(content), False)


def _size(content: mmap.mmap, jpeg: FoundJpeg) -> tuple[int, int] | None:
    try:
        with Image.open(io.BytesIO(content[jpeg.start : jpeg.end]), formats=("JPEG",)) as image:
            return image.size
    except Exception:  # each damage has an error of its own
        return None
