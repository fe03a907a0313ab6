"""Gradient descent that stops and resumes: the same result whether it was interrupted or not."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from eva_sim.agents.models.training_log import log_loss
from eva_sim.agents.models.training_state import TrainingState
from eva_sim.progress import progress

#: Steps over which a loss of the history is averaged.
AVERAGED = 100


@dataclass(frozen=True)
class Descent:
    """How a network descends.

    Attributes:
        steps: number of steps.
        rate: first learning rate of AdamW; it falls to zero along a cosine.
        decay: weight decay.
        seed: of batches and noise.
    """

    steps: int
    rate: float
    decay: float
    seed: int


def descend(
    network: nn.Module,
    loss: Callable[[torch.Generator], Tensor],
    descent: Descent,
    state: TrainingState,
    *,
    does: str,
    logged_as: str,
    beside: dict[str, Any] | None = None,
) -> list[float]:
    """Trains a network in place.

    Args:
        network: to be trained.
        loss: of one step; it draws batch and noise from the generator.
        descent: number and size of the steps.
        state: from which it goes on, and in which it is kept.
        does: name of the work, for the progress.
        logged_as: name of the losses, see `log_loss`.
        beside: further entries of the state, such as normalisers.

    Returns:
        The mean losses of every `AVERAGED` steps.
    """
    run = _Run(network, descent)
    if earlier := state.read():
        run.resume(earlier)
    with progress(does=does, total=descent.steps, initial=run.step, unit="steps") as bar:
        while run.step < descent.steps:
            run.advance(loss, logged_as)
            bar.update()
            if run.history:
                bar.set_postfix(loss=f"{run.history[-1]:.4f}", refresh=False)
            done = f"{run.step:,} of {descent.steps:,} steps"
            state.write(lambda: {**run.content(), **(beside or {})}, done, run.step == descent.steps)
    return run.history


class _Run:
    """A descent under way."""

    def __init__(self, network: nn.Module, descent: Descent) -> None:
        self.step, self.history = 0, list[float]()
        self._network, self._descent = network, descent
        self._optimiser = torch.optim.AdamW(
            network.parameters(), descent.rate, weight_decay=descent.decay, fused=True
        )
        self._generator = torch.Generator().manual_seed(descent.seed)
        self._recent = list[float]()

    def advance(self, loss: Callable[[torch.Generator], Tensor], logged_as: str) -> None:
        """Makes one step."""
        for group in self._optimiser.param_groups:
            group["lr"] = self._descent.rate * (1 + math.cos(math.pi * self.step / self._descent.steps)) / 2
        value = loss(self._generator)
        self._optimiser.zero_grad()
        value.backward()
        self._optimiser.step()
        self._recent.append(float(value.detach()))
        self.step += 1
        if len(self._recent) == AVERAGED or self.step == self._descent.steps:
            self.history.append(sum(self._recent) / len(self._recent))
            self._recent = []
            log_loss(logged_as, self.history[-1], self.step)

    def content(self) -> dict[str, Any]:
        """Returns everything that a later run needs."""
        return {
            "step": self.step, "history": self.history, "recent": self._recent,
            "network": self._network.state_dict(), "optimiser": self._optimiser.state_dict(),
            "generator": self._generator.get_state(),
        }  # fmt: skip

    def resume(self, content: dict[str, Any]) -> None:
        """Goes on from what `content` returned."""
        self._network.load_state_dict(content["network"])
        self._optimiser.load_state_dict(content["optimiser"])
        self._generator.set_state(content["generator"])
        self.step, self.history, self._recent = content["step"], content["history"], content["recent"]
