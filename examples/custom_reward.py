"""A reward of your own: the widest smile with a closed mouth, found by the cross-entropy method.

    python examples/custom_reward.py

`SmileReward` wraps the vector environment `EVA/Pose-v0` and replaces its reward. The search draws a command
for each copy, holds it for some steps, and moves the distribution towards the best copies. It needs the
extra `train`.
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

import eva_sim
from eva_sim.landmarks import face_measurements

COPIES, BEST, STEPS = 64, 8, 15


class SmileReward(gym.vector.VectorWrapper):
    """Rewards the width of the mouth and punishes its opening, both in outer-eye distances."""

    def step(self, actions: Any) -> Any:
        observations, _, terminations, truncations, infos = self.env.step(actions)
        return observations, smile(observations["landmarks"]), terminations, truncations, infos


def smile(landmarks: NDArray) -> NDArray:
    """The reward of landmarks (N, 150, 3), (N,)."""
    measured = face_measurements(landmarks)
    return measured["mouth_width"] - 2 * np.maximum(0, measured["jaw_opening"])


def search(rounds: int = 10, seed: int = 0) -> tuple[NDArray, list[float]]:
    """Returns the command (25,) at the middle of the last distribution, and the mean reward of each round."""
    envs = SmileReward(
        gym.make_vec(
            "EVA/Pose-v0",
            COPIES,
            vectorization_mode="vector_entry_point",
            skin="reduced",
            action_mode="from_rest",
        )
    )
    spec, rng = eva_sim.load_spec(), np.random.default_rng(seed)
    middle, spread, rewards = np.zeros(len(spec)), np.zeros(len(spec)), []
    spread[spec.expressive] = 0.5  # gaze and neck stay at rest
    for _ in range(rounds):
        actions = np.clip(rng.normal(middle, spread, (COPIES, len(spec))), -1, 1)
        envs.reset(seed=seed)
        for _ in range(STEPS):
            _, reward, *_ = envs.step(actions)
        best = actions[np.argsort(reward)[-BEST:]]
        middle, spread = best.mean(0), best.std(0)
        rewards.append(float(reward.mean()))
        print(f"round {len(rewards)}: reward {rewards[-1]:.3f}")
    envs.close()
    return middle, rewards


def main() -> None:
    middle, _ = search()
    names = eva_sim.load_spec().names
    strongest = np.argsort(-np.abs(middle))[:2]
    print("strongest:", ", ".join(f"{names[i]}={middle[i]:+.2f}" for i in strongest))


if __name__ == "__main__":
    main()
