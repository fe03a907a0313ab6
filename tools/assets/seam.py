"""The seam where the lips meet: a smooth curve, with one vertex of each lip on either side of it."""

from __future__ import annotations

import numpy as np

from tools.assets.regions import harmonic_field, path_shares
from tools.assets.topology import Remesher

STATIONS = 12  # steps of the seam from the middle to a corner
GAP = 0.00015  # m between the lips at rest
# m that the corners lie above and before the source's, which are at the bottom of a pocket, and the power of
# its course along the seam
CORNER_LIFT, CORNER_FORWARD, COURSE = 0.0010, 0.0008, 3
REACH = 0.014  # m; skin further from the seam stays where it was


def join_lips(mesh: Remesher, upper: list[int], lower: list[int]) -> np.ndarray:
    """Moves the edges of both lips of a left half face to the seam, and the skin beside them along.

    Args:
        mesh: the left half; changed in place.
        upper: vertices of the upper lip's edge from the middle to the corner.
        lower: of the lower lip's edge; its last vertex is the same.

    Returns:
        The seam, (STATIONS + 1, 3) [m], see `seam_stations`.
    """
    seam = seam_stations(np.array(mesh.points)[upper], np.array(mesh.points)[lower])
    sides = [mesh.resample_boundary(path, STATIONS + 1) for path in (upper, lower)]
    points, triangles = mesh.as_arrays()
    moves: dict[int, np.ndarray] = {}
    for side, path in zip((0.5, -0.5), sides, strict=True):
        open_by = np.full(STATIONS + 1, side * GAP)
        open_by[-1] = 0.0  # the corner is one vertex
        target = seam + open_by[:, None] * [0.0, 1.0, 0.0]
        moves |= dict(zip(path, target - points[path], strict=True))
    # The skin about the corner goes with it. The next station moves otherwise, and would fold that skin over.
    moves |= dict.fromkeys(mesh.neighbours(sides[0][-1]) - moves.keys(), moves[sides[0][-1]])
    distance = np.linalg.norm(points[:, None] - seam, axis=2).min(axis=1)
    used = np.unique(triangles)
    still = dict.fromkeys(used[distance[used] > REACH].tolist(), 0.0)
    middle = dict.fromkeys(used[points[used, 0] < 1e-7].tolist(), 0.0)
    for axis in range(3):
        known = still | {vertex: float(move[axis]) for vertex, move in moves.items()}
        if axis == 0:
            known |= middle
        points[:, axis] += harmonic_field(points, triangles, known)
    mesh.points = list(points)
    return seam


def seam_stations(upper: np.ndarray, lower: np.ndarray) -> np.ndarray:
    """Places evenly spaced along the seam, (STATIONS + 1, 3) [m], from the middle to the left corner.

    It runs midway between the edges (N, 3) and (M, 3) of the lips, smoothed by low polynomials.
    """
    s = np.linspace(0, 1, 101)
    middle = (_along(upper, s) + _along(lower, s)) / 2
    odd, even = np.stack([s, s**3, s**5], axis=1), np.stack([s**0, s**2, s**4, s**6], axis=1)
    smooth = [basis @ np.linalg.lstsq(basis, middle[:, k], rcond=None)[0]
              for k, basis in enumerate((odd, even, even))]  # fmt: skip
    curve = np.stack(smooth, axis=1)
    curve += s[:, None] ** COURSE * np.array([0.0, CORNER_LIFT, CORNER_FORWARD])
    return _along(curve, np.linspace(0, 1, STATIONS + 1))


def _along(path: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Places at shares (K,) of the length of a polyline (N, 3)."""
    return np.stack([np.interp(shares, path_shares(path), axis) for axis in path.T], axis=1)
