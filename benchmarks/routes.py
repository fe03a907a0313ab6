"""The routes from landmarks to commands, on held-out babbling with noise on the landmarks.

    python -m benchmarks.routes DATA MODEL [MODEL ...] [--json FILE] [--noise 0.003] [--seed 0]
        [--replays 100] [--read 100]

DATA is the data set that the models were trained on; a model is a folder that `eva train` wrote. For each
model: error of commands over the actuators that move landmarks, without and with noise; error of landmarks
after replay of the commands with noise; time of one prediction. For the image route too: landmarks that are
read in imagined pictures, from those in real pictures of the same faces, and from those asked for. The
detector misses a part of a robot's motion, so the same of real pictures tells what a perfect picture would
reach. `corrected` is read as the adapter reads the robot's camera (`eva_sim.reading_correction`).

Bars, with noise: image route 0.05 of travel and 0.8 mm after replay; landmarks in imagined pictures 1 % of
the outer-eye distance.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from eva_sim import make_face
from eva_sim.agents.data.dataset import Dataset, load_dataset
from eva_sim.agents.evaluation.imagined_pictures import measure_imagined
from eva_sim.agents.evaluation.scores import replay_errors, travel_error
from eva_sim.agents.models.baselines import Array
from eva_sim.agents.models.image_route import ImageRoute
from eva_sim.agents.models.route_model import RouteModel
from eva_sim.agents.models.routes import load_model
from eva_sim.contract import Floats
from eva_sim.files import write_json

#: Predictions of one face whose median time is taken.
_TIMED = 50


class NoisyModel:
    """A model whose landmarks have noise, the same in every call.

    Args:
        model: the model.
        noise: standard deviation of each coordinate [outer-eye distances].
        seed: of the noise.
    """

    def __init__(self, model: RouteModel, noise: float, seed: int) -> None:
        self._model, self._noise, self._seed = model, noise, seed

    def predict(self, landmarks: Floats) -> Array:
        """Returns the commands for landmarks to which noise was added."""
        return self._model.predict(add_noise(landmarks, self._noise, self._seed))


def add_noise(landmarks: Floats, noise: float, seed: int) -> Floats:
    """Returns landmarks with Gaussian noise of a standard deviation on each coordinate."""
    noisy: Floats = landmarks + np.random.default_rng(seed).normal(0, noise, landmarks.shape)
    return noisy


def measure(model: RouteModel, data: Dataset, held_out: Dataset, given: argparse.Namespace) -> dict[str, Any]:
    """Returns the figures of one model."""
    moving, noisy = data.spec.expressive, NoisyModel(model, given.noise, given.seed)
    predicted = {"clean": model.predict(held_out.landmarks), "noisy": noisy.predict(held_out.landmarks)}
    errors = {
        f"travel_{name}": float(travel_error(commands, held_out.commands)[:, moving].mean())
        for name, commands in predicted.items()
    }
    manifest, few = data.manifest, held_out.take(np.arange(min(given.replays, len(held_out))))
    with make_face(manifest.body, **manifest.options) as face:
        replay = replay_errors(face, noisy, few.landmarks, manifest.settle)
        imagined = {}
        if isinstance(model, ImageRoute):
            few = held_out.take(np.arange(min(given.read, len(held_out))))
            asked = add_noise(few.landmarks, given.noise, given.seed)
            found = measure_imagined(
                face, model.self_image, asked, few.landmarks, few.commands, manifest.settle
            )
            imagined = {f"imagined_{name}": value for name, value in vars(found).items()}
    return {**errors, "replay_mm": replay["mean"], "predict_ms": predict_time(model), **imagined}


def predict_time(model: RouteModel) -> float:
    """Returns the median time of a prediction of one face [ms]."""
    times = []
    for _ in range(_TIMED):
        began = time.perf_counter()
        model.predict(model.neutral)
        times.append(time.perf_counter() - began)
    return 1000 * float(np.median(times))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("models", type=Path, nargs="+")
    parser.add_argument("--json", type=Path, help="file for the metrics")
    parser.add_argument("--noise", type=float, default=0.003, help="of each landmark coordinate")
    parser.add_argument("--seed", type=int, default=0, help="of the noise")
    parser.add_argument("--replays", type=int, default=100, help="faces that are replayed")
    parser.add_argument("--read", type=int, default=100, help="imagined pictures that the detector reads")
    given = parser.parse_args()
    data = load_dataset(given.data)
    held_out = data.split()[1]
    rows = {str(folder): measure(load_model(folder), data, held_out, given) for folder in given.models}
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    table = Table(title=f"{len(held_out)} held-out faces, noise {given.noise}")
    table.add_column("", no_wrap=True)
    for folder in given.models:
        table.add_column(folder.name)
    for name in names:
        table.add_row(name, *(f"{row[name]:.4f}" if name in row else "" for row in rows.values()))
    Console().print(table)
    if given.json:
        write_json(given.json, rows)


if __name__ == "__main__":
    main()
