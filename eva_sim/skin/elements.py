"""Linear finite-element building blocks on a triangle mesh."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sparse
from numpy.typing import NDArray

from eva_sim.contract import Floats


def vertex_areas(points: Floats, triangles: NDArray[np.int64]) -> Floats:
    """Returns a third of the area around each vertex, (V,) [m2]."""
    a, b, c = (points[triangles[:, i]] for i in range(3))
    area = 0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=1)
    areas: Floats = np.bincount(triangles.ravel(), np.repeat(area / 3, 3), minlength=len(points)).astype(
        float
    )
    return areas


def vertex_normals(points: Floats, triangles: NDArray[np.int64]) -> Floats:
    """Returns area-weighted unit normals, (V, 3)."""
    a, b, c = (points[triangles[:, i]] for i in range(3))
    face = np.cross(b - a, c - a)
    total = np.stack(
        [np.bincount(triangles.ravel(), np.repeat(face[:, k], 3), minlength=len(points)) for k in range(3)],
        axis=1,
    )
    normals: Floats = total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-30)
    return normals


def laplacian(points: Floats, triangles: NDArray[np.int64]) -> sparse.csr_matrix:
    """Returns the cotangent stiffness matrix, (V, V), positive semi-definite (Pinkall and Polthier, 1993)."""
    size = len(points)
    matrix = sparse.csr_matrix((size, size))
    for k in range(3):
        i, j, o = (triangles[:, (k + s) % 3] for s in range(3))
        u, w = points[i] - points[o], points[j] - points[o]
        half = 0.5 * (u * w).sum(1) / np.linalg.norm(np.cross(u, w), axis=1)
        rows, columns = np.concatenate([i, j, i, j]), np.concatenate([i, j, j, i])
        values = np.concatenate([half, half, -half, -half])
        matrix = matrix + sparse.csr_matrix((values, (rows, columns)), shape=(size, size))
    return matrix
