"""The base of all routes: a model that maps landmarks to commands, and knows the face that babbled."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from eva_sim.agents.models.babbled_face import BabbledFace
from eva_sim.agents.models.forward import ForwardModel
from eva_sim.agents.models.model_file import explain_wrong_entries, read_model_of, write_model
from eva_sim.contract import FaceSpec, Floats


class RouteModel(ABC):
    """Maps landmarks to commands, by whatever route.

    Args:
        face: that babbled.

    Attributes:
        route: name of the route, on the command line and in the model's file.
        face: that babbled; its parts are attributes of the model, too.
    """

    route: ClassVar[str]

    def __init__(self, face: BabbledFace) -> None:
        self.face = face

    @property
    def spec(self) -> FaceSpec:
        """The face that babbled."""
        return self.face.spec

    @property
    def neutral(self) -> NDArray[np.float32]:
        """Landmarks of the face at rest, (N, 3) [outer-eye distances]."""
        return self.face.neutral

    @property
    def range_low(self) -> NDArray[np.float32]:
        """1st percentile of its babbled landmarks, (N, 3)."""
        return self.face.range_low

    @property
    def range_high(self) -> NDArray[np.float32]:
        """99th percentile of its babbled landmarks, (N, 3)."""
        return self.face.range_high

    @property
    def forward_model(self) -> ForwardModel:
        """Pulls of the actuators that move landmarks to displacement, (3 N,)."""
        return self.face.forward_model

    @abstractmethod
    def predict(self, landmarks: Floats) -> NDArray[np.float32]:
        """Predicts the commands that make the given faces; gaze and head pose rest.

        Args:
            landmarks: aligned, (N, 3) or (B, N, 3) [outer-eye distances].

        Returns:
            float32 (25,) or (B, 25) in [-1, 1].

        Raises:
            DataError: another shape, or not finite.
        """

    def content(self) -> dict[str, Any]:
        """Returns the entries of the model's file."""
        return self.face.content()

    @classmethod
    @abstractmethod
    def from_content(cls, content: dict[str, Any]) -> Self:
        """Reads the entries that `content` returned.

        Raises:
            KeyError, AttributeError, RuntimeError, TypeError, ValueError: an entry is missing or wrong.
        """

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the model atomically."""
        write_model(path, self.route, self.content())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Reads a model.

        Raises:
            DataError: missing, damaged, of an earlier version, of another landmark set, or of another route.
        """
        content = read_model_of(path, cls.route)
        with explain_wrong_entries(path):
            return cls.from_content(content)
