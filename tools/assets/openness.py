"""Ambient occlusion: the share of its surroundings that each vertex of the visible face sees."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, identity

from eva_sim.contract import Floats
from eva_sim.rendering.renderer import CAMERA_POSITION, CAMERA_TARGET, FIELD_OF_VIEW, look_at
from eva_sim.rendering.studio import StudioRenderer
from eva_sim.rendering.studio_parts import StudioPart, StudioPlacement
from eva_sim.skin.elements import vertex_normals

DIRECTIONS, SIZE = 128, 512  # views, pixels
CENTRE = np.array([0.0, -0.045, -0.05])  # m
#: A vertex is looked for this far off its surface, and hidden by more than this [m].
LIFT, SLACK = 0.0012, 0.0010
#: How often each vertex is averaged with its neighbours.
SMOOTHINGS = 3


def measure_openness(
    renderer: StudioRenderer, parts: list[StudioPart], placed: StudioPlacement
) -> dict[str, Floats]:
    """Returns the openness of each vertex by part, (V,), 0..1, weighted by the cosine.

    It looks at the face from all around and compares each vertex with the depth there.
    """
    world = {part.name: _world(part, placed) for part in parts}
    seen = {name: np.zeros(len(points)) for name, (points, _) in world.items()}
    total = {name: np.zeros(len(points)) for name, (points, _) in world.items()}
    distance = float(np.linalg.norm(np.subtract(CAMERA_POSITION, CAMERA_TARGET)))
    for direction in _sphere(DIRECTIONS):
        pose = look_at(CENTRE + distance * direction, CENTRE)
        renderer.move(pose)
        depth = renderer.depth(placed, SIZE)
        for name, (points, normals) in world.items():
            weight = np.clip(normals @ direction, 0, None)
            seen[name] += weight * _visible(points + LIFT * normals, pose, depth)
            total[name] += weight
    openness = {name: seen[name] / np.maximum(total[name], 1e-9) for name in seen}
    return {part.name: _smoothed(openness[part.name], part.triangles) for part in parts}


def _smoothed(values: Floats, triangles: NDArray[np.integer]) -> Floats:
    """Averages each vertex with its neighbours: the pixels of the pictures of depth make single ones err."""
    start, end = triangles.ravel(), np.roll(triangles, -1, axis=1).ravel()
    edges = coo_matrix((np.ones(len(start)), (start, end)), shape=(len(values),) * 2)
    near = ((edges + edges.T) > 0).astype(float) + identity(len(values))
    mean = near.multiply(1 / near.sum(axis=1)).tocsr()
    for _ in range(SMOOTHINGS):
        values = mean @ values
    return values


def _world(part: StudioPart, placed: StudioPlacement) -> tuple[Floats, Floats]:
    """World vertices and normals of a part."""
    place = placed.parts.get(part.name, np.eye(4))
    if place.shape != (4, 4):
        return place, vertex_normals(place, part.triangles)
    normals = vertex_normals(part.points, part.triangles)
    return part.points @ place[:3, :3].T + place[:3, 3], normals @ place[:3, :3].T


def _visible(points: Floats, pose: Floats, depth: np.ndarray) -> Floats:
    local = (points - pose[:3, 3]) @ pose[:3, :3]
    scale = 1 / np.tan(np.radians(FIELD_OF_VIEW) / 2) / -local[:, 2]
    column = np.clip((local[:, 0] * scale * 0.5 + 0.5) * SIZE, 0, SIZE - 1).astype(int)
    row = np.clip((0.5 - local[:, 1] * scale * 0.5) * SIZE, 0, SIZE - 1).astype(int)
    nearest = depth[row, column]
    return ((nearest == 0) | (-local[:, 2] < nearest + SLACK)).astype(float)


def _sphere(count: int) -> Floats:
    """Directions spread evenly (a Fibonacci lattice), (count, 3)."""
    number = np.arange(count) + 0.5
    polar, around = np.arccos(1 - 2 * number / count), np.pi * (1 + 5**0.5) * number
    return np.stack([np.cos(around) * np.sin(polar), np.cos(polar), np.sin(around) * np.sin(polar)], axis=1)
