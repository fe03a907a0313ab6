"""What is seen of the mouth behind the skin: the inside of the lips, the cavity and the tongue."""

from __future__ import annotations

import numpy as np

from eva_sim.rendering.inner_lips import InnerLips
from tools.assets.regions import CORNER_POWER, path_shares

Arrays = dict[str, np.ndarray]
# Profile of a lip behind the middle of its edge [mm]: how deep, and how far away from the other lip. It
# tapers to the corners. Two rows reach 0.3 mm into the other lip, because soft lips press each other flat.
ROLL = ((0.9, -0.30), (2.1, -0.30), (3.1, 0.55), (3.6, 2.0), (3.5, 4.0), (3.0, 6.0))
THINNEST = 0.12  # share of the profile that is left at the corners
# Sections of the cavity [mm]: z, half width, top and bottom; from front to back.
SECTIONS = (
    (4.0, 31.0, -50.0, -87.0),
    (-18.0, 29.0, -51.0, -85.0),
    (-38.0, 19.0, -57.0, -79.0),
    (-46.0, 0.5, -67, -68),
)
BEHIND, OUTWARDS = 4.0, 4.0  # mm from the last row of the lips to the cavity's first one
FOLLOW = (0.85, 0.25, 0.0, 0.0, 0.0)  # share in which the cavity's rows follow the edge of the lips
# The tongue's middle line [mm]: z, height of its top, half width, thickness; from tip to root.
TONGUE = (
    (14.5, -76.6, 0.6, 0.6), (13.5, -75.6, 5.5, 3.5), (9.5, -74.2, 9.8, 6.0), (2.0, -72.6, 12.8, 8.0),
    (-10.0, -71.0, 15.0, 10.0), (-24.0, -71.5, 16.0, 12.0), (-38.0, -76.0, 16.0, 12.0),
)  # fmt: skip
GROOVE, AROUND = 1.1, 24  # mm, depth of the tongue's middle; vertices of a section


def inner_lips(skin: Arrays) -> Arrays:
    """Rows of the inside of the lips, in the frames of `InnerLips`, (R, M, 2) [m], and their triangles.

    The triangles count the edge's vertices as row 0.
    """
    loop, points = skin["lip_loop"], skin["points"]
    shape = InnerLips(skin["triangles"], loop, np.zeros((0, len(loop), 2)))
    onwards, normal = shape.frames(points)
    upper, to_corner, back = edge_places(skin)
    taper = THINNEST + (1 - THINNEST) * (1 - to_corner**CORNER_POWER)
    away = np.where(upper, 1.0, -1.0)[:, None] * [0.0, 1.0, 0.0]
    rows = []
    for deep, apart in ROLL:
        offset = taper[:, None] * (deep * back + apart * away) / 1000
        rows.append(np.stack([(offset * onwards).sum(1), (offset * normal).sum(1)], axis=1))
    return {"inner_local": np.array(rows), "inner_triangles": ring_strip(len(rows) + 1, len(loop))}


def edge_places(skin: Arrays) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns for each vertex of the edge: is it the upper lip's, how near is a corner, where is back.

    Nearness, (M,), runs from 0 to 1. The way back, (M, 3), is level and at right angles to the seam.
    """
    points, loop, pairs = skin["points"], skin["lip_loop"], skin["lip_pairs"]
    left, right = sorted(np.setdiff1d(loop, pairs).tolist(), key=lambda i: -points[i, 0])
    to_corner, back = np.zeros(len(points)), np.zeros((len(points), 3))
    for lip in pairs.T:
        path = [left, *lip.tolist(), right]
        to_corner[path] = np.abs(2 * path_shares(points[path]) - 1)
        back[path] = np.cross(np.gradient(points[path], axis=0), [0.0, 1.0, 0.0])
    back /= np.maximum(np.linalg.norm(back, axis=1, keepdims=True), 1e-12)
    return np.isin(loop, pairs[:, 0]), to_corner[loop], back[loop]


def ring_strip(rows: int, columns: int) -> np.ndarray:
    """Triangles (F, 3) over closed rows, turned as the boundary loop of the mesh before the first row."""
    i, j = (n.ravel() for n in np.meshgrid(np.arange(rows - 1), np.arange(columns), indexing="ij"))
    a, b = i * columns + j, i * columns + (j + 1) % columns
    return np.concatenate([np.stack([b, a, a + columns], 1), np.stack([b, a + columns, b + columns], 1)])


def mouth_cavity(skin: Arrays, last_row: np.ndarray) -> Arrays:
    """The cavity behind the lips; it begins at their last row (M, 3) [m]."""
    points, loop = skin["points"], skin["lip_loop"]
    upper, to_corner, _ = edge_places(skin)
    # Angle about the mouth's axis: 0 at the left corner, a quarter turn in the middle of the upper lip.
    half = 0.5 * (1 - to_corner)
    turn = np.pi * np.where(points[loop, 0] >= 0, half, 1 - half) * np.where(upper, 1, -1)
    out = np.stack([np.cos(turn), np.sin(turn), 0 * turn], axis=1)
    rows = [last_row, last_row + (OUTWARDS * out - BEHIND * np.array([0, 0, 1])) / 1000]
    for z, width, top, bottom in SECTIONS:
        middle, height = (top + bottom) / 2, (top - bottom) / 2
        rows.append(np.stack([width * out[:, 0], middle + height * out[:, 1], z + 0 * turn], axis=1) / 1000)
    jaw = skin["jaw_weight"][loop]
    return {
        "mouth_points": np.concatenate(rows),
        "mouth_triangles": np.concatenate([ring_strip(len(rows), len(loop)), _end(len(rows), len(loop))]),
        "mouth_jaw": np.tile(jaw, len(rows)),
        "mouth_follow": np.repeat([1.0, *FOLLOW], len(loop)),
    }


def _end(rows: int, columns: int) -> np.ndarray:
    """Triangles (F, 3) that close the last of several rows, turned as those of `ring_strip`."""
    first = (rows - 1) * columns
    i = first + np.arange(1, columns - 1)
    return np.stack([i, np.full(columns - 2, first), i + 1], axis=1)


def tongue() -> Arrays:
    """The tongue at rest in the lower jaw: sections along its middle line, round below, grooved on top."""
    z, top, width, thick = np.array(TONGUE).T
    angle = np.linspace(0, 2 * np.pi, AROUND, endpoint=False)
    x = width[:, None] * np.cos(angle)
    groove = GROOVE * np.exp(-((np.cos(angle) / 0.30) ** 2)) * (np.sin(angle) > 0)
    up = np.where(np.sin(angle) > 0, 0.30, 0.70) * np.sin(angle)
    y = (top - 0.30 * thick)[:, None] + thick[:, None] * up - groove * (thick > 1)[:, None]
    rows = np.stack([x, y, np.repeat(z[:, None], AROUND, axis=1)], axis=-1).reshape(-1, 3) / 1000
    return {"tongue_points": rows, "tongue_triangles": ring_strip(len(z), AROUND)}
