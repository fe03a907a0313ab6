"""Training of the history model: through a learned motion of the face, on the model's own roll-outs.

Faces that move side by side are asked for random motions. From what they did, a network learns how commands
move this face. Through that network the history model is rolled out and descends: it makes its errors itself,
and learns to undo them. Then the faces move by the new model, and both networks learn on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from eva_sim.agents.data.motion import sample_motion
from eva_sim.agents.models.descent import Descent, descend
from eva_sim.agents.models.history import (
    ASKED,
    SENT,
    History,
    HistoryModel,
    HistoryNetwork,
    answer_directly,
    command_delay_steps,
)
from eva_sim.agents.models.inverse import InverseModel
from eva_sim.agents.models.prediction import whole_commands
from eva_sim.agents.models.training_state import TrainingState
from eva_sim.contract import FaceSpec
from eva_sim.errors import DataError
from eva_sim.progress import progress, report
from eva_sim.torch_threads import one_torch_thread

#: Share of moves that are steps, in training.
SUDDEN = 0.15


class ManyReadings(Protocol):
    """Readings of N faces; see `Reading`."""

    sent: NDArray[np.float32]
    position: NDArray[np.float32]
    landmarks: NDArray[np.float32]


class ManyFaces(Protocol):
    """N faces that move side by side, such as `Twins`."""

    spec: FaceSpec
    faces: int

    def reset(self) -> None:
        """Puts all faces at rest."""

    def read(self) -> Any:
        """Returns `ManyReadings` of all faces now."""

    def move(self, commands: NDArray[np.float32]) -> Any:
        """Sends one command to each face, (N, 25), and returns `ManyReadings`."""


@dataclass(frozen=True)
class HistoryConfig:
    """Hyperparameters of the training.

    Attributes:
        rounds: of moving the faces and learning from it.
        seconds: that each face moves in a round [s].
        motion_steps: of the descent of the face's motion, in each round.
        steps: of the descent of the history model, in each round.
        batch: roll-outs of a step of the latter; samples of a step of the former are eight times as many.
        length: of a roll-out [control steps].
        rate: first learning rate of AdamW; it falls to zero along a cosine.
        decay: weight decay.
        noise: largest standard deviation of the noise of what is asked [command]. That of a roll-out is
            drawn below it.
        smoothness: weight of the third difference of the face, beside the distance to what is asked.
        seed: of everything random.
    """

    rounds: int = 2
    seconds: float = 40.0
    motion_steps: int = 400
    steps: int = 400
    batch: int = 64
    length: int = 32
    rate: float = 2e-3
    decay: float = 1e-4
    noise: float = 0.012
    smoothness: float = 0.1
    seed: int = 0


class Motion(NamedTuple):
    """What B faces were asked and did in T steps, in commands of the M actuators that move landmarks.

    Attributes:
        asked: without noise, (B, T, M).
        sent: commands, (B, T, M).
        position: before each step and after the last, (B, T + 1, M).
        seen: the same of the face, as the direct route answers it.
        behind: the same of `History.behind`.
    """

    asked: Tensor
    sent: Tensor
    position: Tensor
    seen: Tensor
    behind: Tensor


class FaceMotion(nn.Module):
    """How commands move a face: servos by the actuator table, the face that they make by a network.

    Args:
        spec: of the face.
        hidden: units of each of two hidden layers.
    """

    travel: Tensor
    delay: Tensor

    def __init__(self, spec: FaceSpec, hidden: int = 128) -> None:
        super().__init__()
        moving, width = spec.expressive, spec.column("high") - spec.column("low")
        travel = 2 * spec.column("rate") * spec.control_dt / width
        self.register_buffer("travel", torch.from_numpy(travel[moving].astype(np.float32)))
        self.register_buffer("delay", torch.from_numpy(spec.column("delay")[moving].astype(np.int64)))
        actuators = len(moving)
        self.layers = nn.Sequential(
            nn.Linear(3 * actuators, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU(),
            nn.Linear(hidden, actuators),
        )  # fmt: skip

    def move(self, sent: Tensor, position: Tensor) -> Tensor:
        """Returns positions, (B, M), one step later; `sent` is (B, SENT, M), the newest command first."""
        target = sent.gather(1, self.delay.expand(len(sent), 1, -1))[:, 0]
        return position + (target - position).clamp(-self.travel, self.travel)

    def forward(self, moved: Tensor, position: Tensor, seen: Tensor) -> Tensor:
        """Returns the face after a step, (B, M), as the direct route answers it.

        Args:
            moved: positions after the step, (B, M).
            position: before it.
            seen: the face before it.
        """
        change: Tensor = self.layers(torch.cat([moved, moved - position, seen - position], 1))
        return moved + change


def fit_history_model(
    direct: InverseModel, faces: ManyFaces, config: HistoryConfig
) -> tuple[HistoryModel, dict[str, list[float]]]:
    """Trains a history model for a face.

    Args:
        direct: the direct route of that face.
        faces: that move.
        config: hyperparameters.

    Returns:
        The model, and the losses of both networks [outer-eye distances], the mean of every hundred steps.

    Raises:
        DataError: the faces are not those of the model, or their commands take effect too late.
    """
    if direct.spec.digest != faces.spec.digest:
        raise DataError(
            "the model and the faces that move have other actuator tables; take those of one face."
        )
    with torch.random.fork_rng(devices=[]), one_torch_thread():
        torch.manual_seed(config.seed)
        training = _Training(direct, faces, config)
        for number in range(config.rounds):
            training.advance(number)
    return HistoryModel(direct, training.network), training.losses


class _Training:
    """The networks and what they learn from."""

    def __init__(self, direct: InverseModel, faces: ManyFaces, config: HistoryConfig) -> None:
        self._direct, self._faces, self._config = direct, faces, config
        self._moving = direct.spec.expressive
        self._motion = FaceMotion(direct.spec)
        self._late = command_delay_steps(direct.spec)
        if self._late >= SENT:
            raise DataError(
                f"commands of this face take effect after up to {self._late} control steps; "
                f"the history model looks back on {SENT - 1}. Use another route."
            )
        self._measure = visible_size(direct)
        self.network = HistoryNetwork(len(self._moving))
        self._recorded: list[Motion] = []
        self.losses: dict[str, list[float]] = {"motion": [], "model": []}

    def advance(self, number: int) -> None:
        """Moves the faces by the present model, and trains both networks on all that was recorded."""
        config, rng = self._config, np.random.default_rng([self._config.seed, number])
        self._recorded.append(self._move_faces(rng))
        self._all = Motion(*(torch.cat(parts) for parts in zip(*self._recorded, strict=True)))
        state = TrainingState(None, {})
        for name, network, loss, steps in (
            ("motion", self._motion, self._motion_loss, config.motion_steps),
            ("model", self.network, self._model_loss, config.steps),
        ):
            descent = Descent(steps, config.rate, config.decay, config.seed + number)
            does = f"{name}, round {number + 1} of {config.rounds}"
            logged_as = f"{name}/loss_of_round_{number + 1}"
            self.losses[name] += descend(network, loss, descent, state, does=does, logged_as=logged_as)
        report(
            f"Round {number + 1} of {config.rounds}: the face's motion is known to "
            f"{self.losses['motion'][-1]:.4f} outer-eye distances; the model's loss is "
            f"{self.losses['model'][-1]:.4f}."
        )

    def _move_faces(self, rng: np.random.Generator) -> Motion:
        spec, steps = self._faces.spec, round(self._config.seconds / self._faces.spec.control_dt)
        motions = np.stack([sample_motion(spec, steps, rng, SUDDEN) for _ in range(self._faces.faces)])
        asked = torch.from_numpy(motions[:, :, self._moving])
        noise = torch.from_numpy(rng.normal(0, 1, asked.shape).astype(np.float32))
        level = torch.from_numpy(rng.uniform(0, self._config.noise, (len(asked), 1, 1)).astype(np.float32))
        return move_faces(self._faces, self._direct, self.network, asked, asked + level * noise)

    def _motion_loss(self, generator: torch.Generator) -> Tensor:
        """Distance between the faces that were read and those that the motion network predicts."""
        rows, steps = self._draw(8 * self._config.batch, 0, 1, generator)
        position, moved = (self._all.position[rows, steps + later][:, 0] for later in (0, 1))
        seen, after = (self._all.seen[rows, steps + later][:, 0] for later in (0, 1))
        return self._distance(self._motion(moved, position, seen) - after)

    def _model_loss(self, generator: torch.Generator) -> Tensor:
        """Distance to what was asked, and third difference, along roll-outs of the history model."""
        config, late = self._config, self._late
        rows, steps = self._draw(config.batch, ASKED, config.length, generator)
        clean = self._all.asked[rows, steps]
        level = config.noise * torch.rand((len(clean), 1, 1), generator=generator)
        noisy = clean + level * torch.randn(clean.shape, generator=generator)
        first = steps[:, ASKED : ASKED + 1]
        past = History(
            asked=noisy[:, :ASKED].flip(1),
            sent=self._all.sent[rows, first - 1 - torch.arange(SENT)],
            position=self._all.position[rows, first][:, 0],
            seen=self._all.seen[rows, first][:, 0],
            behind=self._all.behind[rows, first][:, 0],
            late=late,
        )
        seen = self._roll_out(past, noisy[:, ASKED:])
        reached = self._distance(seen[:, late:] - clean[:, ASKED : ASKED + config.length - late])
        return reached + config.smoothness * self._distance(seen.diff(n=3, dim=1))

    def _roll_out(self, past: History, asked: Tensor) -> Tensor:
        """Returns the faces that the history model makes of what is asked, (B, T, M) each."""
        faces = []
        for each in asked.unbind(1):
            past = past.with_asked(each)
            command = self.network(past)
            sent = torch.cat([command[:, None], past.sent[:, :-1]], 1)
            moved = self._motion.move(sent, past.position)
            past = past.with_reading(command, moved, self._motion(moved, past.position, past.seen))
            faces.append(past.seen)
        return torch.stack(faces, 1)

    def _draw(
        self, count: int, before: int, length: int, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Draws stretches of what was recorded: rows, (count, 1), and steps, (count, before + length)."""
        recorded, steps = self._all.asked.shape[:2]
        rows = torch.randint(recorded, (count, 1), generator=generator)
        starts = torch.randint(steps - before - length + 1, (count, 1), generator=generator)
        return rows, starts + torch.arange(before + length)

    def _distance(self, difference: Tensor) -> Tensor:
        """Mean distance of the landmarks for differences of commands, (..., M) [outer-eye distances]."""
        return ((difference @ self._measure).square().sum(-1) + 1e-8).sqrt().mean()


def visible_size(direct: InverseModel) -> Tensor:
    """Returns what turns differences of commands, (M,), into numbers whose norm is what is seen of them.

    That is the root mean square motion of the landmarks by the linear part of the forward model, as a matrix
    (M, M) [outer-eye distances].
    """
    linear = np.asarray(direct.forward_model.linear @ direct.forward_model.modes, float)
    gram = 3 * linear @ linear.T / linear.shape[1]
    values, vectors = np.linalg.eigh(gram)
    root = vectors * np.sqrt(values.clip(0)) @ vectors.T
    return torch.from_numpy(root.astype(np.float32))


def move_faces(
    faces: ManyFaces, direct: InverseModel, network: HistoryNetwork, asked: Tensor, noisy: Tensor
) -> Motion:
    """Lets faces follow by a history model, from rest.

    Args:
        faces: B of them.
        direct: the direct route.
        network: that corrects it.
        asked: commands of the faces that are asked for, (B, T, M).
        noisy: the same with noise, which the model gets.
    """
    spec, moving = faces.spec, faces.spec.expressive
    faces.reset()
    readings = faces.read()
    past = History.at_rest(
        torch.from_numpy(spec.neutral[moving]),
        answer_directly(direct, readings.landmarks),
        command_delay_steps(spec),
    )
    positions, seen, behind, sent = [past.position], [past.seen], [past.behind], []
    with torch.inference_mode():
        for each in progress(noisy.unbind(1), "move faces", unit="steps"):
            past = past.with_asked(each)
            readings = faces.move(whole_commands(spec, network(past)))
            past = past.with_reading(
                torch.from_numpy(readings.sent[:, moving]),
                torch.from_numpy(readings.position[:, moving]),
                answer_directly(direct, readings.landmarks),
            )
            sent.append(past.sent[:, 0])
            positions.append(past.position)
            seen.append(past.seen)
            behind.append(past.behind)
    return Motion(asked, *(torch.stack(each, 1).clone() for each in (sent, positions, seen, behind)))
