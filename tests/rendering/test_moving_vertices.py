"""Vertices of the parts in the world: placed by their own vertices or by a pose, with normals that follow."""

from __future__ import annotations

import numpy as np
import pytest

from eva_sim.contract import Floats
from eva_sim.errors import RenderError
from eva_sim.rendering.moving_vertices import MovingVertices
from eva_sim.rendering.studio_parts import StudioPart
from eva_sim.skin.elements import vertex_normals

TRIANGLES = np.array([[0, 1, 2], [0, 2, 3], [0, 3, 1], [1, 3, 2]])


def _part(name: str, seed: int, folds: bool = False) -> StudioPart:
    points = np.random.default_rng(seed).normal(size=(4, 3)) * 0.05
    return StudioPart(name, points, TRIANGLES, 1, np.ones((4, 3)), np.ones(4), np.zeros((4, 2)), folds=folds)


def _pose() -> Floats:
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = [[0, -1, 0], [1, 0, 0], [0, 0, 1]], [0.1, -0.2, 0.3]
    return pose


@pytest.fixture
def vertices() -> MovingVertices:
    return MovingVertices([_part("skin", 0, folds=True), _part("tooth", 1), _part("bust", 2)])


def _unit(directions: np.ndarray) -> np.ndarray:
    return directions[:, :3] / np.linalg.norm(directions[:, :3], axis=1, keepdims=True)


def test_parts_follow_their_vertices_or_their_pose(vertices: MovingVertices) -> None:
    moved, pose = _part("", 5).points, _pose()
    vertices.move_parts({"skin": moved, "tooth": pose})
    vertices.update_normals(np.full(4, 0.7))
    skin, tooth, bust = vertices.rows
    rigid = _part("", 1).points @ pose[:3, :3].T + pose[:3, 3]
    for rows, points in ((skin, moved), (tooth, rigid), (bust, _part("", 2).points)):
        np.testing.assert_allclose(vertices.places[rows], points, atol=1e-7)
        normals = _unit(vertices.directions[rows])
        np.testing.assert_allclose(normals, vertex_normals(points, TRIANGLES), atol=1e-5)
    np.testing.assert_allclose(vertices.directions[:, 3], np.repeat([0.7, 0, 0], 4), atol=1e-7)


def test_a_part_that_is_not_placed_stays_where_it_was(vertices: MovingVertices) -> None:
    vertices.move_parts({"skin": _part("", 5).points, "tooth": _pose()})
    vertices.update_normals(np.zeros(4))
    places, directions = vertices.places.copy(), vertices.directions.copy()
    vertices.move_parts({})
    vertices.update_normals(np.ones(4))
    np.testing.assert_array_equal(vertices.places, places)
    np.testing.assert_array_equal(vertices.directions, directions)


def test_another_number_of_vertices_is_refused(vertices: MovingVertices) -> None:
    with pytest.raises(RenderError, match="skin has 4 vertices, not 3"):
        vertices.move_parts({"skin": np.zeros((3, 3))})
