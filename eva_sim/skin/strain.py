"""How far the skin is stretched, and how hard a cable pulls at its patch."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from eva_sim.contract import Floats
from eva_sim.skin.anatomy import Anatomy
from eva_sim.skin.elements import vertex_areas


def largest_stretch(anatomy: Anatomy, points: NDArray[Any]) -> Floats:
    """Returns the largest principal stretch of any triangle of the skin; 1 at rest.

    Args:
        anatomy: the skin.
        points: its vertices, (..., V, 3) [m].
    """
    at_rest = _edges(anatomy.points[anatomy.triangles])
    along = at_rest[:, 0] / np.linalg.norm(at_rest[:, 0], axis=1)[:, None]
    normal = np.cross(at_rest[:, 0], at_rest[:, 1])
    across = np.cross(normal / np.linalg.norm(normal, axis=1)[:, None], along)
    flat = np.stack([along, across], axis=1) @ np.swapaxes(at_rest, 1, 2)  # columns are edges in the plane
    now = _edges(np.asarray(points, dtype=float)[..., anatomy.triangles, :])
    gradient = np.swapaxes(now, -1, -2) @ np.linalg.inv(flat)
    squares = np.linalg.eigvalsh(np.swapaxes(gradient, -1, -2) @ gradient)
    stretch: Floats = np.sqrt(squares[..., 1]).max(axis=-1)
    return stretch


def patch_areas(anatomy: Anatomy) -> Floats:
    """Returns the area over which each cable's patch spreads its pull, (C,) [m2].

    It is (sum of w)^2 / sum of (w^2 / a) over the vertices, with their weights w and areas a.
    """
    areas = vertex_areas(anatomy.points, anatomy.triangles)
    spread: Floats = anatomy.patches.sum(axis=1) ** 2 / (anatomy.patches**2 / areas).sum(axis=1)
    return spread


def _edges(corners: Floats) -> Floats:
    """Returns two edges of each triangle, (..., F, 2, 3) [m]."""
    return np.stack([corners[..., 1, :] - corners[..., 0, :], corners[..., 2, :] - corners[..., 0, :]], -2)
