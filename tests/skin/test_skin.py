"""The shell's energy against finite differences and closed-form answers; the jaw's turn of points."""

from __future__ import annotations

import numpy as np
import pytest

from eva_sim.contract import Floats
from eva_sim.skin.energy import Shell
from eva_sim.skin.ground import rotate_with_jaw, rotated_with_jaw

YOUNG, THICKNESS = 0.3e6, 0.003


def sheet(side: int = 6, size: float = 0.03) -> tuple[Floats, np.ndarray]:
    """A flat square sheet in the xy plane."""
    x, y = np.meshgrid(np.linspace(0, size, side), np.linspace(0, size, side), indexing="ij")
    points = np.stack([x.ravel(), y.ravel(), np.zeros(side * side)], 1)
    i = (np.arange(side - 1)[:, None] * side + np.arange(side - 1)).ravel()
    triangles = np.concatenate(
        [np.stack([i, i + side, i + side + 1], 1), np.stack([i, i + side + 1, i + 1], 1)]
    )
    return points, triangles


def rolled(points: Floats, radius: float) -> Floats:
    """The sheet bent onto a cylinder without stretching."""
    angle = points[:, 0] / radius
    return np.stack([radius * np.sin(angle), points[:, 1], radius * (1 - np.cos(angle))], 1)


@pytest.mark.parametrize("radius", [None, 0.02])
def test_gradient_is_the_slope_of_the_energy(radius: float | None) -> None:
    points, triangles = sheet()
    shell = Shell.of(points if radius is None else rolled(points, radius), triangles, YOUNG, THICKNESS)
    rng = np.random.default_rng(0)
    place = points + rng.normal(0, 0.001, points.shape)
    gradient = shell.energy(place)[1]
    for _ in range(20):
        direction = rng.normal(size=points.shape)
        step = 1e-7
        slope = (shell.energy(place + step * direction)[0] - shell.energy(place - step * direction)[0]) / (
            2 * step
        )
        assert (gradient * direction).sum() == pytest.approx(slope, rel=1e-5, abs=1e-9)


def test_rigid_motion_costs_nothing() -> None:
    points, triangles = sheet()
    curved = rolled(points, 0.02)
    shell = Shell.of(curved, triangles, YOUNG, THICKNESS)
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    turn *= np.linalg.det(turn)
    energy, gradient = shell.energy(curved @ turn.T + 0.1)
    assert energy == pytest.approx(0, abs=1e-15)
    assert np.abs(gradient).max() < 1e-10


def test_uniform_stretch_has_the_closed_form_energy() -> None:
    points, triangles = sheet(size=0.03)
    shell = Shell.of(points, triangles, YOUNG, THICKNESS)
    stretch = 1.3
    energy = shell.energy(points * [stretch, stretch, 1])[0]
    density = 0.5 * YOUNG / 3 * (2 * stretch**2 + stretch**-4 - 3)
    assert energy == pytest.approx(density * THICKNESS * 0.03**2, rel=1e-10)


def test_no_force_and_no_torque_on_the_whole() -> None:
    points, triangles = sheet()
    shell = Shell.of(points, triangles, YOUNG, THICKNESS)
    place = points + np.random.default_rng(2).normal(0, 0.002, points.shape)
    gradient = shell.energy(place)[1]
    rounding = 1e-12 * np.abs(gradient).sum()
    assert np.abs(gradient.sum(0)).max() < rounding
    assert np.abs(np.cross(place, gradient).sum(0)).max() < rounding


def test_bending_grows_with_the_cube_of_the_thickness() -> None:
    points, triangles = sheet(11)
    bent = rolled(points, 0.05)
    thin, thick = (Shell.of(points, triangles, YOUNG, t) for t in (0.001, 0.002))
    assert thick.bending.sum() == pytest.approx(8 * thin.bending.sum())
    straight, _ = thin.energy(points)
    assert thin.energy(bent)[0] > straight


def test_one_point_and_many_rotate_alike_with_the_jaw() -> None:
    points = np.random.default_rng(0).normal(0, 0.05, (20, 3))
    shares = np.linspace(0, 1, 20)
    one_by_one = [rotated_with_jaw(point, share * 0.26) for point, share in zip(points, shares, strict=True)]
    np.testing.assert_allclose(one_by_one, rotate_with_jaw(points, shares, 0.26), atol=1e-15)
