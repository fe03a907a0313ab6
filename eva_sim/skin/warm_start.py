"""Warm start of a solve: the learned map of the reduced skin predicts how the skin moves.

When the drives change, the last shape is moved by the change that the map of `reduced_map.py` predicts.
That takes a large step as well as a small one, for the cost of a fraction of an evaluation. The last shape
keeps what the map does not know. The descent does the rest, so an error here costs time, not accuracy.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eva_sim.contract import Floats
from eva_sim.skin.anatomy import Anatomy, Drives
from eva_sim.skin.energy import compiled
from eva_sim.skin.lanes import add_modes
from eva_sim.skin.reduced_map import Network, evaluate_network, find_reduced, network_field, reduced_map

MODES = 64  # of the map's; more of them save no evaluations


class WarmStart(NamedTuple):
    """The strongest modes of the learned map, and their coefficients as a function of the drives.

    Attributes:
        modes: in the solver's order, (R, 3 F) [m].
        network: drives to coefficients; None for an anatomy without a map.
    """

    modes: NDArray[np.float32]
    network: Network | None

    @property
    def rank(self) -> int:
        """Number of modes; zero for an anatomy without a map."""
        return len(self.modes)

    def coefficients(self, drives: Drives) -> NDArray[np.float32]:
        """Coefficients (R, L) for the drives of one face or LANES faces, L = 1 or LANES.

        Drives the map has not seen count as its ends.
        """
        columns = drives.drive_columns
        if self.network is None:
            return np.zeros((0, columns.shape[1]), np.float32)
        coefficients: NDArray[np.float32] = _coefficients(columns, self.network, network_field(columns))
        return coefficients

    def move_vertices(self, x: Floats, columns: Floats, coefficients: NDArray[np.float32]) -> None:
        """Moves the free vertices by the change of the coefficients; without a map, nothing moves.

        Args:
            x: field of the vertices; changed in place.
            columns: new drives, as `Drives.drive_columns`.
            coefficients: of the last drives, (R, L); overwritten by those of the new ones.
        """
        if self.network is not None:
            _move(x, self.modes, self.network, columns, coefficients)


@compiled
def _coefficients(columns, network, like):  # type: ignore[no-untyped-def]
    drives = np.empty(columns.shape, np.float32)
    for i in range(len(drives)):
        for m in range(drives.shape[1]):
            drives[i, m] = min(max(np.float32(columns[i, m]), network.low[i]), network.high[i])
    return evaluate_network(drives, network, like)


@compiled
def _move(x, modes, network, columns, coefficients):  # type: ignore[no-untyped-def]
    outputs = _coefficients(columns, network, x)
    add_modes(x, modes, outputs - coefficients, modes.shape[1] // 3)
    coefficients[:] = outputs


def load_warm_start(anatomy: Anatomy, order: NDArray[np.intp]) -> WarmStart:
    """Reads the warm start of the anatomy's face; without any modes if there is no map of this skin.

    Args:
        anatomy: the skin.
        order: its vertices in the solver's order, free ones first.

    Raises:
        DataError: the file of the map is damaged or of another version.
    """
    free = order[: len(anatomy.free)]
    arrays = find_reduced(anatomy)
    if arrays is None:
        return WarmStart(np.zeros((0, 3 * len(free)), np.float32), None)
    learned = reduced_map(arrays, anatomy.spec)
    modes = learned.vertices.modes[:MODES].reshape(-1, len(order), 3)[:, free]
    return WarmStart(modes.reshape(-1, 3 * len(free)), learned.network.first_outputs(len(modes)))
