"""A policy of LeRobot learns from recordings to complete the expression that a face hints at.

    pip install 'lerobot[training]==0.6.1' .    # in the checkout, with Python 3.12 or 3.13
    python examples/train_lerobot.py

1. `demonstrate` records faces that go from a hint of an expression to all of it, as a LeRobot data set.
2. `train` trains ACT (action chunking with transformers), small, with LeRobot's own classes.
3. `score_policy` lets the policy act in `EVA/Pose-v0`, from hints that are in no recording. Others that
   learned nothing act, too: only a policy that looks at the face can tell which expression it hints at.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import gymnasium as gym
import numpy as np
import torch
from numpy.typing import NDArray

import eva_sim
from eva_sim.contract import FaceSpec
from eva_sim.expressions import expression_command
from eva_sim.recording.lerobot_export import LANDMARKS, export_lerobot
from eva_sim.recording.reader import load_recording
from eva_sim.recording.recorder import record_face
from eva_sim.settling import reset_and_hold

try:
    from lerobot.datasets.lerobot_dataset import LeRobotDataset
    from lerobot.policies.act.configuration_act import ACTConfig
    from lerobot.policies.act.modeling_act import ACTPolicy
    from lerobot.policies.act.processor_act import make_act_pre_post_processors
    from lerobot.utils.feature_utils import dataset_to_policy_features
except ModuleNotFoundError:
    needs = "with Python 3.12 or 3.13, pip install 'lerobot[training]==0.6.1' ."
    raise SystemExit(f"train_lerobot: LeRobot is missing; {needs}") from None

EXPRESSIONS = ("joy", "sadness", "surprise", "anger", "fear", "disgust")
HINT = 0.3, 0.5  # least and greatest intensity of a hint
NOISE = 0.05  # standard deviation of each command of a hint
STEPS = 30  # of a demonstration; 1.2 s
STATE = "observation.state"
CHUNK = 8  # actions that the policy plans at once
#: Chooses an action (25,) for an observation of the environment.
Act = Callable[[dict[str, NDArray]], NDArray]
#: Begins an episode.
Policy = Callable[[], Act]


def draw_hints(spec: FaceSpec, count: int, seed: int) -> Iterator[tuple[str, NDArray]]:
    """Yields an expression, and the command of a face that hints at it, for each of some episodes."""
    rng = np.random.default_rng(seed)
    for episode in range(count):
        name = EXPRESSIONS[episode % len(EXPRESSIONS)]
        command = expression_command(spec, name, rng.uniform(*HINT)) + rng.normal(0, NOISE, len(spec))
        yield name, command.clip(-1, 1).astype(np.float32)


def demonstrate(folder: Path, takes: int, seed: int = 0) -> Path:
    """Records takes, each an episode from a hint to its expression; returns the folder of the data set."""
    recordings = []
    with eva_sim.make_face("twin", skin="reduced") as face:
        for take, (name, hint) in enumerate(draw_hints(face.spec, takes, seed)):
            command, goal = reset_and_hold(face, hint).sent, expression_command(face.spec, name)
            with record_face(face, folder / f"take-{take}") as recorded:
                for _ in range(STEPS):
                    command = command + 0.2 * (goal - command)
                    recorded.move(command)
            recordings.append(load_recording(folder / f"take-{take}"))
    export_lerobot(recordings, folder / "set", "complete the expression")
    return folder / "set"


def train(data: Path, steps: int, seed: int = 0) -> tuple[Policy, Policy]:
    """Trains ACT on a data set; returns it trained, and as it was before."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)  # the network is small
    ahead = [step * eva_sim.load_spec().control_dt for step in range(CHUNK)]
    rows = LeRobotDataset("eva/hints", root=data, delta_timestamps={"action": ahead})
    features = dataset_to_policy_features(rows.meta.features)
    config = ACTConfig(
        input_features={name: features[name] for name in (STATE, LANDMARKS)},
        output_features={"action": features["action"]},
        chunk_size=CHUNK, n_action_steps=CHUNK // 2, dim_model=64, n_heads=4, dim_feedforward=128,
        n_encoder_layers=2, use_vae=False, dropout=0.0, device="cpu",
    )  # fmt: skip
    trained, untrained = ACTPolicy(config).train(), ACTPolicy(config)
    before, after = make_act_pre_post_processors(config, rows.meta.stats)
    optimiser, done = torch.optim.AdamW(trained.parameters(), lr=1e-3), 0
    while done < steps:
        for batch in torch.utils.data.DataLoader(rows, batch_size=64, shuffle=True):
            loss, _ = trained.forward(before(batch))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            done += 1

    def begin(network: ACTPolicy) -> Act:
        network.eval()
        network.reset()

        def act(observation: dict[str, NDArray]) -> NDArray:
            seen = {STATE: observation["position"], LANDMARKS: observation["landmarks"].ravel()}
            tensors = {name: torch.as_tensor(each) for name, each in seen.items()}
            return np.clip(after(network.select_action(before(tensors))).numpy()[0], -1, 1)

        return act

    return lambda: begin(trained), lambda: begin(untrained)


def score_policy(policy: Policy, episodes: int = 12, seed: int = 1) -> float:
    """Lets a policy act; returns its mean distance from the expressions at the end of the episodes [mm]."""
    env, errors = gym.make("EVA/Pose-v0", max_episode_steps=2 * STEPS), list[float]()
    for name, hint in draw_hints(eva_sim.load_spec(), episodes, seed):
        observation, info = env.reset(seed=seed, options={"expression": name, "start": hint})
        act, truncated = policy(), False
        while not truncated:
            observation, _, _, truncated, info = env.step(act(observation))
        errors.append(float(info["landmark_error_mm"]))
    env.close()
    return float(np.mean(errors))


def constant(action: NDArray) -> Policy:
    """Returns the policy that sees nothing and does the same always."""
    return lambda: lambda observation: action


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--takes", type=int, default=30)
    parser.add_argument("--steps", type=int, default=200)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        trained, untrained = train(demonstrate(Path(folder), asked.takes), asked.steps)
    spec = eva_sim.load_spec()
    goals = [expression_command(spec, name) for name in EXPRESSIONS]
    policies = {
        "trained": trained, "untrained": untrained, "neutral face": constant(spec.neutral),
        "mean of the expressions": constant(np.mean(goals, axis=0)),
    }  # fmt: skip
    for name, policy in policies.items():
        print(f"{name}: {score_policy(policy):.2f} mm from the expressions")


if __name__ == "__main__":
    main()
