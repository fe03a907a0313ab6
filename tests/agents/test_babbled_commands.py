"""Which commands babbling draws."""

from __future__ import annotations

import numpy as np
import pytest

from eva_sim.agents.data.babbling import sample_command
from eva_sim.contract import load_spec
from eva_sim.limits.command_limits import CommandLimits
from eva_sim.limits.command_search import CommandSearch

SPEC = load_spec()


@pytest.fixture
def drawn() -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.stack([sample_command(SPEC, rng) for _ in range(4000)])


def test_commands_are_legal_and_cover_all_travel(drawn: np.ndarray) -> None:
    assert drawn.dtype == np.float32
    for command in drawn[:50]:
        SPEC.check(command)
    moving = SPEC.where("cable", "jaw", "lid")
    assert (drawn[:, moving].max(0) > 0.99).all()
    assert (drawn[:, moving].min(0) < -0.9).all()


def test_commands_are_within_the_limits_of_the_face_and_reach_them(drawn: np.ndarray) -> None:
    limits, search = CommandLimits(SPEC), CommandSearch(SPEC, 1.0)
    pulls = np.array([search.loads(command) for command in drawn.astype(float)])
    np.testing.assert_allclose(limits.within(drawn.astype(float)), drawn, atol=1e-6)
    assert pulls.max() < 1 + 1e-6 and (pulls.max(0) > 0.99).all()


def test_single_strong_muscles_and_mixed_faces_are_both_common(drawn: np.ndarray) -> None:
    groups = [SPEC.index(n) for n in SPEC.names if n.endswith("_left") and not n.startswith("eye")]
    groups.append(SPEC.index("jaw"))
    active = np.abs(drawn[:, groups] - SPEC.neutral[groups]) > 0.1
    assert (active.sum(1) == 1).mean() > 0.08
    assert (active.sum(1) >= 4).mean() > 0.2
    assert 0.2 < active.mean() < 0.6


def test_sides_mostly_agree_and_antagonists_mostly_do_not(drawn: np.ndarray) -> None:
    left, right = SPEC.index("zygomaticus_left"), SPEC.index("zygomaticus_right")
    pulled = drawn[:, left] > -0.8
    assert (np.abs(drawn[pulled, left] - drawn[pulled, right]) < 0.3).mean() > 0.6
    against = drawn[:, SPEC.index("depressor_left")] > -0.8
    assert 0 < (pulled & against).mean() < 0.06


def test_head_and_gaze_move_a_little(drawn: np.ndarray) -> None:
    free = SPEC.where("eye", "leg")
    spread = drawn[:, free].std(0)
    assert (spread > 0.1).all() and (spread < 0.4).all()
