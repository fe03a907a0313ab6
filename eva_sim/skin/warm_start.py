"""Warm start of a solve: the precomputed displacement of the skin under each drive alone.

The file holds the settled displacement under every drive by itself, at a few values within its range,
as coefficients of a few modes. When the drives change, the last shape is moved by the change of the
sum of these displacements. That predicts three quarters of the motion in a control step, for a
thousandth of its cost. The descent does the rest, so an error here costs time, not accuracy.
`python -m tools.build_warm_start` makes the file.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eva_sim.contract import FaceSpec, Floats
from eva_sim.files import read_arrays
from eva_sim.skin.anatomy import Anatomy, Drives

FILE = "precomputed/warm_start.npz"


class WarmStart(NamedTuple):
    """Modes, and each drive's coefficients along its range. D is the number of drives, 15 for EVA.

    Attributes:
        modes: in the solver's order, (R, 3 F) [m].
        table: coefficients at K equal steps of each drive's range, (D, K, R).
        low, high: ends of each drive's range, in the order jaw, lids, take-ups, (D,) [rad, m].
    """

    modes: NDArray[np.float32]
    table: NDArray[np.float32]
    low: Floats
    high: Floats

    @property
    def rank(self) -> int:
        """Number of modes; zero for an anatomy without a precomputed file."""
        return len(self.modes)

    def coefficients(self, drives: Drives) -> NDArray[np.float32]:
        """Coefficients (R, L) for the drives of L faces."""
        values = np.vstack([drives.jaw, drives.lids.T, drives.take_up.T])
        steps = self.table.shape[1] - 1
        position = np.clip((values - self.low[:, None]) / (self.high - self.low)[:, None] * steps, 0, steps)
        below = np.minimum(position.astype(int), steps - 1)
        share = (position - below).astype(np.float32)[:, :, None]
        row = np.arange(len(values))[:, None]
        per_drive = (1 - share) * self.table[row, below] + share * self.table[row, below + 1]
        return np.ascontiguousarray(per_drive.sum(0).T)


def drive_ranges(spec: FaceSpec) -> tuple[Floats, Floats]:
    """Least and greatest value of each drive, in the order jaw, lids, take-ups, (D,) [rad, m]."""
    low, high = spec.column("low"), spec.column("high")
    direct = np.concatenate([spec.where("jaw"), spec.where("lid")])
    ends = (np.concatenate([end[direct], spec.drawn_in(end)]) for end in (low, high))
    return next(ends), next(ends)


def load_warm_start(anatomy: Anatomy, order: NDArray[np.intp]) -> WarmStart:
    """Reads the warm start of the anatomy's face; without any modes if the file is of another skin.

    Args:
        anatomy: the skin.
        order: its vertices in the solver's order, free ones first.

    Raises:
        DataError: the file is missing or damaged.
    """
    free = order[: len(anatomy.free)]
    low, high = drive_ranges(anatomy.spec)
    arrays = read_arrays(anatomy.spec.file(FILE))
    if str(arrays["digest"]) != anatomy.digest:
        modes = np.zeros((0, 3 * len(free)), np.float32)
        return WarmStart(modes, np.zeros((len(low), 2, 0), np.float32), low, high)
    modes = arrays["modes"][:, free].reshape(-1, 3 * len(free))
    return WarmStart(np.ascontiguousarray(modes, np.float32), arrays["table"], low, high)
