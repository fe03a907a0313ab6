"""A sparse factor that is made once and applied thousands of times, to three right-hand sides at a time.

SciPy finds the fill-reducing order and the factor. Its own solve takes one right-hand side at a time and
checks its input on every call, so the two triangular solves are compiled here.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sparse
import scipy.sparse.linalg as linalg
from numpy.typing import NDArray

from eva_sim.contract import Floats
from eva_sim.skin.energy import compiled


class Factor:
    """The factor L D L^T of a symmetric positive definite matrix.

    Args:
        matrix: (N, N).

    Attributes:
        order: the rows and columns of `matrix` in the order of the factor, (N,).
        lower: L without its unit diagonal, (N, N).
        diagonal: of D, (N,).
    """

    def __init__(self, matrix: sparse.csc_matrix) -> None:
        order = linalg.splu(matrix, permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True}).perm_c
        # Reordered first, so that rows and columns move together and the diagonal stays the pivot.
        self.order = np.argsort(order)
        moved = sparse.csc_matrix(matrix[self.order][:, self.order])
        lu = linalg.splu(moved, permc_spec="NATURAL", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
        below = sparse.csc_matrix(sparse.tril(lu.L, -1))
        # Columns with the same rows become neighbours. The entries stay the same.
        neighbours = _postorder(below)
        below = sparse.csc_matrix(below[neighbours][:, neighbours])
        below.sort_indices()
        self.order, self.lower, self.diagonal = self.order[neighbours], below, lu.U.diagonal()[neighbours]

    def solve(self, sides: Floats) -> Floats:
        """Returns the solution (N, 3) for right-hand sides (N, 3)."""
        work = sides[self.order]
        _substitute(self.lower.indptr, self.lower.indices, self.lower.data, self.diagonal, work)
        out = np.empty_like(work)
        out[self.order] = work
        return out


def _postorder(lower: sparse.csc_matrix) -> NDArray[np.intp]:
    """Returns the columns of a factor (N, N) in a postorder of its elimination tree, (N,).

    A column's parent is the first row below its diagonal (Liu, SIAM J. Matrix Anal. Appl. 11(1), 1990).
    """
    count = lower.shape[0]
    columns = np.split(lower.indices, lower.indptr[1:-1])
    parent = [int(rows.min()) if len(rows) else count for rows in columns]  # all roots have one parent
    size = np.ones(count + 1, int)
    for j in range(count):
        size[parent[j]] += size[j]
    place, end = np.empty(count, int), np.full(count + 1, count)
    for j in reversed(range(count)):  # a parent comes after its children
        place[j] = end[parent[j]] - 1
        end[j], end[parent[j]] = place[j], end[parent[j]] - size[j]
    return np.argsort(place)


@compiled
def _substitute(start, row, value, diagonal, x):  # type: ignore[no-untyped-def]
    """Solves L D L^T x = b in place; L without its unit diagonal."""
    size = len(diagonal)
    for j in range(size):
        a, b, c = x[j, 0], x[j, 1], x[j, 2]
        for n in range(start[j], start[j + 1]):
            v, i = value[n], row[n]
            x[i, 0] -= v * a
            x[i, 1] -= v * b
            x[i, 2] -= v * c
    for j in range(size - 1, -1, -1):
        d = 1.0 / diagonal[j]
        a, b, c = x[j, 0] * d, x[j, 1] * d, x[j, 2] * d
        for n in range(start[j], start[j + 1]):
            v, i = value[n], row[n]
            a -= v * x[i, 0]
            b -= v * x[i, 1]
            c -= v * x[i, 2]
        x[j, 0], x[j, 1], x[j, 2] = a, b, c
