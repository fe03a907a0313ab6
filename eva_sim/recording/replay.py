"""Playing commands on any face: eased in from its present command, eased out to neutral."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eva_sim.contract import Face, FaceSpec, Floats, Reading
from eva_sim.errors import CommandError, DataError
from eva_sim.interrupts import interruptible
from eva_sim.progress import progress, report
from eva_sim.recording.reader import Recording, load_recording
from eva_sim.recording.recorder import record_face
from eva_sim.recording.trajectories import eased_commands

Commands = NDArray[np.float32]


@dataclass(frozen=True)
class ReplayResult:
    """The commands and readings of a replay. T steps, easing included.

    Attributes:
        asked: commands, float32 (T, A).
        readings: the face's reading after each.
        part: part of each step, `"in"`, `"play"` or `"out"`, (T,).
        ended: `"finished"`, or `"stopped"` if the caller asked to end.
    """

    asked: Commands
    readings: tuple[Reading, ...]
    part: NDArray
    ended: str

    @property
    def faults(self) -> tuple[str, ...]:
        """All faults of the readings, each once, in the order they came."""
        return tuple(dict.fromkeys(fault for reading in self.readings for fault in reading.faults))

    @property
    def played(self) -> int:
        """Number of commands that were played, without easing."""
        return int((self.part == "play").sum())

    @property
    def summary(self) -> str:
        """The result in one line, for people."""
        limited = sum(not np.array_equal(a, r.sent) for a, r in zip(self.asked, self.readings, strict=True))
        lost = sum(not reading.found for reading in self.readings)
        faults = "; ".join(self.faults) or "no faults"
        steps = f"{self.played} commands played, {len(self.part) - self.played} steps to ease in and out"
        return f"{self.ended}: {steps}; {limited} commands limited, {lost} without landmarks, {faults}"


def replay_commands(
    face: Face,
    source: Recording | ArrayLike,
    *,
    start: Reading | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> ReplayResult:
    """Plays commands, each through `Face.move`, so that all of the face's own safety applies.

    Of a recording, the commands that were asked for are played. Each of its runs (between resets and lost
    frames) is eased into. Commands are interpolated if the recording has another rate than the face. What
    differs between the recorded body and this one is reported.

    Args:
        face: any body.
        source: a recording, or commands (T, A) at the face's rate.
        start: the last reading, if the face is in use; otherwise it is reset, which brings it to neutral.
        stopped: called before each step; once it returns True, the face is eased out and the replay ends.

    Raises:
        CommandError: commands are malformed; nothing was sent.
        DataError: the recording is of another face or empty; nothing was sent.
    """
    runs = _runs(source, face.spec)
    if isinstance(source, Recording):
        for difference in describe_differences(source, face):
            report(difference)
    at = (face.reset() if start is None else start).sent
    steps, ended = list[tuple[Commands, Reading, str]](), "finished"
    for part, command in progress(list(_schedule(runs, at, face.spec)), "play", unit="steps"):
        if stopped():
            ended = "stopped"
            break
        steps.append((command, face.move(command), part))
    if ended == "stopped":
        at = steps[-1][0] if steps else at
        steps += [
            (command, face.move(command), "out")
            for command in eased_commands(at, face.spec.neutral, face.spec)
        ]
    asked = np.array([s[0] for s in steps], np.float32).reshape(len(steps), len(face.spec))
    return ReplayResult(asked, tuple(s[1] for s in steps), np.array([s[2] for s in steps]), ended)


def play_and_record(
    face: Face, source: Path | Recording | ArrayLike, out: Path | None, about: Mapping[str, Any] | None = None
) -> ReplayResult:
    """Plays a recording or commands and records the result; the first Ctrl-C eases out and ends.

    A new recording that ends so has a note `"stopped"`. After SIGTERM or SIGHUP the program ends.

    Args:
        face: any body.
        source: a recording or its folder, or commands (T, A).
        out: folder for the new recording; None to record nothing.
        about: description for the new recording, see `record_face`.

    Raises:
        CommandError: commands are malformed; nothing was sent.
        DataError: a recording cannot be read or written.
    """
    commands = load_recording(source) if isinstance(source, Path) else source
    with ExitStack() as stack:
        stopped = stack.enter_context(interruptible())
        if out is not None:
            face = recorded = stack.enter_context(record_face(face, out, about=about))
        played = replay_commands(face, commands, stopped=stopped)
        if out is not None and played.ended == "stopped":
            recorded.recorder.note("stopped", played=played.played, of=_count(commands))
        return played


def describe_differences(recording: Recording, face: Face) -> list[str]:
    """Says what differs between the recorded body and this one, in sentences.

    Commands are shares of each actuator's travel, so they fit every robot of the same actuator table. The
    same command is another position on another robot, or with another calibration.
    """
    about, body, dt = recording.info.about, face.describe(), recording.info.control_dt
    found = []
    if dt != face.spec.control_dt:
        found.append(
            f"The recording has a command every {1000 * dt:g} ms; it is interpolated to "
            f"{1000 * face.spec.control_dt:g} ms."
        )
    robots = about.get("robot"), body.get("robot")
    if robots[0] != robots[1]:
        was, now = (f"robot {robot}" if robot else "a body in simulation" for robot in robots)
        found.append(f"The recording is of {was}, and {now} plays it: the same commands, other positions.")
    elif about.get("calibration") != body.get("calibration"):
        found.append(
            "This robot was calibrated anew after the recording: the same commands are other positions."
        )
    return found


def _count(source: Recording | ArrayLike) -> int:
    """Number of commands to play."""
    return len(source) if isinstance(source, Recording) else len(np.asarray(source))


def _schedule(runs: list[Commands], at: Commands, spec: FaceSpec) -> Iterator[tuple[str, Commands]]:
    """Yields every command with its part."""
    for run in runs:
        yield from (("in", command) for command in eased_commands(at, run[0], spec))
        yield from (("play", command) for command in run)
        at = run[-1]
    yield from (("out", command) for command in eased_commands(at, spec.neutral, spec))


def _runs(source: Recording | ArrayLike, spec: FaceSpec) -> list[Commands]:
    """Returns the runs to play, all checked before anything moves."""
    if isinstance(source, Recording):
        if source.info.digest != spec.digest or source.info.actuators != spec.names:
            raise DataError(
                "the recording was made with another assets/face.toml; it does not fit this face."
            )
        runs = [_resampled(source, run, spec) for run in source.runs()]
    else:
        runs = [np.asarray(source)]
    if not runs or not all(len(run) for run in runs):
        raise DataError("there is nothing to play: no commands.")
    return [_checked(run, spec) for run in runs]


def _checked(run: Floats, spec: FaceSpec) -> Commands:
    if run.ndim != 2 or run.shape[1] != len(spec):
        raise CommandError(f"commands to play have shape (T, {len(spec)}), not {run.shape}.")
    return np.array([spec.check(command) for command in run])


def _resampled(recording: Recording, run: range, spec: FaceSpec) -> Floats:
    """Commands of a run at this face's rate."""
    asked = recording.asked[run.start : run.stop]
    dt = recording.info.control_dt
    if dt == spec.control_dt:
        return asked
    then = dt * np.arange(len(run))
    now = spec.control_dt * np.arange(round(then[-1] / spec.control_dt) + 1)
    columns = [np.interp(now, then, column) for column in asked.T]
    return np.stack(columns, axis=1).astype(np.float32)
