"""Checks with Gymnasium's own tools: its checkers and its wrappers, single and vector."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.wrappers import vector as vector_wrappers

import eva_sim  # noqa: F401 - registers the ids
from eva_sim.contract import load_spec
from eva_sim.registration import IDS

JAW = load_spec().command(jaw=0.2)
SINGLE: dict[str, Any] = {
    "ClipAction": lambda env: gym.wrappers.ClipAction(env),
    "FlattenObservation": lambda env: gym.wrappers.FlattenObservation(env),
    "FrameStackObservation": lambda env: gym.wrappers.FrameStackObservation(env, 3),
    "NormalizeObservation": lambda env: gym.wrappers.NormalizeObservation(
        gym.wrappers.FlattenObservation(env)
    ),
    "NormalizeReward": lambda env: gym.wrappers.NormalizeReward(env),
    "RecordEpisodeStatistics": lambda env: gym.wrappers.RecordEpisodeStatistics(env),
    "RescaleAction": lambda env: gym.wrappers.RescaleAction(env, np.float32(-1), np.float32(1)),
    "TimeAwareObservation": lambda env: gym.wrappers.TimeAwareObservation(env),
    "Autoreset": lambda env: gym.wrappers.Autoreset(env),
}
VECTOR: dict[str, Any] = {
    "ClipAction": vector_wrappers.ClipAction,
    "DictInfoToList": vector_wrappers.DictInfoToList,
    "FlattenObservation": vector_wrappers.FlattenObservation,
    "NormalizeReward": vector_wrappers.NormalizeReward,
    "RecordEpisodeStatistics": vector_wrappers.RecordEpisodeStatistics,
    "NormalizeObservation": lambda envs: vector_wrappers.NormalizeObservation(
        vector_wrappers.FlattenObservation(envs)
    ),
}


def native(name: str, count: int, **options: Any) -> Any:
    return gym.make_vec(
        name, count, vectorization_mode="vector_entry_point", skin="reduced", max_episode_steps=6, **options
    )


@pytest.mark.parametrize("options", [{}, {"observe": "both", "image_size": 32}, {"randomise": True}])
@pytest.mark.parametrize("name", IDS)
def test_its_checker_has_no_complaint(name: str, options: dict[str, Any]) -> None:
    check_env(gym.make(f"eva_sim:{name}", **options).unwrapped)


@pytest.mark.parametrize("wrapper", SINGLE)
def test_a_wrapper_of_one_environment(wrapper: str) -> None:
    env: Any = SINGLE[wrapper](gym.make("EVA/Mimic-v0", skin="reduced", max_episode_steps=6))
    seen, _ = env.reset(seed=0)
    assert seen in env.observation_space
    for _ in range(6):
        over = env.step(JAW)[3]
    assert over
    env.close()


@pytest.mark.parametrize("mode", ["NextStep", "SameStep"])
@pytest.mark.parametrize("wrapper", VECTOR)
def test_a_wrapper_of_native_environments(wrapper: str, mode: str) -> None:
    if mode == "SameStep" and wrapper.endswith("Observation"):
        pytest.skip("Gymnasium's wrappers of observations refuse same-step autoreset")
    envs: Any = VECTOR[wrapper](native("EVA/Pose-v0", 3, autoreset_mode=mode))
    envs.reset(seed=0)
    ends = sum(int(envs.step(np.tile(JAW, (3, 1)))[3].sum()) for _ in range(14))
    assert ends == 6
    envs.close()


@pytest.mark.parametrize("many", [False, True], ids=["single", "native"])
def test_torch_takes_observations_and_infos(many: bool) -> None:
    import torch

    env: Any = (
        vector_wrappers.NumpyToTorch(native("EVA/Pose-v0", 2))
        if many
        else gym.wrappers.NumpyToTorch(gym.make("EVA/Pose-v0", skin="reduced"))
    )
    env.reset(seed=0)
    observation, *_, info = env.step(torch.from_numpy(np.tile(JAW, (2, 1)) if many else JAW))
    assert all(torch.is_tensor(value) for value in (*observation.values(), *info.values()))
    env.close()


@pytest.mark.parametrize("many", [False, True], ids=["single", "native"])
def test_a_video_is_recorded(many: bool, tmp_path: Path) -> None:
    env: Any = (
        vector_wrappers.RecordVideo(native("EVA/Pose-v0", 2, render_mode="rgb_array"), str(tmp_path))
        if many
        else gym.wrappers.RecordVideo(
            gym.make("EVA/Pose-v0", skin="reduced", render_mode="rgb_array", max_episode_steps=4),
            str(tmp_path),
        )
    )
    env.reset(seed=0)
    for _ in range(4):
        env.step(np.tile(JAW, (2, 1)) if many else JAW)
    env.close()
    assert next(tmp_path.glob("*.mp4")).stat().st_size > 1000


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_gymnasiums_own_vector_environments(mode: str) -> None:
    options: Any = {"vector_kwargs": {"context": "spawn"}} if mode == "async" else {}
    envs = gym.make_vec("eva_sim:EVA/Pose-v0", 2, vectorization_mode=mode, max_episode_steps=3, **options)
    envs.reset(seed=0)
    assert [envs.step(np.tile(JAW, (2, 1)))[3].all() for _ in range(3)] == [False, False, True]
    envs.close()
