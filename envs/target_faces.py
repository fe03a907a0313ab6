"""The faces that targets are made of: those of the atlas, or faces that a body has just settled in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from eva_sim.agents.data.babbling import sample_command
from eva_sim.atlas import load_atlas
from eva_sim.contract import FaceSpec
from eva_sim.errors import ArgumentValueError, known_names

Targets = Literal["atlas", "babbling"]
TARGETS: tuple[str, ...] = get_args(Targets)


@dataclass(frozen=True)
class TargetFaces:
    """Faces and the commands that make them. The first is neutral.

    Attributes:
        landmarks: (K, N, 3) [neutral outer-eye distances].
        commands: (K, 25).
        goals: rows that an episode may aim at.
    """

    landmarks: NDArray[np.float32]
    commands: NDArray[np.float32]
    goals: range

    @classmethod
    def after_neutral(
        cls,
        neutral: tuple[NDArray[np.float32], NDArray[np.float32]],
        landmarks: NDArray[np.float32],
        commands: NDArray[np.float32],
    ) -> TargetFaces:
        """Returns faces that a body settled in, (K, N, 3), and commands sent, (K, 25), after its neutral."""
        faces, orders = np.stack([neutral[0], *landmarks]), np.stack([neutral[1], *commands])
        return cls(faces, orders, range(1, len(faces)))


def atlas_faces(spec: FaceSpec) -> TargetFaces:
    """Returns the faces of the atlas, all of them goals.

    Raises:
        DataError: the atlas is missing, damaged, or of another face.
    """
    atlas = load_atlas(spec)
    return TargetFaces(atlas.landmarks, atlas.commands, range(len(atlas)))


def check_targets(targets: str) -> None:
    """Refuses an unknown source of targets.

    Raises:
        ArgumentValueError: there is no such source.
    """
    if targets not in TARGETS:
        raise ArgumentValueError(f"no targets called {targets!r}; {known_names(targets, TARGETS)}.")


@dataclass(frozen=True)
class BabbledCommands:
    """A sequence without end of random expressions, see `eva_sim.agents.data.babbling.sample_command`.

    It is replaced, never changed, so that a saved environment repeats it.

    Attributes:
        seed: of all its expressions.
        taken: number of expressions that were taken from it.
    """

    seed: int
    taken: int = 0

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> BabbledCommands:
        """Returns a sequence that follows from a generator."""
        return cls(int(rng.integers(2**63)))

    def take(self, spec: FaceSpec, count: int) -> tuple[NDArray[np.float32], BabbledCommands]:
        """Returns the next expressions, (count, 25), and the rest of the sequence."""
        numbers = range(self.taken, self.taken + count)
        drawn = [sample_command(spec, np.random.default_rng([self.seed, number])) for number in numbers]
        return np.stack(drawn).astype(np.float32), BabbledCommands(self.seed, self.taken + count)
