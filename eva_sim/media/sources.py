"""Sources of pictures of a person: clips, still pictures and cameras."""

from __future__ import annotations

import abc
import os
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import av.error
import numpy as np
from PIL import Image, ImageOps

from eva_sim.errors import MediaError
from eva_sim.media.encoding import Picture
from eva_sim.media.webcam import Webcam

Frames = Generator[tuple[float, Picture], None, None]

#: Longest side of a frame [pixels]; larger ones are shrunk, the detector gains nothing from them.
_LARGEST = 1280
#: How long a still picture is held [s], and at what rate.
_STILL_SECONDS, _STILL_FPS = 2.0, 25.0
#: A clip that ends this much of its length early is damaged.
_MISSING = 0.05


class FrameSource(abc.ABC):
    """Gives pictures of a person. Iterating starts from the beginning.

    It yields `(time, frame)`: time since the first frame [s], and RGB uint8 (height, width, 3).

    Attributes:
        name: for messages.
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


class StillSource(FrameSource):
    """A picture, held for two seconds.

    Raises:
        MediaError: damaged, or far too large.
    """

    def __init__(self, path: Path) -> None:
        self.name, self.fps = path.name, _STILL_FPS
        self.length = round(_STILL_SECONDS * _STILL_FPS)
        try:
            with Image.open(path) as image:
                upright = ImageOps.exif_transpose(image).convert("RGB")
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise MediaError(f"{path} is a damaged or unusable picture ({error}).") from error
        upright.thumbnail((_LARGEST, _LARGEST))
        self.image: Picture = np.array(upright)

    def __iter__(self) -> Frames:
        for i in range(self.length or 0):
            yield i / self.fps, self.image


class ClipSource(FrameSource):
    """A video file.

    Raises:
        MediaError: not a video, or without pictures; while iterating: damaged.
    """

    def __init__(self, path: Path) -> None:
        self.name, self._path = path.name, path
        with self._open() as container:
            stream = container.streams.video[0]
            self.fps = float(stream.average_rate or stream.guessed_rate or 25)
            base = stream.time_base
            self._seconds = float(stream.duration * base) if stream.duration and base else 0.0
            self.length = stream.frames or round(self._seconds * self.fps) or None

    @contextmanager
    def _open(self) -> Iterator[av.container.InputContainer]:
        try:
            with av.open(str(self._path)) as container:
                if not container.streams.video:
                    raise MediaError(f"{self._path} has no pictures.")
                container.streams.video[0].thread_type = "AUTO"
                yield container
        except (av.error.FFmpegError, UnicodeDecodeError) as error:
            raise MediaError(f"{self._path} is no picture or clip, or damaged ({error}).") from error

    def __iter__(self) -> Frames:
        first, last = None, 0.0
        with self._open() as container:
            for frame in container.decode(video=0):
                now = last + 1 / self.fps if frame.time is None else frame.time
                first = now if first is None else first
                last = now - first
                yield last, _upright(frame)
        if first is None:
            raise MediaError(f"{self._path} has no readable pictures.")
        if last + 2 / self.fps < (1 - _MISSING) * self._seconds:
            raise MediaError(f"{self._path} is damaged: it ends after {last:.1f} of {self._seconds:.1f} s.")


class WebcamSource(FrameSource):
    """A live camera; frames that are not read in time are dropped.

    Raises:
        MediaError: no such camera, or it stopped.
    """

    live = True

    def __init__(self, device: int | str) -> None:
        self._camera = Webcam(device)
        self.name, self.fps = self._camera.name, self._camera.fps

    def __iter__(self) -> Frames:
        start = time.monotonic()
        try:
            while True:
                picture = self._camera.read()
                yield time.monotonic() - start, picture
        finally:
            self._camera.release()


def open_source(source: str | os.PathLike[str] | int) -> FrameSource:
    """Opens a clip, a picture or a camera.

    Args:
        source: path of a file, or a camera: its number (also as text) or `/dev/videoN`.

    Raises:
        MediaError: missing, damaged, or neither picture nor clip.
    """
    text = os.fspath(source) if not isinstance(source, int) else str(source)
    if text.isdecimal() and not Path(text).exists():
        return WebcamSource(int(text))
    if text.startswith("/dev/video"):
        return WebcamSource(text)
    path = Path(text)
    if not path.is_file():
        problem = "is a folder" if path.is_dir() else "does not exist"
        raise MediaError(f"{path} {problem}; give a clip, a picture or the number of a camera.")
    return StillSource(path) if _is_still(path) else ClipSource(path)


def _is_still(path: Path) -> bool:
    """Returns whether Pillow can read the file; animated GIFs are clips."""
    try:
        with Image.open(path) as image:
            return image.format != "GIF"
    except Image.DecompressionBombError:
        return True
    except (OSError, SyntaxError, ValueError):
        return False


def _upright(frame: av.VideoFrame) -> Picture:
    shrink = min(1.0, _LARGEST / max(frame.width, frame.height))
    if shrink < 1:
        frame_size = round(frame.width * shrink), round(frame.height * shrink)
        picture = frame.reformat(*frame_size, format="rgb24").to_ndarray()
    else:
        picture = frame.to_ndarray(format="rgb24")
    turns = round(frame.rotation / 90) % 4  # phones store pictures sideways with their rotation
    return np.ascontiguousarray(np.rot90(picture, turns))
