"""The history model: what was asked of a face, sent to it and read from it lately, to its next command.

The direct route answers each face by itself. A moving face also has a past: commands that are still under
way, servos that have not arrived, friction and play of cables, noise of landmarks. The history model corrects
the answer of the direct route by what it has seen of all these. It sees faces as the commands which the
direct route gives for them, so that everything that it sees and says is in [-1, 1]. What a
face misses, it mostly misses for as long as it stays. So the model also sums up how far it stays behind what
was asked, and forgets that within `MEMORY` steps. All corrections are bounded, so no error can grow from step
to step.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor, nn

from eva_sim.agents.models.baselines import Array
from eva_sim.agents.models.inverse import InverseModel
from eva_sim.agents.models.prediction import check_landmarks, threads_for, whole_commands
from eva_sim.agents.models.route_model import RouteModel
from eva_sim.contract import FaceSpec, Floats, Reading

#: Latest faces that were asked for, and latest commands, that the network sees.
ASKED, SENT = 6, 3
#: Units of each hidden layer.
HIDDEN = (128, 128)
#: Control steps over which the model sums up how far the face stays behind, and the most that a step adds
#: [command]: a face that is further off is still on its way.
MEMORY, MOST_BEHIND = 10, 0.1
#: Largest correction of a command by the network, and by what the face stays behind.
BOUND = 0.4


class History(NamedTuple):
    """The lately seen of B faces, all of it in commands of the M actuators that move landmarks.

    Attributes:
        asked: faces that were asked for, as the direct route answers them, newest first, (B, ASKED, M).
        sent: commands, newest first, (B, SENT, M).
        position: of the actuators, (B, M).
        seen: the face that was read last, as the direct route answers it, (B, M).
        behind: sum of what was asked less what was then seen, forgotten over `MEMORY` steps, (B, M).
        late: control steps after which a command takes effect.
    """

    asked: Tensor
    sent: Tensor
    position: Tensor
    seen: Tensor
    behind: Tensor
    late: int

    @classmethod
    def at_rest(cls, rest: Tensor, seen: Tensor, late: int) -> Self:
        """Returns the history of faces that have rested for long.

        Args:
            rest: the neutral command, (M,).
            seen: what the direct route answers to the face at rest, (B, M).
            late: control steps after which a command takes effect, less than `ASKED`.
        """
        still, asked = rest.expand(len(seen), 1, -1), seen[:, None].expand(-1, ASKED, -1)
        return cls(asked, still.expand(-1, SENT, -1), still[:, 0], seen, torch.zeros_like(seen), late)

    def with_asked(self, asked: Tensor) -> Self:
        """Returns the history after further faces were asked for, (B, M)."""
        return self._replace(asked=torch.cat([asked[:, None], self.asked[:, :-1]], 1))

    def with_reading(self, sent: Tensor, position: Tensor, seen: Tensor) -> Self:
        """Returns the history after further commands and readings, (B, M) each."""
        sent = torch.cat([sent[:, None], self.sent[:, :-1]], 1)
        off = (self.asked[:, self.late] - seen).clamp(-MOST_BEHIND, MOST_BEHIND)
        behind = (1 - 1 / MEMORY) * self.behind + off
        return self._replace(sent=sent, position=position, seen=seen, behind=behind)


class HistoryNetwork(nn.Module):
    """Corrects what the direct route answers; before it is trained, by nothing.

    Args:
        actuators: number of those that move landmarks, M.
        hidden: units of each hidden layer.
    """

    def __init__(self, actuators: int, hidden: tuple[int, ...] = HIDDEN) -> None:
        super().__init__()
        widths = ((ASKED + SENT + 3) * actuators, *hidden)
        hidden_layers = [layer for pair in pairwise(widths) for layer in (nn.Linear(*pair), nn.SiLU())]
        last = nn.Linear(widths[-1], actuators)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.layers = nn.Sequential(*hidden_layers, last)
        self.gain = nn.Parameter(torch.zeros(actuators))

    def forward(self, past: History) -> Tensor:
        """Returns the next commands, (B, M) in [-1, 1]."""
        now = past.asked[:, 0]
        others = [past.asked[:, 1:], past.sent, past.position[:, None], past.seen[:, None]]
        differences = torch.cat(others, 1) - now[:, None]
        output = self.layers(torch.cat([now, differences.flatten(1), past.behind], 1))
        caught_up = (self.gain * past.behind).clamp(-BOUND, BOUND)
        return (now + caught_up + BOUND * torch.tanh(output)).clamp(-1, 1)


class HistoryModel(RouteModel):
    """Maps landmarks and history to commands. Make one with `fit_history_model` or `load`.

    `predict` answers faces that stay, as the direct route does. `HistoryFollower` answers faces that move.

    Args:
        direct: the direct route of the same face.
        network: that corrects it.
    """

    route = "history"

    def __init__(self, direct: InverseModel, network: HistoryNetwork) -> None:
        super().__init__(direct.face)
        self.direct, self.network = direct, network

    def predict(self, landmarks: Floats) -> Array:
        """Predicts the commands that make the given faces if they stay; see `InverseModel.predict`."""
        return self.direct.predict(landmarks)

    def content(self) -> dict[str, Any]:
        return {**self.direct.content(), "history": self.network.state_dict()}

    @classmethod
    def from_content(cls, content: dict[str, Any]) -> Self:
        direct = InverseModel.from_content(content)
        weights = [each for name, each in content["history"].items() if name.endswith("weight")]
        network = HistoryNetwork(len(direct.spec.expressive), tuple(len(each) for each in weights[:-1]))
        network.load_state_dict(content["history"])
        return cls(direct, network)


class ManyHistoryFollowers:
    """The history model for B faces side by side; `reset`, then in turn `next_commands` and `read`.

    Args:
        model: of these faces.
    """

    def __init__(self, model: HistoryModel) -> None:
        self._model, self._moving = model, model.spec.expressive
        self._late = command_delay_steps(model.spec)
        self._rest = torch.from_numpy(model.spec.neutral[self._moving])
        self._past: History | None = None

    def reset(self, seen: Floats) -> None:
        """Forgets everything but faces at rest, landmarks (B, N, 3)."""
        self._past = History.at_rest(self._rest, answer_directly(self._model.direct, seen), self._late)

    def read(self, sent: Floats, position: Floats, seen: Floats | None) -> None:
        """Takes the answers of the faces to the last commands.

        Args:
            sent: these commands, (B, 25).
            position: of the actuators, (B, 25).
            seen: landmarks, (B, N, 3); None if they are as before.
        """
        past = self._begun()
        commands, arrived = (
            torch.from_numpy(np.asarray(each, np.float32)[:, self._moving]) for each in (sent, position)
        )
        answered = past.seen if seen is None else answer_directly(self._model.direct, seen)
        self._past = past.with_reading(commands, arrived, answered)

    def next_commands(self, targets: Floats) -> Array:
        """Returns the next commands, (B, 25), for landmarks (B, N, 3) that are asked for now."""
        self._past = self._begun().with_asked(answer_directly(self._model.direct, targets))
        with torch.inference_mode(), threads_for(len(targets)):
            output = self._model.network(self._past)
        return whole_commands(self._model.spec, output)

    def _begun(self) -> History:
        if self._past is None:
            raise ValueError("call reset first: a history begins with faces at rest.")
        return self._past


class HistoryFollower:
    """A `Follower` with the history model. It begins anew with every `reset`."""

    def __init__(self, model: HistoryModel) -> None:
        self._model, self._faces = model, ManyHistoryFollowers(model)

    def reset(self, reading: Reading) -> None:
        """Forgets everything but the reading of a face that was just reset."""
        self._faces.reset((reading.landmarks if reading.found else self._model.neutral)[None])

    def read(self, reading: Reading) -> None:
        """Takes the answer of the face to the last command; a face that was not found is as it was before."""
        seen = reading.landmarks[None] if reading.found else None
        self._faces.read(reading.sent[None], reading.position[None], seen)

    def __call__(self, target: Floats) -> Array:
        """Returns the next command, (25,), for landmarks (N, 3) that are asked for now."""
        command: Array = self._faces.next_commands(np.asarray(target)[None])[0]
        return command


def command_delay_steps(spec: FaceSpec) -> int:
    """Returns the control steps after which a command to any actuator that moves landmarks has effect."""
    return int(spec.column("delay")[spec.expressive].max())


def answer_directly(direct: InverseModel, landmarks: Floats) -> Tensor:
    """Returns what the direct route answers to faces, (B, N, 3) -> (B, M) in [-1, 1]."""
    points = check_landmarks(landmarks)
    with torch.inference_mode(), threads_for(len(points)):
        return direct(torch.from_numpy(points.reshape(len(points), -1))).clamp(-1, 1)
