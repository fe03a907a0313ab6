"""Targets and rewards of an episode: pure functions for one face or for many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from eva_sim.contract import Floats

#: Reward per outer-eye distance of mean landmark error: about -0.5 for doing nothing.
ERROR_WEIGHT = 20.0
#: Reward per mean squared change of command (range of the square: 0..4); the default of environments.
CHANGE_WEIGHT = 0.05


class Waypoint(NamedTuple):
    """A place between two rows of a plan's faces.

    Attributes:
        start, end: the rows, or of many faces (B,).
        share: position between them, 0..1, or of many faces (B,).
    """

    start: Any
    end: Any
    share: Any


class TargetPath(Protocol):
    """The way of a target through the faces of its plan."""

    def at(self, step: int) -> Waypoint:
        """Returns the waypoint after a step."""


@dataclass(frozen=True)
class RowPath:
    """A path through given rows, one a step; the last one stays."""

    rows: tuple[int, ...]

    def at(self, step: int) -> Waypoint:
        row = self.rows[min(step, len(self.rows) - 1)]
        return Waypoint(row, row, np.float32(0))


@dataclass(frozen=True)
class TargetPlan:
    """The targets of an episode: after each step, a blend of two faces.

    Attributes:
        faces: landmarks to move between, (K, N, 3) [neutral outer-eye distances].
        commands: the commands that make these faces, (K, 25), or None when unknown.
        path: the way between them.
        steps: number of steps after which the plan ends, and the episode with it; None if it never does.
    """

    faces: NDArray[np.float32]
    commands: NDArray[np.float32] | None
    path: TargetPath
    steps: int | None = None

    @classmethod
    def still(cls, face: Floats, command: Floats | None) -> TargetPlan:
        """Returns a plan that holds one face (N, 3)."""
        return cls(face[None], None if command is None else command[None], RowPath((0,)))

    @classmethod
    def along(cls, faces: NDArray[np.float32]) -> TargetPlan:
        """Returns a plan of the given faces (T + 1, N, 3), one per step."""
        return cls(faces, None, RowPath(tuple(range(len(faces)))), len(faces) - 1)

    def target(self, step: int) -> NDArray[np.float32]:
        """Returns the target landmarks after a step, (N, 3)."""
        return blend_rows(self.faces, self.path.at(step))

    def command(self, step: int) -> NDArray[np.float32] | None:
        """Returns the same blend of the commands, (25,); None when unknown."""
        return None if self.commands is None else blend_rows(self.commands, self.path.at(step))


def blend_rows(rows: NDArray[np.float32], at: Waypoint) -> NDArray[np.float32]:
    """Returns the blend of rows (K, *) at one waypoint, (*), or at waypoints of many faces, (B, *)."""
    return blend_between(rows[at.start], rows[at.end], at.share)


def blend_between(first: Floats, last: Floats, share: Floats) -> NDArray[np.float32]:
    """Returns the blend of arrays (..., *) at shares (...) of the way from first to last."""
    weight = share.reshape(*share.shape, *[1] * (first.ndim - share.ndim))
    return np.asarray(first * (1 - weight) + last * weight, np.float32)


def batch_targets(
    plans: Sequence[TargetPlan], steps: NDArray[np.intp]
) -> tuple[NDArray[np.float32], Floats | None]:
    """Returns targets (B, N, 3) of B faces after their steps, and commands (B, 25) if all are known."""
    common = plans[0]
    places = [plan.path.at(int(step)) for plan, step in zip(plans, steps, strict=True)]
    at = Waypoint(*(np.array(column) for column in zip(*places, strict=True)))
    if all(plan.faces is common.faces for plan in plans):  # the atlas
        commands = None if common.commands is None else blend_rows(common.commands, at)
        return blend_rows(common.faces, at), commands
    targets = _blend_own([plan.faces for plan in plans], at)  # one blend of B; B small ones cost far more
    known = [plan.commands for plan in plans if plan.commands is not None]
    return targets, _blend_own(known, at) if len(known) == len(plans) else None


def _blend_own(rows: Sequence[NDArray[np.float32]], at: Waypoint) -> NDArray[np.float32]:
    """Returns blends (B, *) of the faces' own rows (K, *) at their waypoints."""
    first, last = (
        np.stack([own[row] for own, row in zip(rows, which, strict=True)]) for which in (at.start, at.end)
    )
    return blend_between(first, last, at.share)


def landmark_errors(landmarks: Floats, target: Floats) -> Floats:
    """Returns the mean distance of landmarks to their target, (..., N, 3) -> (...) [outer-eye distances]."""
    away = landmarks - target
    square = np.einsum("...k,...k->...", away, away)  # `np.linalg.norm` is slow along so short an axis
    error: Floats = np.sqrt(square).mean(-1).astype(float)
    return error


def reward_terms(
    error: Floats, sent: Floats, before: Floats, change_weight: float = CHANGE_WEIGHT
) -> dict[str, Floats]:
    """Returns the reward terms, (...) each, from errors (...) and commands (..., 25) now and before."""
    change = np.square(sent - before).mean(-1).astype(float)
    return {"error": -ERROR_WEIGHT * error, "change": -change_weight * change}
