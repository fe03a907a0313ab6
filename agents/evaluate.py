"""Evaluation of an inverse model beside its baselines on new faces: table, JSON and sheet.

All rows see the same landmarks with the same noise. Their commands are compared with the true ones, and are
replayed on the twin, whose face is compared with the one without noise.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from eva_sim.agents.data.babbling import babble
from eva_sim.agents.data.dataset import Array, Dataset, load_dataset
from eva_sim.agents.evaluation.scores import replay_error, travel_error
from eva_sim.agents.evaluation.summary import Interval, print_summary
from eva_sim.agents.models.baselines import (
    NearestNeighbourBaseline,
    NeutralBaseline,
    Predictor,
    RandomCommandBaseline,
    UniformCommandBaseline,
)
from eva_sim.agents.models.inverse import TrainingConfig, fit_inverse_model
from eva_sim.agents.models.linear import LinearModel
from eva_sim.agents.models.route_model import RouteModel
from eva_sim.agents.optimisation.noise_floor import noise_floor
from eva_sim.agents.optimisation.settled_face import SettledFace
from eva_sim.agents.optimisation.solve_command import CommandSolver
from eva_sim.errors import DataError, EvaError
from eva_sim.files import atomic_files, check_output_folder, read_json, write_json
from eva_sim.optional import import_optional
from eva_sim.progress import progress, report
from eva_sim.twin import Twin
from eva_sim.twin.pictures import ComparedFaces, write_comparison_sheet
from eva_sim.workers.choice import choose_workers
from eva_sim.workers.jobs import OpenWork, Workers

REPORT_FILE, SHEET_FILE = "evaluation.json", "evaluation.png"
#: Seeds of held-out faces begin here, far from those that people give to babbling.
HELD_OUT_SEED = 1_000_000_007
#: Faces of the data whose commands tell two models apart.
_PROBES = 64
#: Rows of the report that are no predictors.
MODEL, TRUE, FLOOR = "the model", "the true command", "floor of the noise"
#: Rows of the report in their order.
ROWS = (
    "neutral", "random command", "random training face", "linear", "nearest neighbour", "one hidden layer",
    MODEL, "search through the twin", TRUE, FLOOR,
)  # fmt: skip
#: Faces on the sheet.
_PICTURED = 6
TRAVEL, MILLIMETRES = "error [travel]", "landmark error [mm]"
_ONE_HIDDEN_LAYER = TrainingConfig(hidden=(256,), epochs=60)


@dataclass(frozen=True)
class EvaluationConfig:
    """Settings of an evaluation.

    Attributes:
        faces: held-out faces of each seed.
        seeds: each has its own faces, noise, and learned baselines.
        noise: standard deviation of each landmark coordinate [outer-eye distances].
        samples: babbled expressions to which the baselines are fitted, where no data set is given.
    """

    faces: int = 40
    seeds: int = 3
    noise: float = 0.003
    samples: int = 3000

    def check(self) -> None:
        """Raises EvaError if a number has no meaning."""
        if min(self.faces, self.seeds) < 1 or not 0 <= self.noise < 1:
            raise EvaError("evaluation needs 1 or more faces and seeds, and noise from 0 to 1.")


class HeldOut(NamedTuple):
    """Faces of one seed, S of them.

    Attributes:
        data: the faces as they were made.
        noisy: their landmarks as the predictors see them, (S, N, 3).
        noise: its standard deviation [outer-eye distances].
        seed: number of the seed.
    """

    data: Dataset
    noisy: Array
    noise: float
    seed: int


def evaluate_model(
    model: RouteModel,
    out: str | os.PathLike[str],
    config: EvaluationConfig | None = None,
    data: Dataset | None = None,
    workers: int | Workers = 1,
) -> dict[str, Any]:
    """Scores a model beside its baselines and writes `evaluation.json` and `evaluation.png` into `out`.

    Seeds that an earlier call has finished with the same model, data and settings are kept.

    Args:
        model: of the twin.
        out: the folder; it also keeps the faces, and the babbled data where none are given.
        config: what is evaluated.
        data: to which the baselines are fitted; by default, `config.samples` expressions are babbled.
        workers: number of processes, or workers; a seed is a job. They do not change the scores.

    Returns:
        The content of `evaluation.json`.

    Raises:
        DataError: model or data belong to another face, or `out` cannot be written.
    """
    folder, config = check_output_folder(out), config or EvaluationConfig()
    config.check()
    chosen = choose_workers(workers)
    import_optional("matplotlib", "train")  # which colours the sheet
    with Twin() as twin:
        _check_face(model.spec.digest, twin, "the model")
        data = data or _babbled(folder / "data", config.samples, 0, chosen)
        _check_face(data.manifest.digest, twin, f"{data.folder}")
        stamp = _stamp(model, data, config)
        open_scoring = partial(_open_scoring, model, data, config, folder.absolute(), stamp)
        _score_seeds(open_scoring, folder, stamp, config, chosen)
        scores = [_read_scores(_seed_path(folder, seed), stamp) for seed in range(config.seeds)]
        rows = _summarise(scores)
        content = {**stamp, "seeds": config.seeds, "rows": _as_json(rows)}
        with atomic_files(folder) as part:
            write_json(part / REPORT_FILE, content)
            write_comparison_sheet(
                twin, _compare_faces(model, _held_out(folder, 0, config)), part / SHEET_FILE
            )
    title = f"{config.faces} new faces for each of {config.seeds} seeds, noise {config.noise:g}"
    print_summary(title, rows)
    return content


def _check_face(digest: str, twin: Twin, name: str) -> None:
    if digest != twin.spec.digest:
        raise DataError(
            f"{name} belongs to a face with another face.toml (other spec digest); babble and train again."
        )


def _babbled(folder: Path, samples: int, seed: int, workers: int | Workers = 1) -> Dataset:
    babble(folder, samples, seed, workers=workers, image_size=None)
    return load_dataset(folder)


def _stamp(model: RouteModel, data: Dataset, config: EvaluationConfig) -> dict[str, Any]:
    """Returns everything the scores of a seed depend on, for JSON."""
    answers = model.predict(data.landmarks[:_PROBES])  # tell models of any route apart
    return {
        "model": hashlib.sha256(answers.tobytes()).hexdigest(), "digest": model.spec.digest,
        "data": hashlib.sha256(data.commands.tobytes() + data.landmarks.tobytes()).hexdigest(),
        "faces": config.faces, "noise": config.noise,
    }  # fmt: skip


def _held_out(folder: Path, seed: int, config: EvaluationConfig) -> HeldOut:
    """Returns faces that are in no one's training data, and their noise."""
    data = _babbled(folder / f"faces-{seed}", config.faces, HELD_OUT_SEED + seed)
    drawn = np.random.default_rng([HELD_OUT_SEED, seed]).standard_normal(data.landmarks.shape)
    noisy = (data.landmarks + config.noise * drawn).astype(np.float32)
    return HeldOut(data, noisy, config.noise, seed)


def _score_seeds(
    open_scoring: OpenWork, folder: Path, stamp: dict[str, Any], config: EvaluationConfig, workers: Workers
) -> None:
    """Scores the seeds that the folder lacks; `seed-0.json` and so on hold the scores."""
    with (
        progress(does="evaluate", total=config.seeds, unit="seeds", workers=workers.count) as bar,
        closing(workers.run_jobs(open_scoring, _missing_seeds(folder, stamp, config, bar.skip))) as scored,
    ):
        for _ in scored:
            bar.update()


def _missing_seeds(
    folder: Path, stamp: dict[str, Any], config: EvaluationConfig, skipped: Callable[[int], object]
) -> Iterator[int]:
    for seed in range(config.seeds):
        if _read_scores(_seed_path(folder, seed), stamp):
            report(f"Seed {seed} is done already.")
            skipped(1)
        else:
            yield seed


def _seed_path(folder: Path, seed: int) -> Path:
    return folder / f"seed-{seed}.json"


@contextmanager
def _open_scoring(
    model: RouteModel, data: Dataset, config: EvaluationConfig, folder: Path, stamp: dict[str, Any]
) -> Iterator[Callable[[int], None]]:
    """Opens a twin; yields the function that writes the scores of a seed."""
    training = data.split()[0]
    with Twin() as twin:

        def score_seed(seed: int) -> None:
            scores = _score_rows(model, training, _held_out(folder, seed, config), twin)
            write_json(_seed_path(folder, seed), {"stamp": stamp, "scores": scores})

        yield score_seed


def _score_rows(
    model: RouteModel, training: Dataset, faces: HeldOut, twin: Twin
) -> dict[str, dict[str, float]]:
    """Returns `scores[row][score]` of one seed."""
    scores: dict[str, dict[str, float]] = {}
    for name, make in _predictors(model, training, faces, twin).items():
        commands = make().predict(faces.noisy)
        scores[name] = _score(name, commands, faces.data, twin)
    scores[FLOOR] = _floor(faces, twin)
    return scores


def _read_scores(path: Path, stamp: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Returns the scores of a seed; empty if there are none of this evaluation."""
    try:
        content = read_json(path) if path.exists() else {}
    except DataError:
        return {}
    same = isinstance(content, dict) and content.get("stamp") == stamp
    return dict(content["scores"]) if same else {}


def _predictors(
    model: RouteModel, training: Dataset, faces: HeldOut, twin: Twin
) -> dict[str, Callable[[], Predictor]]:
    """Returns what makes each row but the floor, in the order of `ROWS`."""
    commands, landmarks, seed = training.commands, training.landmarks, faces.seed
    one_layer = TrainingConfig(**{**asdict(_ONE_HIDDEN_LAYER), "seed": seed})
    return {
        "neutral": lambda: NeutralBaseline(twin.spec),
        "random command": lambda: UniformCommandBaseline(twin.spec, seed),
        "random training face": lambda: RandomCommandBaseline(commands, seed),
        "linear": lambda: LinearModel.fit(training, faces.noise),
        "nearest neighbour": lambda: NearestNeighbourBaseline(commands, landmarks),
        "one hidden layer": lambda: fit_inverse_model(training, one_layer)[0],
        MODEL: lambda: model,
        "search through the twin": lambda: CommandSolver(twin),
        TRUE: lambda: _TrueCommands(faces.data),
    }


class _TrueCommands:
    """Tells the true commands: what is left after replay is the history of the face."""

    def __init__(self, data: Dataset) -> None:
        self._commands = data.commands

    def predict(self, landmarks: Any) -> Array:
        return self._commands


def _score(name: str, commands: Array, data: Dataset, twin: Twin) -> dict[str, float]:
    """Returns the errors of some commands, before and after replay."""
    replayed = [
        replay_error(twin, command, target, data.manifest.settle)
        for command, target in zip(
            progress(commands, f"replay of {name}", unit="faces"), data.landmarks, strict=True
        )
    ]
    travel = travel_error(commands, data.commands)[:, data.spec.expressive]
    return {TRAVEL: float(travel.mean()), MILLIMETRES: float(np.mean(replayed))}


def _floor(faces: HeldOut, twin: Twin) -> dict[str, float]:
    settled, commands = SettledFace(twin), faces.data.commands.astype(float)
    floors = [noise_floor(twin.spec, settled, command, faces.noise) for command in commands]
    travel, landmarks = np.mean(floors, axis=0)
    return {TRAVEL: float(travel), MILLIMETRES: float(1000 * twin.outer_eye * landmarks)}


def _summarise(scores: list[dict[str, dict[str, float]]]) -> dict[str, dict[str, Interval]]:
    return {
        name: {score: Interval.of([each[name][score] for each in scores]) for score in scores[0][name]}
        for name in ROWS
    }


def _as_json(rows: Mapping[str, Mapping[str, Interval]]) -> dict[str, Any]:
    return {name: {score: each._asdict() for score, each in row.items()} for name, row in rows.items()}


def _compare_faces(model: RouteModel, faces: HeldOut) -> list[ComparedFaces]:
    """Returns the first faces of a seed beside those that the model makes; gaze and head rest in both."""
    predicted, rows = model.predict(faces.noisy[:_PICTURED]), model.spec.expressive
    asked = np.tile(model.spec.neutral, (len(predicted), 1))
    asked[:, rows] = faces.data.commands[:_PICTURED, rows]
    return [
        ComparedFaces(f"face {number}", target, made)
        for number, (target, made) in enumerate(zip(asked, predicted, strict=True), 1)
    ]
