"""The task of an environment, independent of how many bodies there are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eva_sim.contract import FaceSpec
from eva_sim.envs.target_plan import TargetPlan


class TaskFace(Protocol):
    """The face that a task is planned for; the only thing a task knows of a body."""

    spec: FaceSpec
    neutral_landmarks: NDArray[np.float32]

    def settle(self, command: ArrayLike) -> NDArray[np.float32]:
        """Returns the landmarks (N, 3) of this body after the command was held from neutral."""


class Task(ABC):
    """Draws the targets of an episode. See the pages of `PoseEnv` and `MimicEnv`."""

    #: Options of `reset`.
    OPTIONS: ClassVar[tuple[str, ...]]

    @classmethod
    @abstractmethod
    def plan(cls, options: dict[str, Any], rng: np.random.Generator, body: TaskFace) -> TargetPlan:
        """Draws the targets of an episode, or takes them from the options.

        Raises:
            EvaError: an option is malformed (`CommandError`, `DataError` among them).
        """
