"""Observations of one face that followed a transfer plan, in one `.npz` file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eva_sim.contract import Floats
from eva_sim.errors import DataError
from eva_sim.files import read_arrays, write_arrays
from eva_sim.real.transfer.plan import TransferPlan


@dataclass(frozen=True)
class PlanObservations:
    """Pictures and landmarks of one face that followed a plan. K pictures.

    Attributes:
        neutral: its resting landmarks, (N, 3) [outer-eye distances].
        landmarks: (K, N, 3) [outer-eye distances], aligned to that neutral; zero where not found.
        found: whether there was a face in each picture, (K,).
        outer_eye: outer-eye distance of the neutral face [m], as the face itself reports it.
        jpegs: the pictures.
        faults: faults of the face, each once.
    """

    neutral: Floats
    landmarks: Floats
    found: NDArray[np.bool_]
    outer_eye: float
    jpegs: tuple[bytes, ...]
    faults: tuple[str, ...]

    def write(self, path: Path, plan: TransferPlan) -> None:
        """Writes the file atomically, with the digest of the plan."""
        write_arrays(
            path, neutral=self.neutral, landmarks=self.landmarks, found=self.found, plan=plan.digest,
            outer_eye=self.outer_eye,
            jpegs=np.frombuffer(b"".join(self.jpegs), np.uint8), faults=json.dumps(self.faults),
            sizes=np.array([len(jpeg) for jpeg in self.jpegs]),
        )  # fmt: skip

    @classmethod
    def read(cls, path: Path, plan: TransferPlan) -> PlanObservations:
        """Reads the file.

        Raises:
            DataError: missing, damaged or of another plan.
        """
        arrays = read_arrays(path)
        if str(arrays.get("plan")) != plan.digest:
            raise DataError(f"{path} is of another plan; choose another folder.")
        ends = np.cumsum(arrays["sizes"])
        data = arrays["jpegs"].tobytes()
        jpegs = tuple(data[end - size : end] for end, size in zip(ends, arrays["sizes"], strict=True))
        faults = tuple(json.loads(str(arrays["faults"])))
        outer_eye = float(arrays["outer_eye"])
        return cls(arrays["neutral"], arrays["landmarks"], arrays["found"], outer_eye, jpegs, faults)
