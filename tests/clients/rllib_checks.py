"""Checks with RLlib and Ray: PPO by id and over native environments, here and in a remote runner."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

import gymnasium as gym
import numpy as np
import pytest
import ray
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.connectors.env_to_module import FlattenObservations

import eva_sim  # noqa: F401 - registers the ids
from eva_sim.contract import load_spec

ID, SHORT = "eva_sim:EVA/Pose-v0", {"skin": "reduced", "max_episode_steps": 20}


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=100_000_000)
    yield
    ray.shutdown()


def train(count: int = 2, **runners: Any) -> float:
    """Returns the mean return of the episodes of two iterations."""

    def flatten(env: Any = None, spaces: Any = None, device: Any = None) -> FlattenObservations:
        return FlattenObservations()

    config = (
        PPOConfig()
        .environment(ID, env_config=SHORT)
        .env_runners(num_envs_per_env_runner=count, env_to_module_connector=flatten, **runners)
        .training(train_batch_size_per_learner=200, minibatch_size=100, num_epochs=1)
    )
    algorithm = config.build_algo()
    algorithm.train()
    result = algorithm.train()
    algorithm.stop()
    return float(result["env_runners"]["episode_return_mean"])


@pytest.mark.parametrize(
    "runners",
    [
        {"num_env_runners": 0},
        {"num_env_runners": 1},
        {"num_env_runners": 0, "count": 8, "gym_env_vectorize_mode": "vector_entry_point"},
        {"num_env_runners": 1, "count": 8, "gym_env_vectorize_mode": "vector_entry_point"},
    ],
    ids=["local", "remote", "native", "native remote"],
)
def test_ppo_learns(runners: dict[str, Any]) -> None:
    assert -100 < train(**runners) < 0


def test_an_environment_travels_to_an_actor_with_its_episode() -> None:
    env = gym.make(ID, skin="reduced")
    env.reset(seed=1)
    env.step(load_spec().command(jaw=0.1))

    class Holder:
        def __init__(self, env: Any) -> None:
            self.env = env

        def step(self, action: Any) -> Any:
            return self.env.step(action)[:2]

    action = load_spec().command(zygomaticus=0.4)
    there = ray.get(ray.remote(Holder).remote(env).step.remote(action))
    here = env.step(action)[:2]
    assert there[1] == here[1]
    assert all(np.array_equal(there[0][key], here[0][key]) for key in here[0])
