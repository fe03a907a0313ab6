"""Encoding pictures: JPEG, pictures set aside on disk, and H.264 video."""

from __future__ import annotations

import io
import os
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eva_sim.errors import MediaError
from eva_sim.files import Closing, atomic_path
from eva_sim.write_errors import explain_write_errors

Picture = NDArray[np.uint8]

#: Quality of JPEG, 0 to 100; the face detector reads these pictures as it reads the originals.
JPEG_QUALITY = 92
#: H.264's constant rate factor; less is better.
VIDEO_QUALITY = 20


def encode_jpeg(picture: Picture) -> bytes:
    """Encodes a picture, uint8 (height, width, 3), as JPEG."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()


def decode_jpeg(jpeg: bytes) -> Picture:
    """Decodes a JPEG to a picture, uint8 (height, width, 3)."""
    from PIL import Image

    with Image.open(io.BytesIO(jpeg)) as image:
        return np.array(image.convert("RGB"))


class PictureStore(Closing):
    """Pictures set aside as JPEG in a file without a name, which `close` deletes. A context manager.

    One thread may add pictures while another one reads.
    """

    def __init__(self) -> None:
        with _explain_errors():
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        self._starts = [0]
        self._turn = threading.Lock()  # of using the file's position

    def __len__(self) -> int:
        return len(self._starts) - 1

    def add(self, picture: Picture) -> None:
        """Appends a picture, uint8 (height, width, 3).

        Raises:
            DataError: the disk is full.
        """
        jpeg = encode_jpeg(picture)
        with _explain_errors(), self._turn:
            self._file.seek(self._starts[-1])
            self._file.write(jpeg)
            self._file.flush()
            self._starts.append(self._file.tell())

    def __getitem__(self, index: int) -> Picture:
        index = range(len(self))[index]  # an IndexError where a loop over the pictures ends
        start, end = self._starts[index : index + 2]
        with self._turn:
            self._file.seek(start)
            jpeg = self._file.read(end - start)
        return decode_jpeg(jpeg)

    def close(self) -> None:
        """Deletes the pictures."""
        with suppress(OSError):  # the disk is full, and the last picture is not wanted
            self._file.close()


def _explain_errors() -> AbstractContextManager[None]:
    """Says where temporary pictures are, if they cannot be written there."""
    folder = tempfile.gettempdir()
    return explain_write_errors(folder, f"a temporary picture in {folder} (or in $TMPDIR)")


class VideoEncoder(Closing):
    """Writes an H.264 video at a constant rate, frame by frame. A context manager.

    All frames have the size of the first one; another size is refused.

    Args:
        path: of the file, ending in `.mp4`.
        fps: frames per second.
        codec_options: of the encoder, beside quality and speed.
        container_options: of the file format.

    Attributes:
        count: number of frames so far.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        fps: Fraction,
        codec_options: Mapping[str, str] | None = None,
        container_options: dict[str, str] | None = None,
    ) -> None:
        import av

        # An open file, since FFmpeg reads `protocol:address` out of some names. Unbuffered, since FFmpeg
        # reads it again to put the index first.
        self._file = Path(path).open("wb", buffering=0)  # noqa: SIM115 - closed by close()
        self._container = av.open(
            self._file,
            "w",
            format="mp4",
            options=container_options or {},
            io_open=lambda *_: Path(path).open("rb"),  # noqa: SIM115 - closed by PyAV
        )
        self._stream: Any = self._container.add_stream("libx264", rate=fps)
        self._stream.options = {"crf": str(VIDEO_QUALITY), "preset": "veryfast", **(codec_options or {})}
        self._stream.pix_fmt = "yuv420p"
        self._fps, self.count, self._whole = fps, 0, True

    def add(self, picture: Picture) -> None:
        """Appends a frame, RGB uint8 (height, width, 3).

        An odd row or column is cut off, since H.264 needs even sizes.

        Raises:
            MediaError: its size is not that of the first one.
        """
        import av

        even = picture[: picture.shape[0] // 2 * 2, : picture.shape[1] // 2 * 2]
        if not self.count:
            self._stream.height, self._stream.width = even.shape[:2]
        if (self._stream.height, self._stream.width) != even.shape[:2]:
            raise MediaError("the pictures of a video have one size; this one differs from the first.")
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24")
        frame.pts, frame.time_base = self.count, 1 / self._fps
        self._whole = False  # until this frame is written
        self._container.mux(self._stream.encode(frame))
        self._whole = True
        self.count += 1

    def close(self) -> None:
        """Writes what the encoder still holds, and closes the file. May be called twice."""
        if self._container is None:
            return
        container, self._container = self._container, None  # type: ignore[assignment]
        with self._file, container:
            if self.count and self._whole:  # FFmpeg crashes on what follows a frame that it could not write
                container.mux(self._stream.encode())


@contextmanager
def write_video(path: str | os.PathLike[str], fps: float) -> Iterator[Callable[[Picture], None]]:
    """Yields a function that adds a frame; the file appears when the block succeeds.

    H.264 in MP4, which every browser plays.

    Args:
        path: of the file, ending in `.mp4`.
        fps: frames per second.

    Raises:
        MediaError: no frame was added.
    """
    rate = Fraction(fps).limit_denominator(1001)
    options = {"movflags": "faststart"}
    with atomic_path(path) as part, VideoEncoder(part, rate, container_options=options) as video:
        yield video.add
        if not video.count:
            raise MediaError(f"{Path(path)} would be a video without frames.")
