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
        self._triangles = triangles
        edges = _edges(points, triangles)
        normal = np.cross(edges[:, :, 0], edges[:, :, 1])
        normal /= np.linalg.norm(normal, axis=1, keepdims=True)
        across = directions - (directions * normal).sum(1, keepdims=True) * normal
        across /= np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-9)
        # A line element across the fold as a sum of the two edges; the same sum follows the moving skin.
        self._shares: Floats = np.einsum("fij,fj->fi", np.linalg.pinv(edges), across)
        self._to_vertices = _means_at_vertices(points, triangles)

    def __call__(self, skin: Floats) -> Floats:
        """Returns the fold of each vertex, (V,): 0 smooth, 1 full depth, for the skin (V, 3) [m]."""
        stretch = np.linalg.norm(np.einsum("fij,fj->fi", _edges(skin, self._triangles), self._shares), axis=1)
        folded: Floats = self._to_vertices @ np.maximum(1 - stretch, 0)
        for _ in range(_PASSES):
            folded = self._to_vertices @ folded[self._triangles].mean(axis=1)
        return np.clip((folded - _BEGINS) / _RANGE, 0, _MOST)


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
