"""How the skin answers each drive alone: where a solve starts from.

The settled displacement for every drive on its own, at a few places of its range, as coefficients
of a few modes. When drives change, the last shape is moved by the change of their sum; three
quarters of a control step's motion is foreseen this way (`tools/build_response.py` prints it), for
a thousandth of its cost. The descent does the rest, so an error here costs time, not accuracy.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eva_sim.contract import Floats, load_spec
from eva_sim.files import asset, read_arrays
from eva_sim.skin.anatomy import Anatomy, Drives

FILE = "precomputed/warm_start.npz"


class Response(NamedTuple):
    """Modes, and each drive's coefficients along its range.

    Attributes:
        modes: in the solver's order, (R, 3 F) [m].
        table: coefficients at equal steps of each drive's range, (15, K, R).
        low, high: ends of each drive's range, in the order jaw, lids, take-ups, (15,) [rad, m].
    """

    modes: NDArray[np.float32]
    table: NDArray[np.float32]
    low: Floats
    high: Floats

    @property
    def rank(self) -> int:
        """Number of modes; none for an anatomy whose answers are not known."""
        return len(self.modes)

    def coefficients(self, drives: Drives) -> NDArray[np.float32]:
        """Coefficients (R, L) of the drives of L faces."""
        given = np.vstack([drives.jaw, drives.lids.T, drives.take_up.T])
        steps = self.table.shape[1] - 1
        place = np.clip((given - self.low[:, None]) / (self.high - self.low)[:, None] * steps, 0, steps)
        below = np.minimum(place.astype(int), steps - 1)
        share = (place - below).astype(np.float32)[:, :, None]
        each = np.arange(len(given))[:, None]
        both = (1 - share) * self.table[each, below] + share * self.table[each, below + 1]
        return np.ascontiguousarray(both.sum(0).T)


def ranges() -> tuple[Floats, Floats]:
    """Least and greatest value of each drive, in the order jaw, lids, take-ups, (15,) [rad, m]."""
    spec = load_spec()
    low, high = spec.column("low"), spec.column("high")
    moved = np.concatenate([spec.where("jaw"), spec.where("lid")])
    ends = (np.concatenate([end[moved], spec.drawn_in(end)]) for end in (low, high))
    return next(ends), next(ends)


def load_response(anatomy: Anatomy, order: NDArray[np.intp]) -> Response:
    """The shipped response if it is of this anatomy; else one that foresees nothing.

    Raises:
        DataError: the file is missing or damaged.
    """
    free = order[: len(anatomy.free)]
    low, high = ranges()
    arrays = read_arrays(asset(FILE))
    if str(arrays["digest"]) != anatomy.digest:
        return Response(
            np.zeros((0, 3 * len(free)), np.float32), np.zeros((len(low), 2, 0), np.float32), low, high
        )
    modes = arrays["modes"][:, free].reshape(-1, 3 * len(free))
    return Response(np.ascontiguousarray(modes, np.float32), arrays["table"], low, high)
