"""Gradient descent that stops and resumes: the same result whether it was interrupted or not."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from eva_sim.agents.models.model_file import read_content, write_content
from eva_sim.progress import progress, report

#: Time between two saves of the state [s]. An interruption costs as much at most.
SAVE_EVERY = 20.0
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
    *,
    does: str,
    state: Path | None = None,
    origin: dict[str, Any] | None = None,
) -> list[float]:
    """Trains a network in place.

    Args:
        network: to be trained.
        loss: of one step; it draws batch and noise from the generator.
        descent: number and size of the steps.
        does: name of the work, for the progress.
        state: file for everything that a later call needs to go on; None to keep none.
        origin: what the result depends on, as JSON: data and settings. A state of another origin is not used.

    Returns:
        The mean losses of every `AVERAGED` steps.
    """
    run = _Run(network, descent, {"descent": vars(descent), **(origin or {})})
    if state is not None:
        run.resume(state)
    saved = time.monotonic()
    with progress(does=does, total=descent.steps, initial=run.step, unit="steps") as bar:
        while run.step < descent.steps:
            run.advance(loss)
            bar.update()
            if run.history:
                bar.set_postfix(loss=f"{run.history[-1]:.4f}", refresh=False)
            if state is not None and time.monotonic() - saved > SAVE_EVERY:
                run.save(state)
                saved = time.monotonic()
    if state is not None:
        run.save(state)
    return run.history


class _Run:
    """A descent under way."""

    def __init__(self, network: nn.Module, descent: Descent, origin: dict[str, Any]) -> None:
        self.step, self.history = 0, list[float]()
        self._network, self._descent = network, descent
        self._origin = json.dumps(origin, sort_keys=True)
        self._optimiser = torch.optim.AdamW(
            network.parameters(), descent.rate, weight_decay=descent.decay, fused=True
        )
        self._generator = torch.Generator().manual_seed(descent.seed)
        self._recent = list[float]()

    def advance(self, loss: Callable[[torch.Generator], Tensor]) -> None:
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
            self.history.append(float(np.mean(self._recent)))
            self._recent = []

    def save(self, path: Path) -> None:
        """Writes everything that a later run needs."""
        write_content(path, {
            "origin": self._origin, "step": self.step, "history": self.history, "recent": self._recent,
            "network": self._network.state_dict(), "optimiser": self._optimiser.state_dict(),
            "generator": self._generator.get_state(),
        })  # fmt: skip

    def resume(self, path: Path) -> None:
        """Goes on from the state in a file of the same origin; says so, or that it starts over."""
        if not path.exists():
            return
        content: dict[str, Any] = {}
        with suppress(Exception):  # a damaged state is as good as none; zip, pickle and torch have their own
            content = read_content(path)
        if content.get("origin") != self._origin:
            report(f"{path.name} is damaged, or of other data or settings; this part starts over.")
            return
        self._network.load_state_dict(content["network"])
        self._optimiser.load_state_dict(content["optimiser"])
        self._generator.set_state(content["generator"])
        self.step, self.history, self._recent = content["step"], content["history"], content["recent"]
        report(f"{path.name} holds {self.step:,} of {self._descent.steps:,} steps; it goes on from there.")
