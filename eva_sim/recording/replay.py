"""Playing commands again on any face: eased in from where it is, eased out to neutral."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eva_sim.contract import Face, FaceSpec, Floats, Reading
from eva_sim.errors import CommandError, DataError
from eva_sim.progress import progress
from eva_sim.recording.reader import Recording

#: Fastest that easing moves any actuator [command units per second]; full travel is 2.
GENTLE = 1.5
#: What easing takes at least [s], however short the way.
SHORTEST = 0.4

Commands = NDArray[np.float32]


@dataclass(frozen=True)
class ReplayResult:
    """What happened. T steps, easing included.

    Attributes:
        asked: commands, float32 (T, 25).
        readings: what the face said to each.
        part: of each step, `"in"`, `"play"` or `"out"`, (T,).
        ended: `"finished"`, or `"stopped"` where the caller wanted to end.
    """

    asked: Commands
    readings: tuple[Reading, ...]
    part: NDArray[np.str_]
    ended: str

    @property
    def faults(self) -> tuple[str, ...]:
        """All that were told, each once, in the order they came."""
        return tuple(dict.fromkeys(fault for reading in self.readings for fault in reading.faults))

    @property
    def told(self) -> str:
        """For people, in one line."""
        played = int((self.part == "play").sum())
        bent = sum(not np.array_equal(a, r.sent) for a, r in zip(self.asked, self.readings, strict=True))
        lost = sum(not reading.found for reading in self.readings)
        faults = "; ".join(self.faults) or "no faults"
        steps = f"{len(self.part)} steps, {played} of them played and the others easing"
        return f"{self.ended} after {steps} ({bent} commands bent, {lost} without landmarks): {faults}"


def replay_commands(
    face: Face,
    source: Recording | ArrayLike,
    *,
    start: Reading | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> ReplayResult:
    """Plays commands, each through `Face.move`, so all of the face's own safety is kept.

    A recording is played as it was asked, each of its runs (between resets and lost frames) eased
    into; at the face's rate, interpolated if that is not the recording's.

    Args:
        face: any body.
        source: a recording, or commands (T, 25) at the face's rate.
        start: the last reading, if the face is in use; otherwise it is reset, which brings it to neutral.
        stopped: asked before each step; once it says yes, the face is eased out and that is all.

    Raises:
        CommandError: commands are malformed; nothing was sent.
        DataError: the recording is of another face or empty; nothing was sent.
    """
    runs = _runs(source, face.spec)
    at = (face.reset() if start is None else start).sent
    steps, ended = list[tuple[Commands, Reading, str]](), "finished"
    for part, command in progress(list(_course(runs, at, face.spec)), "play", unit="steps"):
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


def eased_commands(start: ArrayLike, end: ArrayLike, spec: FaceSpec) -> Commands:
    """Commands from `start` to `end`, both (25,), without a jerk at either: (K, 25), the last is `end`.

    A half cosine in time, so that no step is longer than `GENTLE` allows.
    """
    first, last = np.asarray(start, float), np.asarray(end, float)
    duration = max(SHORTEST, np.pi / 2 * float(np.abs(last - first).max()) / GENTLE)
    count = int(np.ceil(duration / spec.control_dt))
    share = (1 - np.cos(np.pi * np.arange(1, count + 1) / count)) / 2
    return (first + share[:, None] * (last - first)).astype(np.float32).clip(-1, 1)


def _course(runs: list[Commands], at: Commands, spec: FaceSpec) -> Iterator[tuple[str, Commands]]:
    """Every command, and which part it belongs to."""
    for run in runs:
        yield from (("in", command) for command in eased_commands(at, run[0], spec))
        yield from (("play", command) for command in run)
        at = run[-1]
    yield from (("out", command) for command in eased_commands(at, spec.neutral, spec))


def _runs(source: Recording | ArrayLike, spec: FaceSpec) -> list[Commands]:
    """What to play, checked to the last number before anything moves."""
    if isinstance(source, Recording):
        runs = [_timed(source, run, spec) for run in source.runs()]
        if source.session.digest != spec.digest:
            raise DataError(
                "the recording was made with another assets/face.toml; it does not fit this face."
            )
    else:
        runs = [np.asarray(source)]
    if not runs or not all(len(run) for run in runs):
        raise DataError("there is nothing to play: no commands.")
    return [_checked(run, spec) for run in runs]


def _checked(run: Floats, spec: FaceSpec) -> Commands:
    if run.ndim != 2 or run.shape[1] != len(spec):
        raise CommandError(f"commands to play have shape (T, {len(spec)}), not {run.shape}.")
    return np.array([spec.check(command) for command in run])


def _timed(recording: Recording, run: range, spec: FaceSpec) -> Floats:
    """A run's commands at this face's rate."""
    asked = recording.asked[run.start : run.stop]
    dt = recording.session.control_dt
    if dt == spec.control_dt:
        return asked
    then = dt * np.arange(len(run))
    now = spec.control_dt * np.arange(round(then[-1] / spec.control_dt) + 1)
    columns = [np.interp(now, then, column) for column in asked.T]
    return np.stack(columns, axis=1).astype(np.float32)
