"""Edge loops, cutting, refining and mirroring of the half face."""

from __future__ import annotations

import itertools
from collections import defaultdict

import numpy as np


class QuadMesh:
    """Adjacency of a quad mesh, enough to walk edge loops and flood regions."""

    def __init__(self, quads: np.ndarray):
        self.neighbours: dict[int, set[int]] = defaultdict(set)
        self._faces: dict[frozenset[int], set[int]] = defaultdict(set)
        for number, quad in enumerate(quads):
            for a, b in zip(quad, np.roll(quad, -1), strict=True):
                self.neighbours[a].add(b)
                self.neighbours[b].add(a)
                self._faces[frozenset((a, b))].add(number)

    def loop(self, first: int, second: int) -> list[int]:
        """The closed edge loop that starts first -> second, going straight at every vertex."""
        out = [first, second]
        while True:
            a, b = out[-2:]
            beside = self._faces[frozenset((a, b))]
            ahead = [c for c in self.neighbours[b] if c != a and not self._faces[frozenset((b, c))] & beside]
            if len(ahead) != 1:
                raise ValueError(f"the edge loop through {first}, {second} does not close")
            if ahead[0] == first:
                return out
            out.append(ahead[0])

    def flood(self, seed: int, walls: set[int]) -> set[int]:
        """All vertices reachable from `seed` without touching `walls`."""
        seen, stack = {seed}, [seed]
        while stack:
            for b in self.neighbours[stack.pop()]:
                if b not in seen and b not in walls:
                    seen.add(b)
                    stack.append(b)
        return seen

    def pocket(self, loop: list[int]) -> set[int]:
        """The smaller of the two regions that a closed loop separates."""
        walls = set(loop)
        seeds = {b for a in loop for b in self.neighbours[a]} - walls
        regions: list[set[int]] = []
        for seed in sorted(seeds):
            if not any(seed in region for region in regions):
                regions.append(self.flood(seed, walls))
        return min(regions, key=len)


def triangulate(points: np.ndarray, quads: np.ndarray) -> np.ndarray:
    """Splits each quad along its shorter diagonal; (F, 4) -> (2F, 3)."""
    a, b, c, d = (points[quads[:, i]] for i in range(4))
    first = np.linalg.norm(a - c, axis=1) <= np.linalg.norm(b - d, axis=1)
    left = np.where(first[:, None], quads[:, [0, 1, 2]], quads[:, [0, 1, 3]])
    right = np.where(first[:, None], quads[:, [0, 2, 3]], quads[:, [1, 2, 3]])
    return np.concatenate([left, right])


class Remesher:
    """Local edge operations on a triangle mesh whose boundary stays as it is.

    Vertices on the mesh's boundary (mid-line, slits, rim) are never moved or removed, so the two
    mirrored halves still fit and the edge loops at lips and lids survive; only `resample_boundary` may.
    """

    def __init__(self, points: np.ndarray, triangles: np.ndarray):
        self.points = list(points)
        self.triangles = {i: tuple(t) for i, t in enumerate(triangles.tolist())}
        self.around: dict[int, set[int]] = defaultdict(set)
        for i, t in self.triangles.items():
            for v in t:
                self.around[v].add(i)
        self.fixed = {v for edge in self._edges() if len(self._beside(*edge)) == 1 for v in edge}

    def result(self) -> tuple[np.ndarray, np.ndarray]:
        """Points and triangles with unused points dropped."""
        triangles = np.array([self.triangles[i] for i in sorted(self.triangles)])
        used, inverse = np.unique(triangles, return_inverse=True)
        return np.array(self.points)[used], inverse.reshape(triangles.shape)

    def as_arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """All points, also unused ones, and the triangles."""
        return np.array(self.points), np.array([self.triangles[i] for i in sorted(self.triangles)])

    def resample_boundary(self, path: list[int], count: int) -> list[int]:
        """Splits long and collapses short edges of a piece of the boundary until it has `count` vertices.

        Args:
            path: vertices along the boundary; its ends stay.
            count: of vertices, ends included.

        Returns:
            The vertices of the new piece, in the same direction.
        """
        path = list(path)
        while len(path) != count:
            lengths = [self._length(a, b) for a, b in itertools.pairwise(path)]
            if len(path) < count:
                at = int(np.argmax(lengths)) + 1
                self.fixed.add(len(self.points))
                path.insert(at, len(self.points))
                self._split(path[at - 1], path[at + 1])
            else:
                at = int(np.argmin(lengths))
                gone = at + 1 if at + 2 < len(path) else at
                self._merge(keep=path[2 * at + 1 - gone], gone=path[gone])
                del path[gone]
        return path

    def split_longer_than(self, limit: float, near: np.ndarray | None = None, reach: float = 0.0) -> None:
        """Bisects interior edges, longest first, until none is longer than `limit` [m].

        Args:
            limit: largest length [m].
            near: places (K, 3) [m]; if given, only edges whose middle is within `reach` [m] of one are split.
            reach: see `near`.
        """
        while True:
            edges = [e for e in self._edges() if self._length(*e) > limit and self._is_longest(*e)]
            if near is not None:
                edges = [e for e in edges if np.linalg.norm(self._middle(*e) - near, axis=1).min() < reach]
            if not edges:
                return
            for edge in sorted(edges, key=lambda e: (-self._length(*e), e))[: max(1, len(edges) // 4)]:
                if self._is_longest(*edge):
                    self._split(*edge)

    def collapse_shorter_than(self, limit: float) -> None:
        """Collapses interior edges, shortest first, until none that can go is below `limit` [m]."""
        while True:
            edges = [e for e in self._edges() if self._length(*e) < limit and not set(e) <= self.fixed]
            done = sum(self._collapse(*e) for e in sorted(edges, key=lambda e: (self._length(*e), e)))
            self.flip()
            if not done:
                return

    def neighbours(self, vertex: int) -> set[int]:
        """Returns the vertices that share a triangle with a vertex."""
        return {v for i in self.around[vertex] for v in self.triangles[i]} - {vertex}

    def relax(self, centre: np.ndarray, reach: float, rounds: int = 4) -> None:
        """Moves inner vertices towards the mean of their neighbours, less and less until `reach` [m] away."""
        share = {v: 1 - float(np.linalg.norm(self.points[v] - centre)) / reach
                 for v in sorted(self.around) if self.around[v] and v not in self.fixed}  # fmt: skip
        for _ in range(rounds):
            for v in (v for v, near in share.items() if near > 0):
                mean = np.mean([self.points[w] for w in sorted(self.neighbours(v))], axis=0)
                self.points[v] = self.points[v] + share[v] * (mean - self.points[v])

    def flip(self) -> None:
        """Flips interior edges whose opposite angles sum to more than half a turn (Delaunay)."""
        for _ in range(10):
            if not sum(self._flip(*edge) for edge in self._edges()):
                return

    def _edges(self) -> list[tuple[int, int]]:
        edges = {
            (min(a, b), max(a, b))
            for t in self.triangles.values()
            for a, b in zip(t, t[1:] + t[:1], strict=True)
        }
        return sorted(edges)

    def _beside(self, a: int, b: int) -> set[int]:
        return self.around[a] & self.around[b]

    def _length(self, a: int, b: int) -> float:
        return float(np.linalg.norm(self.points[a] - self.points[b]))

    def _middle(self, a: int, b: int) -> np.ndarray:
        middle: np.ndarray = (self.points[a] + self.points[b]) / 2
        return middle

    def _is_longest(self, a: int, b: int) -> bool:
        """Interior and the longest edge of both its triangles; only those can be split for ever less."""
        length = self._length(a, b)
        corners = [(self.triangles[i] + self.triangles[i][:1]) for i in self._beside(a, b)]
        return len(corners) == 2 and all(
            self._length(u, v) <= length + 1e-12 for t in corners for u, v in itertools.pairwise(t)
        )

    def _replace(self, old: int, *new: tuple[int, ...]) -> None:
        for v in self.triangles.pop(old):
            self.around[v].discard(old)
        for t in new:
            number = self._next = getattr(self, "_next", max(self.triangles, default=0) + 1) + 1
            self.triangles[number] = t
            for v in t:
                self.around[v].add(number)

    def _split(self, a: int, b: int) -> None:
        middle = len(self.points)
        self.points.append(self._middle(a, b))
        for i in sorted(self._beside(a, b)):
            t = self.triangles[i]
            self._replace(
                i, tuple(middle if v == a else v for v in t), tuple(middle if v == b else v for v in t)
            )

    def _collapse(self, a: int, b: int) -> bool:
        beside = self._beside(a, b)
        if len(beside) != 2 or {a, b} <= self.fixed:
            return False
        keep, gone = (a, b) if a in self.fixed else (b, a)
        ring = [{v for i in self.around[w] for v in self.triangles[i]} - {a, b} for w in (a, b)]
        if len(ring[0] & ring[1]) != 2:
            return False
        place = self.points[keep] if keep in self.fixed else self._middle(a, b)
        old = self.points[keep], self.points[gone]
        moved = [i for i in self.around[a] | self.around[b] if i not in beside]
        before = {i: self._normal(i) for i in moved}
        self.points[keep] = self.points[gone] = place
        if any(
            self._normal(i) @ n <= 0.5 * np.linalg.norm(self._normal(i)) * np.linalg.norm(n)
            for i, n in before.items()
        ):
            self.points[keep], self.points[gone] = old
            return False
        self._merge(keep, gone)
        return True

    def _merge(self, keep: int, gone: int) -> None:
        """Puts `keep` in the place of `gone` in all triangles; those with both vanish."""
        beside = self._beside(keep, gone)
        for i in sorted(self.around[gone].copy()):
            t = self.triangles[i]
            self._replace(i, *([] if i in beside else [tuple(keep if v == gone else v for v in t)]))

    def _normal(self, i: int) -> np.ndarray:
        a, b, c = (self.points[v] for v in self.triangles[i])
        return np.cross(b - a, c - a)

    def _angle(self, i: int, a: int, b: int) -> float:
        c = next(v for v in self.triangles[i] if v not in (a, b))
        u, w = self.points[a] - self.points[c], self.points[b] - self.points[c]
        return float(np.arctan2(np.linalg.norm(np.cross(u, w)), u @ w))

    def _flip(self, a: int, b: int) -> bool:
        beside = sorted(self._beside(a, b))
        if len(beside) != 2 or sum(self._angle(i, a, b) for i in beside) <= np.pi + 1e-6:
            return False
        c, d = (next(v for v in self.triangles[i] if v not in (a, b)) for i in beside)
        if self._beside(c, d):
            return False
        n, m = (self._normal(i) for i in beside)
        if n @ m < 0.8 * np.linalg.norm(n) * np.linalg.norm(m):
            return False  # a crease: keep it
        first, second = (self.triangles[i] for i in beside)
        self._replace(beside[0], tuple(d if v == a else v for v in first))
        self._replace(beside[1], tuple(c if v == b else v for v in second))
        return True


def mirror_half(points: np.ndarray, triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Completes a left half (x >= 0) to a whole face.

    Returns:
        Points (V, 3), triangles (F, 3) and the index of each vertex's mirror image (V,).
    """
    middle = np.abs(points[:, 0]) < 1e-7
    points = np.where(middle[:, None], points * [0, 1, 1], points)
    twin = np.arange(len(points))
    twin[~middle] = len(points) + np.arange((~middle).sum())
    whole = np.concatenate([points, points[~middle] * [-1, 1, 1]])
    partner = np.concatenate([twin, np.flatnonzero(~middle)])
    return whole, np.concatenate([triangles, twin[triangles][:, ::-1]]), partner
