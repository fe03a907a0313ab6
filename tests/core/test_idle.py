"""Idle motion: blinks, glances and breath are as in people, and within the limits of the actuators."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from eva_sim import idle
from eva_sim.contract import load_spec, parse_spec
from eva_sim.errors import CommandError
from eva_sim.expressions import expression_command
from eva_sim.idle import IdleMotion

SPEC = load_spec()
MINUTES = 30
LIDS, EYES, LEGS = SPEC.where("lid"), SPEC.where("eye"), SPEC.where("leg")


def run(minutes: float, seed: int = 0, base: np.ndarray = SPEC.neutral, alone: bool = True) -> np.ndarray:
    """Positions of all actuators, (T, 25) [rad, m]."""
    motion = IdleMotion(SPEC, seed)
    return SPEC.to_physical([motion(base, alone) for _ in range(round(60 * minutes / SPEC.control_dt))])


@pytest.fixture(scope="module")
def rest() -> np.ndarray:
    return run(MINUTES)


def blinks(positions: np.ndarray) -> list[np.ndarray]:
    """Control steps of each blink, in which the left lid is not at rest."""
    away = positions[:, LIDS[0]] < SPEC.column("neutral")[LIDS[0]] - 1e-6
    edges = np.flatnonzero(np.diff(np.concatenate([[False], away, [False]]).astype(int)))
    return [np.arange(*pair) for pair in edges.reshape(-1, 2)]


def test_blinks_come_as_often_and_as_irregularly_as_in_people(rest: np.ndarray) -> None:
    starts = SPEC.control_dt * np.array([steps[0] for steps in blinks(rest)])
    assert len(starts) / MINUTES == pytest.approx(idle.BLINKS_PER_MINUTE, rel=0.08)
    waits = np.diff(starts)
    assert np.mean(waits) > 1.1 * np.median(waits)  # skewed
    assert np.quantile(waits, 0.05) > 0.6
    assert np.quantile(waits, 0.95) < 10


def test_blinks_last_as_long_as_in_people_and_close_both_eyes(rest: np.ndarray) -> None:
    dt, low = SPEC.control_dt, SPEC.column("low")[LIDS[0]]
    for steps in blinks(rest):
        lid = rest[steps][:, LIDS[0]]
        shut = np.flatnonzero(lid < low + 1e-4)
        assert 1 <= len(shut) <= 2
        assert idle.CLOSING[0] - dt <= dt * shut[0] <= idle.CLOSING[1] + dt
        assert idle.OPENING[0] - dt <= dt * (len(steps) - 1 - shut[-1]) <= idle.OPENING[1] + dt
    assert np.array_equal(rest[:, LIDS[0]], rest[:, LIDS[1]])


def test_lids_never_stay_closed(rest: np.ndarray) -> None:
    half = SPEC.column("low")[LIDS[0]] / 2
    closed = np.concatenate([[0], np.cumsum(rest[:, LIDS[0]] < half)])
    window = round(0.4 / SPEC.control_dt)
    assert (closed[window:] - closed[:-window]).max() < window


def test_glances_are_small_and_both_eyes_make_them(rest: np.ndarray) -> None:
    yaw, pitch = (
        rest[:, [SPEC.index(f"eye_{side}_{axis}") for side in ("left", "right")]] for axis in ("yaw", "pitch")
    )
    assert np.array_equal(yaw[:, 0], yaw[:, 1]) and np.array_equal(pitch[:, 0], pitch[:, 1])
    size = np.hypot(*np.diff(np.stack([yaw[:, 0], pitch[:, 0]]), axis=1))
    saccades = size > 4 * idle.DRIFT
    assert 0.3 < saccades.sum() / (60 * MINUTES) < 1 / idle.FIXATION * 1.1
    turned = np.hypot(yaw[:, 0], pitch[:, 0])
    assert turned.max() < idle.LARGEST_SACCADE + 6 * idle.DRIFT
    assert np.mean(turned < 3 * idle.DRIFT) > 0.25  # it looks ahead most often
    assert abs(yaw.mean()) < 0.1 * yaw.std() and pitch.std() < 0.8 * yaw.std()


def test_the_neck_breathes(rest: np.ndarray) -> None:
    legs = rest[:, LEGS]
    assert np.abs(legs - legs[:, :1]).max() < 1e-8  # the head rises without a turn
    rise = legs[:, 0]
    low = np.flatnonzero((rise[1:-1] <= rise[:-2]) & (rise[1:-1] < rise[2:]))
    assert idle.BREATHS_PER_MINUTE[0] <= len(low) / MINUTES <= idle.BREATHS_PER_MINUTE[1]
    height = [rise[a:b].max() for a, b in pairwise(low)]
    assert idle.BREATH_HEIGHT[0] - 1e-4 < min(height) and max(height) <= idle.BREATH_HEIGHT[1] + 1e-8


@pytest.mark.parametrize("name", ["neutral", "surprise", "pain", "sadness", "doubt", "wink_left"])
def test_limits_and_rates_are_kept_on_any_expression(name: str) -> None:
    positions = run(3, seed=1, base=expression_command(SPEC, name))
    assert (np.abs(SPEC.to_command(positions)) <= 1).all()
    fastest = np.abs(np.diff(positions, axis=0)).max(0) / SPEC.control_dt
    assert (fastest <= SPEC.column("rate") * 1.001).all()
    others = np.setdiff1d(np.arange(len(SPEC)), np.concatenate([LIDS, EYES, LEGS]))
    assert np.ptp(positions[:, others], axis=0).max() == 0


def test_lids_and_eyes_stay_with_the_base_where_somebody_else_moves_them() -> None:
    mirroring = run(1, alone=False)
    assert np.ptp(mirroring[:, [*LIDS, *EYES]], axis=0).max() == 0
    assert np.array_equal(mirroring[:, LEGS], run(1)[:, LEGS])


def test_a_seed_repeats() -> None:
    assert np.array_equal(run(1, seed=3), run(1, seed=3))
    assert not np.array_equal(run(1, seed=3), run(1, seed=4))


def test_a_wrong_base_is_refused() -> None:
    with pytest.raises(CommandError, match="shape"):
        IdleMotion(SPEC)(np.zeros(3))


def test_a_face_without_eyes_lids_and_neck_stays_as_it_is() -> None:
    rows = "\n".join(
        line
        for line in SPEC.text.splitlines()
        if not any(f'kind = "{k}"' in line for k in ("eye", "lid", "leg"))
    )
    spec = parse_spec(rows)
    motion = IdleMotion(spec)
    assert all(np.allclose(motion(spec.neutral), spec.neutral, atol=1e-6) for _ in range(200))
