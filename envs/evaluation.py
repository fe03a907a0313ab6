"""How well a policy does on an environment: an episode on each copy, and its scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import ArrayLike, NDArray

from eva_sim.contract import FaceSpec, Floats
from eva_sim.envs.vector import Batch, FaceVectorEnv
from eva_sim.errors import ArgumentValueError

#: Gives actions (N, 25) of N copies from their observations and infos, and whether an episode begins.
Policy = Callable[[Batch, dict[str, Any], bool], ArrayLike]
#: Bootstrap samples of an interval.
_RESAMPLES = 2000


@dataclass(frozen=True)
class EpisodeScores:
    """Scores of one episode on each of N copies.

    Attributes:
        returns: sum of rewards, (N,).
        errors: mean landmark error over the whole episode, (N,) [mm].
        settled: the same over its second half, (N,) [mm].
        jitter: root mean square of the change of command from step to step, in the second half, (N,).
        faults: steps with a fault, after which a copy began another episode, (N,).
    """

    returns: Floats
    errors: Floats
    settled: Floats
    jitter: Floats
    faults: NDArray[np.intp]

    def summary(self) -> dict[str, float]:
        """Returns the means over the copies, as JSON, and a 95 % interval of the mean settled error."""
        low, high = bootstrap_interval(self.settled)
        return {
            "return": float(self.returns.mean()),
            "error_mm": float(self.errors.mean()),
            "settled_mm": float(self.settled.mean()),
            "settled_low_mm": low,
            "settled_high_mm": high,
            "jitter": float(self.jitter.mean()),
            "faults": float(self.faults.sum()),
        }


def bootstrap_interval(values: Floats) -> tuple[float, float]:
    """Returns the 95 % interval of the mean of some values, by the bootstrap over them."""
    rng = np.random.default_rng(0)
    means = rng.choice(values, (_RESAMPLES, len(values))).mean(1)
    low, high = np.percentile(means, (2.5, 97.5))
    return float(low), float(high)


def evaluate(envs: FaceVectorEnv, policy: Policy, seed: int) -> EpisodeScores:
    """Runs one episode on each copy. Equal seeds give equal bodies and targets, whatever the policy.

    Args:
        envs: opened with a limit of steps, the default `autoreset_mode`, and without `stagger`.
        policy: gives the actions.
        seed: of copy 0; copy i gets `seed + i`.

    Raises:
        ArgumentValueError: the environment has no limit of steps, or another mode.
    """
    steps = envs.max_episode_steps
    if steps is None or envs.autoreset_mode != AutoresetMode.NEXT_STEP:
        raise ArgumentValueError("scores need max_episode_steps and the default autoreset_mode, 'NextStep'.")
    observations, info = envs.reset(seed=seed)
    rewards, errors, changes = (np.zeros((steps, envs.num_envs)) for _ in range(3))
    faults = np.zeros(envs.num_envs, int)
    for step in range(steps):
        before = envs.sent
        actions = np.asarray(policy(observations, info, step == 0), np.float32)
        observations, rewards[step], _, _, info = envs.step(actions)
        errors[step] = info["landmark_error_mm"]
        changes[step] = np.square(envs.sent - before).mean(1)
        faults += info.get("_faults", 0)
    half = steps // 2
    jitter = np.sqrt(changes[half:].mean(0))
    return EpisodeScores(rewards.sum(0), errors.mean(0), errors[half:].mean(0), jitter, faults)


def known_policies(spec: FaceSpec, seed: int = 0) -> dict[str, Policy]:
    """Returns policies whose scores others are compared with, for absolute actions.

    Neutral, zero, uniformly random, and told: the command that made the target.
    """
    rng = np.random.default_rng(seed)

    def constant(command: NDArray[np.float32]) -> Policy:
        return lambda seen, info, begins: np.tile(command, (len(seen["position"]), 1))

    return {
        "neutral": constant(spec.neutral),
        "zero action": constant(np.zeros_like(spec.neutral)),
        "random": lambda seen, info, begins: rng.uniform(-1, 1, seen["position"].shape),
        "told command": lambda seen, info, begins: info["target_command"],
    }


def score_policies(
    envs: FaceVectorEnv, policies: Mapping[str, Policy], seed: int
) -> dict[str, dict[str, float]]:
    """Returns the summary of each policy's scores, by name, on equal bodies and targets; see `evaluate`."""
    return {name: evaluate(envs, policy, seed).summary() for name, policy in policies.items()}


def score_table(scores: Mapping[str, Mapping[str, float]]) -> str:
    """Returns a table of summaries by the name of the policy, as text."""
    lines = [f"{'policy':22} {'return':>8} {'error':>8} {'settled [95 % interval]':>26} {'jitter':>8}"]
    for name, row in scores.items():
        interval = f"{row['settled_mm']:.3f} [{row['settled_low_mm']:.3f}, {row['settled_high_mm']:.3f}]"
        lines.append(
            f"{name:22} {row['return']:8.2f} {row['error_mm']:8.3f} {interval:>26} {row['jitter']:8.4f}"
        )
    return "\n".join(lines)
