"""The forces between the lips: none at rest, contact, and threads that yield and that the jaw slackens."""

from __future__ import annotations

import numpy as np
import pytest

from eva_sim.skin.cables_and_lips import THREAD_RELEASE, Lips, add_lips

CONTACT, THREAD, YIELDS = 200.0, 1000.0, 1e-4  # N/m, N/m, m
REST = np.array([[0.0, 0.0, 0.0], [0.0, -0.001, 0.0005]])


def forces(away: tuple[float, ...], jaw: float = 0.0) -> tuple[float, np.ndarray]:
    """Energy [J] and gradient (2, 3) [N] of a pair whose upper vertex is moved by `away` [m]."""
    lips = Lips(np.array([[0, 1]]), REST[:1] - REST[1:], CONTACT, THREAD, np.array([YIELDS]))
    points, gradient = REST.copy(), np.zeros((2, 3))
    points[0] += away
    return add_lips(points, lips, jaw, gradient), gradient


def test_lips_at_rest_feel_nothing() -> None:
    energy, gradient = forces((0.0, 0.0, 0.0))
    assert energy == 0 and not gradient.any()


@pytest.mark.parametrize("away", [(0, 0.00005, 0), (0.0002, 0.003, -0.001), (0.00003, -0.002, 0.0001)])
@pytest.mark.parametrize("jaw", [0.0, 0.02, 0.2])
def test_gradient_is_the_slope_of_the_energy(away: tuple[float, ...], jaw: float) -> None:
    gradient, step = forces(away, jaw)[1], 1e-8
    for axis in range(3):
        ahead, behind = (
            forces(tuple(np.add(away, sign * step * np.eye(3)[axis])), jaw)[0] for sign in (1, -1)
        )
        assert gradient[0, axis] == pytest.approx((ahead - behind) / (2 * step), rel=1e-4, abs=1e-7)
    assert np.allclose(gradient.sum(axis=0), 0)


def test_a_thread_pulls_no_harder_than_where_it_yields() -> None:
    pulls = [np.linalg.norm(forces((0.0, away, 0.0))[1][0]) for away in (0.0005, 0.005)]
    assert pulls == pytest.approx([THREAD * YIELDS] * 2)


def test_the_open_jaw_slackens_the_threads_but_not_the_contact() -> None:
    assert not forces((0.0, 0.02, 0.0), THREAD_RELEASE)[1].any()
    pressed = forces((0.0, -0.02, 0.0), THREAD_RELEASE)[1]
    assert pressed[0, 1] < -0.5 * CONTACT * 0.02
