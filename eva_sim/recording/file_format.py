"""The file format of a recording: whole records in append-only files, and reading damaged files.

docs/recording.md describes the format for authors of other readers.
"""

from __future__ import annotations

import fcntl
import json
import re
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from eva_sim.errors import DataError
from eva_sim.telemetry import Telemetry

#: Version that is written, and versions that are read: 1 has no telemetry.
FORMAT, READABLE = 2, (1, 2)
MAGIC = b"EVAREC\r\n"  # a text-mode copy breaks the \r\n, and is noticed
MARK = b"\xe7EV\xa5"  # no UTF-8 text and no JPEG begins so; found again after damage
FRAME, NOTE = 1, 2
#: The file that describes a recording, in the folder of its frames.
DESCRIPTION = "session.json"

_HEAD = struct.Struct("<4sBII")  # mark, kind, length of the body, CRC-32 of kind, length and body
_CHECKED = struct.Struct("<BI")
_FRAME = struct.Struct("<IBdd")  # number, flags, wall time [s], the face's time [s]
_MEASURED, _FOUND, _START, _TELEMETRY = 1, 2, 4, 8
_SCALARS = struct.Struct("<ddf")  # the board's time [s], the picture's time [s], supply [V]
#: Largest length of a record [bytes]; a greater one is damage.
_LONGEST = 64 << 20
#: Fields that readers need of some notes, beside those of all.
_NOTE_FIELDS: dict[str, dict[str, type]] = {"stopped": {"played": int, "of": int}, "lost": {"told": str}}


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
        telemetry: raw values of a physical body; None of any other.
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
    telemetry: Telemetry | None = None


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
    flags |= _TELEMETRY * (frame.telemetry is not None)
    faults = json.dumps(frame.faults).encode()
    parts = [_FRAME.pack(frame.number, flags, frame.wall, frame.time)]
    parts += [np.asarray(a, "<f4").tobytes() for a in (frame.asked, frame.sent, frame.position)]
    parts += [np.asarray(frame.landmarks, "<f4").tobytes(), *_pack_telemetry(frame.telemetry)]
    return pack_record(FRAME, b"".join([*parts, struct.pack("<I", len(faults)), faults, frame.jpeg]))


def _pack_telemetry(telemetry: Telemetry | None) -> list[bytes]:
    if telemetry is None:
        return []
    rows = (telemetry.target, telemetry.output, telemetry.temperature, telemetry.load)
    scalars = _SCALARS.pack(telemetry.board_time, telemetry.picture_time, telemetry.supply)
    return [scalars, *(np.asarray(row, "<f4").tobytes() for row in rows)]


def unpack_note(body: bytes) -> dict[str, Any]:
    """Unpacks a note: what happened, before which frame, and more.

    Raises:
        DataError: the body is no note.
    """
    try:
        note = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise DataError(f"a note is not readable ({error})") from error
    if not isinstance(note, dict):
        raise DataError(f"a note is no JSON object but {note!r:.40}")
    for name, kind in {"what": str, "frame": int, **_NOTE_FIELDS.get(str(note.get("what")), {})}.items():
        if type(note.get(name)) is not kind:
            raise DataError(f"a note has {name}={note.get(name)!r:.40}")
    return note


def unpack_frame(body: bytes, commands: int, points: int) -> RecordedFrame:
    """Unpacks a frame.

    Args:
        body: of the record.
        commands: number of actuators.
        points: number of landmarks.

    Raises:
        DataError: the body is no frame of this face.
    """
    sizes = [commands, commands, commands, 3 * points]
    try:
        number, flags, wall, time = _FRAME.unpack_from(body)
        asked, sent, position, flat = _rows(body, _FRAME.size, sizes)
        at = _FRAME.size + 4 * sum(sizes)
        telemetry = _unpack_telemetry(body, at, commands) if flags & _TELEMETRY else None
        at += _telemetry_size(commands) if flags & _TELEMETRY else 0
        picture = at + 4 + struct.unpack_from("<I", body, at)[0]
        faults = json.loads(body[at + 4 : picture])
    except (struct.error, ValueError, TypeError, RecursionError) as error:
        raise DataError("a frame does not fit this face; was it recorded with another face.toml?") from error
    listed = isinstance(faults, list) and all(isinstance(fault, str) for fault in faults)
    if picture > len(body) or not listed:
        raise DataError("a frame's faults are not readable; was it recorded with another face.toml?")
    return RecordedFrame(
        number, bool(flags & _START), wall, time, asked, sent, position, bool(flags & _MEASURED),
        flat.reshape(points, 3), bool(flags & _FOUND), tuple(faults), body[picture:], telemetry,
    )  # fmt: skip


def _unpack_telemetry(body: bytes, at: int, commands: int) -> Telemetry:
    board_time, picture_time, supply = _SCALARS.unpack_from(body, at)
    target, output, temperature, load = _rows(body, at + _SCALARS.size, [commands] * 4)
    return Telemetry(target, output, temperature, load, supply, board_time, picture_time)


def _telemetry_size(commands: int) -> int:
    return _SCALARS.size + 4 * 4 * commands


def _rows(body: bytes, at: int, sizes: Sequence[int]) -> list[NDArray[np.float32]]:
    """Arrays of 32-bit numbers, one after another."""
    numbers = np.frombuffer(body, "<f4", sum(sizes), at).astype(np.float32)
    return np.split(numbers, np.cumsum(sizes)[:-1])


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
    found = (path for path in folder.glob("frames-*.evr") if path.is_file() and chunk_index(path) >= 0)
    return sorted(found, key=chunk_index)


def chunk_index(path: Path) -> int:
    """Number of a file of a recording; -1 for another file."""
    digits = re.fullmatch(r"frames-([0-9]{4,6})", path.stem)
    return int(digits[1]) if digits else -1


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
