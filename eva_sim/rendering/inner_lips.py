"""The inside of the lips: rows of vertices that roll inwards from the edge of the simulated skin.

They are seen, but not simulated. Each one keeps its place in the frame of its vertex of the edge.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from eva_sim.contract import Floats
from eva_sim.skin.kernel_cache import kernel

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
        frames: tuple[Floats, Floats] = _frames(
            np.ascontiguousarray(skin, float), self._loop, self._beside, self._place
        )
        return frames


@kernel(nogil=True)
def _frames(skin, loop, beside, place):  # type: ignore[no-untyped-def]
    count = len(loop)
    normal, onwards = np.zeros((count, 3)), np.empty((count, 3))
    for f in range(len(beside)):
        a, b, c = beside[f]
        face = _cross(_step(skin, a, b), _step(skin, a, c))
        for corner in range(3):
            i = place[f, corner]
            if i >= 0:
                for k in range(3):
                    normal[i, k] += face[k]
    _steady(normal)
    for i in range(count):
        along = _step(skin, loop[i - 1], loop[(i + 1) % count])
        onwards[i, 0], onwards[i, 1], onwards[i, 2] = _cross(along, normal[i])
    _steady(onwards)
    for i in range(count):
        shared = _dot(normal[i], onwards[i])
        for k in range(3):
            normal[i, k] -= shared * onwards[i, k]
    _make_unit(normal)
    return onwards, normal


@kernel(nogil=True)
def _steady(vectors):  # type: ignore[no-untyped-def]
    """Replaces vectors around the loop by the mean direction of each and its neighbours, of unit length."""
    own, other = _STEADY
    _make_unit(vectors)
    before = vectors.copy()
    for i in range(len(vectors)):
        onwards = (i + 1) % len(vectors)
        for k in range(3):
            vectors[i, k] = own * before[i, k] + other * (before[i - 1, k] + before[onwards, k])
    _make_unit(vectors)


@kernel(nogil=True)
def _make_unit(vectors):  # type: ignore[no-untyped-def]
    for vector in vectors:
        length = max(np.sqrt(_dot(vector, vector)), 1e-12)
        for k in range(3):
            vector[k] /= length


@kernel(forceinline=True)
def _step(points, start, end):  # type: ignore[no-untyped-def]
    a, b = points[start], points[end]
    return b[0] - a[0], b[1] - a[1], b[2] - a[2]


@kernel(forceinline=True)
def _cross(a, b):  # type: ignore[no-untyped-def]
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


@kernel(forceinline=True)
def _dot(a, b):  # type: ignore[no-untyped-def]
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
