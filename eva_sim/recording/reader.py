"""Reading a recording, also one that was cut off or damaged."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eva_sim.contract import Face, Floats
from eva_sim.errors import DataError
from eva_sim.files import read_json, write_json
from eva_sim.landmarks import POINTS
from eva_sim.media.encoding import decode_jpeg
from eva_sim.recording import file_format
from eva_sim.recording.file_format import Damage, RawRecord, RecordedFrame, sync_path


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

    def write(self, folder: Path) -> None:
        """Writes it to the folder, and to the disk."""
        content = {**vars(self), "neutral": self.neutral.tolist()}
        write_json(folder / "session.json", content)
        sync_path(folder / "session.json")
        sync_path(folder)

    @classmethod
    def read(cls, folder: Path) -> RecordingInfo:
        """Reads it from the folder.

        Raises:
            DataError: there is none, or one of another version.
        """
        if not (folder / "session.json").is_file():
            raise DataError(f"{folder} holds no recording; make one with `eva record`.")
        content = read_json(folder / "session.json")
        if not isinstance(content, dict) or content.get("format") != file_format.FORMAT:
            raise DataError(
                f"{folder} has no format {file_format.FORMAT}; read it with the version that made it."
            )
        try:
            info = cls(**content)
        except TypeError as error:
            raise DataError(f"{folder}/session.json describes no recording; record again.") from error
        return dataclasses.replace(
            info, actuators=tuple(info.actuators), points=tuple(info.points),
            neutral=np.array(info.neutral, np.float32),
        )  # fmt: skip


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
    notes: tuple[dict[str, Any], ...]
    cut: tuple[str, ...]
    places: tuple[tuple[Path, int, int], ...] = dataclasses.field(repr=False)

    def __len__(self) -> int:
        return len(self.number)

    def picture(self, index: int) -> NDArray[np.uint8] | None:
        """Reads the picture of one frame, uint8 (height, width, 3); None if it has none."""
        jpeg = self._jpeg(index)
        return decode_jpeg(jpeg) if jpeg else None

    def picture_size(self, index: int) -> tuple[int, int] | None:
        """Width and height of the picture of one frame [pixels], from its header; None if it has none."""
        from PIL import Image

        if jpeg := self._jpeg(index):
            with Image.open(io.BytesIO(jpeg)) as image:
                return image.size
        return None

    def _jpeg(self, index: int) -> bytes:
        """The picture of one frame as it was recorded; empty if it has none."""
        path, start, size = self.places[index]
        if not size:
            return b""
        with path.open("rb") as file:
            file.seek(start)
            return file.read(size)

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
    for path in _chunks(folder, cut):
        for piece in file_format.scan_records(path.read_bytes()):
            if isinstance(piece, Damage):
                cut.append(_describe_damage(path, piece))
            elif piece.kind == file_format.NOTE:
                notes.append(file_format.unpack_note(piece.body))
            elif piece.kind == file_format.FRAME:
                frame = _unpacked(piece, info)
                places.append((path, piece.end - len(frame.jpeg), len(frame.jpeg)))
                kept.append(dataclasses.replace(frame, jpeg=b""))
    cut += _missing(kept, notes)
    return _gathered(info, kept, places, notes, cut)


def _unpacked(record: RawRecord, info: RecordingInfo) -> RecordedFrame:
    return file_format.unpack_frame(record.body, len(info.actuators), len(info.points))


def _chunks(folder: Path, cut: list[str]) -> list[Path]:
    paths = file_format.chunk_paths(folder)
    last = int(paths[-1].stem.rsplit("-", 1)[1]) if paths else 0
    lost = [p.name for i in range(last + 1) if not (p := file_format.chunk_path(folder, i)).exists()]
    cut += [f"{name} is missing" for name in lost]
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

    def column(name: str, dtype: Any, *shape: int) -> NDArray[Any]:
        return np.array([getattr(f, name) for f in kept], dtype).reshape(len(kept), *shape)

    return Recording(
        info, column("number", np.int64), column("start", bool),
        column("wall", float), column("time", float),
        column("asked", np.float32, width), column("sent", np.float32, width),
        column("position", np.float32, width), column("measured", bool),
        column("landmarks", np.float32, points, 3), column("found", bool),
        tuple(f.faults for f in kept), tuple(notes), tuple(cut), tuple(places),
    )  # fmt: skip
