"""Baselines that a learned inverse model has to beat."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from eva_sim.contract import FaceSpec, Floats

Array = NDArray[np.float32]


class Predictor(Protocol):
    """Maps landmarks to commands."""

    def predict(self, landmarks: Floats) -> Array:
        """Returns commands for aligned landmarks: (N, 3) -> (25,), or (B, N, 3) -> (B, 25)."""


class NeutralBaseline:
    """Predicts the resting command, whatever the landmarks.

    Args:
        spec: of the face.
    """

    def __init__(self, spec: FaceSpec) -> None:
        self._neutral = spec.neutral

    def predict(self, landmarks: Floats) -> Array:
        """Returns the resting command, (25,) or (B, 25)."""
        return np.broadcast_to(self._neutral, (*landmarks.shape[:-2], len(self._neutral))).copy()


class RandomCommandBaseline:
    """Predicts a random training command, whatever the landmarks.

    Args:
        commands: of the training samples, (S, 25).
        seed: of the draw.
    """

    def __init__(self, commands: Array, seed: int = 0) -> None:
        self._commands = commands
        self._rng = np.random.default_rng(seed)

    def predict(self, landmarks: Floats) -> Array:
        """Returns random training commands, (25,) or (B, 25)."""
        return self._commands[self._rng.integers(len(self._commands), size=landmarks.shape[:-2])]


class UniformCommandBaseline:
    """Predicts a command drawn uniformly over all travel, whatever the landmarks; gaze and head pose rest.

    Args:
        spec: of the face.
        seed: of the draw.
    """

    def __init__(self, spec: FaceSpec, seed: int = 0) -> None:
        self._spec, self._rng = spec, np.random.default_rng(seed)

    def predict(self, landmarks: Floats) -> Array:
        """Returns uniform commands, (25,) or (B, 25)."""
        commands = NeutralBaseline(self._spec).predict(landmarks)
        moving = self._spec.expressive
        commands[..., moving] = self._rng.uniform(-1, 1, (*commands.shape[:-1], len(moving)))
        return commands


class NearestNeighbourBaseline:
    """Predicts the command of the training face whose landmarks are closest.

    Args:
        commands: of the training samples, (S, 25).
        landmarks: of the training samples, (S, N, 3).
    """

    def __init__(self, commands: Array, landmarks: Array) -> None:
        self._commands = commands
        self._tree = cKDTree(landmarks.reshape(len(landmarks), -1))

    def predict(self, landmarks: Floats) -> Array:
        """Returns the commands of the nearest training faces, (25,) or (B, 25)."""
        flat = landmarks.reshape(*landmarks.shape[:-2], -1)
        return self._commands[self._tree.query(flat)[1]]
