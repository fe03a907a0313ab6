"""Errors of predicted commands: compared with the true ones, and replayed on the face."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from eva_sim.agents.data.dataset import Dataset
from eva_sim.agents.models.baselines import (
    Array,
    NearestNeighbourBaseline,
    NeutralBaseline,
    Predictor,
    RandomCommandBaseline,
)
from eva_sim.contract import Face, Floats
from eva_sim.plots import write_plot
from eva_sim.progress import progress
from eva_sim.settling import hold

Scores = dict[str, dict[str, float]]


def compare_with_baselines(model: Predictor, train: Dataset, held_out: Dataset, seed: int = 0) -> Scores:
    """Scores the model beside nearest neighbour, a random training command, and neutral.

    Returns:
        `scores[row][predictor]`: mean absolute error in fractions of travel, for each actuator
        that moves landmarks and for `"overall"`, their mean.
    """
    predictors: dict[str, Predictor] = {
        "model": model,
        "nearest": NearestNeighbourBaseline(train.commands, train.landmarks),
        "random": RandomCommandBaseline(train.commands, seed),
        "neutral": NeutralBaseline(held_out.spec),
    }
    return score_predictors(predictors, held_out)


def score_predictors(predictors: Mapping[str, Predictor], data: Dataset) -> Scores:
    """Returns the mean absolute errors of some predictors, as `compare_with_baselines` does."""
    moving = data.spec.expressive
    errors = {
        name: travel_error(p.predict(data.landmarks), data.commands)[:, moving].mean(0)
        for name, p in predictors.items()
    }
    table = {
        data.spec.names[actuator]: {name: float(error[row]) for name, error in errors.items()}
        for row, actuator in enumerate(moving)
    }
    return {"overall": {name: float(error.mean()) for name, error in errors.items()}, **table}


def travel_error(predicted: Array, true: Array) -> Array:
    """Returns the absolute difference of commands, in fractions of travel (whose ends are -1 and 1)."""
    return np.abs(predicted - true) / 2


def replay_errors(face: Face, predictor: Predictor, landmarks: Array, settle: int) -> dict[str, float]:
    """Sends the predicted commands to a face and measures the faces they make.

    Each one starts from neutral, without history, and its command is held for `settle` steps.

    Args:
        face: an open face; it is reset.
        predictor: predicts the commands.
        landmarks: target faces, (S, N, 3).
        settle: control steps to hold; as in babbling with `data.manifest.settle`.

    Returns:
        `mean`, `median` and `p95` over the faces of the mean distance of the points [mm].
    """
    commands = progress(predictor.predict(landmarks), "replay", unit="faces")
    errors = [
        replay_error(face, command, target, settle)
        for command, target in zip(commands, landmarks, strict=True)
    ]
    return {
        "mean": float(np.mean(errors)),
        "median": float(np.median(errors)),
        "p95": float(np.percentile(errors, 95)),
    }


def replay_error(face: Face, command: Array, target: Floats, settle: int) -> float:
    """Sends a command to a face that starts from neutral; returns how far its points end from the target.

    Args:
        face: an open face; it is reset.
        command: (25,) in [-1, 1].
        target: landmarks, (N, 3) [outer-eye distances].
        settle: control steps to hold.

    Returns:
        Mean distance of the points [mm].
    """
    face.reset()
    reading = hold(face, command, settle)
    return float(1000 * face.outer_eye * np.linalg.norm(reading.landmarks - target, axis=1).mean())


def print_scores(scores: Scores, console: Console | None = None) -> None:
    """Prints a table of mean absolute errors, in percent of travel."""
    table = Table("actuator", *scores["overall"], title="mean absolute error [% of travel]")
    for row, values in scores.items():
        table.add_row(
            row, *(f"{100 * v:.1f}" for v in values.values()), style="bold" if row == "overall" else None
        )
    (console or Console(emoji=False)).print(table)


def plot_scores(scores: Scores, path: Path) -> None:
    """Draws the errors of each actuator as bars, one colour per predictor, into a picture file."""
    with write_plot(path, dpi=120, figsize=(10, 4.5), layout="constrained") as figure:
        axes: Any = figure.subplots()
        names, predictors = list(scores), list(scores["overall"])
        width = 0.8 / len(predictors)
        for i, predictor in enumerate(predictors):
            heights = [100 * scores[name][predictor] for name in names]
            axes.bar(np.arange(len(names)) + i * width, heights, width, label=predictor)
        axes.set_xticks(np.arange(len(names)) + 0.4 - width / 2, names, rotation=60, ha="right")
        axes.set_ylabel("mean absolute error [% of travel]")
        axes.legend()
