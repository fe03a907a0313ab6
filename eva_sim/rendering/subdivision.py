"""Loop subdivision as a matrix, so that a moving mesh is smoothed by one product.

Weights after Loop, "Smooth subdivision surfaces based on triangles", 1987. The rim of the mesh becomes a
cubic B-spline of the rim alone, so that lids and lips end where they are simulated.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.sparse as sparse
from numpy.typing import NDArray


class Subdivision(NamedTuple):
    """A mesh with four triangles in place of each.

    Attributes:
        operator: (V', V); its product with vertices, or with anything per vertex, is that of the fine mesh.
            The first V rows are the old vertices, smoothed; the others are the middles of edges.
        triangles: of the fine mesh, (4 F, 3).
    """

    operator: sparse.csr_matrix
    triangles: NDArray[np.int64]


def subdivide(vertices: int, triangles: NDArray[np.int64]) -> Subdivision:
    """Returns one step of Loop subdivision.

    Args:
        vertices: number of vertices V; those without a triangle stay.
        triangles: (F, 3).
    """
    sides = np.sort(
        np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]), axis=1
    )
    opposite = np.concatenate([triangles[:, 2], triangles[:, 0], triangles[:, 1]])
    edges, edge_of_side, uses = np.unique(sides, axis=0, return_inverse=True, return_counts=True)
    inner = uses == 2
    middles = _edge_rule(vertices, edges, inner, opposite, edge_of_side.ravel())
    operator = sparse.vstack([_vertex_rule(vertices, edges, inner), middles]).tocsr()
    a, b, c = triangles.T
    ab, bc, ca = vertices + edge_of_side.reshape(3, -1)
    # The four stay together: what draws them then finds their shared corners again.
    fine = np.stack([a, ab, ca, b, bc, ab, c, ca, bc, ab, bc, ca], axis=1).reshape(-1, 3)
    return Subdivision(operator, fine)


def _edge_rule(
    vertices: int,
    edges: NDArray[np.int64],
    inner: NDArray[np.bool_],
    opposite: NDArray[np.int64],
    edge_of_side: NDArray[np.intp],
) -> sparse.csr_matrix:
    """3/8 of the two ends and 1/8 of the two opposite corners; at the rim half of the two ends."""
    count = len(edges)
    ends = _matrix(np.repeat(np.arange(count), 2), edges.ravel(), (count, vertices))
    corners = _matrix(edge_of_side, opposite, (count, vertices))
    return (
        sparse.diags(np.where(inner, 3 / 8, 1 / 2)) @ ends + sparse.diags(np.where(inner, 1 / 8, 0)) @ corners
    )


def _vertex_rule(vertices: int, edges: NDArray[np.int64], inner: NDArray[np.bool_]) -> sparse.csr_matrix:
    """Loop's mean of the neighbours; on the rim 1/8 of the two neighbours there; a corner of it stays."""
    around, along = (_adjacency(vertices, chosen) for chosen in (edges, edges[~inner]))
    valence, rim_valence = (np.asarray(matrix.sum(axis=1)).ravel() for matrix in (around, along))
    neighbours = np.maximum(valence, 1)
    weight = (5 / 8 - (3 / 8 + np.cos(2 * np.pi / neighbours) / 4) ** 2) / neighbours
    weight[(rim_valence > 0) | (valence == 0)] = 0
    rim_weight = np.where(rim_valence == 2, 1 / 8, 0)
    own = 1 - valence * weight - rim_valence * rim_weight
    return sparse.diags(own) + sparse.diags(weight) @ around + sparse.diags(rim_weight) @ along


def _adjacency(vertices: int, edges: NDArray[np.int64]) -> sparse.csr_matrix:
    both = np.concatenate([edges, edges[:, ::-1]])
    return _matrix(both[:, 0], both[:, 1], (vertices, vertices))


def _matrix(
    rows: NDArray[np.intp] | NDArray[np.int64], columns: NDArray[np.int64], shape: tuple[int, int]
) -> sparse.csr_matrix:
    return sparse.csr_matrix((np.ones(len(rows)), (rows, columns)), shape=shape)
