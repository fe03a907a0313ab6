"""Targets, observations and rewards of an episode: pure functions for one face or for many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eva_sim.contract import Floats
from eva_sim.randomise import Parameters, landmark_noise

#: Bound of every landmark coordinate [outer-eye distances]. A head is 2.5 of them high and the
#: origin is between the eyes, so only invented points lie outside.
REACH = 2.0
#: Reward per outer-eye distance of mean landmark error: about -0.5 for doing nothing.
ERROR_WEIGHT = 20.0
#: Reward per mean squared change of command (range of the square: 0..4).
CHANGE_WEIGHT = 0.05


@dataclass(frozen=True)
class TargetPlan:
    """The targets of an episode: after each step, a blend of two faces.

    Attributes:
        faces: landmarks to move between, (K, N, 3) [neutral outer-eye distances].
        commands: the commands that make these faces, (K, 25), or None when unknown.
        start, end: rows of `faces`, (T + 1,); the last step ends the episode.
        share: position between start and end, 0..1, (T + 1,).
    """

    faces: NDArray[np.float32]
    commands: NDArray[np.float32] | None
    start: NDArray[np.intp]
    end: NDArray[np.intp]
    share: NDArray[np.float32]

    @classmethod
    def still(cls, face: Floats, command: Floats | None, steps: int) -> TargetPlan:
        """Returns a plan that holds one face (N, 3) for `steps` steps."""
        rows = np.zeros(steps + 1, int)
        commands = None if command is None else command[None]
        return cls(face[None], commands, rows, rows, np.zeros(steps + 1, np.float32))

    @classmethod
    def along(cls, faces: NDArray[np.float32]) -> TargetPlan:
        """Returns a plan of the given faces (T + 1, N, 3), one per step."""
        rows = np.arange(len(faces))
        return cls(faces, None, rows, rows, np.zeros(len(faces), np.float32))

    @property
    def steps(self) -> int:
        """The number of steps after which the episode ends."""
        return len(self.start) - 1

    def target(self, step: int | slice) -> NDArray[np.float32]:
        """Returns the target landmarks after a step, (N, 3), or after several, (T, N, 3)."""
        return self._between(self.faces, step)

    def command(self, step: int | slice) -> NDArray[np.float32] | None:
        """Returns the same blend of the commands, (25,) or (T, 25); None when unknown."""
        return None if self.commands is None else self._between(self.commands, step)

    def _between(self, rows: NDArray[np.float32], step: int | slice) -> NDArray[np.float32]:
        first, last = rows[self.start[step]], rows[self.end[step]]
        return blend_between(first, last, self.share[step])


def blend_between(first: Floats, last: Floats, share: Floats) -> NDArray[np.float32]:
    """Returns the blend of arrays (..., *) at shares (...) of the way from first to last."""
    weight = share.reshape(*share.shape, *[1] * (first.ndim - share.ndim))
    return np.asarray(first * (1 - weight) + last * weight, np.float32)


def batch_targets(
    plans: Sequence[TargetPlan], steps: NDArray[np.intp]
) -> tuple[NDArray[np.float32], Floats | None]:
    """Returns targets (B, N, 3) of B faces after their steps, and commands (B, 25) if all are known."""
    common = plans[0]
    if all(plan.faces is common.faces for plan in plans):  # the atlas; B small blends cost far more
        rows = [(p.start[k], p.end[k], p.share[k]) for p, k in zip(plans, steps, strict=True)]
        start, end, share = (np.array(column) for column in zip(*rows, strict=True))
        together = TargetPlan(common.faces, common.commands, start, end, share)
        return together.target(slice(None)), together.command(slice(None))
    pairs = [(plan.target(int(k)), plan.command(int(k))) for plan, k in zip(plans, steps, strict=True)]
    commands = [command for _, command in pairs if command is not None]
    known = np.stack(commands) if len(commands) == len(plans) else None
    return np.stack([target for target, _ in pairs]), known


def observation(
    position: Floats, target: Floats, landmarks: Floats, batch_noise: Floats | float = 0.0
) -> dict[str, Any]:
    """Returns the observation without pictures, of one face or of many with a leading dimension."""
    return {
        "position": position.clip(-1, 1),
        "target": target.clip(-REACH, REACH),
        "landmarks": (landmarks + batch_noise).astype(np.float32).clip(-REACH, REACH),
    }


def batch_noise(
    parameters: Sequence[Parameters], generators: Sequence[np.random.Generator], shape: tuple[int, ...]
) -> Floats:
    """Draws landmark noise for each face from its own generator, (B, *shape)."""
    return np.stack([landmark_noise(p, rng, shape) for p, rng in zip(parameters, generators, strict=True)])


def landmark_errors(landmarks: Floats, target: Floats) -> Floats:
    """Returns the mean distance of landmarks to their target, (..., N, 3) -> (...) [outer-eye distances]."""
    error: Floats = np.linalg.norm(landmarks - target, axis=-1).mean(-1).astype(float)
    return error


def reward_terms(error: Floats, sent: Floats, before: Floats) -> dict[str, Floats]:
    """Returns the reward terms, (...) each, from errors (...) and commands (..., 25) now and before."""
    change = np.square(sent - before).mean(-1).astype(float)
    return {"error": -ERROR_WEIGHT * error, "change": -CHANGE_WEIGHT * change}
