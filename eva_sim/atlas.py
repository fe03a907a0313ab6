"""The atlas: settled expressions of the twin, from which targets are drawn without simulating them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from eva_sim.contract import FaceSpec
from eva_sim.errors import DataError
from eva_sim.files import read_arrays
from eva_sim.landmarks import POINTS

_ADVICE = "make it again with `python -m tools.build_atlas`"


@dataclass(frozen=True)
class Atlas:
    """Commands and the faces they make. Arrays are read-only.

    Attributes:
        commands: (K, 25) in [-1, 1]; the first row is neutral.
        landmarks: settled, aligned landmarks, shape (K, N, 3) [neutral outer-eye distances].
        digest: digest of the `FaceSpec` that made it.
    """

    commands: NDArray[np.float32]
    landmarks: NDArray[np.float32]
    digest: str

    def __len__(self) -> int:
        return len(self.commands)


def read_atlas(path: str | os.PathLike[str], spec: FaceSpec) -> Atlas:
    """Reads and checks an atlas file.

    Raises:
        DataError: missing, damaged, or made with another actuator table or landmark set.
    """
    arrays = read_arrays(path)
    try:
        atlas = Atlas(arrays["commands"], arrays["landmarks"], str(arrays["digest"]))
    except KeyError as error:
        raise DataError(f"{path} is not an atlas, it lacks {error}; {_ADVICE}.") from error
    _check(atlas, str(path), spec)
    atlas.commands.setflags(write=False)
    atlas.landmarks.setflags(write=False)
    return atlas


@lru_cache(maxsize=8)
def load_atlas(spec: FaceSpec) -> Atlas:
    """Reads the atlas in the face's folder.

    Raises:
        DataError: missing, damaged, or made with another actuator table or landmark set.
    """
    return read_atlas(spec.file("precomputed/atlas.npz"), spec)


def _check(atlas: Atlas, path: str, spec: FaceSpec) -> None:
    if atlas.digest != spec.digest:
        raise DataError(f"{path} was made with another face.toml; {_ADVICE}.")
    rows = len(atlas)
    if atlas.commands.shape != (rows, len(spec)) or atlas.landmarks.shape != (rows, len(POINTS), 3):
        raise DataError(f"{path} has arrays of another shape or landmark set; {_ADVICE}.")
    if not (np.isfinite(atlas.landmarks).all() and (np.abs(atlas.commands) <= 1).all()):
        raise DataError(f"{path} holds values that are not commands or landmarks; {_ADVICE}.")
