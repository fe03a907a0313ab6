"""Native vector environments step by step beside Gymnasium's `SyncVectorEnv`, in each mode of autoreset."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import TimeLimit

from eva_sim.contract import load_spec
from eva_sim.errors import ArgumentError, ArgumentValueError, EvaError
from eva_sim.registration import IDS
from tests.envs.vector_comparison import COPIES, SINGLE, OneOfTwins, assert_all_same, make, walk

LAST = 4  # steps of an episode


class Pair:
    """A native vector environment, and a sync one of single environments; each call is compared."""

    def __init__(self, name: str, mode: AutoresetMode, randomise: bool = False) -> None:
        self.native = make(name, max_episode_steps=LAST, autoreset_mode=mode, randomise=randomise)
        single = SINGLE[name]

        def limited() -> gym.Env:
            return TimeLimit(single(face=OneOfTwins(), randomise=randomise), LAST)

        self.sync = SyncVectorEnv([limited] * COPIES, autoreset_mode=mode)

    def reset(self, seed: int | None = None, **options: Any) -> None:
        for_sync = dict(options)  # Gymnasium takes the mask out of it
        one = self.native.reset(seed=seed, options=options)
        assert_all_same(one, self.sync.reset(seed=seed, options=for_sync))

    def step(self, actions: np.ndarray) -> tuple:
        one = self.native.step(actions)
        assert_all_same(one, self.sync.step(actions))
        return tuple(one)

    def close(self) -> None:
        self.native.close()
        self.sync.close()


@pytest.fixture(params=[False, True], ids=["plain", "randomised"])
def randomise(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def disabled() -> Iterator[Pair]:
    pair = Pair("EVA/Mimic-v0", AutoresetMode.DISABLED)
    yield pair
    pair.close()


@pytest.mark.parametrize("mode", AutoresetMode)
@pytest.mark.parametrize("name", IDS)
def test_all_that_a_step_gives_is_what_single_environments_give(
    name: str, mode: AutoresetMode, randomise: bool
) -> None:
    pair = Pair(name, mode, randomise)
    pair.reset(seed=3)
    ends = 0
    for actions in walk(11):
        truncated = pair.step(actions)[3]
        ends += int(truncated.sum())
        if mode == AutoresetMode.DISABLED and truncated.any():
            pair.reset(reset_mask=truncated)
    assert ends == 2 * COPIES
    pair.close()


def test_copies_that_end_at_different_times(disabled: Pair) -> None:
    """Some copies are reset in the middle of an episode, so ends and starts fall apart."""
    disabled.reset(seed=1)
    for step, actions in enumerate(walk(10, seed=2)):
        over = disabled.step(actions)[3]
        mask = over | (np.arange(COPIES) == step % COPIES)
        disabled.reset(seed=7 if step == 4 else None, reset_mask=mask)


@pytest.mark.parametrize(
    "options", [{"expression": "joy"}, {"start": load_spec().command(jaw=0.3)}], ids=["goal", "start"]
)
def test_a_goal_or_start_of_some_copies_leaves_the_others_alone(
    disabled: Pair, options: dict[str, Any]
) -> None:
    disabled.reset(seed=1)
    for actions in walk(2):
        disabled.step(actions)
    disabled.reset(reset_mask=np.array([False, True, False]), **options)
    for actions in walk(2, seed=5):
        disabled.step(actions)


def test_same_step_has_the_end_in_the_info() -> None:
    envs = make("EVA/Pose-v0", 2, max_episode_steps=2, autoreset_mode="SameStep")
    start = envs.reset(seed=0)[0]
    envs.step(walk(1, 2)[0])
    seen, rewards, _, truncated, info = envs.step(walk(2, 2)[1])
    assert truncated.all() and (rewards != 0).all()
    np.testing.assert_allclose(seen["landmarks"], start["landmarks"], atol=1e-6)
    assert np.abs(info["final_obs"][1]["landmarks"] - start["landmarks"][1]).max() > 1e-3
    assert info["final_info"]["time"].tolist() == pytest.approx([0.08, 0.08])
    envs.close()


def test_disabled_refuses_to_step_an_ended_copy_and_moves_nothing() -> None:
    envs = make("EVA/Pose-v0", 2, max_episode_steps=1, autoreset_mode=AutoresetMode.DISABLED)
    with pytest.raises(ResetNeeded, match="reset all copies once"):
        envs.reset(options={"reset_mask": np.array([True, False])})
    envs.reset(seed=0)
    after = envs.step(walk(1, 2)[0])[0]
    with pytest.raises(ResetNeeded, match=r"copies 0, 1 have ended.*reset_mask"):
        envs.step(walk(1, 2)[0])
    kept = envs.reset(options={"reset_mask": np.array([True, False])})[0]
    assert np.array_equal(kept["landmarks"][1], after["landmarks"][1])
    envs.close()


@pytest.mark.parametrize(
    ("mask", "error"),
    [
        ([True, False], ArgumentError),
        (np.ones(2), ArgumentError),
        (np.ones(3, bool), ArgumentValueError),
        (np.zeros(2, bool), ArgumentValueError),
    ],
)
def test_bad_masks_are_told_in_the_kind_that_gymnasium_has(mask: Any, error: type[EvaError]) -> None:
    envs = make("EVA/Pose-v0", 2)
    envs.reset(seed=0)
    with pytest.raises(error, match="reset_mask"):
        envs.reset(options={"reset_mask": mask})
    envs.close()


def test_bad_modes_are_told() -> None:
    with pytest.raises(ArgumentValueError, match="'NextStep', 'SameStep', 'Disabled'"):
        make("EVA/Pose-v0", autoreset_mode="never")
