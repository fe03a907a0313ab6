"""The writer of a recording: a thread of its own, so that neither pictures nor a slow disk delay a motion."""

from __future__ import annotations

import dataclasses
import threading
from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eva_sim.errors import DataError
from eva_sim.media.encoding import encode_jpeg
from eva_sim.recording import file_format
from eva_sim.recording.chunk_writer import ChunkWriter
from eva_sim.recording.file_format import RecordedFrame

#: Interval between two writes to the disk [s]; well under the second that may be lost.
SYNC = 0.4
#: Frames that may wait for the disk, four seconds of a robot, and the size of their pictures [bytes].
WAITING, WAITING_SIZE = 100, 128 << 20
#: Longest time that a disk may take for the last frames [s].
PATIENCE = 10.0
#: How every fault of a recording begins.
FAULT = "recording"
#: Longest side of a JPEG [pixels].
_LONGEST_SIDE = 65_500


@dataclass(eq=False)
class _Waiting:
    """A frame and its picture, or a note, that waits for the disk."""

    frame: RecordedFrame | None = None
    picture: Any = None
    note: dict[str, Any] | None = None

    @property
    def size(self) -> int:
        """Size of the picture [bytes]."""
        return int(getattr(self.picture, "nbytes", 0))

    @property
    def number(self) -> int:
        """Number of the frame, or of the one that follows the note."""
        return self.frame.number if self.frame else int((self.note or {})["frame"])


class FrameWriter:
    """Packs frames and notes, and appends them in their order, in a thread of its own.

    What cannot be written costs only itself. A frame that finds the disk full, or gone, or too slow for the
    frames that already wait, is left out. Writing goes on by itself when the disk is back.

    Args:
        chunks: takes the records; closed at the end.
        waits: whether `add_frame` waits for the disk. A body in real time is never made to wait; for any
            other body, each frame is written when `add_frame` returns.

    Attributes:
        losses: all that is missing in the recording, in words, each once.
    """

    def __init__(self, chunks: ChunkWriter, waits: bool) -> None:
        self._chunks, self._waits = chunks, waits
        self._waiting, self._changed = deque[_Waiting](), threading.Condition()
        self._size, self._ended, self._dead = 0, False, False
        self._problem, self._news, self._lost, self._lost_so_far = "", list[str](), 0, 0
        self.losses = list[str]()
        self._closing = threading.Event()
        self._threads = [
            threading.Thread(target=self._write_all, name="recording writer", daemon=True),
            threading.Thread(target=self._sync, name="recording", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    @property
    def lost(self) -> int:
        """Number of frames that are missing so far."""
        return self._lost_so_far

    def add_frame(self, frame: RecordedFrame, picture: Any) -> None:
        """Takes a frame, and its picture, uint8 (height, width, 3), or None."""
        item = _Waiting(frame, _copied(picture))
        with self._changed:
            if self._ended:
                return
            full = len(self._waiting) >= WAITING or self._size + item.size > WAITING_SIZE
            if self._waiting and full and not self._waits:
                self._lose("the disk is too slow")
                return
        self._add(item)

    def add_note(self, note: dict[str, Any]) -> None:
        """Takes an event between frames: `what` happened before which `frame`, and more."""
        if not self._ended:
            self._add(_Waiting(note=note))

    def take_faults(self) -> tuple[str, ...]:
        """What is wrong now, and what was since the last call, in words."""
        with self._changed:
            told, self._news = self._news, []
            if self._problem:
                told.append(f"{self._problem}; frames are left out until it is well again")
        return tuple(f"{FAULT}: {each}" for each in dict.fromkeys(told))

    def close(self) -> None:
        """Waits until all is on the disk, but not longer than `PATIENCE`. May be called twice."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        self._closing.set()
        for thread in self._threads:
            thread.join(PATIENCE)
        if self._waiting or any(thread.is_alive() for thread in self._threads):
            self._tell(f"the disk did not take the last {len(self._waiting)} records in {PATIENCE:g} s")

    def _add(self, item: _Waiting) -> None:
        with self._changed:
            self._waiting.append(item)
            self._size += item.size
            self._changed.notify_all()
            if self._waits:
                self._changed.wait_for(lambda: self._dead or item not in self._waiting)

    def _write_all(self) -> None:
        """The thread: appends what waits, until the end."""
        try:
            while (item := self._next()) is not None:
                self._write(item)
                with self._changed:
                    self._waiting.popleft()
                    self._size -= item.size
                    self._changed.notify_all()
            self._close_chunks()
        finally:
            with self._changed:
                self._dead = True
                self._changed.notify_all()

    def _next(self) -> _Waiting | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._ended)
            return self._waiting[0] if self._waiting else None

    def _write(self, item: _Waiting) -> None:
        """Writes one item; an error costs only this one."""
        try:
            news = self._chunks.write(self._packed(item))
        except (OSError, DataError) as error:
            if item.frame is not None:
                self._lose(_in_words(error))
            return
        except Exception as error:  # e.g. a note of the caller's that is no JSON
            self._tell(f"a record is left out ({type(error).__name__}: {error})")
            return
        if news:
            self._tell(news)
        if self._problem:
            self._recover(item.number)

    def _packed(self, item: _Waiting) -> bytes:
        if item.frame is None:
            return file_format.pack_note(item.note or {})
        frame, odd = item.frame, ""
        if item.picture is not None:
            odd = _oddity(item.picture)
            frame = frame if odd else dataclasses.replace(frame, jpeg=encode_jpeg(item.picture))
        if odd:
            self._tell(f"a picture is left out, since it is {odd}")
        return file_format.pack_frame(frame)

    def _lose(self, reason: str) -> None:
        """Counts a frame that is left out."""
        with self._changed:
            self._problem = reason
            self._lost, self._lost_so_far = self._lost + 1, self._lost_so_far + 1
            if reason not in self.losses:
                self.losses.append(reason)

    def _recover(self, number: int) -> None:
        """Notes that frames are missing before this one, once the disk takes frames again."""
        with self._changed:
            lost, reason, self._problem, self._lost = self._lost, self._problem, "", 0
            self._news.append(f"it goes on, without {lost} frames")
        self._write(_Waiting(note={"what": "lost", "frame": number, "frames": lost, "told": reason}))

    def _tell(self, news: str) -> None:
        with self._changed:
            for told in (self._news, self.losses):
                if news not in told:
                    told.append(news)

    def _sync(self) -> None:
        """The second thread: a slow disk delays the first one only when the system's memory is full."""
        while not self._closing.wait(SYNC):
            try:
                self._chunks.sync()
            except OSError as error:
                self._tell(_in_words(error))

    def _close_chunks(self) -> None:
        try:
            self._chunks.close()
        except OSError as error:
            self._tell(_in_words(error))


def _copied(picture: Any) -> Any:
    """A copy, since the caller may draw into its picture before it is written."""
    return picture.copy() if isinstance(picture, np.ndarray) else picture


def _oddity(picture: Any) -> str:
    """What is wrong with a picture, in words; empty if it is uint8 (height, width, 3)."""
    if not isinstance(picture, np.ndarray):
        return f"no array but {type(picture).__name__}"
    array: NDArray[Any] = picture
    fits = array.dtype == np.uint8 and array.ndim == 3 and array.shape[-1] == 3
    if not fits or not all(1 <= side <= _LONGEST_SIDE for side in array.shape[:2]):
        return f"{array.dtype} {array.shape}, not uint8 (height, width, 3)"
    return ""


def _in_words(error: OSError | DataError) -> str:
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error).rstrip(".")
