"""Checks with skrl: PPO over one environment and over native ones."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import pytest
import torch
from skrl.agents.torch.ppo import PPO, PPO_CFG
from skrl.envs.wrappers.torch import wrap_env
from skrl.memories.torch import RandomMemory
from skrl.models.torch import DeterministicMixin, GaussianMixin, Model
from skrl.trainers.torch import SequentialTrainer
from torch import Tensor, nn

import eva_sim  # noqa: F401 - registers the ids
from eva_sim.registration import IDS

BUILDERS = {
    "one": lambda name: gym.make(name, skin="reduced"),
    "native": lambda name: gym.make_vec(
        name, num_envs=8, vectorization_mode="vector_entry_point", skin="reduced", max_episode_steps=10
    ),
    "sync": lambda name: gym.make_vec(name, num_envs=2, vectorization_mode="sync", skin="reduced"),
}


class Policy(GaussianMixin, Model):
    def __init__(self, env: Any) -> None:
        Model.__init__(
            self, observation_space=env.observation_space, action_space=env.action_space, device="cpu"
        )
        GaussianMixin.__init__(self, clip_actions=True)
        self.net: Any = nn.Sequential(nn.Linear(self.num_observations, 32), nn.Tanh(), nn.Linear(32, 25))
        self.log_std = nn.Parameter(torch.full((25,), -1.0))

    def compute(self, inputs: dict[str, Tensor], role: str = "") -> tuple[Tensor, dict[str, Tensor]]:
        return self.net(inputs["observations"]), {"log_std": self.log_std}


class Value(DeterministicMixin, Model):
    def __init__(self, env: Any) -> None:
        Model.__init__(
            self, observation_space=env.observation_space, action_space=env.action_space, device="cpu"
        )
        DeterministicMixin.__init__(self)
        self.net: Any = nn.Sequential(nn.Linear(self.num_observations, 32), nn.Tanh(), nn.Linear(32, 1))

    def compute(self, inputs: dict[str, Tensor], role: str = "") -> tuple[Tensor, dict[str, Any]]:
        return self.net(inputs["observations"]), {}


@pytest.mark.parametrize("build", BUILDERS)
@pytest.mark.parametrize("name", IDS)
def test_it_steps_and_resets(name: str, build: str) -> None:
    env = wrap_env(BUILDERS[build](name), wrapper="gymnasium")
    seen, _ = env.reset()
    assert seen.shape == (env.num_envs, 925)
    for _ in range(12):
        seen, rewards, _, truncated, _ = env.step(torch.zeros(env.num_envs, 25))
    assert rewards.shape == truncated.shape == (env.num_envs, 1)
    env.close()


@pytest.mark.parametrize("build", ["one", "native"])
def test_ppo_learns(build: str) -> None:
    env = wrap_env(BUILDERS[build]("EVA/Pose-v0"), wrapper="gymnasium")
    policy, value = Policy(env), Value(env)
    before = policy.net[0].weight.detach().clone()
    agent = PPO(
        models={"policy": policy, "value": value}, cfg=PPO_CFG(), device="cpu",
        memory=RandomMemory(memory_size=16, num_envs=env.num_envs, device="cpu"),
        observation_space=env.observation_space, action_space=env.action_space,
    )  # fmt: skip
    options = {"timesteps": 48, "headless": True, "disable_progressbar": True}
    SequentialTrainer(cfg=options, env=env, agents=agent).train()
    assert not torch.equal(policy.net[0].weight, before)
