"""The history model beside the frame by frame one: error, lag and jerk of a face that follows.

    python -m benchmarks.history [--out out/benchmarks/history] [--seeds 3] [--clip FILE ...] [--noise 0.003]

Each seed trains a history model on the reduced skin, upon the direct model that comes with the package, and
tests it on the full skin. Asked for are

- motion: 60 s of motion babbling that training never saw, as the same face made it, with noise on the
  landmarks; and 20 s without noise;
- step: named expressions that come and go at once, 2 s each, with noise;
- clip: what the first 20 s of clips ask for when they are mirrored, by default of the sample.

`error` is the mean distance between the face and what was asked, without the noise, when its command took
effect, the table's delay later [mm]. `first` and `last 15 s` tell whether it drifts. `command` is the mean
error of the commands [% of travel]. One step: history and body are those of the motion itself, and only one
command is the model's. `after 0.2 s` and `after 1 s`: history and body were those of the motion itself until
then, and all commands since are the model's. So they tell whether an error grows for long, which is a drift,
or is soon that of the whole minute: slack and friction of the cables hold back one command, but not many.
`lag` is `lag_between`, delay included [ms]; `jerk` is `jerk` of the landmarks [m/s³].
`smoothed` are frame by frame commands behind a first-order filter that lags as the history model does.
Writes history.json, where each score has mean, half width of its 95 % interval, and the values of the seeds.
Each seed is kept as it is finished, and its model beside it, for `benchmarks.returns --model`.
Bars: error at most 1.1 times that of one step; jerk below that of frame by frame at equal lag.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from eva_sim.agents.data.motion import sample_motion
from eva_sim.agents.evaluation.scores import travel_error
from eva_sim.agents.evaluation.summary import Interval
from eva_sim.agents.mirroring.controller import TIME_SLACK
from eva_sim.agents.mirroring.frame_detector import FrameDetector
from eva_sim.agents.mirroring.motion_metrics import lag_between, rms_jerk
from eva_sim.agents.mirroring.person_at_rest import PersonAtRest
from eva_sim.agents.mirroring.person_tracker import PersonTracker
from eva_sim.agents.mirroring.retargeting import Retargeter
from eva_sim.agents.models.following import Follower, FrameByFrame, open_follower
from eva_sim.agents.models.history import HistoryModel
from eva_sim.agents.models.history_training import HistoryConfig, fit_history_model
from eva_sim.agents.models.inverse import SHIPPED_MODEL, InverseModel
from eva_sim.agents.models.model_file import MODEL_FILE
from eva_sim.contract import FaceSpec, Floats, Reading, load_spec
from eva_sim.expressions import load_expressions
from eva_sim.files import asset, check_output_folder, read_json, write_json
from eva_sim.media.encoding import PictureStore
from eva_sim.media.sources import open_file
from eva_sim.progress import progress
from eva_sim.reading_correction import person_correction
from eva_sim.settling import hold, settling_steps
from eva_sim.twin import Twin, Twins

#: Length of the motion, and of its first and last part [s].
LENGTH, PART = 60.0, 15.0
#: Length of the motion without noise, and most of a clip [s].
QUIET, CLIP = 20.0, 20.0
#: Faces that move side by side in training.
FACES = 16
#: Steps between expressions, each of which stays so long [s].
STAYS = 2.0
#: Seeds of test motions begin here; training draws from smaller ones.
TEST_SEEDS = 1_000_000
#: Halvings of the interval in which the smoothed commands' filter is looked for.
_HALVINGS = 5
#: Named expressions that come and go.
EXPRESSIONS = 6
#: One command of so many is tried by itself; and the model goes on by itself from one step of so many.
EVERY, EVERY_START = 4, 25
#: Control steps of its own after which its error is told, by name.
OWN_STEPS = {"after 0.2 s": 5, "after 1 s": 25}
#: Scores in the order of the table, and their digits after the point.
DIGITS = {
    "error": 3, "one step": 3, "after 0.2 s": 3, "after 1 s": 3, "first 15 s": 3, "last 15 s": 3,
    "command": 2, "command, one step": 2, "lag": 1, "jerk": 2,
}  # fmt: skip

WIDTH = 150

#: `scores[source][follower][score]` of one seed.
Scores = dict[str, dict[str, dict[str, float]]]


@dataclass(frozen=True)
class Asked:
    """Faces that are asked for, one each control step.

    Attributes:
        clean: without noise, (T, N, 3) [outer-eye distances].
        noisy: as the follower gets them.
        commands: that made the faces, (T, 25), if the same face made them by moving.
    """

    clean: Floats
    noisy: Floats
    commands: Floats | None = None


class Smoothed:
    """A frame by frame `Follower` whose commands go through a first-order low-pass.

    Args:
        model: of the direct route.
        share: of the way to the newest command that each step goes, 0 to 1.
    """

    def __init__(self, model: InverseModel, share: float) -> None:
        self._follower, self._share, self._neutral = FrameByFrame(model), share, model.spec.neutral

    def reset(self, reading: Reading) -> None:
        """Goes to the neutral command."""
        self._command = self._neutral

    def read(self, reading: Reading) -> None:
        """The answer of the face is not used."""

    def __call__(self, target: Floats) -> Any:
        """Returns the next command, (25,)."""
        self._command = self._command + np.float32(self._share) * (self._follower(target) - self._command)
        return self._command


def follow(twin: Twin, follower: Follower, asked: Asked) -> tuple[Floats, Floats]:
    """Returns the faces that a follower makes, (T, N, 3), and its commands, (T, 25)."""
    follower.reset(twin.reset())
    return follow_on(twin, follower, asked.noisy)


def follow_on(twin: Twin, follower: Follower, targets: Floats) -> tuple[Floats, Floats]:
    """Returns the faces and commands of a follower for further targets, (T, N, 3)."""
    readings = []
    for target in targets:
        readings.append(twin.move(follower(target)))
        follower.read(readings[-1])
    return np.array([each.landmarks for each in readings]), np.array([each.sent for each in readings])


def follow_from(
    twin: Twin, follower: Follower, asked: Asked, starts: Collection[int], steps: int
) -> tuple[Floats, Floats]:
    """Lets a follower go on by itself from some steps of a motion, (S,).

    All commands before, and so history and body, are those of the motion itself.

    Returns:
        The faces that it makes, (S, steps, N, 3), and its first command at each step of the motion, (T, 25).
    """
    assert asked.commands is not None
    follower.reset(twin.reset())
    faces, answers = [], []
    for step, (target, command) in enumerate(zip(asked.noisy, asked.commands, strict=True)):
        if step in starts:
            before = twin.save()
            faces.append(follow_on(twin, copy.copy(follower), asked.noisy[step : step + steps])[0])
            twin.restore(before)
        answers.append(follower(target))
        follower.read(twin.move(command))
    return np.array(faces), np.array(answers)


def babbled_motion(twin: Twin, seconds: float, noise: float, seed: int) -> Asked:
    """Returns a motion of the twin itself: each step asks for the face that its command makes."""
    rng = np.random.default_rng(seed)
    late = int(twin.spec.column("delay").max())
    commands = sample_motion(twin.spec, round(seconds / twin.spec.control_dt) + late, rng)
    twin.reset()
    faces = np.array([twin.move(command).landmarks for command in commands])[late:]
    return Asked(faces, add_noise(faces, noise, rng), commands[: len(faces)])


def steps_between_expressions(twin: Twin, noise: float, seed: int) -> Asked:
    """Returns named expressions that come and go at once."""
    settle, stays = settling_steps(twin.spec), round(STAYS / twin.spec.control_dt)
    faces = []
    named = [each for each in load_expressions(twin.spec).values() if (each != twin.spec.neutral).any()]
    for command in named[:EXPRESSIONS]:
        twin.reset()
        faces += [twin.neutral_landmarks, hold(twin, command, settle).landmarks]
    clean = np.repeat(np.array(faces), stays, axis=0)
    return Asked(clean, add_noise(clean, noise, np.random.default_rng(seed)))


def add_noise(faces: Floats, noise: float, rng: np.random.Generator) -> Floats:
    noisy: Floats = (faces + rng.normal(0, noise, faces.shape)).astype(np.float32)
    return noisy


def clip_targets(clip: Path, model: InverseModel, spec: FaceSpec) -> Asked:
    """Returns what a mirrored clip asks of the robot."""
    with closing(PictureStore()) as pictures:
        frames = list(progress(FrameDetector(open_file(clip), pictures).frames(), "analyse", unit="frames"))
    rest = PersonAtRest.of([frame.face for frame in frames if frame.face is not None])
    tracker, people = PersonTracker(rest, correction=person_correction()), []
    for frame in frames:
        people.append(tracker(frame.time, frame.face).expression)
    times = np.array([frame.time for frame in frames]) + TIME_SLACK
    steps = np.arange(0, min(frames[-1].time, CLIP), model.spec.control_dt)
    latest = np.searchsorted(times, steps, side="right") - 1
    retarget = Retargeter.of_model(spec, model)
    targets = np.array([retarget(people[row], rest.landmarks) for row in latest.clip(0)])
    return Asked(targets, targets)


class Bench:
    """Follows on one twin, and measures."""

    def __init__(self, twin: Twin) -> None:
        self.twin, self.dt = twin, twin.spec.control_dt
        self.late = int(twin.spec.column("delay").max())

    def closed_loop(self, follower: Follower, asked: Asked) -> dict[str, float]:
        """Returns the scores of a follower."""
        faces, commands = follow(self.twin, follower, asked)
        count = len(faces) - self.late
        errors = self._distances(faces[self.late :], asked.clean[:count])
        part = min(round(PART / self.dt), count)
        made = {} if asked.commands is None else {"command": self.travel_error(commands, asked.commands)}
        return {
            "error": float(errors.mean()),
            **made,
            "first 15 s": float(errors[:part].mean()),
            "last 15 s": float(errors[-part:].mean()),
            "lag": 1000 * lag_between(asked.clean, faces, self.dt),
            "jerk": self.twin.outer_eye * rms_jerk(faces, self.dt),
        }

    def one_step(self, follower: Follower, asked: Asked) -> dict[str, float]:
        """Returns the errors of single commands, of a motion of the face itself."""
        assert asked.commands is not None
        starts = range(0, len(asked.clean) - self.late, EVERY)
        faces, commands = follow_from(self.twin, follower, asked, starts, self.late + 1)
        error = float(self._distances(faces[:, -1], asked.clean[starts]).mean())
        return {"one step": error, "command, one step": self.travel_error(commands, asked.commands)}

    def own_steps(self, follower: Follower, asked: Asked) -> dict[str, float]:
        """Returns the errors after some steps of its own, of a motion of the face itself."""
        longest = max(OWN_STEPS.values()) + self.late
        starts = np.arange(0, len(asked.clean) - longest, EVERY_START)
        faces, _ = follow_from(self.twin, follower, asked, starts.tolist(), longest)
        return {
            name: float(self._distances(faces[:, own - 1 + self.late], asked.clean[starts + own - 1]).mean())
            for name, own in OWN_STEPS.items()
        }

    def smoothed(self, model: InverseModel, asked: Asked, lag: float) -> dict[str, float]:
        """Returns the scores of frame by frame commands behind the filter that lags so much [ms]."""
        low, high = 0.05, 1.0
        scores = {}
        for _ in range(_HALVINGS):
            share = (low + high) / 2
            scores = self.closed_loop(Smoothed(model, share), asked)
            low, high = (share, high) if scores["lag"] > lag else (low, share)
        return scores

    def travel_error(self, commands: Floats, true: Floats) -> float:
        """Mean error of commands, (T, 25), of the actuators that move landmarks [% of travel]."""
        errors = travel_error(commands.astype(np.float32), true.astype(np.float32))
        return 100 * float(errors[:, self.twin.spec.expressive].mean())

    def _distances(self, faces: Floats, asked: Floats) -> Floats:
        """Mean distance of the points at each step, (T,) [mm]."""
        distances: Floats = 1000 * self.twin.outer_eye * np.linalg.norm(faces - asked, axis=2).mean(1)
        return distances


def measure(bench: Bench, direct: InverseModel, model: HistoryModel, sources: dict[str, Asked]) -> Scores:
    """Returns the scores of one seed."""
    scores, history = Scores(), open_follower(model)
    for name, asked in sources.items():
        rows = {
            "frame by frame": bench.closed_loop(FrameByFrame(direct), asked),
            "history": bench.closed_loop(history, asked),
        }
        if rows["history"]["lag"] > rows["frame by frame"]["lag"]:
            rows["smoothed"] = bench.smoothed(direct, asked, rows["history"]["lag"])
        if asked.commands is not None:
            for row, follower in (("frame by frame", FrameByFrame(direct)), ("history", history)):
                rows[row] |= bench.one_step(follower, asked) | bench.own_steps(follower, asked)
        scores[name] = rows
    return scores


def bench_seed(
    bench: Bench, direct: InverseModel, seed: int, noise: float, clips: dict[str, Asked], kept: Path
) -> Scores:
    """Trains with one seed, keeps the model in a file, and tests it; see `measure`."""
    with Twins(FACES, "reduced") as faces:
        model, _ = fit_history_model(direct, faces, HistoryConfig(seed=seed))
    model.save(kept)
    sources = {
        "motion": babbled_motion(bench.twin, LENGTH, noise, TEST_SEEDS + seed),
        "motion without noise": babbled_motion(bench.twin, QUIET, 0, TEST_SEEDS + seed),
        "step": steps_between_expressions(bench.twin, noise, TEST_SEEDS + seed),
        **clips,
    }
    return measure(bench, direct, model, sources)


def summarise(runs: Sequence[Scores]) -> dict[str, dict[str, dict[str, Interval]]]:
    """Returns each score over the seeds that have it."""
    return {
        source: {
            follower: {
                score: Interval.of([run[source][follower][score] for run in runs if follower in run[source]])
                for score in scores
            }
            for run in runs
            for follower, scores in run[source].items()
        }
        for source in runs[0]
    }


def show(found: Mapping[str, Mapping[str, Mapping[str, Interval]]]) -> None:
    """Prints one table for each of what was asked."""
    for source, rows in found.items():
        table = Table("", *DIGITS, title=source)
        for follower, scores in rows.items():
            cells = (
                scores[name].describe(digits) if name in scores else "" for name, digits in DIGITS.items()
            )
            table.add_row(follower, *cells)
        Console(width=WIDTH).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("out/benchmarks/history"), help="folder")
    parser.add_argument("--seeds", type=int, default=3, help="of training and test")
    parser.add_argument("--clip", type=Path, nargs="+", default=[asset("samples/person.mp4")])
    parser.add_argument("--noise", type=float, default=0.003, help="of each coordinate")
    given = parser.parse_args()
    out, direct = check_output_folder(given.out), InverseModel.load(asset(SHIPPED_MODEL) / MODEL_FILE)
    clips = {f"clip {clip.name}": clip_targets(clip, direct, load_spec()) for clip in given.clip}
    with Twin() as twin:
        for seed in range(given.seeds):
            if not (out / f"seed-{seed}.json").exists():
                kept = out / f"seed-{seed}.pt"
                scores = bench_seed(Bench(twin), direct, seed, given.noise, clips, kept)
                write_json(out / f"seed-{seed}.json", scores)
    found = summarise([read_json(out / f"seed-{seed}.json") for seed in range(given.seeds)])
    show(found)
    write_json(out / "history.json", {"noise": given.noise, "seeds": given.seeds, "scores": found})


if __name__ == "__main__":
    main()
