"""The task of an environment, independent of how many bodies there are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from eva_sim.contract import FaceSpec
from eva_sim.envs.target_faces import TargetFaces
from eva_sim.envs.target_plan import TargetPlan
from eva_sim.errors import EvaError
from eva_sim.expressions import expression_command


class Task(ABC):
    """Draws the targets of an episode. See the pages of `PoseEnv` and `MimicEnv`.

    An environment finds the faces that an episode needs, and gives them to `plan`:

    - the face of `goal`, tried out on the body, if the options name one;
    - otherwise, unless the options hold landmarks, the atlas, or `DRAWN` faces drawn by babbling.
    """

    #: Options of `reset` that name a goal, at most one of which may be given; the first holds landmarks.
    GOALS: ClassVar[tuple[str, ...]]
    #: Number of faces that an episode draws by babbling.
    DRAWN: ClassVar[int]

    @classmethod
    def options(cls) -> tuple[str, ...]:
        """Returns the options of `reset`."""
        return (*cls.GOALS, "start")

    @classmethod
    def holds_landmarks(cls, options: Collection[str]) -> bool:
        """Returns whether the options hold the landmarks of the target, so that no faces are needed."""
        return cls.GOALS[0] in options

    @classmethod
    def goal(cls, options: dict[str, Any], spec: FaceSpec) -> NDArray[np.float32] | None:
        """Returns the command whose face is the goal; None if the options name none.

        Raises:
            CommandError: the command is malformed, or there is no such expression.
            EvaError: the options name two goals.
        """
        given = [name for name in cls.GOALS if name in options]
        if len(given) > 1:
            raise EvaError(f"reset takes one goal, not both {' and '.join(given)}.")
        if "command" in given:
            return spec.check(options["command"])
        if "expression" in given:
            return spec.check(expression_command(spec, options["expression"]))
        return None

    @classmethod
    @abstractmethod
    def plan(
        cls, options: dict[str, Any], rng: np.random.Generator, faces: TargetFaces, dt: float
    ) -> TargetPlan:
        """Draws the targets of an episode, or takes them from the options.

        Args:
            options: of `reset`.
            rng: source of randomness.
            faces: found by the environment; not used where the options hold landmarks.
            dt: time of a step [s].

        Raises:
            DataError: an option is malformed.
        """
