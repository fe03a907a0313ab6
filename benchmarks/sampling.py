"""Error of the models against the number of poses, for several ways of drawing them at equal budgets.

    python -m benchmarks.sampling --out out/benchmarks/sampling

Faces are those of the reduced skin, settled and without history, so that a pose costs little. Commands are
kept within the limits of the face, as bodies do. Two sets of faces test the models: babbled ones, and the
named expressions at five intensities. No way of drawing is made for the latter.
Writes sampling.json and sampling.png; each seed is kept as it is finished.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from eva_sim.agents.data.babbling import sample_command
from eva_sim.agents.data.dataset import Dataset, DatasetManifest
from eva_sim.agents.evaluation.scores import travel_error
from eva_sim.agents.evaluation.summary import Interval
from eva_sim.agents.models.forward import ForwardModel
from eva_sim.agents.models.inverse import TrainingConfig, fit_inverse_model
from eva_sim.agents.optimisation.settled_face import SettledFace
from eva_sim.contract import FaceSpec, Floats
from eva_sim.expressions import load_expressions
from eva_sim.files import atomic_files, read_json, write_json
from eva_sim.landmarks import POINTS
from eva_sim.limits.command_limits import CommandLimits
from eva_sim.progress import progress
from eva_sim.twin import Twin

POSES, TESTED, NOISE, SHARD = (100, 300, 1000, 3000, 10_000), 400, 0.003, 20
#: Steps of training, whatever the number of poses, so that time is equal, too.
STEPS, BATCH = 600, 128
#: Levels of a sweep; largest step of a walk; spread of a pose around one where the model errs [command].
LEVELS, STEP, SPREAD = 5, 0.4, 0.2
INTENSITIES = (0.2, 0.4, 0.6, 0.8, 1.0)

Rng = np.random.Generator


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
    """Fits models to poses and tests them. All faces are of one twin."""

    def __init__(self, twin: Twin, seed: int) -> None:
        self.spec, self.settled, self.seed = twin.spec, SettledFace(twin), seed
        self.limits, self.neutral = CommandLimits(twin.spec), twin.neutral_landmarks.astype(float)
        self.millimetres = 1000 * twin.outer_eye
        named = [load_expressions(twin.spec, each).values() for each in INTENSITIES]
        tests = {
            "babbled faces": babbled(twin.spec, TESTED, np.random.default_rng([7, seed])),
            "named expressions": np.array([command for each in named for command in each], dtype=float),
        }
        self.tests = {name: (commands, self.settled(commands)) for name, commands in tests.items()}

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

    def score(self, commands: Floats, faces: Floats) -> dict[str, dict[str, float]]:
        """Errors of both models on each test: landmarks [mm], and commands [travel] under noise."""
        forward = self.fit_forward(commands, faces)
        order = np.random.default_rng(self.seed).permutation(len(commands))
        data = self.as_data_set(commands[order], faces[order])
        epochs = max(1, round(STEPS / np.ceil(0.9 * len(commands) / BATCH)))
        recipe = TrainingConfig(epochs, epochs, BATCH, 2e-3, hidden=(256,), seed=self.seed)
        inverse, _ = fit_inverse_model(data, recipe)
        scores = {}
        for name, (asked, made) in self.tests.items():
            noisy = made + NOISE * np.random.default_rng([8, self.seed]).standard_normal(made.shape)
            travel = travel_error(inverse.predict(noisy), asked.astype(np.float32))[:, self.spec.expressive]
            scores[name] = {
                "forward": float(self.forward_errors(forward, asked, made).mean()),
                "inverse": float(travel.mean()),
            }
        return scores

    def as_data_set(self, commands: Floats, faces: Floats) -> Dataset:
        """Poses as training takes them; shards are runs of them."""
        count, number = len(commands), np.arange(len(commands))
        size = min(SHARD, count // 5)
        manifest = DatasetManifest(self.spec.digest, POINTS, self.seed, count, size, 1, None, "reduced", {})
        single = commands.astype(np.float32)
        return Dataset(
            single, single, faces.astype(np.float32), number // size, number % size,
            self.neutral.astype(np.float32), self.millimetres / 1000, Path(), manifest, self.spec,
        )  # fmt: skip


def measure_seed(twin: Twin, seed: int) -> dict[str, Any]:
    """Scores of each way of drawing and each number of poses."""
    bench = Bench(twin, seed)
    cases = [(name, count) for name in (*DRAWN, ERRING) for count in POSES]
    scores: dict[str, Any] = {}
    for name, count in progress(cases, f"seed {seed}", unit="fits"):
        poses = bench.draw(name, count, np.random.default_rng([9, seed]))
        scores.setdefault(name, {})[str(count)] = bench.score(*poses)
    return scores


def draw_curves(seeds: list[dict[str, Any]], path: Path) -> None:
    """One panel for each model and test; curves are means over seeds, bands their intervals."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 7), layout="constrained")
    panels = figure.subplots(2, 2)
    for row, (model, unit) in enumerate((("forward", "landmarks [mm]"), ("inverse", "commands [travel]"))):
        for panel, test in zip(panels[row], ("babbled faces", "named expressions"), strict=True):
            for name in seeds[0]:
                found = [
                    Interval.of([each[name][str(count)][test][model] for each in seeds]) for count in POSES
                ]
                mean = np.array([each.mean for each in found])
                half = np.array([each.half_width or 0.0 for each in found])
                panel.plot(POSES, mean, "o-", markersize=3, label=name)
                panel.fill_between(POSES, np.maximum(mean - half, 0.5 * mean), mean + half, alpha=0.15)
            panel.set(xscale="log", yscale="log", xlabel="poses", title=f"{model} model, {test}", ylabel=unit)
    panels[0, 0].legend(fontsize=8)
    figure.savefig(path, dpi=120)


def print_table(seeds: list[dict[str, Any]]) -> None:
    """Errors at the largest number of poses."""
    table = Table("poses drawn by", "forward, babbled, mm", "forward, named, mm", "inverse, babbled, travel",
                  "inverse, named, travel", title=f"{POSES[-1]} poses, {len(seeds)} seeds")  # fmt: skip
    for name in seeds[0]:
        cells = [
            Interval.of([each[name][str(POSES[-1])][test][model] for each in seeds]).describe(4)
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
    arguments = parser.parse_args()
    seeds = []
    with Twin() as twin:
        for seed in range(arguments.seeds):
            kept = arguments.out / f"seed-{seed}.json"
            if not kept.exists():
                write_json(kept, measure_seed(twin, seed))
            seeds.append(read_json(kept))
    with atomic_files(arguments.out) as part:
        write_json(part / "sampling.json", {"poses": POSES, "noise": NOISE, "seeds": seeds})
        draw_curves(seeds, part / "sampling.png")
    print_table(seeds)


if __name__ == "__main__":
    main()
