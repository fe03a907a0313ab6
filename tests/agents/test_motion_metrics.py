"""Lag and jerk of motion, on motions whose lag and jerk are known."""

from __future__ import annotations

import numpy as np
import pytest

from eva_sim.agents.mirroring.motion_metrics import LARGEST_LAG, lag_between, rms_jerk
from eva_sim.contract import Floats
from eva_sim.errors import ArgumentValueError

DT = 0.04
TIME = np.arange(0, 20, DT)


def speech_like(time: Floats) -> Floats:
    """Three curves with several frequencies each, (T, 3)."""
    rng = np.random.default_rng(3)
    frequencies, phases, sizes = rng.uniform(0.2, 2, (5, 3)), rng.uniform(0, 6, (5, 3)), rng.normal(1, 0.3, 3)
    waves: Floats = sizes * np.sin(2 * np.pi * frequencies * time[:, None, None] + phases).sum(1)
    return waves


@pytest.mark.parametrize("lag", [0.0, 0.013, 0.1, 0.37, -0.055])
def test_a_lag_is_found_between_two_steps(lag: float) -> None:
    assert lag_between(speech_like(TIME), speech_like(TIME - lag), DT) == pytest.approx(lag, abs=0.003)


def test_neither_size_nor_place_of_the_follower_changes_the_lag() -> None:
    follower = 0.3 * speech_like(TIME - 0.1) + np.array([5.0, -2.0, 0.0])
    assert lag_between(speech_like(TIME), follower, DT) == pytest.approx(0.1, abs=0.003)


def test_a_step_that_is_answered_late_has_its_lag() -> None:
    step = (TIME > 5).astype(float)
    assert lag_between(step, np.roll(step, 3), DT) == pytest.approx(3 * DT, abs=0.2 * DT)


def test_a_lag_is_never_larger_than_the_largest_that_is_looked_for() -> None:
    ramp = TIME
    assert abs(lag_between(ramp, ramp**2, DT)) <= LARGEST_LAG + DT


def test_what_rests_has_no_lag() -> None:
    assert np.isnan(lag_between(speech_like(TIME), np.ones((len(TIME), 3)), DT))


@pytest.mark.parametrize("shapes", [((20, 3), (20, 2)), ((5,), (5,))])
def test_motions_that_cannot_be_compared_are_refused(shapes: tuple[tuple[int, ...], ...]) -> None:
    with pytest.raises(ArgumentValueError, match="a lag needs two motions of equal shape"):
        lag_between(np.zeros(shapes[0]), np.zeros(shapes[1]), DT)


def test_the_jerk_of_a_cubic_is_its_third_derivative() -> None:
    assert rms_jerk(2 * TIME**3 - TIME**2, DT) == pytest.approx(12)
    assert rms_jerk(np.stack([TIME**3, 0 * TIME], 1), DT) == pytest.approx(6 / np.sqrt(2))


def test_three_rows_have_no_jerk() -> None:
    with pytest.raises(ArgumentValueError, match="4 rows or more"):
        rms_jerk(TIME[:3], DT)
