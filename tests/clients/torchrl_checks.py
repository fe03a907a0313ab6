"""Checks with TorchRL: `GymEnv` by id, and `GymWrapper` over native vector environments."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import pytest
from torchrl.collectors import Collector
from torchrl.envs import (
    CatTensors,
    Compose,
    FlattenObservation,
    GymEnv,
    GymWrapper,
    ParallelEnv,
    SerialEnv,
    StepCounter,
    TransformedEnv,
)
from torchrl.envs.utils import check_env_specs

from eva_sim.registration import IDS
from examples import train_torchrl

FAST: dict[str, Any] = {"skin": "reduced"}


def native(mode: str, **options: Any) -> GymWrapper:
    return GymWrapper(
        gym.make_vec(
            "eva_sim:EVA/Pose-v0", 4, vectorization_mode="vector_entry_point", max_episode_steps=6,
            autoreset_mode=mode, **options,
        )
    )  # fmt: skip


@pytest.mark.parametrize("name", IDS)
def test_an_environment_by_its_id(name: str) -> None:
    env = GymEnv(f"eva_sim:{name}", **FAST)
    check_env_specs(env)
    limit = IDS[name].max_episode_steps
    rollout = env.rollout(limit + 20)
    assert rollout.shape == (limit,) and rollout["next", "truncated"][-1]
    assert env.rollout(limit + 20, break_when_any_done=False).shape == (limit + 20,)


@pytest.mark.parametrize("options", [FAST, {"randomise": True}], ids=["plain", "randomised"])
def test_the_infos_become_tensors_by_themselves(options: dict[str, Any]) -> None:
    env = GymEnv("eva_sim:EVA/Mimic-v0", **options).auto_register_info_dict()
    seen = env.rollout(3)["next"]
    assert {"landmark_error_mm", "reward_error", "target_command"} <= set(seen.keys())


@pytest.mark.parametrize("options", [FAST, {"randomise": True}], ids=["plain", "randomised"])
@pytest.mark.parametrize("mode", ["SameStep", "Disabled"])
def test_native_environments_across_the_end_of_episodes(mode: str, options: dict[str, Any]) -> None:
    env = native(mode, **options)
    check_env_specs(env)
    seen = env.rollout(20, break_when_any_done=False)["next"]
    assert seen.shape == (4, 20)
    assert seen["done"].sum() == 12
    assert (seen["reward"] != 0).all()  # no step is lost to a reset
    env.close()


def test_transforms_pictures_and_a_collector() -> None:
    flat = Compose(
        FlattenObservation(-2, -1, in_keys=["landmarks", "target"]),
        CatTensors(["landmarks", "target", "position"], "observation"),
        StepCounter(),
    )
    env = TransformedEnv(GymEnv("eva_sim:EVA/Pose-v0", **FAST), flat)
    assert env.rollout(5)["observation"].shape == (5, 925)
    pixels = GymWrapper(
        gym.make("EVA/Pose-v0", render_mode="rgb_array", **FAST), from_pixels=True, pixels_only=False
    )
    assert pixels.rollout(2)["pixels"].shape == (2, 480, 480, 3)
    collector = Collector(native("SameStep", **FAST), None, frames_per_batch=64, total_frames=128)
    assert sum(batch.numel() for batch in collector) == 128
    collector.shutdown()


def make_one() -> GymEnv:
    return GymEnv("eva_sim:EVA/Pose-v0", **FAST)


@pytest.mark.parametrize("kind", [SerialEnv, ParallelEnv])
def test_its_own_vector_environments(kind: Any) -> None:
    envs = kind(2, make_one)
    assert envs.rollout(4).shape == (2, 4)
    envs.close()


def test_the_example_learns() -> None:
    rewards = train_torchrl.train(rounds=20, copies=32)
    assert sum(rewards[-5:]) / 5 > sum(rewards[:5]) / 5 + 0.03
