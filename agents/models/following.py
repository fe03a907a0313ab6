"""Following a face that moves: one command each control step, frame by frame or with a history."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from eva_sim.agents.models.baselines import Array, Predictor
from eva_sim.agents.models.history import HistoryFollower, HistoryModel, ManyHistoryFollowers
from eva_sim.contract import Floats, Reading


class Follower(Protocol):
    """Makes a face follow another one that moves: `reset`, then each control step a call and a `read`."""

    def reset(self, reading: Reading) -> None:
        """Forgets everything but the reading of a face that was just reset."""

    def read(self, reading: Reading) -> None:
        """Takes the answer of the face to the last command."""

    def __call__(self, target: Floats) -> Array:
        """Returns the next command, (25,), for landmarks (N, 3) that are asked for now."""


class FrameByFrame:
    """A `Follower` without memory: the same face gets the same command.

    Args:
        model: of any route.
    """

    def __init__(self, model: Predictor) -> None:
        self._model = model
        self._last: tuple[Floats, Array] | None = None

    def reset(self, reading: Reading) -> None:
        """Nothing needs to be forgotten."""

    def read(self, reading: Reading) -> None:
        """The answer of the face is not used."""

    def __call__(self, target: Floats) -> Array:
        """Returns the command for landmarks, (25,); that of the last step if they are the same.

        Live, several control periods may pass between two pictures.
        """
        if self._last is None or not np.array_equal(self._last[0], target):
            self._last = target, self._model.predict(target)
        return self._last[1]


class ModelPolicy:
    """Actions for a vector environment by a model, with a history if it has one.

    A `Policy` of `envs.evaluation`, for absolute actions and observations with landmarks.

    Args:
        model: of any route.
    """

    def __init__(self, model: Predictor) -> None:
        self._model = model
        self._history = ManyHistoryFollowers(model) if isinstance(model, HistoryModel) else None
        self._sent: Array | None = None

    def __call__(self, seen: dict[str, NDArray[Any]], info: dict[str, Any], begins: bool) -> Array:
        """Returns actions, (N, 25), for the observations of N copies."""
        history = self._history
        if history is None:
            return self._model.predict(seen["target"])
        if begins or self._sent is None:
            history.reset(seen["landmarks"])
        else:
            history.read(self._sent, seen["position"], seen["landmarks"])
        self._sent = history.next_commands(seen["target"])
        return self._sent


def open_follower(model: Predictor) -> Follower:
    """Returns the follower of a model, with a history if it has one."""
    return HistoryFollower(model) if isinstance(model, HistoryModel) else FrameByFrame(model)
