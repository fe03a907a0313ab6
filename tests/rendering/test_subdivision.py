"""Subdivision as a matrix: it keeps planes, follows the rim, and smooths a ball."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from eva_sim.contract import load_spec
from eva_sim.files import read_arrays
from eva_sim.rendering.subdivision import subdivide
from eva_sim.skin.elements import vertex_normals


def test_a_plane_stays_a_plane_and_rows_are_means() -> None:
    points = np.column_stack([np.random.default_rng(0).normal(size=(20, 2)), np.zeros(20)])
    triangles = _grid_triangles(4, 5)
    fine = subdivide(20, triangles)
    np.testing.assert_allclose(fine.operator.sum(axis=1), 1, atol=1e-12)
    assert np.abs((fine.operator @ points)[:, 2]).max() < 1e-12
    assert len(fine.triangles) == 4 * len(triangles)


def _grid_triangles(rows: int, columns: int) -> np.ndarray:
    a = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).ravel()
    return np.concatenate(
        [np.stack([a, a + 1, a + columns], 1), np.stack([a + 1, a + columns + 1, a + columns], 1)]
    )


def test_the_weights_of_a_regular_vertex_are_loops() -> None:
    rows, columns = 5, 5
    operator = subdivide(rows * columns, _grid_triangles(rows, columns)).operator.toarray()
    middle = 2 * columns + 2  # six neighbours
    assert operator[middle, middle] == pytest.approx(5 / 8)
    assert sorted(operator[middle][operator[middle] > 0])[:6] == pytest.approx([1 / 16] * 6)


def test_the_rim_depends_on_the_rim_only() -> None:
    rows, columns = 5, 6
    rim = np.zeros((rows, columns), bool)
    rim[[0, -1]] = rim[:, [0, -1]] = True
    operator = subdivide(rows * columns, _grid_triangles(rows, columns)).operator.toarray()
    assert np.abs(operator[: rows * columns][rim.ravel()][:, ~rim.ravel()]).max() == 0


def test_a_coarse_ball_becomes_rounder_with_its_outside_out() -> None:
    ball = trimesh.creation.icosphere(subdivisions=1)
    fine = subdivide(len(ball.vertices), np.asarray(ball.faces, np.int64))
    points = fine.operator @ ball.vertices
    radius = np.linalg.norm(points, axis=1)
    assert np.ptp(radius) / radius.mean() < 0.06
    assert (np.einsum("ij,ij->i", vertex_normals(points, fine.triangles), points) > 0.9 * radius).all()


def test_the_fine_head_stays_within_two_millimetres_of_the_simulated_one() -> None:
    spec = load_spec()
    head, skin = read_arrays(spec.file("meshes/visual.npz")), read_arrays(spec.file("meshes/skin.npz"))
    points = head["head_points"]
    fine = subdivide(len(points), head["head_triangles"])
    moved = np.linalg.norm((fine.operator @ points)[: len(points)] - points, axis=1)
    assert moved[: len(skin["points"])].max() < 2e-3 and np.median(moved) < 4e-4
