"""What a babbled data set tells of a face, whichever route leads from landmarks to commands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray

from eva_sim.agents.data.dataset import Dataset
from eva_sim.agents.models.forward import ForwardModel
from eva_sim.contract import FaceSpec, parse_spec

#: Percentiles of the babbled landmarks that `range_low` and `range_high` hold.
_RANGE = (1.0, 99.0)
_ARRAYS = ("neutral", "range_low", "range_high")
#: Arrays of the forward model in a file, in the order of its arguments.
_FORWARD = ("linear", "products", "modes")


@dataclass(frozen=True)
class BabbledFace:
    """A face that babbled.

    Attributes:
        spec: of the face.
        neutral: its landmarks at rest, (N, 3) [outer-eye distances].
        range_low: 1st percentile of its babbled landmarks, (N, 3).
        range_high: 99th percentile of its babbled landmarks, (N, 3).
        forward_model: pulls of the actuators that move landmarks to displacement, (3 N,).
    """

    spec: FaceSpec
    neutral: NDArray[np.float32]
    range_low: NDArray[np.float32]
    range_high: NDArray[np.float32]
    forward_model: ForwardModel

    @classmethod
    def of(cls, data: Dataset) -> Self:
        """Returns the face that recorded a data set."""
        flat = data.landmarks.reshape(len(data), -1)
        low, high = np.percentile(data.landmarks, _RANGE, axis=0).astype(np.float32)
        pulls = (data.commands - data.spec.neutral)[:, data.spec.expressive]
        forward_model = ForwardModel.fit(pulls, flat - data.neutral.ravel())
        return cls(data.spec, data.neutral, low, high, forward_model)

    def content(self) -> dict[str, Any]:
        """Returns the entries of a model's file."""
        arrays = {name: torch.from_numpy(getattr(self, name)) for name in _ARRAYS}
        forward = {name: torch.from_numpy(getattr(self.forward_model, name)) for name in _FORWARD}
        return {"spec": self.spec.text, "digest": self.spec.digest, **arrays, **forward}

    @classmethod
    def from_content(cls, content: dict[str, Any]) -> Self:
        """Reads the entries that `content` returned.

        Raises:
            KeyError, AttributeError, RuntimeError, TypeError, ValueError: an entry is missing or wrong.
        """
        spec = parse_spec(content["spec"])
        if spec.digest != content["digest"]:
            raise ValueError("its actuator table has another digest")
        forward_model = ForwardModel(*(content[name].numpy() for name in _FORWARD))
        return cls(spec, **{name: content[name].numpy() for name in _ARRAYS}, forward_model=forward_model)
