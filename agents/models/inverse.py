"""The inverse model: landmarks to the commands that make them.

A small network, trained on a face's own babbling: landmarks in, commands of the actuators that
move landmarks out. As in Chen et al., ICRA 2021, and Hu et al., Science Robotics 9(88), 2024.
"""

from __future__ import annotations

import copy
import io
import math
import os
import zipfile
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from eva_sim.agents.data.dataset import Dataset, check_landmark_set
from eva_sim.agents.models.baselines import Array
from eva_sim.agents.models.forward import ForwardModel
from eva_sim.contract import FaceSpec, Floats, parse_spec
from eva_sim.errors import DataError
from eva_sim.files import atomic_path, unreadable
from eva_sim.landmarks import POINTS
from eva_sim.progress import progress, report
from eva_sim.torch_threads import let_torch_survive_forks, one_torch_thread

let_torch_survive_forks()

MODEL_FILE = "inverse.pt"
#: Folder of the model that comes with the package, among the assets.
SHIPPED_MODEL = "models/eva"
#: Rises when earlier checkpoints can no longer be read. 4: the forward model is of third order.
FORMAT = 4
#: Arrays of the forward model in a checkpoint, in the order of its arguments.
_FORWARD = ("linear", "products", "modes")
_NO_MODEL = "is damaged or not a model"
#: Units of the hidden layers, unless the recipe says otherwise.
HIDDEN = (512, 512)
_FEW = 16  # faces whose commands one thread predicts in a millisecond
#: The output may overshoot the ends of travel by this factor before it is clipped, or the ends,
#: where most resting muscles are, could never be reached.
OVERSHOOT = 1.05
#: Percentiles of the babbled landmarks that `range_low` and `range_high` hold.
_RANGE = (1.0, 99.0)


@dataclass(frozen=True)
class TrainingConfig:
    """Hyperparameters of the training.

    Attributes:
        epochs: passes over the data at most.
        patience: epochs without a better validation error before stopping.
        batch: samples per step.
        rate: first learning rate of AdamW; it falls to zero along a cosine.
        decay: weight decay.
        noise: standard deviation of Gaussian noise on each landmark coordinate [outer-eye
            distances], so that the map is smooth under a detector's jitter, which is about 0.002.
        floor: smallest deviation a coordinate is divided by [outer-eye distances], so that points
            that hardly move do not count as much as those that do.
        validation: share of the shards that decides when to stop.
        hidden: units of each hidden layer.
        seed: of everything random.
    """

    epochs: int = 300
    patience: int = 60
    batch: int = 128
    rate: float = 1e-3
    decay: float = 1e-4
    noise: float = 0.002
    floor: float = 0.004
    validation: float = 0.1
    hidden: tuple[int, ...] = HIDDEN
    seed: int = 0


class InverseModel:
    """Maps landmarks to commands. Make one with `fit_inverse_model` or `load`.

    Attributes:
        spec: of the face that babbled.
        neutral: landmarks of the face that babbled, at rest, (N, 3) [outer-eye distances].
        range_low: 1st percentile of its babbled landmarks, (N, 3).
        range_high: 99th percentile of its babbled landmarks, (N, 3).
        forward_model: of the same face: pulls of the actuators that move landmarks to displacement, (3 N,).
        network: landmarks, flat and normalised, (B, 3 N) to M numbers before tanh, one for each actuator
            that moves landmarks.
        mean: subtracted from flat landmarks before the network, (3 N,).
        scale: by which they are divided then, (3 N,).
    """

    def __init__(
        self,
        spec: FaceSpec,
        neutral: Array,
        range_low: Array,
        range_high: Array,
        mean: Array,
        scale: Array,
        forward_model: ForwardModel,
        hidden: tuple[int, ...] = HIDDEN,
    ) -> None:
        self.spec, self.forward_model = spec, forward_model
        self.neutral, self.range_low, self.range_high = neutral, range_low, range_high
        self.mean, self.scale = torch.from_numpy(mean), torch.from_numpy(scale)
        self.network = _network(neutral.size, *hidden, len(spec.expressive))

    @classmethod
    def untrained(cls, data: Dataset, floor: float, hidden: tuple[int, ...] = HIDDEN) -> Self:
        """Returns a model with random weights; everything else is fitted to the data."""
        flat = data.landmarks.reshape(len(data), -1)
        low, high = np.percentile(data.landmarks, _RANGE, axis=0).astype(np.float32)
        pulls = (data.commands - data.spec.neutral)[:, data.spec.expressive]
        forward_model = ForwardModel.fit(pulls, flat - data.neutral.ravel())
        scale = flat.std(0).clip(floor)
        return cls(data.spec, data.neutral, low, high, flat.mean(0), scale, forward_model, hidden)

    def predict(self, landmarks: Floats) -> Array:
        """Predicts the commands that make the given faces; gaze and head pose rest.

        Args:
            landmarks: aligned, (N, 3) or (B, N, 3) [outer-eye distances].

        Returns:
            float32 (25,) or (B, 25) in [-1, 1].

        Raises:
            DataError: another shape, or not finite.
        """
        points = np.asarray(landmarks, dtype=np.float32)
        if points.ndim not in (2, 3) or points.shape[-2:] != self.neutral.shape:
            raise DataError(
                f"landmarks have shape (N, 3) or (B, N, 3), N = {len(POINTS)}, not {points.shape}."
            )
        if not np.isfinite(points).all():
            raise DataError("landmarks hold values that are not finite; mask lost frames first.")
        few = points.ndim == 2 or len(points) <= _FEW
        with torch.inference_mode(), one_torch_thread() if few else nullcontext():
            output = self(torch.tensor(points.reshape(-1, self.neutral.size)))
        commands = np.tile(self.spec.neutral, (len(output), 1))
        commands[:, self.spec.expressive] = output.numpy().clip(-1, 1)
        return commands.reshape(*points.shape[:-2], len(self.spec))

    def __call__(self, flat: Tensor) -> Tensor:
        """Applies the network and its normalisation: (B, 3 N) -> (B, M), not clipped."""
        output: Tensor = self.network((flat - self.mean) / self.scale)
        return OVERSHOOT * torch.tanh(output)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the model atomically."""
        arrays = {
            name: torch.from_numpy(getattr(self, name)) for name in ("neutral", "range_low", "range_high")
        }
        content = {
            "format": FORMAT, "spec": self.spec.text, "digest": self.spec.digest, "points": list(POINTS),
            "network": self.network.state_dict(), "mean": self.mean, "scale": self.scale, **arrays,
            **{name: torch.from_numpy(getattr(self.forward_model, name)) for name in _FORWARD},
        }  # fmt: skip
        buffer = io.BytesIO()  # torch itself hides why a file could not be written
        torch.save(content, buffer)
        with atomic_path(path) as part:
            part.write_bytes(buffer.getbuffer())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Reads a model.

        Raises:
            DataError: missing, damaged, of an earlier version, or of another landmark set.
        """
        if not Path(path).exists():
            raise DataError(f"{path} does not exist; train a model with `eva train`.")
        try:
            with zipfile.ZipFile(path) as file:
                if file.testzip():  # torch itself does not look at checksums
                    raise ValueError("wrong checksum")
            content = torch.load(path, map_location="cpu", weights_only=True)
            version, points = content.get("format"), tuple(content["points"])
        except Exception as error:  # zip, pickle and torch each have their own
            raise unreadable(path, error, "train it again with `eva train`", _NO_MODEL) from error
        if version != FORMAT:
            raise DataError(f"{path} was trained by an earlier version; train it again with `eva train`.")
        check_landmark_set(points, str(path))
        try:
            names = ("neutral", "range_low", "range_high", "mean", "scale")
            forward_model = ForwardModel(*(content[name].numpy() for name in _FORWARD))
            arrays = {name: content[name].numpy() for name in names}
            spec = parse_spec(content["spec"])
            if spec.digest != content["digest"]:
                raise ValueError("its actuator table has another digest")
            weights = [each for name, each in content["network"].items() if name.endswith("weight")]
            hidden = tuple(len(each) for each in weights[:-1])
            model = cls(spec, **arrays, forward_model=forward_model, hidden=hidden)
            model.network.load_state_dict(content["network"])
        except (KeyError, AttributeError, RuntimeError, TypeError, ValueError) as error:
            raise unreadable(path, error, "train it again with `eva train`", _NO_MODEL) from error
        return model


def _network(*widths: int) -> nn.Sequential:
    """Returns linear layers from each width to the next, with SiLU between them."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layers += [nn.Linear(inputs, outputs), nn.SiLU()]
    return nn.Sequential(*layers[:-1])


def fit_inverse_model(data: Dataset, config: TrainingConfig) -> tuple[InverseModel, list[float]]:
    """Trains on a data set, without the shards that decide when to stop.

    Returns:
        The model at its best epoch, and the validation error of every epoch [fraction of travel].
    """
    # The network is small: one thread is faster than two, and four times as fast beside other work.
    with torch.random.fork_rng(devices=[]), one_torch_thread():
        torch.manual_seed(config.seed)
        training, validation = data.split(config.validation, config.seed)
        model = InverseModel.untrained(training, config.floor, config.hidden)
        history = _descend(model, _tensors(training), _tensors(validation), config)
        report(
            f"Training ended after {len(history)} of at most {config.epochs} epochs; "
            f"error on faces not trained on: {min(history):.3f} of travel."
        )
    return model, history


def _descend(
    model: InverseModel,
    training: tuple[Tensor, Tensor],
    validation: tuple[Tensor, Tensor],
    config: TrainingConfig,
) -> list[float]:
    network = model.network
    optimiser = torch.optim.AdamW(network.parameters(), config.rate, weight_decay=config.decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda e: _cosine(e / config.epochs))
    history: list[float] = []
    best: dict[str, Any] = {}
    with progress(does="train", total=config.epochs, unit="epochs") as bar:
        while len(history) < config.epochs and len(history) - _best_epoch(history) <= config.patience:
            _epoch(model, training, config, optimiser)
            schedule.step()
            history.append(_validate(model, validation))
            if history[-1] == min(history):
                best = copy.deepcopy(network.state_dict())
            bar.set_postfix(mae=f"{min(history):.4f}", refresh=False)
            bar.update()
    network.load_state_dict(best)
    return history


def _cosine(progress: float) -> float:
    return (1 + math.cos(math.pi * progress)) / 2


def _best_epoch(history: list[float]) -> int:
    return int(np.argmin(history)) + 1 if history else 0


def _epoch(
    model: InverseModel, data: tuple[Tensor, Tensor], config: TrainingConfig, optimiser: torch.optim.Optimizer
) -> None:
    landmarks, commands = data
    for rows in torch.randperm(len(landmarks)).split(config.batch):
        noisy = landmarks[rows] + config.noise * torch.randn_like(landmarks[rows])
        loss = nn.functional.smooth_l1_loss(model(noisy), commands[rows], beta=0.05)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def _validate(model: InverseModel, data: tuple[Tensor, Tensor]) -> float:
    with torch.inference_mode():
        return float((model(data[0]).clamp(-1, 1) - data[1]).abs().mean() / 2)


def _tensors(data: Dataset) -> tuple[Tensor, Tensor]:
    flat = data.landmarks.reshape(len(data), -1)
    return torch.from_numpy(flat), torch.from_numpy(data.commands[:, data.spec.expressive])
