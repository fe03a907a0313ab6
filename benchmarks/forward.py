"""Accuracy and speed of the forward model beside simpler ones, on babbled faces that were not fitted.

    python -m benchmarks.forward
    python -m benchmarks.forward --data out/data

Without a data set, it babbles 3,000 expressions in out/benchmarks/forward. Each seed holds out other shards.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from eva_sim.agents.data.babbling import babble
from eva_sim.agents.data.dataset import Dataset, load_dataset
from eva_sim.agents.evaluation.summary import Interval
from eva_sim.agents.models.forward import ForwardModel
from eva_sim.contract import Floats

FOLDER, SAMPLES, CALLS = Path("out/benchmarks/forward"), 3000, 2000
#: Ratio of the errors of a linear model and of a better one in Ren and Huang, IEEE THMS 46(6), 2016.
AIM = 2.6
Predict = Callable[[Floats], Floats]


def pulls_and_moves(data: Dataset) -> tuple[Floats, Floats]:
    """Commands less rest, (S, M), and displacements, (S, 3 N), of a data set."""
    pulls = (data.commands - data.spec.neutral)[:, data.spec.expressive].astype(float)
    return pulls, (data.landmarks - data.neutral).reshape(len(data), -1).astype(float)


def fit_polynomial(features: Callable[[Floats], Floats], pulls: Floats, moves: Floats) -> Predict:
    """Least squares of displacements by features of the pulls."""
    weights = np.linalg.lstsq(features(pulls), moves, rcond=None)[0]
    return lambda asked: features(asked) @ weights


def quadratic(pulls: Floats) -> Floats:
    """Pulls and products of two pulls."""
    i, j = np.triu_indices(pulls.shape[1])
    return np.concatenate([pulls, pulls[:, i] * pulls[:, j]], axis=1)


def errors(data: Dataset, seed: int) -> dict[str, float]:
    """Mean distance of the landmarks of held-out faces from each prediction [mm]."""
    training, held_out = (pulls_and_moves(part) for part in data.split(seed=seed))
    model = ForwardModel.fit(*training)
    predicted: dict[str, Predict] = {
        "rest": lambda asked: np.zeros_like(held_out[1]),
        "linear": fit_polynomial(lambda pulls: pulls, *training),
        "quadratic": fit_polynomial(quadratic, *training),
        "forward model": lambda asked: np.array([model(each) for each in asked]),
    }
    wrong = {name: predict(held_out[0]) - held_out[1] for name, predict in predicted.items()}
    return {
        name: float(1000 * data.outer_eye * np.linalg.norm(each.reshape(len(each), -1, 3), axis=2).mean())
        for name, each in wrong.items()
    }


def milliseconds(function: Callable[[], object]) -> float:
    """Mean duration of a call."""
    function()
    started = time.perf_counter()
    for _ in range(CALLS):
        function()
    return 1000 * (time.perf_counter() - started) / CALLS


def measure(data: Dataset, seeds: int) -> dict[str, Interval]:
    """Errors of each model over the seeds [mm], and how much better than linear it is."""
    rows = [errors(data, seed) for seed in range(seeds)]
    ratios = [row["linear"] / row["forward model"] for row in rows]
    found = {name: Interval.of([row[name] for row in rows]) for name in rows[0]}
    return {**found, f"linear / forward model (aim {AIM})": Interval.of(ratios)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="a babbled data set")
    parser.add_argument("--seeds", type=int, default=3, help="number of splits")
    arguments = parser.parse_args()
    if arguments.data is None:
        babble(FOLDER, SAMPLES, image_size=None)
    data = load_dataset(arguments.data or FOLDER)
    table = Table(
        "model", "error on held-out faces [mm]", title=f"{len(data)} faces, {arguments.seeds} splits"
    )
    for name, interval in measure(data, arguments.seeds).items():
        table.add_row(name, interval.describe(3))
    Console().print(table)
    pulls, moves = pulls_and_moves(data)
    model, pull = ForwardModel.fit(pulls, moves), pulls[0]
    spent = milliseconds(lambda: model(pull)), milliseconds(lambda: model.jacobian(pull))
    Console().print("a call takes {:.3f} ms, its jacobian {:.3f} ms".format(*spent))


if __name__ == "__main__":
    main()
