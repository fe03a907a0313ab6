"""The inside of the lips: rows of vertices that roll inwards from the edge of the simulated skin.

They are seen, but not simulated. Each one keeps its place in the frame of its vertex of the edge.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from eva_sim.contract import Floats

#: Weights of a vertex of the edge and its two neighbours in the mean that steadies the frames.
_STEADY = (0.5, 0.25)


class InnerLips:
    """Places the inside of the lips.

    Args:
        triangles: of the skin, (F, 3).
        loop: vertices of the closed edge of the lips, (M,), in the triangles' own direction.
        local: places of the rows in the frames of the edge, (R, M, 2) [m], see `frames`.
    """

    def __init__(self, triangles: NDArray[np.int64], loop: NDArray[np.int64], local: Floats) -> None:
        self._loop, self._local = loop, local
        place = np.full(triangles.max() + 1, -1)
        place[loop] = np.arange(len(loop))
        self._beside = triangles[(place[triangles] >= 0).any(axis=1)]
        self._place = place[self._beside]

    def __call__(self, skin: Floats) -> Floats:
        """Returns the vertices of all rows, (R M, 3) [m], for the skin (V, 3) [m]."""
        onwards, normal = self.frames(skin)
        rows = skin[self._loop] + self._local[..., :1] * onwards + self._local[..., 1:] * normal
        return rows.reshape(-1, 3)

    def frames(self, skin: Floats) -> tuple[Floats, Floats]:
        """Returns two unit vectors at each vertex of the edge, (M, 3) each.

        The first continues the skin beyond its edge. The second is the normal of the skin there, outwards.
        """
        edge = skin[self._loop]
        along = np.roll(edge, -1, axis=0) - np.roll(edge, 1, axis=0)
        a, b, c = (skin[self._beside[:, i]] for i in range(3))
        faces = np.cross(b - a, c - a)
        normal = np.zeros_like(edge)
        for corner in range(3):
            chosen = self._place[:, corner] >= 0
            np.add.at(normal, self._place[chosen, corner], faces[chosen])
        normal = _unit(_steadied(_unit(normal)))
        onwards = _unit(_steadied(_unit(np.cross(along, normal))))
        return onwards, _unit(normal - (normal * onwards).sum(axis=1, keepdims=True) * onwards)


def _unit(vectors: Floats) -> Floats:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def _steadied(vectors: Floats) -> Floats:
    own, other = _STEADY
    mean: Floats = own * vectors + other * (np.roll(vectors, 1, axis=0) + np.roll(vectors, -1, axis=0))
    return mean
