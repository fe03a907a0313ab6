"""The linear route: commands as a linear map of landmarks, by ridge regression."""

from __future__ import annotations

import os
from typing import Self

import numpy as np
import torch
from torch import Tensor

from eva_sim.agents.data.dataset import Dataset
from eva_sim.agents.models.babbled_face import BabbledFace
from eva_sim.agents.models.baselines import Array
from eva_sim.agents.models.model_file import explain_wrong_entries, read_model_of, write_model
from eva_sim.agents.models.prediction import predict_commands
from eva_sim.contract import Floats

ROUTE = "linear"
#: Noise of a landmark coordinate that the ridge stands for [outer-eye distances]: ridge regression is least
#: squares over inputs with noise of this standard deviation.
NOISE = 0.003


class LinearModel:
    """Maps landmarks to commands linearly. Make one with `fit` or `load`.

    Args:
        face: that babbled.
        weights: flat landmarks, less their mean, to M commands, (3 N, M).
        mean: of flat landmarks, (3 N,).
        offset: commands at the mean, (M,).

    Attributes:
        spec: of the face that babbled.
        neutral: landmarks of the face that babbled, at rest, (N, 3) [outer-eye distances].
        range_low: 1st percentile of its babbled landmarks, (N, 3).
        range_high: 99th percentile of its babbled landmarks, (N, 3).
        forward_model: of the same face: pulls of the actuators that move landmarks to displacement, (3 N,).
    """

    def __init__(self, face: BabbledFace, weights: Tensor, mean: Tensor, offset: Tensor) -> None:
        self._face, self._weights, self._mean, self._offset = face, weights, mean, offset
        self.spec, self.neutral, self.forward_model = face.spec, face.neutral, face.forward_model
        self.range_low, self.range_high = face.range_low, face.range_high

    @classmethod
    def fit(cls, data: Dataset, noise: float = NOISE) -> Self:
        """Fits to a data set by ridge regression.

        Args:
            data: samples to learn from.
            noise: of a landmark coordinate, as the ridge [outer-eye distances].
        """
        flat = data.landmarks.reshape(len(data), -1).astype(float)
        commands = data.commands[:, data.spec.expressive].astype(float)
        mean, offset = flat.mean(0), commands.mean(0)
        x, y = flat - mean, commands - offset
        weights = np.linalg.solve(x.T @ x + len(x) * noise**2 * np.eye(x.shape[1]), x.T @ y)
        arrays = (torch.from_numpy(array.astype(np.float32)) for array in (weights, mean, offset))
        return cls(BabbledFace.of(data), *arrays)

    def predict(self, landmarks: Floats) -> Array:
        """Predicts the commands that make the given faces; gaze and head pose rest.

        Args:
            landmarks: aligned, (N, 3) or (B, N, 3) [outer-eye distances].

        Returns:
            float32 (25,) or (B, 25) in [-1, 1].

        Raises:
            DataError: another shape, or not finite.
        """
        return predict_commands(self.spec, landmarks, self)

    def __call__(self, flat: Tensor) -> Tensor:
        """Applies the map: (B, 3 N) -> (B, M), not clipped."""
        return (flat - self._mean) @ self._weights + self._offset

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the model atomically."""
        content = {"weights": self._weights, "mean": self._mean, "offset": self._offset}
        write_model(path, ROUTE, {**self._face.content(), **content})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Reads a model.

        Raises:
            DataError: missing, damaged, of an earlier version, of another landmark set, or of another route.
        """
        content = read_model_of(path, ROUTE)
        with explain_wrong_entries(path):
            weights, mean, offset = (content[name] for name in ("weights", "mean", "offset"))
            model = cls(BabbledFace.from_content(content), weights, mean, offset)
            model(torch.zeros(1, model.neutral.size))  # shapes that do not fit fail here
        return model
