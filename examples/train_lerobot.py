"""A policy of LeRobot learns from recordings to make joy out of any face, and makes it in an environment.

    pip install 'lerobot[training]==0.6.1' .    # in the checkout, with Python 3.12 or 3.13
    python examples/train_lerobot.py

1. `demonstrate` records a face that goes from random expressions to joy, and exports a LeRobot data set.
2. `train` trains ACT (action chunking with transformers), small, with LeRobot's own classes.
3. `play` lets the policy act in `EVA/Pose-v0`, from a face that is in no recording.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import gymnasium as gym
import numpy as np
import torch
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from lerobot.policies.act.configuration_act import ACTConfig
from lerobot.policies.act.modeling_act import ACTPolicy
from lerobot.policies.act.processor_act import make_act_pre_post_processors
from lerobot.utils.feature_utils import dataset_to_policy_features
from numpy.typing import NDArray

import eva_sim
from eva_sim.agents.data.babbling import sample_command
from eva_sim.expressions import expression_command
from eva_sim.recording.lerobot_export import LANDMARKS, export_lerobot
from eva_sim.recording.reader import load_recording
from eva_sim.recording.recorder import record_face
from eva_sim.settling import reset_and_hold

EXPRESSION = "joy"
STEPS = 30  # of a demonstration; 1.2 s
STATE = "observation.state"
CHUNK = 8  # actions that the policy plans at once
#: Chooses an action (25,) for an observation of the environment.
Policy = Callable[[dict[str, NDArray]], NDArray]


def demonstrate(folder: Path, takes: int, seed: int = 0) -> Path:
    """Records takes that begin at random expressions, each an episode; returns the folder of the data set."""
    rng, recordings = np.random.default_rng(seed), []
    with eva_sim.make_face("twin", skin="reduced") as face:
        goal = expression_command(face.spec, EXPRESSION)
        for take in range(takes):
            command = reset_and_hold(face, sample_command(face.spec, rng)).sent
            with record_face(face, folder / f"take-{take}") as recorded:
                for _ in range(STEPS):
                    command = command + 0.2 * (goal - command)
                    recorded.move(command)
            recordings.append(load_recording(folder / f"take-{take}"))
    export_lerobot(recordings, folder / "set", f"make {EXPRESSION}")
    return folder / "set"


def train(data: Path, steps: int, seed: int = 0) -> tuple[Policy, list[float]]:
    """Trains ACT on a data set; returns the policy, and the loss of each step."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)  # the network is small
    ahead = [step * eva_sim.load_spec().control_dt for step in range(CHUNK)]
    rows = LeRobotDataset("eva/joy", root=data, delta_timestamps={"action": ahead})
    features = dataset_to_policy_features(rows.meta.features)
    config = ACTConfig(
        input_features={name: features[name] for name in (STATE, LANDMARKS)},
        output_features={"action": features["action"]},
        chunk_size=CHUNK, n_action_steps=CHUNK // 2, dim_model=64, n_heads=4, dim_feedforward=128,
        n_encoder_layers=2, use_vae=False, dropout=0.0, device="cpu",
    )  # fmt: skip
    policy = ACTPolicy(config).train()
    before, after = make_act_pre_post_processors(config, rows.meta.stats)
    optimiser, losses = torch.optim.AdamW(policy.parameters(), lr=1e-3), list[float]()
    while len(losses) < steps:
        for batch in torch.utils.data.DataLoader(rows, batch_size=64, shuffle=True):
            loss, _ = policy.forward(before(batch))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
    policy.reset()

    def act(observation: dict[str, NDArray]) -> NDArray:
        seen = {STATE: observation["position"], LANDMARKS: observation["landmarks"].ravel()}
        action = policy.select_action(before({name: torch.as_tensor(each) for name, each in seen.items()}))
        return np.clip(after(action).numpy()[0], -1, 1)

    return act, losses


def play(act: Policy, seed: int = 1) -> list[float]:
    """Lets a policy act for an episode; returns the distance from the expression at each step [mm]."""
    env = gym.make("EVA/Pose-v0", max_episode_steps=2 * STEPS)
    start = sample_command(eva_sim.load_spec(), np.random.default_rng([seed, 1]))
    observation, info = env.reset(seed=seed, options={"expression": EXPRESSION, "start": start})
    errors, truncated = [float(info["landmark_error_mm"])], False
    while not truncated:
        observation, _, _, truncated, info = env.step(act(observation))
        errors.append(float(info["landmark_error_mm"]))
    env.close()
    return errors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--takes", type=int, default=20)
    parser.add_argument("--steps", type=int, default=100)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        act, losses = train(demonstrate(Path(folder), asked.takes), asked.steps)
    errors = play(act)
    print(f"loss: {losses[0]:.3f} at first, {losses[-1]:.3f} at last")
    print(f"distance from {EXPRESSION}: {errors[0]:.2f} mm at first, {errors[-1]:.2f} mm at last")


if __name__ == "__main__":
    main()
