"""Do surfaces pass through each other? Sweep and prune, then edges against triangles."""

from __future__ import annotations

import numpy as np

from eva_sim.skin.kernel_cache import kernel

Floats = np.ndarray


@kernel()
def _pierces(p: Floats, q: Floats, a: Floats, b: Floats, c: Floats) -> bool:
    """Whether the segment p-q goes through the triangle a, b, c (Moeller and Trumbore, 1997)."""
    way, u, w = q - p, b - a, c - a
    h = np.cross(way, w)
    det = np.dot(u, h)
    if abs(det) < 1e-18:
        return False
    s = (p - a) / det
    x = np.dot(s, h)
    if x < 0 or x > 1:
        return False
    k = np.cross(s, u)
    y = np.dot(way, k)
    if y < 0 or x + y > 1:
        return False
    t = np.dot(w, k)
    return 0 <= t <= 1


@kernel()
def _cross(one: Floats, two: Floats) -> bool:
    """Whether two triangles (3, 3) cross."""
    for k in range(3):
        if _pierces(one[k], one[(k + 1) % 3], two[0], two[1], two[2]):
            return True
        if _pierces(two[k], two[(k + 1) % 3], one[0], one[1], one[2]):
            return True
    return False


@kernel()
def _sweep(corners: Floats, names: np.ndarray, low: Floats, high: Floats, order: np.ndarray) -> list:
    found = []
    for place in range(len(order)):
        i = order[place]
        for other in range(place + 1, len(order)):
            j = order[other]
            if low[j, 0] > high[i, 0]:
                break
            if low[j, 1] > high[i, 1] or low[i, 1] > high[j, 1]:
                continue
            if low[j, 2] > high[i, 2] or low[i, 2] > high[j, 2]:
                continue
            shared = False
            for k in range(3):
                for m in range(3):
                    shared |= names[i, k] == names[j, m]
            if not shared and _cross(corners[i], corners[j]):
                found.append((min(i, j), max(i, j)))
    return found


def crossings(points: Floats, triangles: np.ndarray) -> set[tuple[int, int]]:
    """Pairs of triangles, with no vertex in common, that pass through each other.

    Args:
        points: (V, 3).
        triangles: (F, 3).
    """
    corners = np.ascontiguousarray(points[triangles], dtype=float)
    low, high = corners.min(1), corners.max(1)
    return set(_sweep(corners, triangles.astype(np.int64), low, high, np.argsort(low[:, 0])))


def crossings_between(
    one: tuple[Floats, np.ndarray], two: tuple[Floats, np.ndarray]
) -> list[tuple[int, int]]:
    """Pairs (i, j): triangle i of the first mesh passes through triangle j of the second."""
    count = len(one[1])
    points = np.concatenate([one[0], two[0]])
    found = crossings(points, np.concatenate([one[1], two[1] + len(one[0])]))
    return sorted((i, j - count) for i, j in found if i < count <= j)


def turns(points: Floats, triangles: np.ndarray) -> tuple[Floats, np.ndarray]:
    """Angle between the normals across each inner edge, (E,) [degrees], and its triangles, (E, 2)."""
    edges = np.sort(triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    order = np.lexsort(edges.T)
    same = (edges[order][1:] == edges[order][:-1]).all(1)
    pairs = np.stack([order[:-1][same] // 3, order[1:][same] // 3], axis=1)
    a, b, c = (points[triangles[:, k]] for k in range(3))
    normal = np.cross(b - a, c - a)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    cosine = (normal[pairs[:, 0]] * normal[pairs[:, 1]]).sum(1)
    return np.degrees(np.arccos(np.clip(cosine, -1, 1))), pairs


def depth(one: Floats, two: Floats) -> float:
    """How far two crossing triangles (3, 3) reach through each other: the longest way back of an edge [m]."""
    deepest = 0.0
    for here, there in ((one, two), (two, one)):
        normal = np.cross(there[1] - there[0], there[2] - there[0])
        height = np.abs((here - there[0]) @ (normal / np.linalg.norm(normal)))
        for k in range(3):
            if _pierces(here[k], here[(k + 1) % 3], there[0], there[1], there[2]):
                deepest = max(deepest, min(height[k], height[(k + 1) % 3]))
    return float(deepest)
