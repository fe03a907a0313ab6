"""Regions of the skin: where it is fixed, which cables and hinges move it, and the ground under it.

All positions are in the head frame [m]; the left side is designed and the right side is its mirror.
"""

from __future__ import annotations

from collections import Counter

import numpy as np
import scipy.ndimage as ndimage
import scipy.sparse as sparse
import scipy.sparse.linalg as linalg
from scipy.spatial import cKDTree

from eva_sim.head import EYES
from eva_sim.skin.elements import laplacian, vertex_normals
from tools.assets.cables import cable_patches

Arrays = dict[str, np.ndarray]

#: Course of the jaw's share along a lip: 2 gives a parabola, more a rounder opening [choice].
CORNER_POWER = 1.8
CELL, MARGIN, BLUR = 0.004, 0.024, 1.5  # distance grid: spacing, border [m], smoothing [cells]
CANTHUS = 0.003  # m around each corner of an eye [choice]
REACH = 0.014  # m; the ground's second-order surface is fitted this far around each vertex
HEIGHTS = (-0.002, 0.0, 0.002, 0.004)  # m over the rest surface
EYELID = 0.006  # m from the lid margin: skin that lies on the eyeball, not on bone


def skin_regions(points: np.ndarray, triangles: np.ndarray, mirror: np.ndarray) -> Arrays:
    """Returns all regions of the skin; `eva_sim.skin.anatomy.Anatomy` describes the arrays."""
    loops = boundary_loops(triangles)
    rim, lips = loops[0], loops[1]
    lids = sorted(loops[2:], key=lambda loop: -points[loop, 0].mean())
    upper, lower = split_loop(points, lips)
    jaw = jaw_weight(points, triangles, mirror, rim, upper, lower)
    fields: Arrays = {
        "jaw_weight": jaw,
        "rim": np.sort(rim),
        "lip_pairs": np.array([upper, lower]).T[1:-1],  # `join_lips` gave each a partner; corners are shared
        "lip_loop": np.array(lips),
        "lid_gain": lid_gain(points, lids),
        "lid_margin": np.sort(np.concatenate(lids)),
        "canthi": canthus_vertices(points, mirror, lids[0]),
        "tissue": tissue_hardness(points, mirror),
        "hold": sliding_resistance(points, mirror, lips, jaw),
    }
    fields |= cable_patches(points, triangles, mirror)
    fields |= ground_surface(points, triangles, mirror, [lips, *lids])
    return fields


def boundary_loops(triangles: np.ndarray) -> list[list[int]]:
    """Closed boundary loops, the longest first, each in the triangles' own direction."""
    directed = Counter((a, b) for t in triangles.tolist() for a, b in zip(t, t[1:] + t[:1], strict=True))
    after = {a: b for a, b in directed if (b, a) not in directed}
    loops = []
    while after:
        loop = [min(after)]
        while after[loop[-1]] != loop[0]:
            loop.append(after[loop[-1]])
        for vertex in loop:
            del after[vertex]
        loops.append(loop)
    return sorted(loops, key=lambda loop: (-len(loop), loop[0]))


def split_loop(points: np.ndarray, loop: list[int]) -> tuple[list[int], list[int]]:
    """Upper and lower half of a slit's loop between its outermost points, both from left to right."""
    start = max(range(len(loop)), key=lambda i: points[loop[i], 0])
    turned = loop[start:] + loop[:start]
    end = min(range(len(turned)), key=lambda i: points[turned[i], 0])
    first, second = turned[: end + 1], [turned[0], *turned[: end - 1 : -1]]
    halves = sorted([first, second], key=lambda half: -points[half[1:-1], 1].mean())
    return halves[0], halves[1]


def harmonic_field(points: np.ndarray, triangles: np.ndarray, known: dict[int, float]) -> np.ndarray:
    """The smoothest field (V,) with the known values, in the sense of the cotangent Laplacian."""
    field = np.zeros(len(points))
    fixed = np.array(sorted(known))
    field[fixed] = [known[i] for i in fixed]
    free = np.setdiff1d(np.arange(len(points)), fixed)
    matrix = sparse.csc_matrix(laplacian(points, triangles))
    field[free] = linalg.spsolve(matrix[free][:, free], -(matrix[free][:, fixed] @ field[fixed]))
    return field


def symmetrise(field: np.ndarray, mirror: np.ndarray) -> np.ndarray:
    """Removes the last rounding between left and right."""
    return 0.5 * (field + field[mirror])


def jaw_weight(
    points: np.ndarray,
    triangles: np.ndarray,
    mirror: np.ndarray,
    rim: list[int],
    upper: list[int],
    lower: list[int],
) -> np.ndarray:
    """Share of the jaw's turn that the ground under each vertex follows, (V,) in 0..1.

    One on the chin and in the middle of the lower lip, zero above the mouth, smooth in between and down the
    throat. The lips come to one half at the corners, so that the opening tapers there.
    """
    x, y, z = points.T
    known = dict.fromkeys(np.flatnonzero(y > -0.045 - 0.10 * np.abs(x)).tolist(), 0.0)
    chin = (np.abs(x) < 0.024) & (y < -0.080) & (z > -0.004)
    known |= dict.fromkeys(np.flatnonzero(chin).tolist(), 1.0)
    for lip, middle in ((upper, 0.0), (lower, 1.0)):
        to_corner = np.abs(2 * path_shares(points[lip]) - 1) ** CORNER_POWER
        known |= dict(zip(lip, (middle + (0.5 - middle) * to_corner).tolist(), strict=True))
    for i in rim:
        if y[i] < -0.06:
            known[i] = float(np.clip((0.045 + z[i]) / 0.041, 0, 1)) if y[i] < -0.10 else 0.0
    return symmetrise(np.clip(harmonic_field(points, triangles, known), 0, 1), mirror)


def path_shares(path: np.ndarray) -> np.ndarray:
    """Place of each vertex along a polyline (N, 3), 0 at its start and 1 at its end, (N,)."""
    length = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    return length / length[-1]


def lid_gain(points: np.ndarray, lids: list[list[int]]) -> np.ndarray:
    """Turn of each lid-margin vertex about its eye's x axis, per radian of lid, (V,); zero elsewhere.

    Closing takes the margins to a line a fifth of the way up from the lower one.
    """
    closing = 0.62  # rad of lid; the low end of face.toml's range
    gain = np.zeros(len(points))
    for loop, eye in zip(lids, EYES, strict=True):
        upper, lower = split_loop(points, loop)
        for half, other, share in ((upper, lower, 0.8), (lower, upper, -0.2)):
            own_angle, other_angle = (
                np.arctan2(points[h, 1] - eye[1], points[h, 2] - eye[2]) for h in (half, other)
            )
            order = np.argsort(points[other, 0])
            opposite = np.interp(points[half, 0], points[other, 0][order], other_angle[order])
            gain[half] = share * np.abs(own_angle - opposite) / closing
        gain[[upper[0], upper[-1]]] = 0.0
    return gain


def canthus_vertices(points: np.ndarray, mirror: np.ndarray, left: list[int]) -> np.ndarray:
    """Vertices about the corners of the eyes, which tendons tie to the bone; else a pleat there snaps."""
    upper = split_loop(points, left)[0]
    near = cKDTree(points[[upper[0], upper[-1]]]).query(points)[0] < CANTHUS
    return np.flatnonzero(near | near[mirror])


def sliding_resistance(
    points: np.ndarray, mirror: np.ndarray, lips: list[int], jaw: np.ndarray
) -> np.ndarray:
    """Returns the resistance of the skin to sliding, (V,): about 1 where held, 0 where free.

    Held on the nose bridge and the bony sides, loose at brows, cheeks and lips.
    """
    x, y = np.abs(points[:, 0]), points[:, 1]
    held = np.full(len(points), 0.25)
    held += 1.0 * np.exp(-((x / 0.007) ** 2 + ((y + 0.012) / 0.022) ** 2))  # nose bridge
    held += 1.0 * np.exp(-((x / 0.012) ** 2 + ((y + 0.040) / 0.009) ** 2))  # nose tip
    held += 0.6 * np.clip((x - 0.055) / 0.02, 0, 1)  # temples and jaw angle
    held += 0.8 * np.clip((y - 0.062) / 0.02, 0, 1)  # hairline
    near = cKDTree(points[lips]).query(points)[0]
    held *= np.clip(near / 0.030, 0.02, 1)  # lips and their surroundings are free
    held = np.clip(held, 0.0, 1.5)
    # The middle of the lower lip is bonded to the jaw: else it would hang between the corners.
    bonded = np.exp(-((x / 0.015) ** 4)) * np.clip((jaw - 0.6) / 0.3, 0, 1)
    held += 60 * bonded * np.clip((0.005 - near) / 0.004, 0, 1)
    return symmetrise(held, mirror)


def tissue_hardness(points: np.ndarray, mirror: np.ndarray) -> np.ndarray:
    """Returns the hardness of the tissue under the skin, (V,): 1 over bone, 0.05 over hollow cheeks."""
    x, y = np.abs(points[:, 0]), points[:, 1]
    cheek = np.exp(-(((x - 0.042) / 0.018) ** 2 + ((y + 0.058) / 0.022) ** 2))
    lips = np.exp(-((x / 0.034) ** 2 + ((y + 0.064) / 0.014) ** 2))
    return symmetrise(1 - 0.9 * np.clip(cheek + lips, 0, 1), mirror)


def ground_surface(
    points: np.ndarray, triangles: np.ndarray, mirror: np.ndarray, slits: list[list[int]]
) -> Arrays:
    """The surface under each vertex to second order, see `eva_sim.skin.ground`.

    Bone is fitted to the smoothed distance field within `REACH` of the vertex; a lid's skin lies on
    its eyeball, whose sphere is known.
    """
    grid, origin = distance_grid(points, triangles, slits)
    slope, curvature = np.empty((len(points), 3)), np.empty((len(points), 6))
    surface, normals = sample_surface(points, triangles, 3)
    tree = cKDTree(surface)
    for i in range(len(points)):
        near = np.array(tree.query_ball_point(points[i], REACH))
        at = np.concatenate([points[[i]], *(surface[near] + height * normals[near] for height in HEIGHTS)])
        depth = ndimage.map_coordinates(grid, ((at - origin) / CELL).T, order=3, mode="nearest")
        slope[i], curvature[i] = _fit(at - points[i], depth - depth[0])
    margin = np.concatenate(slits[1:])
    eyelid = cKDTree(points[margin]).query(points)[0] < EYELID
    gap = np.zeros(len(points))
    slope[eyelid], curvature[eyelid], gap[eyelid] = _eyeball(points, margin, eyelid)
    flip = np.array([-1, 1, 1]), np.array([1, 1, 1, -1, -1, 1])
    return {
        "ground_slope": 0.5 * (slope + flip[0] * slope[mirror]),
        "ground_curvature": 0.5 * (curvature + flip[1] * curvature[mirror]),
        "ground_gap": symmetrise(gap, mirror),
        "eyelid": eyelid,
    }


def _fit(q: np.ndarray, lift: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Slope (3,) and curvature (6,) that best explain `lift` (K,) at displacements q (K, 3)."""
    x, y, z = q.T
    columns = np.stack([x, y, z, x * x / 2, y * y / 2, z * z / 2, x * y, x * z, y * z], axis=1)
    weight = np.exp(-((np.linalg.norm(q, axis=1) / REACH) ** 2))[:, None]
    scale = np.array([1.0] * 3 + [REACH] * 6)
    found = np.linalg.lstsq(weight * columns / scale, weight[:, 0] * lift, rcond=1e-6)[0] / scale
    return found[:3], found[3:]


def _eyeball(points: np.ndarray, margin: np.ndarray, lid: np.ndarray) -> tuple[np.ndarray, ...]:
    """Slope, curvature and gap over the sphere that the nearest of the lid's margin lies on."""
    away = points - EYES[np.where(points[:, 0] > 0, 0, 1)]
    radius = np.linalg.norm(away, axis=1)
    normal = away[lid] / radius[lid, None]
    bent = (np.eye(3) - normal[:, :, None] * normal[:, None, :]) / radius[lid, None, None]
    entries = bent[:, [0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]]
    return normal, entries, radius[lid] - np.minimum(radius[lid], radius[margin].min())


def distance_grid(
    points: np.ndarray, triangles: np.ndarray, slits: list[list[int]]
) -> tuple[np.ndarray, np.ndarray]:
    """Smooth signed distance [m] to the rest surface, positive outside, on a regular grid, and its origin.

    The slits are closed, and the blur rounds nose and lips, so that skin slides without catching.
    """
    closed = [triangles]
    vertices = points
    for loop in slits:
        middle = len(vertices)
        vertices = np.vstack([vertices, vertices[loop].mean(0)])
        closed.append(np.array([[b, a, middle] for a, b in zip(loop, loop[1:] + loop[:1], strict=True)]))
    faces = np.concatenate(closed)
    origin = points.min(0) - MARGIN
    origin[0] = -CELL * np.ceil(-origin[0] / CELL)  # a node on the mid-plane keeps the mirror exact
    count = np.ceil((points.max(0) + MARGIN - origin) / CELL).astype(int) + 1
    count[0] = 2 * round(-origin[0] / CELL) + 1
    nodes = np.stack(np.meshgrid(*(np.arange(n) for n in count), indexing="ij"), -1) * CELL + origin
    distance = signed_distance(vertices, faces, nodes.reshape(-1, 3)).reshape(count)
    smooth = ndimage.gaussian_filter(distance, BLUR, mode="nearest")
    return 0.5 * (smooth + smooth[::-1]), origin


def signed_distance(points: np.ndarray, triangles: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Distance (K,) from dense samples of the surface, signed by the nearest sample's normal."""
    samples, normals = sample_surface(points, triangles, 6)
    distance, index = cKDTree(samples).query(at)
    side = ((at - samples[index]) * normals[index]).sum(1)
    return np.where(side >= 0, distance, -distance)


def sample_surface(points: np.ndarray, triangles: np.ndarray, parts: int) -> tuple[np.ndarray, np.ndarray]:
    """Places all over a surface (K, 3) [m], edges cut into `parts`, and its smooth normals there (K, 3)."""
    grid = [(i, j, parts - i - j) for i in range(parts + 1) for j in range(parts + 1 - i)]
    steps, normal = np.array(grid) / parts, vertex_normals(points, triangles)
    places, normals = (np.einsum("sk,fkd->fsd", steps, a[triangles]).reshape(-1, 3) for a in (points, normal))
    return places, normals
