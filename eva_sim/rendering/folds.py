"""How far the skin is folded: its compression across the lines along which skin creases.

The lines are those of a face: across the forehead, between the brows, from nose to mouth, beside the eyes.
Where they run is a drawing (`tools/assets/fold_lines.py`). How deep they are, the simulated skin says.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sparse
from numpy.typing import NDArray

from eva_sim.contract import Floats
from eva_sim.skin.elements import vertex_areas

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
        shares = np.stack([-one - other, one, other], axis=1)
        self._across = _by_corner(triangles, shares, len(points))
        to_vertices = _means_at_vertices(points, triangles)
        self._to_vertices = to_vertices
        self._smooth = to_vertices @ _by_corner(triangles, np.full(triangles.shape, 1 / 3), len(points))

    def __call__(self, skin: Floats) -> Floats:
        """Returns the fold of each vertex, (V,): 0 smooth, 1 full depth, for the skin (V, 3) [m]."""
        across = self._across @ skin
        stretch = np.sqrt(np.einsum("ij,ij->i", across, across))
        folded: Floats = self._to_vertices @ np.maximum(1 - stretch, 0)
        for _ in range(_PASSES):
            folded = self._smooth @ folded
        return np.clip((folded - _BEGINS) / _RANGE, 0, _MOST)


def _by_corner(triangles: NDArray[np.int64], shares: Floats, vertices: int) -> sparse.csr_matrix:
    """Returns the matrix (F, V) of weighted sums over the corners of each triangle, for weights (F, 3)."""
    rows = np.repeat(np.arange(len(triangles)), 3)
    shape = len(triangles), vertices
    return sparse.csr_matrix((shares.ravel(), (rows, triangles.ravel())), shape=shape)


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
    return sparse.diags(1 / np.maximum(vertex_areas(points, triangles), 1e-30)) @ sums
