"""World vertices and normals of all parts of the studio, as graphics memory takes them.

They are placed here and not by the graphics library, so that parts of one material are drawn by one call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from eva_sim.contract import Floats
from eva_sim.errors import RenderError
from eva_sim.rendering.studio_parts import StudioPart
from eva_sim.skin.elements import vertex_normals
from eva_sim.skin.kernel_cache import kernel


class MovingVertices:
    """The vertices of all parts, one part after the other, at one moment.

    Args:
        parts: the parts.

    Attributes:
        places: (V, 3) float32 [m].
        directions: normal of any length, and fold of the skin, (V, 4) float32.
        rows: where the vertices of each part are.
    """

    def __init__(self, parts: Sequence[StudioPart]) -> None:
        ends = np.cumsum([len(part.points) for part in parts]).tolist()
        self.rows = [slice(end - len(part.points), end) for part, end in zip(parts, ends, strict=True)]
        normals = [vertex_normals(part.points, part.triangles) for part in parts]
        self.places = np.concatenate([part.points for part in parts]).astype(np.float32)
        self.directions = np.zeros((len(self.places), 4), np.float32)
        self.directions[:, :3] = np.concatenate(normals)
        self._parts = list(zip(parts, self.rows, strict=True))
        self._rest, self._rest_normals = self.places.copy(), self.directions[:, :3].copy()
        self._triangles = {part.name: part.triangles.astype(np.uint32) for part in parts}
        self._placed: Mapping[str, Floats] = {}

    def move_parts(self, placed: Mapping[str, Floats]) -> None:
        """Moves each part to its vertices (V, 3) [m] or its pose (4, 4); parts that are missing stay.

        Raises:
            RenderError: a part has another number of vertices.
        """
        self._placed = placed
        for part, rows in self._parts:
            place = placed.get(part.name)
            if place is None:
                continue
            if place.shape == (4, 4):
                _transform(self._rest[rows], place[:3].astype(np.float32), self.places[rows])
            elif place.shape == part.points.shape:
                self.places[rows] = place
            else:
                raise RenderError(f"{part.name} has {len(part.points)} vertices, not {len(place)}.")

    def update_normals(self, folds: Floats) -> None:
        """Computes the normals of the parts that moved last, and takes over the folds of the skin, (V,)."""
        for part, rows in self._parts:
            place = self._placed.get(part.name)
            if place is None:
                continue
            directions = self.directions[rows]
            if place.shape == (4, 4):
                turned = np.zeros((3, 4), np.float32)
                turned[:, :3] = place[:3, :3]
                _transform(self._rest_normals[rows], turned, directions)
            else:
                _sum_normals(self.places[rows], self._triangles[part.name], directions)
            if part.folds:
                directions[:, 3] = folds


@kernel(nogil=True)
def _transform(points, pose, out):  # type: ignore[no-untyped-def]
    """Writes points (V, 3), moved by a pose (3, 4), into the first three columns of `out`."""
    for i in range(len(points)):
        x, y, z = points[i, 0], points[i, 1], points[i, 2]
        for k in range(3):
            out[i, k] = pose[k, 0] * x + pose[k, 1] * y + pose[k, 2] * z + pose[k, 3]


@kernel(nogil=True)
def _sum_normals(points, triangles, out):  # type: ignore[no-untyped-def]
    """Writes the sum of the normals around each vertex, weighted by area, into three columns of `out`."""
    out[:, :3] = 0
    for f in range(len(triangles)):
        a, b, c = triangles[f, 0], triangles[f, 1], triangles[f, 2]
        u0, u1, u2 = points[b, 0] - points[a, 0], points[b, 1] - points[a, 1], points[b, 2] - points[a, 2]
        v0, v1, v2 = points[c, 0] - points[a, 0], points[c, 1] - points[a, 1], points[c, 2] - points[a, 2]
        n0, n1, n2 = u1 * v2 - u2 * v1, u2 * v0 - u0 * v2, u0 * v1 - u1 * v0
        for i in (a, b, c):
            out[i, 0] += n0
            out[i, 1] += n1
            out[i, 2] += n2
