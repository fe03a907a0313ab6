"""The linear route: commands as a linear map of landmarks, by ridge regression."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from eva_sim.agents.data.dataset import Dataset
from eva_sim.agents.models.babbled_face import BabbledFace
from eva_sim.agents.models.baselines import Array
from eva_sim.agents.models.prediction import predict_commands
from eva_sim.agents.models.route_model import RouteModel
from eva_sim.contract import Floats

#: Noise of a landmark coordinate that the ridge stands for [outer-eye distances]: ridge regression is least
#: squares over inputs with noise of this standard deviation.
NOISE = 0.003


class LinearModel(RouteModel):
    """Maps landmarks to commands linearly. Make one with `fit` or `load`.

    Args:
        face: that babbled.
        weights: flat landmarks, less their mean, to M commands, (3 N, M).
        mean: of flat landmarks, (3 N,).
        offset: commands at the mean, (M,).
    """

    route = "linear"

    def __init__(self, face: BabbledFace, weights: Tensor, mean: Tensor, offset: Tensor) -> None:
        super().__init__(face)
        self._weights, self._mean, self._offset = weights, mean, offset

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
        return predict_commands(self.spec, landmarks, self)

    def __call__(self, flat: Tensor) -> Tensor:
        """Applies the map: (B, 3 N) -> (B, M), not clipped."""
        return (flat - self._mean) @ self._weights + self._offset

    def content(self) -> dict[str, Any]:
        arrays = {"weights": self._weights, "mean": self._mean, "offset": self._offset}
        return {**super().content(), **arrays}

    @classmethod
    def from_content(cls, content: dict[str, Any]) -> Self:
        weights, mean, offset = (content[name] for name in ("weights", "mean", "offset"))
        model = cls(BabbledFace.from_content(content), weights, mean, offset)
        model(torch.zeros(1, model.neutral.size))  # shapes that do not fit fail here
        return model
