"""Motion babbling: where it begins, how far and how fast it goes."""

from __future__ import annotations

import numpy as np
import pytest

from eva_sim.agents.data.motion import sample_motion
from eva_sim.contract import load_spec
from eva_sim.limits.command_limits import CommandLimits
from eva_sim.limits.reversals import load_reversal_rules

SPEC = load_spec()
MOVING = SPEC.expressive
STEPS = 1500


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_a_motion_begins_at_neutral_and_keeps_to_its_actuators(seed: int) -> None:
    motion = sample_motion(SPEC, STEPS, np.random.default_rng(seed), sudden=0.2)
    assert motion.shape == (STEPS, len(SPEC)) and motion.dtype == np.float32
    assert np.array_equal(motion[0], SPEC.neutral) and np.abs(motion).max() <= 1
    moved = np.ptp(motion, axis=0) > 0.5
    assert np.array_equal(np.flatnonzero(moved), SPEC.expressive)
    resting = np.setdiff1d(np.arange(len(SPEC)), SPEC.expressive)
    assert np.array_equal(motion[:, resting], np.tile(SPEC.neutral[resting], (STEPS, 1)))


def test_only_sudden_moves_take_a_single_step() -> None:
    brows = [i for i in SPEC.where("cable") if SPEC.actuators[i].moves.startswith("brow")]
    fastest = [
        np.abs(np.diff(sample_motion(SPEC, STEPS, np.random.default_rng(1), share)[:, brows], axis=0)).max()
        for share in (0.0, 0.2)
    ]
    assert fastest[0] < 0.5 < fastest[1]


def test_equal_seeds_give_equal_motions_and_others_do_not() -> None:
    first, again, other = (sample_motion(SPEC, 200, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_a_minute_of_speech_leaves_reversals_to_every_servo() -> None:
    """Motion babbling asks for what a body may go on with for ever, and half of the motions speak."""
    left, reserve = [], load_reversal_rules(SPEC).most
    for seed in range(12):
        limits = CommandLimits(SPEC)
        for command in sample_motion(SPEC, STEPS, np.random.default_rng(seed)):
            limits.step(command)
        left.append(limits.reversals_left[MOVING].min())
    assert 0.9 * reserve < min(left) < reserve  # some do speak


def test_lids_blink() -> None:
    lids = sample_motion(SPEC, STEPS, np.random.default_rng(4))[:, SPEC.where("lid")]
    closed = (lids < -0.95).all(1)
    assert 5 < np.count_nonzero(np.diff(closed.astype(int)) == 1) < 40
