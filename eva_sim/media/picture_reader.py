"""Pictures that Pillow reads: one picture, an animation, or JPEGs one after another."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from typing import IO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from eva_sim.errors import MediaError
from eva_sim.media.assumptions import Assumptions
from eva_sim.media.encoding import Picture
from eva_sim.media.frame_reader import DecodedFrame, FrameReader
from eva_sim.media.geometry import LARGEST, MAX_JPEG_PIXELS, MAX_PIXELS, check_size
from eva_sim.media.jpeg_row import find_jpegs, is_jpeg_row
from eva_sim.media.local_file import LocalFile
from eva_sim.media.sample_depth import SampleRange, to_rgb

#: Formats that are known by their first bytes. Formats that start other programs are not among them.
_FORMATS = (
    "JPEG", "PNG", "GIF", "WEBP", "AVIF", "TIFF", "BMP", "PPM", "JPEG2000", "QOI", "ICO", "ICNS", "PSD",
    "SGI", "PCX", "SUN", "DDS", "FLI",
)  # fmt: skip
#: A format without such bytes, tried last.
_LAST_FORMATS = ("TGA",)
#: Formats in which several pictures are an animation or pages. In others they are sizes, layers, depth maps.
_ANIMATED = ("PNG", "GIF", "WEBP", "AVIF", "TIFF", "FLI")
#: Tag of a TIFF page, and its bits for a smaller copy and for a mask.
_PAGE_KIND, _NO_PAGE = 254, 0b101
#: Formats that can be decoded at a smaller size; the second has a preview or a depth map behind its picture.
_JPEGS = ("JPEG", "MPO")
#: Kinds of samples that Pillow can average.
_REDUCIBLE = ("L", "RGB", "RGBA", "LA", "CMYK", "F")
#: JPEGs larger than this are decoded at a reduced size [pixels].
_LARGE_JPEG = 25_000_000
logging.getLogger("PIL").addHandler(logging.NullHandler())  # it reports damage on the error stream

_CUT = "the file is damaged: it is cut, and the rest of its picture is black"


def open_pictures(file: LocalFile, last_try: bool = False) -> FrameReader | None:
    """Returns a reader for a file that Pillow knows, or None.

    Args:
        file: with pictures.
        last_try: look for formats that cannot be told by their first bytes, after all others failed.

    Raises:
        MediaError: its pictures are too large, or too thin to hold a face.
    """
    with file.map() as content:
        if is_jpeg_row(content):
            return JpegRowReader(file)
    with file.open() as opened:
        image = identify(opened, file, _LAST_FORMATS if last_try else _FORMATS)
        if image is None:
            return None
        check_size(*image.size, file.path, MAX_JPEG_PIXELS if image.format in _JPEGS else MAX_PIXELS)
    return PictureReader(file, last_try)


class PictureReader(FrameReader):
    """Reads a picture, or each picture of an animation."""

    def __init__(self, file: LocalFile, last_try: bool = False) -> None:
        self._file, self._formats = file, _LAST_FORMATS if last_try else _FORMATS

    def frames(self, assumed: Assumptions) -> Iterator[DecodedFrame]:
        with self._file.open() as opened:
            image = identify(opened, self._file, self._formats)
            if image is None:
                return
            time: float | None = 0.0
            start = _first_frame(image)
            for index in range(start, 1 << 30):
                if not _seek(image, index, assumed):
                    return
                if image.format == "TIFF" and _is_no_page(image):
                    continue
                picture = _decode(image, assumed, in_part=index == start)
                duration = _duration(image)
                time = None if duration is None else time
                if picture is not None:
                    yield DecodedFrame(picture, time, duration)
                if image.format not in _ANIMATED:
                    return
                time = None if time is None or duration is None else time + duration


class JpegRowReader(FrameReader):
    """Reads JPEGs one after another, as small cameras send them."""

    def __init__(self, file: LocalFile) -> None:
        self._file = file

    def frames(self, assumed: Assumptions) -> Iterator[DecodedFrame]:
        with self._file.map() as content:
            for jpeg in find_jpegs(content):
                image = identify(io.BytesIO(content[jpeg.start : jpeg.end]), self._file, ("JPEG",))
                if not jpeg.whole:
                    assumed.add("the file is cut: its last picture is left out")
                elif image is None:
                    assumed.add("damaged pictures left out: {count}")
                elif (picture := _decode(image, assumed)) is not None:
                    yield DecodedFrame(picture)


def identify(opened: IO[bytes], file: LocalFile, formats: tuple[str, ...]) -> Image.Image | None:
    """Opens a picture without decoding it; None if Pillow does not know it."""
    opened.seek(0)
    try:
        with warnings.catch_warnings(action="ignore"):
            return Image.open(opened, formats=formats)
    except UnidentifiedImageError:
        return None
    except Image.DecompressionBombError as error:
        raise MediaError(f"{file.path} has too many pixels; save it smaller.") from error
    except Exception:  # a damaged header; each format has errors of its own, and PyAV may know better
        return None


def _first_frame(image: Image.Image) -> int:
    """Returns 1 where the first picture only stands in for an animation that cannot be shown, else 0."""
    return int(bool(image.info.get("default_image")) and getattr(image, "n_frames", 1) > 1)


def _seek(image: Image.Image, index: int, assumed: Assumptions) -> bool:
    """Goes to a picture; False after the last one."""
    try:
        with warnings.catch_warnings(action="ignore"):
            image.seek(index)
    except EOFError:
        return False
    except Exception:  # each format has errors of its own
        assumed.add("the file is cut: it has fewer pictures than it says")
        return False
    return True


def _is_no_page(image: Image.Image) -> bool:
    with warnings.catch_warnings(action="ignore"):
        kind = image.getexif().get(_PAGE_KIND, 0)
    return isinstance(kind, int) and bool(kind & _NO_PAGE)


def _duration(image: Image.Image) -> float | None:
    """Returns how long the picture stands [s], if the file says so; GIFs say 0 for a tenth of a second."""
    duration = image.info.get("duration")
    if not isinstance(duration, int | float) or image.format not in _ANIMATED:
        return None
    return duration / 1000 if duration > 0 else 0.1


def _decode(image: Image.Image, assumed: Assumptions, in_part: bool = False) -> Picture | None:
    """Decodes the picture at hand; None if it is damaged.

    Args:
        image: at its picture.
        assumed: takes a note of damage.
        in_part: whether a picture that is cut is worth having.
    """
    try:
        with warnings.catch_warnings(action="ignore"):
            if image.format in _JPEGS and image.width * image.height > _LARGE_JPEG:
                image.draft("RGB", (LARGEST, LARGEST))
            if image.width * image.height > MAX_PIXELS:  # a later page; the first one is checked
                raise ValueError("too many pixels")
            _load(image, assumed, in_part)
            kind = SampleRange.of(image)  # before the copy that stands upright, which has no tags
            picture = to_rgb(_upright(_reduce(image), assumed), kind, assumed)
    except Exception:  # each format has errors of its own
        assumed.add("damaged pictures left out: {count}")
        return None
    picture.thumbnail((LARGEST, LARGEST))
    return np.array(picture)


def _load(image: Image.Image, assumed: Assumptions, in_part: bool) -> None:
    """Loads the picture; of one that is cut, what came before the cut if that is asked for."""
    try:
        image.load()
    except OSError:
        if not in_part or not getattr(image, "tile", None):
            raise
        image.tile = []  # type: ignore[attr-defined]  # nothing more to load; what was decoded stays
        image.load()
        assumed.add(_CUT)


def _reduce(image: Image.Image) -> Image.Image:
    """Returns a huge picture at a smaller size, so that the copies of the next steps are small."""
    factor = max(image.size) // (2 * LARGEST)
    return image.reduce(factor) if factor > 1 and image.mode in _REDUCIBLE else image


def _upright(image: Image.Image, assumed: Assumptions) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # the parser of EXIF has many
        assumed.add("the orientation in the header is damaged: the picture is taken as stored")
        return image
