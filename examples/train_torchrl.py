"""PPO of TorchRL learns to make faces, on many copies of `EVA/Pose-v0`.

    python examples/train_torchrl.py

It needs `pip install torchrl`. The observation is 55 numbers, an action of 0 is rest, and faces to reach are
drawn anew for each episode. A minute shows that it learns; `examples/train_sb3.py` trains a whole policy.
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import torch
from torch import nn

import eva_sim  # noqa: F401 - registers the ids

try:
    from tensordict.nn import TensorDictModule
    from torchrl.collectors import Collector
    from torchrl.envs import CatTensors, GymWrapper, TransformedEnv
    from torchrl.modules import NormalParamExtractor, ProbabilisticActor, TanhNormal, ValueOperator
    from torchrl.objectives import ClipPPOLoss
    from torchrl.objectives.value import GAE
except ModuleNotFoundError:
    raise SystemExit("train_torchrl: TorchRL is missing; pip install torchrl") from None

STEPS = 10  # of an episode
OBSERVED = ["position", "target_features", "landmark_features"]


def make_env(copies: int) -> TransformedEnv:
    """Copies whose observation is one vector."""
    envs = gym.make_vec(
        "EVA/Pose-v0", copies, vectorization_mode="vector_entry_point", skin="reduced", observe="features",
        action_mode="from_rest", targets="babbling", max_episode_steps=STEPS, autoreset_mode="SameStep",
    )  # fmt: skip
    return TransformedEnv(GymWrapper(envs), CatTensors(in_keys=OBSERVED, out_key="seen"))


def make_networks(inputs: int, actions: int) -> tuple[Any, Any]:
    """Policy and value function."""
    mean = nn.Sequential(nn.Linear(inputs, 64), nn.Tanh(), nn.Linear(64, 2 * actions), NormalParamExtractor())
    policy = ProbabilisticActor(
        TensorDictModule(mean, in_keys=["seen"], out_keys=["loc", "scale"]),
        in_keys=["loc", "scale"], distribution_class=TanhNormal, return_log_prob=True,
    )  # fmt: skip
    value = ValueOperator(nn.Sequential(nn.Linear(inputs, 64), nn.Tanh(), nn.Linear(64, 1)), in_keys=["seen"])
    return policy, value


def train(rounds: int = 40, copies: int = 64) -> list[float]:
    """Returns the mean reward of a step in each round."""
    torch.manual_seed(0)
    torch.set_num_threads(1)  # the networks are small
    env = make_env(copies)
    env.set_seed(0)
    policy, value = make_networks(env.observation_spec["seen"].shape[-1], env.action_spec.shape[-1])
    advantage, loss = GAE(gamma=0.9, lmbda=0.9, value_network=value), ClipPPOLoss(policy, value)
    optimiser = torch.optim.Adam(loss.parameters(), lr=3e-3)
    frames, rewards = copies * STEPS, list[float]()
    collector = Collector(
        env, policy, frames_per_batch=frames, total_frames=rounds * frames,
        auto_register_policy_transforms=False,
    )  # fmt: skip
    for batch in collector:
        for _ in range(8):
            with torch.no_grad():
                advantage(batch)
            losses = loss(batch)
            optimiser.zero_grad()
            sum(part for name, part in losses.items() if name.startswith("loss_")).backward()
            optimiser.step()
        rewards.append(float(batch["next", "reward"].mean()))
    return rewards


if __name__ == "__main__":
    curve = train()
    print(f"mean reward of a step: {curve[0]:.3f} at first, {curve[-1]:.3f} after {len(curve)} rounds")
