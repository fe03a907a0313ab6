"""Corrects the motion of a face as the landmark detector reads it.

The detector knows how faces of people look on average, and sees no depth. So it reads half of what a brow
moves and a part of what an opening jaw moves backwards, in every picture alike. It also takes some of what a
jaw does for a nod of the head. A linear map takes this back.
It is learned where the true motion is known: for people from a synthetic crowd
(`tools.build_person_reading`), for the robot from pictures of its twin (`tools.build_robot_reading`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Self

import numpy as np

from eva_sim.contract import FaceSpec, Floats
from eva_sim.detector import mirror_order
from eva_sim.errors import DataError
from eva_sim.files import asset, read_arrays, write_arrays
from eva_sim.landmarks import POINTS

#: Principal modes of the motion that is read, from which the correction is made.
MODES = 60
#: Ridge on the correction [squared outer-eye distances per sample and mode]. Chosen from 1e-6 to 3e-3 by the
#: errors of people, materials and styles that were left out of the fit.
RIDGE = 3e-5
#: Arrays of a correction's file, beside the points.
_ARRAYS = ("modes", "missing", "missing_nod")
_PERSON = "precomputed/person_reading.npz"
_ROBOT = "precomputed/robot_reading.npz"


@dataclass(frozen=True)
class ReadingCorrection:
    """Adds to a motion m what the detector leaves out of it: m + (m V) C.

    A face at rest stays at rest. Left and right are corrected alike.

    Attributes:
        modes: V, (3 N, K).
        missing: C, (K, 3 N).
        missing_nod: what the detector leaves out of the head's nod while the face moves so, (K,) [rad].
    """

    modes: Floats
    missing: Floats
    missing_nod: Floats

    def __call__(self, motion: Floats) -> Floats:
        """Returns the corrected motion from rest of one face or many, (..., N, 3) [outer-eye distances]."""
        added: Floats = self._amounts(motion) @ self.missing
        return motion + added.reshape(motion.shape)

    def missing_head_nod(self, motion: Floats) -> Floats:
        """Returns what is missing of the head's nod, (...) [rad], while faces move so, (..., N, 3)."""
        missing: Floats = self._amounts(motion) @ self.missing_nod
        return missing

    def _amounts(self, motion: Floats) -> Floats:
        """Returns how much of each mode is in motions, (..., N, 3) -> (..., K)."""
        amounts: Floats = motion.reshape(*motion.shape[:-2], -1) @ self.modes
        return amounts

    @classmethod
    def none(cls) -> Self:
        """Returns the correction that changes nothing."""
        size = 3 * len(POINTS)
        return cls(np.zeros((size, 0)), np.zeros((0, size)), np.zeros(0))

    @classmethod
    def fit(
        cls,
        read: Floats,
        true: Floats,
        missing_nod: Floats | None = None,
        modes: int = MODES,
        ridge: float = RIDGE,
    ) -> Self:
        """Fits a correction to motions from rest.

        Args:
            read: as the detector reads them, (S, N, 3) [outer-eye distances].
            true: of the same faces, (S, N, 3).
            missing_nod: what it left out of the nods of the heads, (S,) [rad]; None if they do not nod.
            modes: number of principal modes.
            ridge: see `RIDGE`.
        """
        nods = np.tile(np.zeros(len(read)) if missing_nod is None else missing_nod, 2)
        x, y = (np.concatenate([each, _mirrored(each)]).reshape(2 * len(each), -1) for each in (read, true))
        kept = np.linalg.eigh(x.T @ x)[1][:, ::-1][:, :modes]
        largest = np.take_along_axis(kept, np.abs(kept).argmax(0)[None], 0)
        kept = kept * np.sign(largest)  # equal files on each run
        amounts = x @ kept
        normal = amounts.T @ amounts + ridge * len(x) * np.eye(kept.shape[1])
        left_out = np.column_stack([y - x, nods])
        missing = np.linalg.solve(normal, amounts.T @ left_out)
        return cls(kept, missing[:, :-1], missing[:, -1])

    @classmethod
    def load(cls, path: Path) -> Self:
        """Reads a correction from a file.

        Raises:
            DataError: the file is missing, damaged, or of another landmark set.
        """
        arrays = read_arrays(path)
        if not {"points", *_ARRAYS} <= arrays.keys():
            raise DataError(f"{path} is no correction of readings; build it again as its README says.")
        if arrays["points"].tolist() != list(POINTS):
            raise DataError(f"{path} is of another landmark set; build it again as its README says.")
        return cls(*(arrays[name].astype(float) for name in _ARRAYS))

    def save(self, path: Path) -> None:
        """Writes the correction to a file, whole or not at all."""
        arrays = {name: getattr(self, name).astype(np.float32) for name in _ARRAYS}
        write_arrays(path, points=np.array(POINTS), **arrays)


@cache
def person_correction() -> ReadingCorrection:
    """Returns the correction for people whose face at rest is known.

    Raises:
        DataError: the file is damaged.
    """
    return ReadingCorrection.load(asset(_PERSON))


def robot_correction(spec: FaceSpec) -> ReadingCorrection:
    """Returns the correction for a robot; a head of one's own without a file has none.

    Args:
        spec: the face.

    Raises:
        DataError: the file is damaged.
    """
    if spec.folder is None or not (spec.folder / _ROBOT).exists():
        return ReadingCorrection.none()
    return ReadingCorrection.load(spec.file(_ROBOT))


def _mirrored(motion: Floats) -> Floats:
    """Returns the mirror images of motions, (S, N, 3)."""
    mirrored: Floats = motion[:, mirror_order()[0]] * np.array([-1, 1, 1])
    return mirrored
