"""Clips, pictures and cameras in; video out."""

from __future__ import annotations

import abc
import io
import os
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import av.error
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from eva_sim.errors import MediaError
from eva_sim.files import atomic_path
from eva_sim.media.webcam import Webcam

Picture = NDArray[np.uint8]
Frames = Generator[tuple[float, Picture], None, None]

#: Longest side of a frame [pixels]; larger ones are shrunk, the detector gains nothing from them.
_LARGEST = 1280
#: How long a still picture is held [s], and at what rate.
_STILL_SECONDS, _STILL_FPS = 2.0, 25.0
#: A clip that ends this much of its length early is damaged.
_MISSING = 0.05


class FrameSource(abc.ABC):
    """Where pictures of a person come from. Iterating starts from the beginning.

    Yields `(time, frame)`: time since the first frame [s], and RGB uint8 (height, width, 3).

    Attributes:
        name: for people.
        fps: frames per second, as far as the source says.
        length: number of frames, as far as the source says; None for a camera.
        live: whether frames come only once, and as time passes.
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
    """A live camera; the frames are as they come, so a slow user sees fewer.

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


def open_source(spec: str | os.PathLike[str] | int) -> FrameSource:
    """Opens a clip, a picture or a camera.

    Args:
        spec: path of a file, or a camera: its number (also as text) or `/dev/videoN`.

    Raises:
        MediaError: missing, damaged, or neither picture nor clip.
    """
    text = os.fspath(spec) if not isinstance(spec, int) else str(spec)
    if text.isdecimal() and not Path(text).exists():
        return WebcamSource(int(text))
    if text.startswith("/dev/video"):
        return WebcamSource(text)
    path = Path(text)
    if not path.is_file():
        problem = "is a folder" if path.is_dir() else "does not exist"
        raise MediaError(f"{path} {problem}; give a clip, a picture or the number of a camera.")
    return StillSource(path) if _is_still(path) else ClipSource(path)


class PictureStore:
    """Pictures set aside as JPEG in a file that has no name and is gone when it is closed."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        self._starts = [0]

    def __len__(self) -> int:
        return len(self._starts) - 1

    def add(self, picture: Picture) -> None:
        """Appends a picture, uint8 (height, width, 3)."""
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, "JPEG", quality=92)
        self._file.seek(self._starts[-1])
        self._file.write(buffer.getbuffer())
        self._starts.append(self._file.tell())

    def __getitem__(self, index: int) -> Picture:
        start, end = self._starts[index : index + 2]
        self._file.seek(start)
        with Image.open(io.BytesIO(self._file.read(end - start))) as image:
            return np.asarray(image)

    def close(self) -> None:
        """Forgets the pictures."""
        self._file.close()


@contextmanager
def write_video(
    path: str | os.PathLike[str], fps: float, quality: int = 20
) -> Iterator[Callable[[Picture], None]]:
    """Yields a function that adds a frame; the file appears when the block succeeds.

    H.264 in MP4, which every browser plays. All frames have the size of the first; an odd row or
    column is cut off, the format wants even sizes.

    Args:
        path: of the file, ending in `.mp4`.
        fps: frames per second.
        quality: H.264's constant rate factor; less is better.

    Raises:
        MediaError: no frame was added.
    """
    with atomic_path(path) as part, av.open(str(part), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
        stream.options = {"crf": str(quality), "preset": "veryfast"}
        stream.pix_fmt = "yuv420p"
        count = 0

        def add(picture: Picture) -> None:
            nonlocal count
            even = picture[: picture.shape[0] // 2 * 2, : picture.shape[1] // 2 * 2]
            if not count:
                stream.height, stream.width = even.shape[:2]
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24")
            container.mux(stream.encode(frame))
            count += 1

        yield add
        if not count:
            raise MediaError(f"{path} would be a video without frames.")
        container.mux(stream.encode())


def _is_still(path: Path) -> bool:
    """Whether Pillow knows the format; moving GIFs are clips."""
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
    turns = round(frame.rotation / 90) % 4  # phones film sideways and say so
    return np.ascontiguousarray(np.rot90(picture, turns))
