"""Fewer triangles over the same vertices: the surface stays, and its rim."""

from __future__ import annotations

import numpy as np
import pytest

from eva_sim.contract import Floats
from eva_sim.rendering.studio_parts import _grid_triangles
from tools.assets.decimation import fewer_triangles

SIDE = 21


def _sheet(height: float) -> Floats:
    """A sheet of 0.1 m with a bump in one half."""
    x, y = (n.ravel() for n in np.meshgrid(np.linspace(0, 0.1, SIDE), np.linspace(0, 0.1, SIDE)))
    z = height * np.exp(-(((x - 0.03) ** 2 + (y - 0.05) ** 2) / 0.0002))
    return np.stack([x, y, z], axis=1)


def _area(points: Floats, triangles: np.ndarray) -> Floats:
    a, b, c = (points[triangles[:, i]] for i in range(3))
    return np.cross(b - a, c - a)[:, 2] / 2


def _height(points: Floats, triangles: np.ndarray, at: Floats) -> Floats:
    """Height of the surface over points in the plane, (N,)."""
    a, b, c = (points[triangles[:, i]] for i in range(3))
    sides = np.stack([b - a, c - a], axis=2)
    shares = np.linalg.solve(sides[:, None, :2], (at[None, :, :2] - a[:, None, :2])[..., None])[..., 0]
    inside = (shares > -1e-9).all(axis=2) & (shares.sum(axis=2) < 1 + 1e-9)
    heights = a[:, None, 2] + (shares * sides[:, None, 2]).sum(axis=2)
    assert inside.any(axis=0).all()  # the sheet has no holes
    return heights[inside.argmax(axis=0), np.arange(len(at))]


@pytest.mark.parametrize("heights", [[0.0], [0.01], [0.0, 0.01]])
def test_the_surface_is_kept_in_every_state(heights: list[float]) -> None:
    shapes, triangles = np.array([_sheet(height) for height in heights]), _grid_triangles(SIDE, SIDE)
    kept = fewer_triangles(shapes, triangles, 0.0005)
    assert len(kept) < 0.6 * len(triangles)
    for shape in shapes:
        error = _height(shape, kept, shape) - shape[:, 2]
        assert np.sqrt((error**2).mean()) < 0.0005
        assert (_area(shape, kept) * _area(shape, triangles)[0] > 0).all()  # none is turned over


def test_the_rim_keeps_its_vertices() -> None:
    shape = _sheet(0.01)
    kept = fewer_triangles(shape[None], _grid_triangles(SIDE, SIDE), 0.002)
    rim = (shape[:, :2] < 1e-9).any(axis=1) | (shape[:, :2] > 0.1 - 1e-9).any(axis=1)
    assert set(np.flatnonzero(rim)) <= set(kept.ravel())


def test_no_tolerance_keeps_all_triangles() -> None:
    triangles = _grid_triangles(SIDE, SIDE)
    assert np.array_equal(fewer_triangles(_sheet(0.01)[None], triangles, 0.0), triangles)
