"""The inside of the lips continues the skin beyond its edge, wherever the skin is."""

from __future__ import annotations

import numpy as np

from eva_sim.contract import Floats
from eva_sim.rendering.inner_lips import InnerLips

COUNT = 24
TURN = np.array([[0.0, -1.0, 0.0], [0.0, 0.0, -1.0], [1.0, 0.0, 0.0]])


def _sheet_with_a_hole() -> tuple[Floats, np.ndarray]:
    """A flat ring whose inner edge is a circle, clockwise as seen from the side of its normal, +z."""
    angle = -2 * np.pi * np.arange(COUNT) / COUNT
    circle = np.stack([np.cos(angle), np.sin(angle), 0 * angle], axis=1)
    i, j = np.arange(COUNT), (np.arange(COUNT) + 1) % COUNT
    triangles = np.concatenate([np.stack([i, j, j + COUNT], 1), np.stack([i, j + COUNT, i + COUNT], 1)])
    return np.concatenate([circle, 2 * circle]), triangles


def _lips(rows: int = 2) -> tuple[InnerLips, Floats]:
    points, triangles = _sheet_with_a_hole()
    local: Floats = np.tile([0.1, -0.3], (rows, COUNT, 1)) * np.arange(1.0, rows + 1)[:, None, None]
    return InnerLips(triangles, np.arange(COUNT), local), points


def test_frames_point_beyond_the_edge_and_along_the_normal() -> None:
    lips, points = _lips()
    onwards, normal = lips.frames(points)
    np.testing.assert_allclose(onwards, -points[:COUNT], atol=1e-12)
    np.testing.assert_allclose(normal, np.tile([0, 0, 1], (COUNT, 1)), atol=1e-12)


def test_rows_keep_their_place_in_the_frames() -> None:
    lips, points = _lips()
    first, second = lips(points).reshape(2, COUNT, 3)
    np.testing.assert_allclose(first, 0.9 * points[:COUNT] - [0, 0, 0.3], atol=1e-12)
    np.testing.assert_allclose(second, 0.8 * points[:COUNT] - [0, 0, 0.6], atol=1e-12)


def test_rows_follow_a_skin_that_turns_and_moves() -> None:
    lips, points = _lips()
    points[:, 2] += 0.2 * np.sin(2 * points[:, 0])
    np.testing.assert_allclose(lips(points @ TURN.T + 0.5), lips(points) @ TURN.T + 0.5, atol=1e-12)
