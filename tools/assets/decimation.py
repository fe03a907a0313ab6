"""Fewer triangles over the same vertices, for small pictures.

Edges are collapsed in the order of their quadric error (Garland and Heckbert, "Surface simplification using
quadric error metrics", 1997). A vertex moves onto a neighbour, never to a new place, so the moving vertices
of the full mesh serve both.
"""

from __future__ import annotations

import heapq

import numpy as np
from numpy.typing import NDArray

from eva_sim.contract import Floats

_REGULARITY = 1e-4  # share of the squared length that is added to the cost; short edges go first
_LEAST_COSINE = 0.5  # between the normals of a triangle before and after a collapse


def fewer_triangles(shapes: Floats, triangles: NDArray[np.int64], tolerance: float) -> NDArray[np.int64]:
    """Returns triangles over a subset of the vertices, (F', 3).

    Args:
        shapes: places of the vertices in some states of the face, (S, V, 3) [m]; the surface is kept in all.
        triangles: (F, 3).
        tolerance: root mean square distance of a vertex from the planes that it stands for [m].
    """
    return _Collapse(shapes, triangles).run(tolerance**2)


class _Collapse:
    def __init__(self, shapes: Floats, triangles: NDArray[np.int64]) -> None:
        self._shapes, self._triangles = (
            shapes,
            {i: tuple(corners) for i, corners in enumerate(triangles.tolist())},
        )
        self._around: list[set[int]] = [set() for _ in range(shapes.shape[1])]
        for i, corners in self._triangles.items():
            for vertex in corners:
                self._around[vertex].add(i)
        self._fixed = _rim(triangles)
        self._quadrics, self._areas = _quadrics(shapes, triangles)
        self._age = [0] * len(self._around)

    def run(self, limit: float) -> NDArray[np.int64]:
        heap = [entry for vertex in range(len(self._around)) for entry in self._collapses(vertex)]
        heapq.heapify(heap)
        while heap:
            cost, vertex, onto, ages = heapq.heappop(heap)
            if cost > limit:
                break
            if ages == (self._age[vertex], self._age[onto]) and self._keeps_sheet(vertex, onto):
                changed = self._collapse(vertex, onto)
                for near in changed:
                    self._age[near] += 1
                for near in changed:
                    for entry in self._collapses(near):
                        heapq.heappush(heap, entry)
        return np.array(list(self._triangles.values()), np.int64)

    def _collapses(self, vertex: int) -> list[tuple[float, int, int, tuple[int, int]]]:
        """Returns what it costs to move a vertex onto each neighbour."""
        if vertex in self._fixed or not self._around[vertex]:
            return []
        onto = sorted(self._neighbours(vertex))
        ends = np.concatenate([self._shapes[:, onto], np.ones((len(self._shapes), len(onto), 1))], axis=2)
        area = self._areas[:, vertex, None]
        errors = np.einsum("sni,sij,snj->sn", ends, self._quadrics[:, vertex], ends) / area
        lengths = ((self._shapes[:, onto] - self._shapes[:, vertex, None]) ** 2).sum(axis=2)
        costs = (errors + _REGULARITY * lengths).max(axis=0)
        return [
            (float(cost), vertex, other, (self._age[vertex], self._age[other]))
            for cost, other in zip(costs, onto, strict=True)
        ]

    def _neighbours(self, vertex: int) -> set[int]:
        return {corner for i in self._around[vertex] for corner in self._triangles[i]} - {vertex}

    def _keeps_sheet(self, vertex: int, onto: int) -> bool:
        """Whether the surface stays one sheet and no triangle turns over."""
        if len(self._neighbours(vertex) & self._neighbours(onto)) != 2:
            return False
        kept = [self._triangles[i] for i in self._around[vertex] if onto not in self._triangles[i]]
        if not kept:
            return False
        before = np.array(kept)
        after = np.where(before == vertex, onto, before)
        old, new = (_normals(self._shapes, corners) for corners in (before, after))
        lengths = np.linalg.norm(old, axis=2) * np.linalg.norm(new, axis=2)
        return bool(((old * new).sum(axis=2) > _LEAST_COSINE * lengths).all())

    def _collapse(self, vertex: int, onto: int) -> set[int]:
        """Moves a vertex onto another; returns the vertices whose costs change."""
        for i in sorted(self._around[vertex]):
            corners = self._triangles[i]
            if onto in corners:
                for corner in corners:
                    self._around[corner].discard(i)
                del self._triangles[i]
            else:
                self._triangles[i] = tuple(onto if corner == vertex else corner for corner in corners)
                self._around[onto].add(i)
        self._around[vertex] = set()
        self._quadrics[:, onto] += self._quadrics[:, vertex]
        self._areas[:, onto] += self._areas[:, vertex]
        return self._neighbours(onto) | {onto}


def _rim(triangles: NDArray[np.int64]) -> set[int]:
    """Returns the vertices at the rim of the sheet: lips, lids and neck keep their outline."""
    sides = np.sort(
        np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]), axis=1
    )
    edges, uses = np.unique(sides, axis=0, return_counts=True)
    return set(edges[uses != 2].ravel().tolist())


def _normals(shapes: Floats, triangles: NDArray[np.int64]) -> Floats:
    """Returns normals as long as twice the area, (S, F, 3)."""
    a, b, c = (shapes[:, triangles[:, i]] for i in range(3))
    return np.cross(b - a, c - a)


def _quadrics(shapes: Floats, triangles: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Returns for each vertex the quadric of its planes, (S, V, 4, 4), weighted by area, and the area."""
    normals = _normals(shapes, triangles)
    areas = np.linalg.norm(normals, axis=2)
    normals = normals / np.maximum(areas, 1e-30)[..., None]
    offsets = -(normals * shapes[:, triangles[:, 0]]).sum(axis=2, keepdims=True)
    planes = np.concatenate([normals, offsets], axis=2)
    own = areas[..., None, None] * planes[..., :, None] * planes[..., None, :]
    quadrics, total = np.zeros((*shapes.shape[:2], 4, 4)), np.full(shapes.shape[:2], 1e-30)
    for corner in range(3):
        for state in range(len(shapes)):
            np.add.at(quadrics[state], triangles[:, corner], own[state])
            np.add.at(total[state], triangles[:, corner], areas[state])
    return quadrics, total
