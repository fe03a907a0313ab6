"""The cables of the left side: which skin each one pulls, and where its tube ends.

`python -m tools.search_cables WHEEL` measures the action units that they reach, and searches for better ones.
Positions are in the head frame; the right side is the mirror image.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree

from eva_sim.skin.elements import vertex_areas

Arrays = dict[str, np.ndarray]
Place = tuple[float, float]


class Patch(NamedTuple):
    """Skin that one end of a cable pulls.

    Attributes:
        centre: x and y in the frontal plane [mm].
        radii: half widths along x and y; the pull falls smoothly to zero there [mm].
        share: of the cable's pull; the shares of a cable have sum one.
    """

    centre: Place
    radii: Place
    share: float = 1.0


class Cable(NamedTuple):
    """A cable of the left side. Where it has several ends, a yoke divides its pull between them.

    Attributes:
        name: as in `moves` of face.toml.
        patches: its ends.
        exit: opening of the Bowden tube, x and y [mm].
        depth: of the opening under the rest surface [mm].
        jaw: share of the jaw's turn that the opening follows.
    """

    name: str
    patches: tuple[Patch, ...]
    exit: Place
    depth: float
    jaw: float = 0.0


# In the order of the cables in face.toml. Each pulls as its muscle would [choice; places from anatomy].
CABLES: tuple[Cable, ...] = (
    Cable("brow_inner", (Patch((17.7, 22.9), (24, 11.6)),), (25, 56.5), 2),
    Cable("brow_outer", (Patch((41.9, 19), (21.9, 12)),), (44.5, 58), 2),
    Cable(
        "corrugator",
        (
            Patch((19, 23), (14, 12), 0.6),
            Patch((44, 20), (20, 13), 0.4),
        ),
        (11, -6),
        2,
    ),
    Cable(
        "levator",
        (
            Patch((14.4, -56.2), (7.4, 7.7), 0.24),
            Patch((21.4, -37), (7.2, 7.9), 0.36),
            Patch((26, -66.7), (6.9, 6.2), 0.4),
        ),
        (8, -24),
        3,
    ),
    Cable(
        "zygomaticus",
        (
            Patch((25.9, -70), (6.1, 8.4), 0.62),
            Patch((35.3, -37.8), (13.1, 9.7), 0.38),
        ),
        (45.6, -23.5),
        3,
    ),
    Cable(
        "depressor",
        (
            Patch((27.2, -70.5), (10.9, 6.3), 0.75),
            Patch((23.4, -64.5), (9.2, 8.1), 0.25),
        ),
        (18.1, -110),
        3,
        jaw=0.5,
    ),
)


def cable_patches(
    points: np.ndarray, triangles: np.ndarray, mirror: np.ndarray, cables: tuple[Cable, ...] = CABLES
) -> Arrays:
    """Patch weights (C, V), exits (C, 3) [m] and shares of the jaw's turn (C,); left and right in turn."""
    area = vertex_areas(points, triangles) * (points[:, 0] > 0)
    weights, exits, jaws = [], [], []
    for cable in cables:
        left = np.sum([patch.share * _weight(points, area, patch) for patch in cable.patches], axis=0)
        out = np.array(cable.exit) / 1000
        place = np.array([*out, _surface_height(points, out) - cable.depth / 1000])
        weights += [left, left[mirror]]
        exits += [place, place * [-1, 1, 1]]
        jaws += [cable.jaw, cable.jaw]
    return {"patches": np.array(weights), "exits": np.array(exits), "exit_jaw": np.array(jaws)}


def _weight(points: np.ndarray, area: np.ndarray, patch: Patch) -> np.ndarray:
    """Weight of each vertex (V,) with sum one: most in the middle, smoothly zero at the patch's edge."""
    offset = (1000 * points[:, :2] - patch.centre) / patch.radii
    weight = area * np.clip(1 - (offset**2).sum(1), 0, 1) ** 2
    return np.asarray(weight / weight.sum())


def _surface_height(points: np.ndarray, at: np.ndarray) -> float:
    """Z of the rest skin at a place (x, y) in the frontal plane, from its nearest vertices."""
    distance, index = cKDTree(points[:, :2]).query(at, k=4)
    weight = 1 / (distance + 1e-6)
    return float((weight * points[index, 2]).sum() / weight.sum())
