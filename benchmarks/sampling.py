"""Error of the models against the number of poses, for several ways of drawing them at equal budgets.

    python -m benchmarks.sampling --out out/benchmarks/sampling [--workers 2]

Faces are those of the reduced skin, settled and without history, so that a pose costs little. Commands are
kept within the limits of the face, as bodies do. Two sets of faces test the models: babbled ones, and the
named expressions at five intensities. No way of drawing is made for the latter.

The forward model is that of mirroring. The inverse model is the network of the direct route with one hidden
layer. It is given the principal parts of the landmarks, with which it learns several times as fast.

The budget is the number of poses, since these take a robot's time. Training is not budgeted: it takes
2,500 steps, and more where they are not 5 passes over the poses; the best epoch on held-out poses counts.
With few steps for all, 100,000 poses would not even be seen once. But a point with more training is no fair
comparison with the others, so the plot draws it dotted. `--training 3` gives all others as many steps as it
has, and tells what poses give from what training gives.

Writes sampling.json and sampling.png. Each fit is kept as it is finished, and the same command goes on.
Give other training or another head another folder, since fits of the earlier ones are replaced.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from eva_sim.agents.data.babbling import sample_command
from eva_sim.agents.data.dataset import Array, Dataset, DatasetManifest
from eva_sim.agents.evaluation.scores import travel_error
from eva_sim.agents.evaluation.summary import Interval
from eva_sim.agents.models.forward import ForwardModel
from eva_sim.agents.models.inverse import TrainingConfig, fit_inverse_model
from eva_sim.agents.models.prediction import whole_commands
from eva_sim.agents.optimisation.settled_face import SettledFace
from eva_sim.contract import FaceSpec, Floats
from eva_sim.expressions import load_expressions
from eva_sim.files import atomic_files, read_json, write_json
from eva_sim.landmarks import POINTS
from eva_sim.limits.command_limits import CommandLimits
from eva_sim.plots import write_plot
from eva_sim.progress import progress
from eva_sim.twin import Twin
from eva_sim.workers.choice import choose_workers
from eva_sim.workers.jobs import Workers

POSES, TESTED, NOISE, SHARD = (100, 300, 1000, 3000, 10_000, 30_000, 100_000), 400, 0.003, 20
#: Least steps of training, and least passes over the poses.
STEPS, PASSES, BATCH, RATE, HIDDEN = 2500, 5, 64, 1e-2, (256,)
#: Smallest deviation that a principal part is divided by [outer-eye distances]. With few poses, the network
#: learns by heart what smaller parts hold.
FLOOR = 0.06
#: Levels of a sweep; largest step of a walk; spread of a pose around one where the model errs [command].
LEVELS, STEP, SPREAD = 5, 0.4, 0.2
INTENSITIES = (0.2, 0.4, 0.6, 0.8, 1.0)

Rng = np.random.Generator
#: `scores[test][model]`
Scores = dict[str, dict[str, float]]
#: `curves[way of drawing][number of poses]`
Curves = dict[str, dict[int, Scores]]


def babbled(spec: FaceSpec, count: int, rng: Rng) -> Floats:
    """As `eva babble`: few or many actuators, mostly symmetric, antagonists seldom together."""
    return np.array([sample_command(spec, rng) for _ in range(count)], dtype=float)


def uniform(spec: FaceSpec, count: int, rng: Rng) -> Floats:
    """Every actuator anywhere in its travel."""
    commands = np.tile(spec.neutral.astype(float), (count, 1))
    commands[:, spec.expressive] = rng.uniform(-1, 1, (count, len(spec.expressive)))
    return commands


def swept(spec: FaceSpec, count: int, rng: Rng) -> Floats:
    """One actuator after another, at five levels; once all are done, at levels moved by chance."""
    commands = np.tile(spec.neutral.astype(float), (count, 1))
    number, rows = np.arange(count), spec.expressive
    levels = np.linspace(-1, 1, LEVELS)[number // len(rows) % LEVELS]
    moved = rng.uniform(-0.25, 0.25, count) * (number >= LEVELS * len(rows))
    commands[number, rows[number % len(rows)]] = (levels + moved).clip(-1, 1)
    return commands


def in_patches(number: int) -> Callable[[FaceSpec, int, Rng], Floats]:
    """Uniform in some patches of the skin, at rest elsewhere."""

    def draw(spec: FaceSpec, count: int, rng: Rng) -> Floats:
        patches = sorted({spec.actuators[row].moves for row in spec.expressive})
        commands = uniform(spec, count, rng)
        for command in commands:
            chosen = rng.choice(patches, number, replace=False)
            resting = [row for row in spec.expressive if spec.actuators[row].moves not in chosen]
            command[resting] = spec.neutral[resting]
        return commands

    return draw


def walked(spec: FaceSpec, count: int, rng: Rng) -> Floats:
    """A walk through all travel that turns back at its ends."""
    rows = spec.expressive
    commands = np.tile(spec.neutral.astype(float), (count, 1))
    place = spec.neutral[rows] + np.cumsum(rng.uniform(-STEP, STEP, (count, len(rows))), axis=0)
    commands[:, rows] = 1 - np.abs((place + 1) % 4 - 2)
    return commands


DRAWN: dict[str, Callable[[FaceSpec, int, Rng], Floats]] = {
    "babbling": babbled,
    "uniform": uniform,
    "five-level sweeps": swept,
    "within a patch": in_patches(1),
    "across two patches": in_patches(2),
    "smooth walk": walked,
}
ERRING = "where the model errs"


class Bench:
    """Fits models to poses and tests them. All faces are of one twin.

    Args:
        twin: the face.
        seed: of everything random.
        training: by which the steps of training are multiplied.
    """

    def __init__(self, twin: Twin, seed: int, training: float = 1.0) -> None:
        self.spec, self.settled, self.seed, self.training = twin.spec, SettledFace(twin), seed, training
        self.limits, self.neutral = CommandLimits(twin.spec), twin.neutral_landmarks.astype(float)
        self.millimetres = 1000 * twin.outer_eye
        named = [load_expressions(twin.spec, each).values() for each in INTENSITIES]
        tests = {
            "babbled faces": babbled(twin.spec, TESTED, np.random.default_rng([7, seed])),
            "named expressions": np.array([command for each in named for command in each], dtype=float),
        }
        self.tests = {name: (commands, self.settled(commands)) for name, commands in tests.items()}

    @property
    def stamp(self) -> dict[str, Any]:
        """What a score depends on beside the poses; the faces tell one head from another."""
        faces = b"".join(made.tobytes() for _, made in self.tests.values())
        return {
            "faces": hashlib.sha256(faces).hexdigest(), "noise": NOISE, "steps": self.training * STEPS,
            "passes": self.training * PASSES, "batch": BATCH, "rate": RATE, "floor": FLOOR,
            "hidden": list(HIDDEN),
        }  # fmt: skip

    def pulls(self, commands: Floats) -> Floats:
        """Commands less rest of the actuators that move landmarks, (S, M)."""
        pulls: Floats = (commands - self.spec.neutral)[:, self.spec.expressive]
        return pulls

    def fit_forward(self, commands: Floats, faces: Floats) -> ForwardModel:
        return ForwardModel.fit(self.pulls(commands), (faces - self.neutral).reshape(len(faces), -1))

    def forward_errors(self, model: ForwardModel, commands: Floats, faces: Floats) -> Floats:
        """Mean distance of the points of each face, (S,) [mm]."""
        made = np.array([model(each) for each in self.pulls(commands)]).reshape(faces.shape)
        distance: Floats = self.millimetres * np.linalg.norm(made + self.neutral - faces, axis=2).mean(1)
        return distance

    def draw(self, name: str, count: int, rng: Rng) -> tuple[Floats, Floats]:
        """Commands and faces of one way of drawing."""
        if name != ERRING:
            commands = self.limits.within(DRAWN[name](self.spec, count, rng))
            return commands, self.settled(commands)
        commands = babbled(self.spec, count // 2, rng)
        faces = self.settled(commands)
        half = len(commands) // 2
        wrong = [
            self.forward_errors(self.fit_forward(commands[fit], faces[fit]), commands[test], faces[test])
            for fit, test in ((slice(half, None), slice(half)), (slice(half), slice(half, None)))
        ]
        share = np.concatenate(wrong) / np.concatenate(wrong).sum()
        more = commands[rng.choice(len(commands), count - len(commands), p=share)]
        rows = self.spec.expressive
        more[:, rows] = (more[:, rows] + rng.normal(0, SPREAD, (len(more), len(rows)))).clip(-1, 1)
        more = self.limits.within(more)
        return np.concatenate([commands, more]), np.concatenate([faces, self.settled(more)])

    def score(self, commands: Floats, faces: Floats) -> Scores:
        """Errors of both models on each test: landmarks [mm], and commands [travel] under noise."""
        forward = self.fit_forward(commands, faces)
        order = np.random.default_rng(self.seed).permutation(len(commands))
        data = self.as_data_set(commands[order], self.principal_parts(faces[order], forward))
        epochs = round(self.training * max(PASSES, STEPS / np.ceil(0.9 * len(commands) / BATCH)))
        recipe = TrainingConfig(epochs, epochs, BATCH, RATE, floor=FLOOR, hidden=HIDDEN, seed=self.seed)
        inverse, _ = fit_inverse_model(data, recipe)
        scores = {}
        for name, (asked, made) in self.tests.items():
            noisy = made + NOISE * np.random.default_rng([8, self.seed]).standard_normal(made.shape)
            parts = torch.from_numpy(self.principal_parts(noisy, forward))
            with torch.inference_mode():
                predicted = whole_commands(self.spec, inverse(parts))
            travel = travel_error(predicted, asked.astype(np.float32))[:, self.spec.expressive]
            scores[name] = {
                "forward": float(self.forward_errors(forward, asked, made).mean()),
                "inverse": float(travel.mean()),
            }
        return scores

    def principal_parts(self, faces: Floats, forward: ForwardModel) -> Array:
        """Amounts of the modes of the forward model in faces, (S, K) [outer-eye distances].

        Modes are orthonormal, so independent noise of the landmarks is just as large in them.
        """
        return ((faces - self.neutral).reshape(len(faces), -1) @ forward.modes.T).astype(np.float32)

    def as_data_set(self, commands: Floats, parts: Array) -> Dataset:
        """Poses as training takes them, with principal parts for landmarks; shards are runs of poses."""
        count, number = len(commands), np.arange(len(commands))
        size = min(SHARD, count // 5)
        manifest = DatasetManifest(self.spec.digest, POINTS, self.seed, count, size, 1, None, "reduced", {})
        single, places = commands.astype(np.float32), parts.reshape(count, -1, 3)
        return Dataset(
            single, single, places, number // size, number % size,
            np.zeros_like(places[0]), self.millimetres / 1000, Path(), manifest, self.spec,
        )  # fmt: skip


class Fit(NamedTuple):
    """Models that are fitted to a number of poses, drawn in one way."""

    seed: int
    way: str
    poses: int

    def path(self, folder: Path) -> Path:
        """File of the scores."""
        return folder / "fits" / f"{self.way.replace(' ', '-')}-{self.poses}-seed-{self.seed}.json"

    def read(self, folder: Path, stamp: dict[str, Any]) -> Scores:
        """Returns the scores of an earlier call; none if it had another recipe or another head."""
        path = self.path(folder)
        content = read_json(path) if path.exists() else {}
        return content["scores"] if content.get("stamp") == stamp else {}


def measure(
    folder: Path, ways: list[str], seeds: int, training: float = 1.0, workers: int | Workers = 1
) -> list[Curves]:
    """Scores the fits that the folder lacks; returns the curves of each seed."""
    fits = [Fit(seed, way, count) for count in POSES for seed in range(seeds) for way in ways]
    with Twin() as twin:
        stamps = [Bench(twin, seed, training).stamp for seed in range(seeds)]
    missing = [number for number, fit in enumerate(fits) if not fit.read(folder, stamps[fit.seed])]
    chosen = choose_workers(workers)
    with (
        progress(does="fit", total=len(fits), initial=len(fits) - len(missing), unit="fits") as bar,
        closing(chosen.run_jobs(partial(open_scoring, fits, folder, training), missing)) as scored,
    ):
        for _ in scored:
            bar.update()
    curves: list[Curves] = [{way: {} for way in ways} for _ in range(seeds)]
    for fit in fits:
        curves[fit.seed][fit.way][fit.poses] = fit.read(folder, stamps[fit.seed])
    return curves


@contextmanager
def open_scoring(fits: list[Fit], folder: Path, training: float) -> Iterator[Callable[[int], None]]:
    """Opens a twin; yields the function that writes the scores of a numbered fit."""
    with Twin() as twin:
        bench_of = lru_cache(maxsize=None)(lambda seed: Bench(twin, seed, training))

        def score_fit(number: int) -> None:
            fit = fits[number]
            bench = bench_of(fit.seed)
            drawn = bench.draw(fit.way, fit.poses, np.random.default_rng([9, fit.seed]))
            write_json(fit.path(folder), {"stamp": bench.stamp, "scores": bench.score(*drawn)})

        yield score_fit


def draw_curves(seeds: list[Curves], path: Path) -> None:
    """One panel for each model and test; curves are means over seeds, bands their intervals."""
    with write_plot(path, dpi=120, figsize=(10, 7), layout="constrained") as figure:
        panels = figure.subplots(2, 2)
        alike = max(
            1, sum(PASSES * 0.9 * count / BATCH <= STEPS for count in POSES)
        )  # equally trained budgets
        for row, (model, unit) in enumerate(
            (("forward", "landmarks [mm]"), ("inverse", "commands [travel]"))
        ):
            for panel, test in zip(panels[row], ("babbled faces", "named expressions"), strict=True):
                for name in seeds[0]:
                    found = [
                        Interval.of([each[name][count][test][model] for each in seeds]) for count in POSES
                    ]
                    mean = np.array([each.mean for each in found])
                    half = np.array([each.half_width or 0.0 for each in found])
                    solid = alike if model == "inverse" else len(POSES)
                    (line,) = panel.plot(POSES[:solid], mean[:solid], "o-", markersize=3, label=name)
                    panel.plot(
                        POSES[solid - 1 :], mean[solid - 1 :], "o:", markersize=3, color=line.get_color()
                    )
                    panel.fill_between(POSES, np.maximum(mean - half, 0.5 * mean), mean + half, alpha=0.15)
                panel.set(
                    xscale="log", yscale="log", xlabel="poses", title=f"{model} model, {test}", ylabel=unit
                )
        figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=4)


def print_table(seeds: list[Curves], count: int) -> None:
    """Errors at one number of poses."""
    table = Table("poses drawn by", "forward, babbled, mm", "forward, named, mm", "inverse, babbled, travel",
                  "inverse, named, travel", title=f"{count:,} poses, {len(seeds)} seeds")  # fmt: skip
    for name in seeds[0]:
        cells = [
            Interval.of([each[name][count][test][model] for each in seeds]).describe(4)
            for model in ("forward", "inverse") for test in ("babbled faces", "named expressions")
        ]  # fmt: skip
        table.add_row(name, *cells)
    Console().print(table)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("out/benchmarks/sampling"), help="folder")
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds")
    parser.add_argument("--training", type=float, default=1.0, help="multiplies the steps of training")
    parser.add_argument("--ways", nargs="+", choices=[*DRAWN, ERRING], default=[*DRAWN, ERRING])
    parser.add_argument("--workers", type=int, default=1, help="number of processes")
    given = parser.parse_args()
    seeds = measure(given.out, given.ways, given.seeds, given.training, given.workers)
    with atomic_files(given.out) as part:
        write_json(part / "sampling.json", {"poses": POSES, "noise": NOISE, "seeds": seeds})
        draw_curves(seeds, part / "sampling.png")
    for count in POSES:
        print_table(seeds, count)


if __name__ == "__main__":
    main()
