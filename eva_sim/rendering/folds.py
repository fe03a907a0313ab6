"""How far the skin is folded: its compression across the lines along which skin creases.

The lines are those of a face: across the forehead, between the brows, from nose to mouth, beside the eyes.
Where they run is a drawing (`tools/assets/fold_lines.py`). How deep they are, the simulated skin says.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.sparse as sparse
from numpy.typing import NDArray

from eva_sim.contract import Floats
from eva_sim.skin.elements import vertex_areas
from eva_sim.skin.kernel_cache import kernel

#: Compression at which a fold begins to show, from there to its full depth, and the largest fold. A choice,
#: made by looking: one cable at full pull compresses the skin beside it by 0.2 to 0.4.
_BEGINS, _RANGE, _MOST = 0.02, 0.20, 1.3
#: Times that the compression is averaged over neighbours; a fold is longer than the triangles it crosses.
_PASSES = 4


class FoldStrain:
    """Measures the compression of the skin across its fold lines.

    Args:
        points: the skin at rest, (V, 3) [m].
        triangles: (F, 3).
        directions: across the fold line in each triangle at rest, (F, 3); need not lie in the triangle.
    """

    def __init__(self, points: Floats, triangles: NDArray[np.int64], directions: Floats) -> None:
        edges = _edges(points, triangles)
        normal = np.cross(edges[:, :, 0], edges[:, :, 1])
        normal /= np.linalg.norm(normal, axis=1, keepdims=True)
        across = directions - (directions * normal).sum(1, keepdims=True) * normal
        across /= np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-9)
        # A line element across the fold as a sum of the two edges; the same sum follows the moving skin.
        one, other = np.einsum("fij,fj->if", np.linalg.pinv(edges), across)
        self._triangles, self._shares = (
            triangles.astype(np.uint32),
            np.stack([-one - other, one, other], axis=1),
        )
        to_vertices = _means_at_vertices(points, triangles)
        self._to_vertices = SparseRows.from_matrix(to_vertices)
        self._smooth = SparseRows.from_matrix(to_vertices @ _means_of_corners(triangles, len(points)))

    def __call__(self, skin: Floats) -> Floats:
        """Returns the fold of each vertex, (V,): 0 smooth, 1 full depth, for the skin (V, 3) [m]."""
        skin = np.ascontiguousarray(skin, float)
        folded = _compression(skin, self._triangles, self._shares, self._to_vertices, self._smooth)
        return np.clip((folded - _BEGINS) / _RANGE, 0, _MOST)


class SparseRows(NamedTuple):
    """A sparse matrix, row by row, as compiled code takes it.

    Attributes:
        ends: where each row begins in the other two, and where the last one ends.
        columns, values: of all rows.
    """

    ends: NDArray[np.uint32]
    columns: NDArray[np.uint32]
    values: Floats

    @classmethod
    def from_matrix(cls, matrix: sparse.csr_matrix) -> SparseRows:
        """Returns the rows of a matrix (N, M)."""
        return cls(matrix.indptr.astype(np.uint32), matrix.indices.astype(np.uint32), matrix.data)


@kernel(nogil=True)
def _compression(skin, triangles, shares, to_vertices, smooth):  # type: ignore[no-untyped-def]
    """Returns the compression across the lines at each vertex, (V,), averaged over neighbours."""
    of_faces = np.empty(len(triangles))
    for f in range(len(triangles)):
        a, b, c = triangles[f, 0], triangles[f, 1], triangles[f, 2]
        square = 0.0
        for k in range(3):
            across = shares[f, 0] * skin[a, k] + shares[f, 1] * skin[b, k] + shares[f, 2] * skin[c, k]
            square += across * across
        of_faces[f] = max(1 - np.sqrt(square), 0.0)
    folded = _product(to_vertices, of_faces)
    for _ in range(_PASSES):
        folded = _product(smooth, folded)
    return folded


@kernel(nogil=True)
def _product(rows, vector):  # type: ignore[no-untyped-def]
    out = np.empty(len(rows.ends) - 1)
    for i in range(len(out)):
        total = 0.0
        for k in range(rows.ends[i], rows.ends[i + 1]):
            total += rows.values[k] * vector[rows.columns[k]]
        out[i] = total
    return out


def _means_of_corners(triangles: NDArray[np.int64], vertices: int) -> sparse.csr_matrix:
    """Returns the matrix (F, V) of means over the corners of each triangle."""
    rows = np.repeat(np.arange(len(triangles)), 3)
    where = rows, triangles.ravel()
    return sparse.csr_matrix((np.full(len(rows), 1 / 3), where), shape=(len(triangles), vertices))


def _edges(points: Floats, triangles: NDArray[np.int64]) -> Floats:
    """Returns two edges of each triangle as columns, (F, 3, 2)."""
    a, b, c = (points[triangles[:, i]] for i in range(3))
    return np.stack([b - a, c - a], axis=2)


def _means_at_vertices(points: Floats, triangles: NDArray[np.int64]) -> sparse.csr_matrix:
    """Returns the matrix (V, F) of area-weighted means around each vertex."""
    a, b, c = (points[triangles[:, i]] for i in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 6
    rows, columns = triangles.ravel(), np.repeat(np.arange(len(triangles)), 3)
    sums = sparse.csr_matrix((np.repeat(area, 3), (rows, columns)), shape=(len(points), len(triangles)))
    means: sparse.csr_matrix = sparse.diags(1 / np.maximum(vertex_areas(points, triangles), 1e-30)) @ sums
    return means.tocsr()
