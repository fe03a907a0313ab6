"""Recording a face: commands asked for, commands sent, and readings, with time and picture.

`record_face(face, folder)` wraps any `Face`. `eva_sim.recording.reader.load_recording(folder)` reads it back,
also after the process was killed or the power failed; then at most the last second is missing. The format is
in `file_format.py` and docs/recording.md.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eva_sim.clock import Clock, WallClock
from eva_sim.contract import Face, Floats, Reading, SimulatedFace
from eva_sim.errors import CopyError, DataError
from eva_sim.files import check_free_space, check_output_folder
from eva_sim.forks import ForkMark
from eva_sim.progress import report
from eva_sim.recording import file_format
from eva_sim.recording.chunk_writer import ChunkWriter
from eva_sim.recording.file_format import RecordedFrame
from eva_sim.recording.frame_writer import FrameWriter
from eva_sim.recording.reader import RecordingInfo, load_recording
from eva_sim.write_errors import explain_write_errors

#: Size of a recorded frame with its picture, about [bytes].
FRAME_SIZE = 14e3
_FORKED = "this recording belongs to the parent process; record in the process that opened it."


def make_room_for_recording(folder: Path, frames: int = 0) -> None:
    """Checks that a folder can take a new recording. An unfinished one in it is kept under another name.

    Args:
        folder: of the recording.
        frames: number of frames that are to be recorded.

    Raises:
        DataError: it holds a whole recording or one that is still being made, or cannot be written, or its
            disk is too full.
    """
    check_output_folder(folder)
    check_free_space(folder, frames * FRAME_SIZE, f"{frames:,} frames")
    if file_format.is_being_written(folder):
        raise DataError(f"{folder} is being recorded by another process; choose another folder.")
    if file_format.holds_frames(folder):
        frames = _frames_of_unfinished(folder)
        kept = _move_aside(folder)
        report(f"{folder} holds a recording that ended early, after {frames} frames.")
        report(f"It is now {kept}; this one starts over.")
    for path in file_format.chunk_paths(folder):
        report(f"{folder} holds a recording that was cut off before its first frame; this one starts over.")
        path.unlink()


def _frames_of_unfinished(folder: Path) -> int:
    """Number of frames of a recording that was cut off or stopped.

    Raises:
        DataError: it went to its end, or cannot be read.
    """
    with suppress(DataError):
        recording = load_recording(folder)
        if not recording.went_to_its_end:
            return len(recording)
    raise DataError(f"{folder} holds a recording already; choose another folder.")


def _move_aside(folder: Path) -> Path:
    """Gives a folder a free name beside it, and returns the name.

    Raises:
        DataError: it cannot be renamed.
    """
    names = (folder.with_name(f"{folder.name}-unfinished-{number}") for number in itertools.count(1))
    kept = next(path for path in names if not path.exists())
    try:
        folder.rename(kept)
    except OSError as error:
        raise DataError(
            f"{folder} holds an unfinished recording, and cannot be renamed ({error.strerror}); "
            "choose another folder."
        ) from error
    return kept


class Recorder:
    """Appends frames and notes to a folder.

    A full disk, a removed folder or an odd picture never stops a body, and costs only what it hits: the rest
    goes on, see `FrameWriter`. `take_faults` and `losses` say what is missing.

    Args:
        folder: folder to fill; made if missing, and may hold no recording.
        info: constant description of the recording.
        clock: clock of the frames' wall time.
        pictures: whether pictures are kept.
        waits: whether `frame` waits until the frame is written; must be False for a body in real time.

    Raises:
        DataError: the folder holds a recording, or cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        info: RecordingInfo,
        clock: Clock | None = None,
        pictures: bool = True,
        waits: bool = True,
    ) -> None:
        with explain_write_errors(folder):
            self._writer = FrameWriter(ChunkWriter(check_output_folder(folder), info.to_bytes()), waits)
        self._clock, self._pictures, self._made = clock or WallClock(), pictures, ForkMark()
        self._count, self._closed = 0, False

    @property
    def losses(self) -> str:
        """All that is missing, in words; empty if nothing is."""
        lost = [f"{self._writer.lost} frames are missing"] if self._writer.lost else []
        return "; ".join([*lost, *self._writer.losses])

    def take_faults(self) -> tuple[str, ...]:
        """What is wrong with the recording, in words; what is over is told once."""
        return self._writer.take_faults()

    def frame(self, asked: ArrayLike, reading: Reading, start: bool = False) -> None:
        """Appends the command that was asked for, (A,), and the face's reading.

        Raises:
            DataError: this process was forked from the one that records.
        """
        self._made.check(DataError, _FORKED)
        asked, sent, position = (np.array(x, np.float32) for x in (asked, reading.sent, reading.position))
        frame = RecordedFrame(
            self._count, start, self._clock.now(), reading.time, asked, sent, position, reading.measured,
            np.array(reading.landmarks, np.float32), reading.found, reading.faults, b"", reading.telemetry,
        )  # fmt: skip
        self._count += 1
        self._writer.add_frame(frame, reading.image if self._pictures else None)

    def note(self, what: str, **more: Any) -> None:
        """Appends an event between frames, e.g. a reset with its seed; must be JSON."""
        self._made.check(DataError, _FORKED)
        self._writer.add_note({"what": what, "frame": self._count, **more})

    def close(self) -> None:
        """Ends the recording. May be called twice."""
        if not (self._closed or self._made.crossed):
            self._closed = True
            self.note("end")
            self._writer.close()


class RecordedFace(Face):
    """A face whose every command and reading is recorded; everything else goes to the face itself."""

    face: Face

    def __init__(self, face: Face, recorder: Recorder) -> None:
        self.face, self.recorder = face, recorder
        self.spec, self.outer_eye, self.clock = face.spec, face.outer_eye, face.clock
        self.neutral_landmarks = face.neutral_landmarks

    def reset(self, seed: int | None = None) -> Reading:
        reading = self.face.reset(seed)
        self.recorder.note("reset", seed=None if seed is None else int(seed))
        return self._kept(reading.sent, reading, start=True)

    def move(self, command: ArrayLike) -> Reading:
        try:
            reading = self.face.move(command)
        except Exception as error:
            self.recorder.note("error", told=str(error), kind=type(error).__name__)
            raise
        return self._kept(command, reading)

    def hold_still(self) -> None:
        self.face.hold_still()

    def render(self, size: int) -> NDArray[np.uint8]:
        return self.face.render(size)

    def describe(self) -> dict[str, Any]:
        return self.face.describe()

    def close(self) -> None:
        try:
            self.face.close()  # first: a robot is limp, however long the disk takes
        finally:
            self.recorder.close()

    def __reduce__(self) -> NoReturn:
        """Refuses to be copied or pickled: two faces cannot write one recording.

        Raises:
            CopyError: always.
        """
        raise CopyError("a recorded face cannot be copied or pickled; copy the face itself, recorded.face.")

    def __getattr__(self, name: str) -> Any:
        if name == "face":  # not set yet, so there is nothing to ask
            raise AttributeError(name)
        return getattr(self.face, name)

    def _kept(self, asked: ArrayLike, reading: Reading, start: bool = False) -> Reading:
        self.recorder.frame(asked, reading, start)
        faults = self.recorder.take_faults()
        return dataclasses.replace(reading, faults=(*reading.faults, *faults)) if faults else reading


class RecordedSimulatedFace(RecordedFace, SimulatedFace):
    """A recorded face in simulation; `restore` is recorded, too."""

    face: SimulatedFace

    def __init__(self, face: SimulatedFace, recorder: Recorder) -> None:
        super().__init__(face, recorder)
        self.varies_material = face.varies_material

    def save(self) -> Any:
        return self.face.save()

    def restore(self, state: Any) -> None:
        self.recorder.note("restore")
        self.face.restore(state)

    def set_parameters(self, parameters: Mapping[str, Floats]) -> None:
        self.face.set_parameters(parameters)


@contextmanager
def record_face(
    face: Face,
    folder: str | Path,
    *,
    about: Mapping[str, Any] | None = None,
    pictures: bool = True,
    clock: Clock | None = None,
) -> Iterator[RecordedFace]:
    """Records a face for as long as the block lasts; the face stays open.

    Args:
        face: any body.
        folder: folder to fill; made if missing, and may hold no recording.
        about: further description (body, seed, robot); must be JSON. Robot and calibration are added
            where the face knows them.
        pictures: whether pictures are kept.
        clock: clock of the frames' wall time; by default the face's, so that runs in virtual time repeat to
            the byte, or the computer's if it has none.

    Yields:
        The face to use instead.

    Raises:
        DataError: the folder holds a recording already; or, at the end, it could not be written whole.
    """
    info = RecordingInfo.of(face, {**face.describe(), **(about or {})})
    waits = not isinstance(face.clock, WallClock)
    recorder = Recorder(Path(folder), info, clock or face.clock, pictures, waits)
    recorded = (
        RecordedSimulatedFace(face, recorder)
        if isinstance(face, SimulatedFace)
        else RecordedFace(face, recorder)
    )
    try:
        yield recorded
    finally:
        recorder.close()
    if recorder.losses:
        raise DataError(f"{folder} is not whole: {recorder.losses}. All else was recorded.")
