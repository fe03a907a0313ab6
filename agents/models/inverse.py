"""The inverse model: landmarks to the commands that make them.

A small network, trained on a face's own babbling: landmarks in, commands of the actuators that
move landmarks out. As in Chen et al., ICRA 2021, and Hu et al., Science Robotics 9(88), 2024.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from eva_sim.agents.data.dataset import Dataset
from eva_sim.agents.models.babbled_face import BabbledFace
from eva_sim.agents.models.baselines import Array
from eva_sim.agents.models.prediction import predict_commands
from eva_sim.agents.models.route_model import RouteModel
from eva_sim.agents.models.training_log import log_loss
from eva_sim.agents.models.training_state import TrainingState
from eva_sim.contract import Floats
from eva_sim.progress import progress, report
from eva_sim.torch_threads import let_torch_survive_forks, one_torch_thread

let_torch_survive_forks()

#: Folder of the model that comes with the package, among the assets.
SHIPPED_MODEL = "models/eva"
#: Units of the hidden layers, unless the recipe says otherwise.
HIDDEN = (512, 512)
#: The output may overshoot the ends of travel by this factor before it is clipped, or the ends,
#: where most resting muscles are, could never be reached.
OVERSHOOT = 1.05


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


class InverseModel(RouteModel):
    """Maps landmarks to commands. Make one with `fit_inverse_model` or `load`.

    Args:
        face: that babbled.
        mean: subtracted from flat landmarks before the network, (3 N,).
        scale: by which they are divided then, (3 N,).
        hidden: units of each hidden layer.

    Attributes:
        mean, scale: as given.
        network: landmarks, flat and normalised, (B, 3 N) to M numbers before tanh, one for each actuator
            that moves landmarks.
    """

    route = "direct"

    def __init__(
        self, face: BabbledFace, mean: Array, scale: Array, hidden: tuple[int, ...] = HIDDEN
    ) -> None:
        super().__init__(face)
        self.mean, self.scale = torch.from_numpy(mean), torch.from_numpy(scale)
        self.network = _network(face.neutral.size, *hidden, len(face.spec.expressive))

    @classmethod
    def untrained(cls, data: Dataset, floor: float, hidden: tuple[int, ...] = HIDDEN) -> Self:
        """Returns a model with random weights; everything else is fitted to the data."""
        flat = data.landmarks.reshape(len(data), -1)
        return cls(BabbledFace.of(data), flat.mean(0), flat.std(0).clip(floor), hidden)

    def predict(self, landmarks: Floats) -> Array:
        return predict_commands(self.spec, landmarks, self)

    def __call__(self, flat: Tensor) -> Tensor:
        """Applies the network and its normalisation: (B, 3 N) -> (B, M), not clipped."""
        output: Tensor = self.network((flat - self.mean) / self.scale)
        return OVERSHOOT * torch.tanh(output)

    def content(self) -> dict[str, Any]:
        network = {"network": self.network.state_dict(), "mean": self.mean, "scale": self.scale}
        return {**super().content(), **network}

    @classmethod
    def from_content(cls, content: dict[str, Any]) -> Self:
        mean, scale = (content[name].numpy() for name in ("mean", "scale"))
        weights = [each for name, each in content["network"].items() if name.endswith("weight")]
        hidden = tuple(len(each) for each in weights[:-1])
        model = cls(BabbledFace.from_content(content), mean, scale, hidden)
        model.network.load_state_dict(content["network"])
        return model


def _network(*widths: int) -> nn.Sequential:
    """Returns linear layers from each width to the next, with SiLU between them."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layers += [nn.Linear(inputs, outputs), nn.SiLU()]
    return nn.Sequential(*layers[:-1])


def fit_inverse_model(
    data: Dataset, config: TrainingConfig, state: TrainingState | None = None
) -> tuple[InverseModel, list[float]]:
    """Trains on a data set, without the shards that decide when to stop.

    Args:
        data: samples to learn from.
        config: hyperparameters.
        state: from which the training goes on, and in which it is kept; by default it is not kept.

    Returns:
        The model at its best epoch, and the validation error of every epoch [fraction of travel].
    """
    # The network is small: one thread is faster than two, and four times as fast beside other work.
    with torch.random.fork_rng(devices=[]), one_torch_thread():
        torch.manual_seed(config.seed)
        training, validation = data.split(config.validation, config.seed)
        model = InverseModel.untrained(training, config.floor, config.hidden)
        tensors = _tensors(training), _tensors(validation)
        history = _descend(model, *tensors, config, state or TrainingState(None, {}))
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
    state: TrainingState,
) -> list[float]:
    network = model.network
    optimiser = torch.optim.AdamW(network.parameters(), config.rate, weight_decay=config.decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda e: _cosine(e / config.epochs))
    history: list[float] = []
    best: dict[str, Any] = {}
    if earlier := state.read():
        history, best = earlier["history"], earlier["best"]
        for part in (network, optimiser, schedule):
            part.load_state_dict(earlier[type(part).__name__])
        torch.set_rng_state(earlier["random"])

    def content() -> dict[str, Any]:
        parts = {type(part).__name__: part.state_dict() for part in (network, optimiser, schedule)}
        normaliser = {"mean": model.mean, "scale": model.scale}
        kept = {"history": history, "best": best, "random": torch.get_rng_state(), "normaliser": normaliser}
        return {**parts, **kept}

    with progress(does="train", total=config.epochs, initial=len(history), unit="epochs") as bar:
        while len(history) < config.epochs and len(history) - _best_epoch(history) <= config.patience:
            _epoch(model, training, config, optimiser)
            schedule.step()
            history.append(_validate(model, validation))
            log_loss("direct/validation_error", history[-1], len(history))
            if history[-1] == min(history):
                best = copy.deepcopy(network.state_dict())
            bar.set_postfix(mae=f"{min(history):.4f}", refresh=False)
            bar.update()
            state.write(content, f"{len(history)} epochs")
    state.write(content, f"{len(history)} epochs", finished=True)
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
