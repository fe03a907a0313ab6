"""A face in a few numbers: the principal parts of its landmarks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from eva_sim.atlas import load_atlas
from eva_sim.contract import FaceSpec, Floats

#: Bound of every feature [standard deviations]. The faces of the atlas reach 5.
FEATURE_REACH = 10.0
#: Least deviation that a part is divided by [outer-eye distances], so that noise is not magnified.
_FLOOR = 1e-3


@dataclass(frozen=True)
class FaceFeatures:
    """Principal components of the atlas: as many as there are actuators that move landmarks.

    Attributes:
        mean: mean landmarks of the atlas, (3 N,) [outer-eye distances].
        parts: orthonormal directions, the widest first, (K, 3 N). The largest entry of each is positive.
        deviations: standard deviation of the atlas along each, (K,) [outer-eye distances].
    """

    mean: NDArray[np.float32]
    parts: NDArray[np.float32]
    deviations: NDArray[np.float32]

    @classmethod
    def of(cls, landmarks: NDArray[np.float32], count: int) -> FaceFeatures:
        """Returns at most `count` features of some faces (K, N, 3)."""
        flat = landmarks.reshape(len(landmarks), -1).astype(float)
        mean = flat.mean(0)
        _, sizes, rows = np.linalg.svd(flat - mean, full_matrices=False)
        parts = rows[:count]
        largest = np.take_along_axis(parts, np.abs(parts).argmax(1)[:, None], 1)
        deviations = sizes[:count] / np.sqrt(len(flat))
        arrays = mean, parts * np.sign(largest), deviations.clip(_FLOOR)
        return cls(*(array.astype(np.float32) for array in arrays))

    def __len__(self) -> int:
        return len(self.deviations)

    def __call__(self, landmarks: Floats) -> NDArray[np.float32]:
        """Returns the features (..., K) of landmarks (..., N, 3) [standard deviations of the atlas]."""
        flat = landmarks.astype(np.float32).reshape(*landmarks.shape[:-2], -1)
        # Not a matrix product: its rounding depends on the number of faces, and it starts threads.
        along: Floats = np.einsum("...i,ki->...k", flat - self.mean, self.parts) / self.deviations
        return along.clip(-FEATURE_REACH, FEATURE_REACH)

    def landmarks(self, features: Floats) -> NDArray[np.float32]:
        """Returns the nearest landmarks (..., N, 3) that have these features (..., K)."""
        flat = self.mean + np.einsum("...k,ki->...i", features * self.deviations, self.parts)
        return flat.reshape(*features.shape[:-1], -1, 3).astype(np.float32)


@lru_cache(maxsize=8)
def load_face_features(spec: FaceSpec) -> FaceFeatures:
    """Returns the features of a face, from the atlas in its folder.

    Raises:
        DataError: the atlas is missing, damaged, or of another face.
    """
    return FaceFeatures.of(load_atlas(spec).landmarks, len(spec.expressive))
