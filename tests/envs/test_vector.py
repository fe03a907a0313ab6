"""Vector environments: each copy is a single environment with the next seed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode, SyncVectorEnv

import eva_sim.skin
from eva_sim.contract import Floats, load_spec
from eva_sim.errors import CommandError, DataError, EvaError
from eva_sim.registration import IDS
from eva_sim.skin.block import Block
from eva_sim.twin import Twin
from eva_sim.twin.twins import UNSETTLED
from tests.envs.vector_comparison import COPIES, SINGLE, OneOfTwins, assert_all_same, assert_same, make, walk

STEPS = 60
#: As in test_twins.py, over a whole episode of many steps.
NEAR = 1e-3


@pytest.fixture
def short() -> Iterator[Any]:
    envs = make("EVA/Mimic-v0", max_episode_steps=5)
    yield envs
    envs.close()


@pytest.mark.parametrize("randomise", [False, True])
@pytest.mark.parametrize("name", IDS)
def test_copies_are_single_environments_with_the_next_seeds(name: str, randomise: bool) -> None:
    """Observations, rewards, ends, infos with masks; over several episodes, to 1e-6."""
    options: Any = {"max_episode_steps": 22, "randomise": randomise}
    envs = make(name, **options)
    alone = SyncVectorEnv([lambda: SINGLE[name](face=OneOfTwins(), **options) for _ in range(COPIES)])
    assert envs.single_observation_space == alone.single_observation_space
    assert envs.observation_space == alone.observation_space
    assert envs.action_space == alone.action_space
    assert_all_same(envs.reset(seed=7), alone.reset(seed=7))
    ends = 0
    for actions in walk(STEPS):
        one, two = envs.step(actions), alone.step(actions)
        assert one[0] in envs.observation_space
        assert_all_same(one, two)
        ends += int(one[3].sum())
    assert ends == 2 * COPIES
    envs.close()
    alone.close()


@pytest.mark.parametrize("name", IDS)
def test_a_copy_is_near_the_environment_that_gym_makes(name: str) -> None:
    envs, alone = make(name), gym.make(name)
    seen, (want, _) = envs.reset(seed=3)[0], alone.reset(seed=4)
    worst = 0.0
    for actions in walk(50, seed=1):
        worst = max(worst, *(np.abs(seen[key][1] - want[key]).max() for key in want))
        seen, rewards, *_, info = envs.step(actions)
        want, reward, *_, message = alone.step(actions[1])
        assert rewards[1] == pytest.approx(reward, abs=20 * NEAR)
        assert np.array_equal(info["target_command"][1], message["target_command"])
    assert worst < NEAR
    envs.close()
    alone.close()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("EVA/Pose-v0", {"expression": "joy"}),
        ("EVA/Pose-v0", {"command": load_spec().command(jaw=0.5), "start": load_spec().command(jaw=0.0)}),
        ("EVA/Mimic-v0", {"expression": "joy"}),
        ("EVA/Mimic-v0", {"targets": np.zeros((4, 150, 3), np.float32)}),
    ],
)
def test_options_are_those_of_the_single_environment(name: str, options: dict[str, Any]) -> None:
    envs, alone = make(name, 2), SINGLE[name](face=OneOfTwins())
    seen, info = envs.reset(seed=1, options=options)
    want, message = alone.reset(seed=2, options=options)
    actions = np.tile(load_spec().command(jaw=0.5), (2, 1))
    for _ in range(3):
        assert_same({key: seen[key][1] for key in seen}, want)
        assert info["time"][1] == pytest.approx(message["time"])
        assert info["landmark_error_mm"][1] == pytest.approx(message["landmark_error_mm"], abs=1e-4)
        assert ("target_command" in info) == ("target_command" in message)
        seen, _, _, over, info = envs.step(actions)
        want, _, _, ended, message = alone.step(actions[1])
        assert over[1] == ended
    envs.close()
    alone.close()
    alone.face.close()


def test_the_step_after_the_last_begins_the_next_episode(short: Any) -> None:
    assert short.metadata["autoreset_mode"] == AutoresetMode.NEXT_STEP
    neutral = short.reset(seed=0)[0]
    for step, actions in enumerate(walk(12), start=1):
        seen, rewards, terminated, truncated, info = short.step(actions)
        begins, ends = step % 6 == 0, step % 6 == 5
        assert (truncated == ends).all() and not terminated.any()
        assert (info["time"] == 0).all() == begins
        assert ("reward_error" in info) != begins
        assert (rewards == 0).all() == begins
        if begins:
            for key in ("landmarks", "position"):
                assert np.allclose(seen[key], neutral[key], atol=1e-6)


def test_one_copys_randomness_does_not_depend_on_the_others() -> None:
    few, many = make("EVA/Mimic-v0", 2, max_episode_steps=4), make("EVA/Mimic-v0", 3, max_episode_steps=4)
    few.reset(seed=[5, 6])
    many.reset(seed=[9, 8, 6])
    for actions in walk(9):
        one, two = few.step(actions[:2])[0], many.step(actions[[2, 0, 1]])[0]
        assert np.array_equal(one["target"][1], two["target"][2])
        assert np.array_equal(one["landmarks"][1], two["landmarks"][2])
    few.close()
    many.close()


def test_a_seed_repeats_and_no_seed_goes_on(short: Any) -> None:
    def play(seed: int | None) -> list[Floats]:
        short.reset(seed=seed)
        return [short.step(actions)[0]["target"] for actions in walk(8)]

    first = play(1)
    assert not np.array_equal(first, play(None))
    assert np.array_equal(first, play(1))


def test_a_face_that_does_not_settle_ends_its_episode_with_a_fault(
    short: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    short.reset(seed=0)
    descend = Block.descend

    def broken(block: Block, evaluations: int) -> None:
        descend(block, evaluations)
        if block is short.twins.skins._blocks[0]:
            block.set_shape(1, np.full_like(block.points[1], np.nan))
            block.residual[1] = np.nan

    actions = walk(3)
    with monkeypatch.context() as patch:
        patch.setattr(Block, "descend", broken)
        seen, rewards, _, truncated, info = short.step(actions[0])
    assert info["_faults"].tolist() == [False, True, False]
    assert truncated.tolist() == [False, True, False]
    assert info["faults"][1] == (UNSETTLED,)
    assert np.isfinite(rewards).all() and all(np.isfinite(value).all() for value in seen.values())
    info = short.step(actions[1])[4]
    assert info["time"][1] == 0 and "faults" not in info
    assert info["_reward_error"].tolist() == [True, False, True]


def test_malformed_actions_change_nothing(short: Any) -> None:
    short.reset(seed=0)
    for actions in walk(5):
        short.step(actions)
    with pytest.raises(CommandError, match="shape"):
        short.step(np.zeros((COPIES, 24)))
    assert (short.step(np.full((COPIES, 25), np.nan))[4]["time"] == 0).all()  # ignored: they begin anew
    with pytest.raises(CommandError, match="face 0"):
        short.step(np.full((COPIES, 25), np.nan))
    assert short.step(walk(1)[0])[4]["time"] == pytest.approx(0.04)


@pytest.mark.parametrize("arguments", [{"render_mode": "human"}, {"neck": "legs"}, {"body": "robot"}])
def test_what_only_one_environment_does_is_told(arguments: dict[str, Any]) -> None:
    with pytest.raises(EvaError, match="single environment"):
        make("EVA/Pose-v0", **arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"observe": "picture"}, "choose 'landmarks', 'image', 'both' or 'features'"),
        ({"observe": "image", "image_size": 8}, "a face needs 16 pixels or more"),
        ({"style": "fst"}, "no style called 'fst'; did you mean fast"),
        ({"material": "grey"}, "needs style='fast' or style='fine'"),
        ({"imagesize": 64}, "image_size"),
    ],
)
def test_arguments_of_pictures_without_a_meaning_are_told(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(EvaError, match=message):
        make("EVA/Pose-v0", **arguments)


def test_bad_arguments_options_and_seeds_are_told(short: Any) -> None:
    with pytest.raises(ResetNeeded):
        short.step(walk(1)[0])
    with pytest.raises(EvaError, match="max_episode_steps"):
        make("EVA/Pose-v0", max_episode_steps=0)
    with pytest.raises(EvaError, match="no option 'target'; did you mean targets"):
        short.reset(options={"target": 1})
    with pytest.raises(DataError, match="T >= 2"):
        short.reset(options={"targets": np.zeros((1, 150, 3))})
    with pytest.raises(EvaError, match="one seed or 3"):
        short.reset(seed=[1, 2])


def test_the_reduced_skin_steps_the_same_environments() -> None:
    envs = make("EVA/Pose-v0", 2, skin="reduced", randomise=True)
    info = envs.reset(seed=0)[1]
    absent = {f"parameter_{name}" for name in ("stiffness", "camera", "light")}
    assert "parameter_friction" in info and not absent & set(info)
    wide = np.tile(load_spec().command(jaw=1.0), (2, 1))
    for _ in range(8):
        seen = envs.step(wide)[0]
    assert np.abs(seen["landmarks"] - envs.twins.neutral_landmarks).max() > 0.1
    with Twin() as full:
        for _ in range(8):
            reading = full.move(wide[0])
    assert 1000 * full.outer_eye * np.abs(seen["landmarks"][0] - reading.landmarks).max() < 2
    envs.close()


def test_without_the_reduced_skin_the_other_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "eva_sim.skin.reduced", raising=False)
    monkeypatch.delattr(eva_sim.skin, "reduced", raising=False)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(EvaError, match="skin='full'"):
        make("EVA/Pose-v0", skin="reduced")
