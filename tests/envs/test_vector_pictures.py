"""Pictures that native vector environments observe: those of single environments, drawn together."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from eva_sim.twin.twins import Twins
from tests.envs.vector_comparison import COPIES, SINGLE, OneOfTwins, assert_all_same, make, walk

ID = "EVA/Pose-v0"


@pytest.mark.parametrize(
    ("style", "observe", "randomise"),
    [("fast", "both", True), ("fast", "image", False), ("plain", "image", True)],
)
def test_pictures_are_those_of_single_environments(style: str, observe: str, randomise: bool) -> None:
    """Also where the camera and the light of each episode differ, over the end of one."""
    options: Any = {"observe": observe, "image_size": 48, "randomise": randomise, "max_episode_steps": 3}
    envs = make(ID, style=style, **options)
    alone = SyncVectorEnv([lambda: SINGLE[ID](face=OneOfTwins(style), **options) for _ in range(COPIES)])
    assert envs.observation_space == alone.observation_space
    assert_all_same(envs.reset(seed=7), alone.reset(seed=7), camera=True)
    for actions in walk(5):
        one, two = envs.step(actions), alone.step(actions)
        assert one[0] in envs.observation_space
        assert_all_same(one, two, camera=True)
    envs.close()
    alone.close()


def test_pictures_follow_the_faces() -> None:
    with Twins(3, "reduced", style="fast") as twins:
        commands = np.tile(twins.spec.neutral, (3, 1))
        commands[1] = twins.spec.command(jaw=0.8)
        for _ in range(10):
            twins.move(commands)
        first, opened, last = twins.render(64)
        assert np.array_equal(first, last) and not np.array_equal(first, opened)
        (alone,) = twins.render(64, [1])
        assert np.array_equal(alone, opened)
        assert twins.render(64, []) == ()


def test_the_last_picture_of_an_episode_is_kept_beside_the_first_of_the_next() -> None:
    options: Any = {"observe": "image", "style": "fast", "image_size": 32, "max_episode_steps": 2}
    envs = make(ID, autoreset_mode=AutoresetMode.SAME_STEP, **options)
    start = envs.reset(seed=0)[0]["image"]
    path = walk(2)
    path[:, :, 0] = 1.0
    envs.step(path[0])
    seen, _, _, over, info = envs.step(path[1])
    assert over.all() and np.array_equal(seen["image"], start)
    for copy in range(COPIES):
        final = info["final_obs"][copy]["image"]
        assert final.shape == (32, 32, 3) and not np.array_equal(final, start[copy])
    envs.close()


def test_copies_that_are_not_reset_keep_their_picture() -> None:
    envs = make(ID, observe="image", style="fast", image_size=32, autoreset_mode=AutoresetMode.DISABLED)
    envs.reset(seed=0)
    pull = np.ones(envs.action_space.shape, np.float32)
    envs.step(pull)  # servos answer one step later
    moved = envs.step(pull)[0]["image"]
    mask = np.array([True] + [False] * (COPIES - 1))
    seen = envs.reset(options={"reset_mask": mask})[0]["image"]
    assert np.array_equal(seen[1:], moved[1:]) and not np.array_equal(seen[0], moved[0])
    envs.close()


@pytest.mark.parametrize("observe", ["landmarks", "image", "both"])
def test_spaces_have_what_is_observed(observe: str) -> None:
    envs = make(ID, observe=observe, image_size=40)
    space = envs.single_observation_space
    assert isinstance(space, spaces.Dict)
    assert ("image" in space.spaces, "landmarks" in space.spaces) == (
        observe != "landmarks",
        observe != "image",
    )
    assert observe == "landmarks" or space["image"].shape == (40, 40, 3)
    envs.close()
