"""Reading a recording, also one that was cut off or damaged."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import pairwise
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eva_sim.contract import Face, Floats
from eva_sim.errors import DataError
from eva_sim.files import read_json, unreadable
from eva_sim.landmarks import POINTS
from eva_sim.media.encoding import decode_jpeg
from eva_sim.recording import file_format
from eva_sim.recording.file_format import Damage, RawRecord, RecordedFrame
from eva_sim.telemetry import Telemetry


@dataclasses.dataclass(frozen=True)
class RecordingInfo:
    """The constant description of a recording, `session.json`.

    Attributes:
        format: version of the format.
        digest: digest of the actuator table.
        actuators: names, in the order of every command.
        points: MediaPipe index of each landmark.
        control_dt: time between commands [s].
        outer_eye: outer-eye distance of the neutral face [m].
        neutral: landmarks of the neutral face, (N, 3) [neutral outer-eye distances].
        started: date and time of the start, UTC, ISO 8601.
        about: further description, for people and programs: body, seed, robot, calibration.
    """

    format: int
    digest: str
    actuators: tuple[str, ...]
    points: tuple[int, ...]
    control_dt: float
    outer_eye: float
    neutral: NDArray[np.float32]
    started: str
    about: Mapping[str, Any]

    @classmethod
    def of(cls, face: Face, about: Mapping[str, Any]) -> RecordingInfo:
        """The description of a recording of this face that begins now."""
        return cls(
            file_format.FORMAT, face.spec.digest, face.spec.names, POINTS,
            face.spec.control_dt, float(face.outer_eye),
            np.asarray(face.neutral_landmarks, np.float32),
            datetime.now(UTC).isoformat(timespec="milliseconds"), dict(about),
        )  # fmt: skip

    def to_bytes(self) -> bytes:
        """The content of `session.json`."""
        content = {**vars(self), "neutral": self.neutral.tolist()}
        return (json.dumps(content, indent=2, sort_keys=True) + "\n").encode()

    @classmethod
    def read(cls, folder: Path) -> RecordingInfo:
        """Reads it from the folder.

        Raises:
            DataError: there is none, one of another version, or a damaged one.
        """
        path = folder / file_format.DESCRIPTION
        if not path.is_file():
            raise DataError(f"{folder} holds no recording; make one with `eva record`.")
        content = read_json(path)
        if not isinstance(content, dict) or content.get("format") not in file_format.READABLE:
            raise DataError(
                f"{folder} has no format {file_format.FORMAT} or older; "
                "read it with the version that made it."
            )
        wrong = [name for name, fits in _FIELDS.items() if name not in content or not fits(content[name])]
        if wrong or set(content) != set(_FIELDS):
            what = ", ".join(wrong or sorted(set(content) - set(_FIELDS)))
            raise DataError(f"{path} describes no recording ({what}); record again.")
        info = cls(**content)
        neutral = np.array(info.neutral, np.float32)
        if len(info.points) != len(neutral):
            raise DataError(f"{path} describes no recording (neutral has other points); record again.")
        return dataclasses.replace(
            info, actuators=tuple(info.actuators), points=tuple(info.points), neutral=neutral
        )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def _is_list(kind: type) -> Callable[[object], bool]:
    """A check for a list of different values of this type."""
    return lambda value: (
        isinstance(value, list)
        and all(type(each) is kind for each in value)
        and 0 < len(set(value)) == len(value)
    )


def _is_rows_of_three(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(row, list) and len(row) == 3 and all(map(_is_number, row)) for row in value
    )


#: Longest time between commands of any face [s].
_LONGEST_PERIOD = 10.0
#: The fields of `session.json`, and the check of each.
_FIELDS: dict[str, Callable[[Any], bool]] = {
    "format": _is_number,
    "digest": lambda value: isinstance(value, str),
    "actuators": _is_list(str),
    "points": _is_list(int),
    "control_dt": lambda value: _is_number(value) and 0 < value <= _LONGEST_PERIOD,
    "outer_eye": lambda value: _is_number(value) and value > 0,
    "neutral": _is_rows_of_three,
    "started": lambda value: isinstance(value, str),
    "about": lambda value: isinstance(value, dict),
}


@dataclasses.dataclass(frozen=True)
class Recording:
    """A recording in memory, except its pictures. T frames of A actuators and N landmarks.

    Attributes:
        info: its constant description.
        number: number of each frame as recorded, (T,); a gap is a lost frame.
        start: whether a frame follows a reset, (T,).
        wall: time of the recorder's clock, (T,) [s].
        time: time of the face since its reset, (T,) [s].
        asked: commands, float32 (T, A).
        sent: commands after limits, float32 (T, A).
        position: float32 (T, A), in command units.
        measured: whether positions are measured, (T,).
        landmarks: float32 (T, N, 3) [neutral outer-eye distances].
        found: whether landmarks could be read, (T,).
        faults: in words, T tuples.
        target, output: raw positions sent and reported, float32 (T, A) [us or ticks]. These and the
            following are NaN where the body did not know them, see `eva_sim.telemetry.Telemetry`.
        temperature: of each servo, float32 (T, A) [degrees Celsius].
        load: of each servo, share of its stall torque, float32 (T, A).
        supply: (T,) [V].
        board_time: the board's own time, (T,) [s].
        picture_time: time of exposure of each picture by the clock of `wall`, (T,) [s].
        notes: events between frames.
        cut: damaged or missing parts, in words; empty for a whole recording.
        places: file, offset and size of each picture, T tuples.
    """

    info: RecordingInfo
    number: NDArray[np.int64]
    start: NDArray[np.bool_]
    wall: Floats
    time: Floats
    asked: NDArray[np.float32]
    sent: NDArray[np.float32]
    position: NDArray[np.float32]
    measured: NDArray[np.bool_]
    landmarks: NDArray[np.float32]
    found: NDArray[np.bool_]
    faults: tuple[tuple[str, ...], ...]
    target: NDArray[np.float32]
    output: NDArray[np.float32]
    temperature: NDArray[np.float32]
    load: NDArray[np.float32]
    supply: Floats
    board_time: Floats
    picture_time: Floats
    notes: tuple[dict[str, Any], ...]
    cut: tuple[str, ...]
    places: tuple[tuple[Path, int, int], ...] = dataclasses.field(repr=False)

    def __len__(self) -> int:
        return len(self.number)

    def picture(self, index: int) -> NDArray[np.uint8] | None:
        """Reads the picture of one frame, uint8 (height, width, 3); None if it has none.

        Raises:
            DataError: it is damaged, or its file is gone.
        """
        jpeg = self.jpeg(index)
        with self._explained(index):
            return decode_jpeg(jpeg) if jpeg else None

    def picture_size(self, index: int) -> tuple[int, int] | None:
        """Width and height of the picture of one frame [pixels], from its header; None if it has none.

        Raises:
            DataError: it is damaged, or its file is gone.
        """
        from PIL import Image

        if jpeg := self.jpeg(index):
            with self._explained(index), Image.open(io.BytesIO(jpeg)) as image:
                return image.size
        return None

    @contextmanager
    def _explained(self, index: int) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # Pillow raises errors of many types
            raise DataError(f"the picture of frame {self.number[index]} is damaged ({error}).") from error

    def jpeg(self, index: int) -> bytes:
        """The picture of one frame as it was recorded; empty if it has none."""
        path, start, size = self.places[index]
        if not size:
            return b""
        try:
            with path.open("rb") as file:
                file.seek(start)
                return file.read(size)
        except OSError as error:
            raise unreadable(path, error, "put it back") from error

    @property
    def went_to_its_end(self) -> bool:
        """Whether it was neither cut off nor stopped by the user, and does not go on."""
        return any(note["what"] == "end" for note in self.notes) and not self.stops

    @property
    def stops(self) -> tuple[str, ...]:
        """Where the user stopped the motion before its end, in words; empty if it went to its end."""
        return tuple(
            f"the motion was stopped after {note['played']} of {note['of']} commands"
            for note in self.notes
            if note["what"] == "stopped"
        )

    def runs(self) -> list[range]:
        """Ranges of frames without a reset or a lost frame in between."""
        if not len(self):
            return []
        breaks = self.start[1:] | (np.diff(self.number) != 1)
        edges = [0, *(np.flatnonzero(breaks) + 1).tolist(), len(self)]
        return [range(a, b) for a, b in pairwise(edges)]


def load_recording(folder: str | Path) -> Recording:
    """Reads all whole records of a recording.

    Raises:
        DataError: no recording, of another version, or of another face; damage is described in `cut`.
    """
    folder = Path(folder)
    info = RecordingInfo.read(folder)
    kept, places, notes, cut = (
        list[RecordedFrame](),
        list[tuple[Path, int, int]](),
        list[dict[str, Any]](),
        list[str](),
    )
    unfit: DataError | None = None
    for path in _chunks(folder, cut):
        for piece in file_format.scan_records(_content(path, cut)):
            if isinstance(piece, Damage):
                cut.append(_describe_damage(path, piece))
                continue
            try:
                if piece.kind == file_format.NOTE:
                    notes.append(file_format.unpack_note(piece.body))
                elif piece.kind == file_format.FRAME:
                    frame = _unpacked(piece, info)
                    places.append((path, piece.end - len(frame.jpeg), len(frame.jpeg)))
                    kept.append(dataclasses.replace(frame, jpeg=b""))
            except DataError as error:
                cut.append(f"{path.name}: {error}")
                unfit = error
    if unfit and not kept:
        raise DataError(f"{folder}: {unfit}") from unfit
    cut += [
        f"frames before {note['frame']} were left out: {note['told']}"
        for note in notes
        if note["what"] == "lost"
    ]
    cut += _missing(kept, notes)
    return _gathered(info, kept, places, notes, cut)


def _content(path: Path, cut: list[str]) -> bytes:
    """Content of a file; empty, which is told, if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        cut.append(str(unreadable(path, error, "put it back")).rstrip("."))
        return b""


def _unpacked(record: RawRecord, info: RecordingInfo) -> RecordedFrame:
    return file_format.unpack_frame(record.body, len(info.actuators), len(info.points))


def _chunks(folder: Path, cut: list[str]) -> list[Path]:
    paths = file_format.chunk_paths(folder)
    there = [file_format.chunk_index(path) for path in paths]
    gaps = [range(a + 1, b) for a, b in pairwise([-1, *there]) if b > a + 1]
    for gap in gaps:
        first, last = (file_format.chunk_path(folder, index).name for index in (gap[0], gap[-1]))
        cut.append(f"{first} is missing" if len(gap) == 1 else f"{first} to {last} are missing")
    return paths


def _describe_damage(path: Path, damage: Damage) -> str:
    where = "at the end are unfinished or damaged" if damage.last else f"at {damage.start} are damaged"
    return f"{path.name}: {damage.size} bytes {where}"


def _missing(kept: Sequence[RecordedFrame], notes: Sequence[Mapping[str, Any]]) -> list[str]:
    """Lost frames, by the numbers of the frames and the last note."""
    numbers = [-1, *(f.number for f in kept)]
    missing = [f"frames {a + 1} to {b - 1} are missing" for a, b in pairwise(numbers) if b > a + 1]
    ends = [note["frame"] for note in notes if note["what"] == "end"]
    if not ends:
        return [*missing, "the recording was not ended: it goes on or was cut off"]
    return (
        missing
        if ends[-1] == numbers[-1] + 1
        else [*missing, f"frames from {numbers[-1] + 1} on are missing"]
    )


def _gathered(
    info: RecordingInfo,
    kept: Sequence[RecordedFrame],
    places: Sequence[tuple[Path, int, int]],
    notes: Sequence[dict[str, Any]],
    cut: Sequence[str],
) -> Recording:
    width, points = len(info.actuators), len(info.points)
    unknown = Telemetry.unknown(width)

    def raw(name: str, dtype: Any, *shape: int) -> NDArray[Any]:
        values = [getattr(f.telemetry or unknown, name) for f in kept]
        return np.array(values, dtype).reshape(len(kept), *shape)

    def column(name: str, dtype: Any, *shape: int) -> NDArray[Any]:
        return np.array([getattr(f, name) for f in kept], dtype).reshape(len(kept), *shape)

    return Recording(
        info, column("number", np.int64), column("start", bool),
        column("wall", float), column("time", float),
        column("asked", np.float32, width), column("sent", np.float32, width),
        column("position", np.float32, width), column("measured", bool),
        column("landmarks", np.float32, points, 3), column("found", bool),
        tuple(f.faults for f in kept),
        raw("target", np.float32, width), raw("output", np.float32, width),
        raw("temperature", np.float32, width), raw("load", np.float32, width),
        raw("supply", float), raw("board_time", float), raw("picture_time", float),
        tuple(notes), tuple(cut), tuple(places),
    )  # fmt: skip
