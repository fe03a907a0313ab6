"""The linear algebra of the solver against NumPy and SciPy."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sparse
import scipy.sparse.linalg as linalg

from eva_sim.skin.factor import Factor
from eva_sim.skin.lane_instructions import LANES
from eva_sim.skin.lanes import add_modes, add_outer, embed_field, empty_field

VERTICES = 237
FACES = [None, LANES]


def field_of(faces: int | None) -> tuple[np.ndarray, np.ndarray]:
    """A field of random numbers, and the same numbers as (vertices, 3, L)."""
    field = empty_field(VERTICES, faces)
    field[...] = np.random.default_rng(0).normal(size=field.shape)
    return field, field.reshape(VERTICES, 3, faces or 1).astype(float)


def laplacian_of_a_grid(side: int) -> sparse.csc_matrix:
    line = sparse.diags([-np.ones(side - 1), 2.1 * np.ones(side), -np.ones(side - 1)], [-1, 0, 1])
    return sparse.csc_matrix(sparse.kronsum(line, line))


@pytest.mark.parametrize("faces", FACES)
@pytest.mark.parametrize("count", [0, 1, 4, 11])
def test_modes_and_outer_products_are_added(faces: int | None, count: int) -> None:
    rng, lanes = np.random.default_rng(count), faces or 1
    modes = rng.normal(size=(count, 3 * VERTICES)).astype(np.float32)
    change = rng.normal(size=(count, lanes)).astype(np.float32)
    field, expected = field_of(faces)
    add_modes(field, modes, change, VERTICES)
    expected += np.einsum("rn,rl->nl", modes, change).reshape(expected.shape)
    assert np.abs(field.reshape(expected.shape) - expected).max() < 1e-5
    weights = rng.normal(size=(count, VERTICES)).astype(np.float32)
    vectors = rng.normal(size=(count, 3, lanes)).astype(np.float32)
    add_outer(field, weights, vectors, VERTICES)
    expected += np.einsum("cn,ckl->nkl", weights, vectors)
    assert np.abs(field.reshape(expected.shape) - expected).max() < 2e-5


@pytest.mark.parametrize("faces", FACES)
def test_points_within_triangles(faces: int | None) -> None:
    rng, (field, vertices) = np.random.default_rng(1), field_of(faces)
    corners, shares = rng.integers(VERTICES, size=(9, 3)), rng.dirichlet([1, 1, 1], 9)
    points = np.empty((faces or 1, 9, 3))
    embed_field(field, corners, shares, points)
    assert np.abs(points - np.einsum("pc,pckl->lpk", shares, vertices[corners])).max() < 1e-6


def test_the_factor_solves_and_has_no_more_entries_than_its_order_makes() -> None:
    matrix = laplacian_of_a_grid(17)
    factor, sides = Factor(matrix), np.random.default_rng(2).normal(size=(17 * 17, 3))
    assert np.abs(matrix @ factor.solve(sides) - sides).max() < 1e-9
    assert sorted(factor.order) == list(range(17 * 17))
    least = linalg.splu(matrix, permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True})
    assert factor.lower.nnz <= least.L.nnz - 17 * 17


def test_a_column_comes_right_after_its_last_child() -> None:
    lower = Factor(laplacian_of_a_grid(17)).lower
    first = [int(rows.min()) if len(rows) else -1 for rows in np.split(lower.indices, lower.indptr[1:-1])]
    parents = {parent for parent in first if parent >= 0}
    assert all(first[parent - 1] == parent for parent in parents)


def test_two_parts_that_do_not_touch_are_factored() -> None:
    matrix = sparse.csc_matrix(sparse.block_diag([laplacian_of_a_grid(3), laplacian_of_a_grid(4)]))
    sides = np.random.default_rng(3).normal(size=(25, 3))
    assert np.abs(matrix @ Factor(matrix).solve(sides) - sides).max() < 1e-9
