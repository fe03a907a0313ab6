"""The file format of a recording: whole records in append-only files, and reading damaged files.

docs/recording.md describes the format for authors of other readers.
"""

from __future__ import annotations

import fcntl
import json
import os
import struct
import threading
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from eva_sim.errors import DataError

FORMAT = 1
MAGIC = b"EVAREC\r\n"  # a text-mode copy breaks the \r\n, and is noticed
MARK = b"\xe7EV\xa5"  # no UTF-8 text and no JPEG begins so; found again after damage
FRAME, NOTE = 1, 2
#: A new file is begun when one has grown to this size [bytes].
CHUNK = 64 << 20

_HEAD = struct.Struct("<4sBII")  # mark, kind, length of the body, CRC-32 of kind, length and body
_CHECKED = struct.Struct("<BI")
_FRAME = struct.Struct("<IBdd")  # number, flags, wall time [s], the face's time [s]
_MEASURED, _FOUND, _START = 1, 2, 4
#: Largest length of a record [bytes]; a greater one is damage.
_LONGEST = 64 << 20


@dataclass(frozen=True)
class RecordedFrame:
    """One command and the face's reading.

    Attributes:
        number: counts from 0 through the whole recording, so that a lost frame leaves a gap.
        start: whether this is the reading after a reset; the command then is neutral.
        wall: time of the recorder's clock at the reading [s].
        time: time of the face since its reset [s].
        asked: the command, float32 (A,).
        sent: the command after limits, float32 (A,).
        position: float32 (A,), in command units.
        measured: whether `position` is measured.
        landmarks: float32 (N, 3) [neutral outer-eye distances].
        found: whether the landmarks could be read.
        faults: in words.
        jpeg: the picture; empty for none.
    """

    number: int
    start: bool
    wall: float
    time: float
    asked: NDArray[np.float32]
    sent: NDArray[np.float32]
    position: NDArray[np.float32]
    measured: bool
    landmarks: NDArray[np.float32]
    found: bool
    faults: tuple[str, ...]
    jpeg: bytes


class RawRecord(NamedTuple):
    """A whole record and its place.

    Attributes:
        kind: `FRAME` or `NOTE`.
        body: its bytes.
        end: offset of its end in the file [bytes].
    """

    kind: int
    body: bytes
    end: int


class Damage(NamedTuple):
    """Bytes that are no whole record.

    Attributes:
        start: offset of the first one [bytes].
        size: number of bytes.
        last: whether no whole record follows; then the record may just be unfinished.
    """

    start: int
    size: int
    last: bool


def pack_record(kind: int, body: bytes) -> bytes:
    """Packs a record, ready to be appended."""
    checked = _CHECKED.pack(kind, len(body))
    return _HEAD.pack(MARK, kind, len(body), zlib.crc32(body, zlib.crc32(checked))) + body


def pack_note(note: dict[str, Any]) -> bytes:
    """Packs an event between frames as a record."""
    return pack_record(NOTE, json.dumps(note, sort_keys=True).encode())


def pack_frame(frame: RecordedFrame) -> bytes:
    """Packs one frame as a record."""
    flags = _MEASURED * frame.measured | _FOUND * frame.found | _START * frame.start
    faults = json.dumps(frame.faults).encode()
    parts = [_FRAME.pack(frame.number, flags, frame.wall, frame.time)]
    parts += [np.asarray(a, "<f4").tobytes() for a in (frame.asked, frame.sent, frame.position)]
    parts += [np.asarray(frame.landmarks, "<f4").tobytes(), struct.pack("<I", len(faults)), faults]
    return pack_record(FRAME, b"".join([*parts, frame.jpeg]))


def unpack_note(body: bytes) -> dict[str, Any]:
    """Unpacks a note.

    Raises:
        DataError: the body is no note.
    """
    try:
        return dict(json.loads(body))
    except (TypeError, ValueError) as error:
        raise DataError(f"a note of the recording is not readable ({error}).") from error


def unpack_frame(body: bytes, commands: int, points: int) -> RecordedFrame:
    """Unpacks a frame.

    Args:
        body: of the record.
        commands: number of actuators.
        points: number of landmarks.

    Raises:
        DataError: the body is of another face.
    """
    sizes = [commands, commands, commands, 3 * points]
    fixed = _FRAME.size + 4 * sum(sizes)
    if len(body) < fixed + 4:
        raise DataError("a frame is too short for this face; was it recorded with another face.toml?")
    number, flags, wall, time = _FRAME.unpack_from(body)
    numbers = np.frombuffer(body, "<f4", sum(sizes), _FRAME.size).astype(np.float32)
    asked, sent, position, flat = np.split(numbers, np.cumsum(sizes)[:-1])
    picture = fixed + 4 + struct.unpack_from("<I", body, fixed)[0]
    try:
        faults = tuple(json.loads(body[fixed + 4 : picture]))
    except ValueError as error:
        raise DataError(
            "a frame's faults are not readable; was it recorded with another face.toml?"
        ) from error
    return RecordedFrame(
        number, bool(flags & _START), wall, time, asked, sent, position, bool(flags & _MEASURED),
        flat.reshape(points, 3), bool(flags & _FOUND), faults, body[picture:],
    )  # fmt: skip


def scan_records(data: bytes) -> Iterator[RawRecord | Damage]:
    """Yields all whole records of a file, and the damage between them, in order."""
    view = memoryview(data)
    start = len(MAGIC) if view[: len(MAGIC)] == MAGIC else 0
    bad = start
    while start < len(view):
        record = _whole(view, start)
        if record is None:
            mark = data.find(MARK, start + 1)
            start = len(data) if mark < 0 else mark
            continue
        if bad < start:
            yield Damage(bad, start - bad, False)
        yield record
        start = bad = record.end
    if bad < len(view):
        yield Damage(bad, len(view) - bad, True)


def _whole(view: memoryview, start: int) -> RawRecord | None:
    if len(view) < start + _HEAD.size or view[start : start + 4] != MARK:
        return None
    _, kind, length, crc = _HEAD.unpack_from(view, start)
    end = start + _HEAD.size + length
    if length > _LONGEST or end > len(view):
        return None
    body = bytes(view[start + _HEAD.size : end])
    if zlib.crc32(body, zlib.crc32(_CHECKED.pack(kind, length))) != crc:
        return None
    return RawRecord(kind, body, end)


def chunk_path(folder: Path, index: int) -> Path:
    """Path of the file with this number."""
    return folder / f"frames-{index:04d}.evr"


def chunk_paths(folder: Path) -> list[Path]:
    """Paths of all files of a recording, in order."""
    return sorted(folder.glob("frames-*.evr"))


def holds_frames(folder: Path) -> bool:
    """Whether a folder holds a frame, whole or damaged; a recording may be cut off before its first one."""
    pieces = (piece for path in chunk_paths(folder) for piece in scan_records(path.read_bytes()))
    return any(not piece.last if isinstance(piece, Damage) else piece.kind == FRAME for piece in pieces)


def is_being_written(folder: Path) -> bool:
    """Whether another process, or another writer of this one, appends to the recording in a folder."""
    for path in chunk_paths(folder)[-1:]:
        with path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            except OSError:  # a file system without locks
                return False
    return False


class ChunkWriter:
    """Appends records to numbered files.

    `write` hands the record to the operating system, so the death of this process loses nothing of it.
    `sync` brings it to the disk, and may run in another thread, so that a slow disk delays nothing.

    Raises:
        DataError: the folder holds a recording already.
    """

    def __init__(self, folder: Path) -> None:
        if chunk_path(folder, 0).exists():
            raise DataError(f"{folder} holds a recording already; choose another folder.")
        self._folder, self._index = folder, 0
        self._lock, self._full = threading.Lock(), list[int]()
        self._open()

    def write(self, record: bytes) -> None:
        """Appends one record.

        Raises:
            OSError: the disk is full or gone.
        """
        if self._size >= CHUNK:
            with self._lock:
                self._full.append(self._file)
                self._index += 1
                self._open()
        self._append(record)

    def sync(self) -> None:
        """Waits until everything written before is on the disk.

        Raises:
            OSError: the disk is full or gone.
        """
        with self._lock:
            files = [*self._full, os.dup(self._file)]
            self._full = []
        with ExitStack() as closing:
            for file in files:
                closing.callback(os.close, file)
            for file in files:
                os.fsync(file)

    def close(self) -> None:
        """Writes everything to the disk and closes the file.

        Raises:
            OSError: the disk is full or gone.
        """
        try:
            self.sync()
        finally:
            os.close(self._file)

    def _open(self) -> None:
        path = chunk_path(self._folder, self._index)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
        with suppress(OSError):  # a file system without locks
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # held until the file is closed
        self._size = 0
        self._append(MAGIC)
        sync_path(self._folder)

    def _append(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            done = os.write(self._file, view)
            self._size += done
            view = view[done:]


def sync_path(path: Path) -> None:
    """Writes a file, or the names in a folder, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
