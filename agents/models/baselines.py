"""What a learned inverse model has to beat: predictors that learn nothing."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from eva_sim.contract import Floats, load_spec

Array = NDArray[np.float32]


class Predictor(Protocol):
    """Landmarks in, commands out."""

    def predict(self, landmarks: Floats) -> Array:
        """Commands for aligned landmarks: (N, 3) -> (25,), or (B, N, 3) -> (B, 25)."""


class NeutralBaseline:
    """Always the resting command."""

    def predict(self, landmarks: Floats) -> Array:
        """The resting command, (25,) or (B, 25)."""
        return np.broadcast_to(load_spec().neutral, (*landmarks.shape[:-2], len(load_spec()))).copy()


class RandomCommandBaseline:
    """Some training command, whatever the landmarks.

    Args:
        commands: of the training samples, (S, 25).
        seed: of the draw.
    """

    def __init__(self, commands: Array, seed: int = 0) -> None:
        self._commands = commands
        self._rng = np.random.default_rng(seed)

    def predict(self, landmarks: Floats) -> Array:
        """Random training commands, (25,) or (B, 25)."""
        return self._commands[self._rng.integers(len(self._commands), size=landmarks.shape[:-2])]


class NearestNeighbourBaseline:
    """The command of the training face whose landmarks are closest.

    Args:
        commands: of the training samples, (S, 25).
        landmarks: of the training samples, (S, N, 3).
    """

    def __init__(self, commands: Array, landmarks: Array) -> None:
        self._commands = commands
        self._tree = cKDTree(landmarks.reshape(len(landmarks), -1))

    def predict(self, landmarks: Floats) -> Array:
        """Commands of the nearest training faces, (25,) or (B, 25)."""
        flat = landmarks.reshape(*landmarks.shape[:-2], -1)
        return self._commands[self._tree.query(flat)[1]]
