"""Sources of pictures of a person: clips, still pictures and cameras.

What a file says about itself is a claim. Readers decode it (`picture_reader.py`, `clip_reader.py`,
`heif_grid.py`) and set its pictures upright, with square pixels, in 8-bit RGB. The sources here make times
and sizes regular. The number of pictures decides whether a file is a still picture or a clip. `assumed` tells
what was assumed.
"""

from __future__ import annotations

import abc
import os
import stat
import time
from collections.abc import Generator, Iterable
from itertools import islice

from eva_sim.errors import MediaError
from eva_sim.media.assumptions import Assumptions
from eva_sim.media.clip_reader import ClipReader, find_picture_row
from eva_sim.media.encoding import Picture
from eva_sim.media.frame_clock import FrameClock
from eva_sim.media.frame_reader import DecodedFrame, FrameReader
from eva_sim.media.geometry import fit_with_bars
from eva_sim.media.heif_grid import HeifGridReader, find_grid
from eva_sim.media.local_file import LocalFile
from eva_sim.media.picture_reader import PictureReader, open_pictures
from eva_sim.media.webcam import Webcam

Frames = Generator[tuple[float, Picture], None, None]

#: How long a still picture is held [s], and at what rate.
_STILL_SECONDS, _STILL_FPS = 2.0, 25.0
#: What is assumed about the person in a single picture.
ONE_PICTURE = "one picture: it is taken as a still, and an average face as the person's neutral one"
#: A clip that ends this share of its length early is cut.
_MISSING = 0.05


class FrameSource(abc.ABC):
    """Gives pictures of a person. Iterating starts from the beginning.

    It yields `(time, frame)`: time since the first frame [s], which rises, and RGB uint8 (height, width, 3).
    All frames have one size.

    Attributes:
        name: for messages, printable.
        fps: frames per second, as far as the source says.
        length: number of frames, as far as the source says; None for a camera.
        live: whether frames come only once, in real time.
    """

    name: str
    fps: float
    length: int | None = None
    live: bool = False

    @abc.abstractmethod
    def __iter__(self) -> Frames: ...

    @property
    def assumed(self) -> list[str]:
        """What was assumed about the source so far, or left out, in words; complete after its last frame."""
        return []


class StillSource(FrameSource):
    """A picture, held for two seconds.

    Args:
        name: for messages, printable.
        image: RGB uint8 (height, width, 3).
        assumed: what its reader assumed.
    """

    def __init__(self, name: str, image: Picture, assumed: Assumptions) -> None:
        self.name, self.fps, self.image = name, _STILL_FPS, image
        self.length = round(_STILL_SECONDS * _STILL_FPS)
        self._assumed = assumed

    @property
    def assumed(self) -> list[str]:
        return [ONE_PICTURE, *self._assumed.in_words()]

    def __iter__(self) -> Frames:
        for i in range(self.length or 0):
            yield i / self.fps, self.image


class ClipSource(FrameSource):
    """A file with several pictures.

    Args:
        name: for messages, printable.
        reader: decodes them.
    """

    def __init__(self, name: str, reader: FrameReader) -> None:
        self.name, self._reader = name, reader
        self.fps, self.length = reader.fps, reader.length
        self._assumed = Assumptions()

    @property
    def assumed(self) -> list[str]:
        return self._assumed.in_words()

    def __iter__(self) -> Frames:
        self._assumed = assumed = Assumptions()
        clock, picture = FrameClock(self.fps, assumed), None
        for at, picture in one_size(_timed(self._reader.frames(assumed), clock), assumed):
            yield at, picture
        if picture is None or clock.time is None:
            raise MediaError(f"{self.name} has no readable pictures; save it again.")
        end = clock.time + clock.hold
        claimed = self._reader.duration
        if claimed is not None and not clock.replaced and end < (1 - _MISSING) * claimed:
            assumed.add(
                "the file is cut: it ends after {end:.1f} of {claimed:.1f} s", end=end, claimed=claimed
            )
        if clock.hold > 1.5 * clock.period:
            yield end - clock.period, picture  # the last picture stands until then


class WebcamSource(FrameSource):
    """A live camera; frames that are not read in time are dropped.

    Args:
        device: its number, or the path of its device.

    Raises:
        MediaError: no such camera, or it stopped.
    """

    live = True

    def __init__(self, device: int | str) -> None:
        self._camera = Webcam(device)
        self.name, self.fps = self._camera.name, self._camera.fps
        self._assumed = Assumptions()

    @property
    def assumed(self) -> list[str]:
        return self._assumed.in_words()

    def __iter__(self) -> Frames:
        try:
            yield from one_size(self._read(), self._assumed)
        finally:
            self._camera.release()

    def _read(self) -> Frames:
        start = time.monotonic()
        while True:
            picture = self._camera.read()
            yield time.monotonic() - start, picture


def open_source(source: str | os.PathLike[str] | int) -> FrameSource:
    """Opens a clip, a picture or a camera.

    Args:
        source: path of a file or pipe, or a camera: its number (also as text) or the path of its device.

    Raises:
        MediaError: missing, damaged, or neither picture nor clip.
    """
    text = os.fspath(source) if not isinstance(source, int) else str(source)
    if text.isdecimal() and not os.path.exists(text):
        return WebcamSource(text)
    if text.startswith("/dev/v") or _is_device(text):
        return WebcamSource(text)
    return open_file(text)


def open_file(path: str | os.PathLike[str]) -> StillSource | ClipSource:
    """Opens a clip or a picture; one picture is a still, several are a clip.

    Args:
        path: of a file or pipe.

    Raises:
        MediaError: missing, damaged, or neither picture nor clip.
    """
    file, assumed = LocalFile(path), Assumptions()
    reader = _find_reader(file)
    first = list(islice(reader.frames(assumed), 2))
    if not first:
        raise MediaError(f"{file.path} is damaged: it has no readable pictures; save it again.")
    if len(first) == 1 and isinstance(reader, PictureReader):
        row = find_picture_row(file)
        if row is not None:
            return ClipSource(file.name, row)
    if len(first) > 1:
        return ClipSource(file.name, reader)
    if reader.length is not None and reader.length > 1:
        assumed.add(
            "the file is cut, or wrong: it says that it has {claimed} pictures", claimed=reader.length
        )
    return StillSource(file.name, first[0].picture, assumed)


def one_size(frames: Iterable[tuple[float, Picture]], assumed: Assumptions) -> Frames:
    """Yields the frames; one of another size than the first is fitted into its place, with bars."""
    place: tuple[int, int] | None = None
    for at, picture in frames:
        height, width = place = place or (picture.shape[0], picture.shape[1])
        if picture.shape[:2] != place:
            assumed.add("the size changes at {at:.1f} s: pictures are fitted with bars", at=at)
            picture, _, _ = fit_with_bars(picture, width, height)
        yield at, picture


def _timed(frames: Iterable[DecodedFrame], clock: FrameClock) -> Frames:
    for frame in frames:
        yield clock(frame.time, frame.duration), frame.picture


def _find_reader(file: LocalFile) -> FrameReader:
    grid = find_grid(file)
    if grid is not None:
        return HeifGridReader(file, grid)
    pictures = open_pictures(file)
    if pictures is not None:
        return pictures
    try:
        return ClipReader(file)
    except MediaError:
        last = open_pictures(file, last_try=True)
        if last is None:
            raise
        return last


def _is_device(path: str) -> bool:
    try:
        return stat.S_ISCHR(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False
