"""The commands of the transfer report, the same for twin and robot: held expressions, then a smooth walk."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from eva_sim.atlas import load_atlas
from eva_sim.contract import FaceSpec, Floats
from eva_sim.expressions import load_expressions
from eva_sim.real.wire.firmware_table import exclusion_pairs

#: Duration of an expression before its picture [s]; the slowest servo has arrived by then.
HOLD = 1.0
#: Number of expressions of the atlas, beside the named ones.
POSES = 7
#: Length of the walk, and interval between its pictures [s].
WALK, EVERY = 8.0, 0.4
#: Number of the walk's waves for each actuator, and their lowest and highest frequency [Hz].
_WAVES, _SLOWEST, _FASTEST = 4, 0.1, 0.5
#: Largest pull of the walk [share of travel]; two exclusive cables then never exceed their limit.
_PULL = 0.55


@dataclass(frozen=True)
class TransferPlan:
    """Commands, and the steps at which a picture is read. T steps, K pictures.

    Attributes:
        commands: float32 (T, A).
        read: steps with a picture, (K,), rising.
        settled: whether the face has come to rest at each picture, (K,).
        names: name of each picture, for people.
        seed: seed of the plan.
    """

    commands: NDArray[np.float32]
    read: NDArray[np.intp]
    settled: NDArray[np.bool_]
    names: tuple[str, ...]
    seed: int

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the commands and steps; files of the report carry it."""
        content = self.commands.astype("<f4").tobytes() + self.read.astype("<i8").tobytes()
        return hashlib.sha256(content).hexdigest()


def make_plan(spec: FaceSpec, seed: int = 0, poses: int = POSES, walk: float = WALK) -> TransferPlan:
    """Draws a plan.

    Args:
        spec: the face.
        seed: seed of everything random.
        poses: number of expressions of the atlas, beside the named ones.
        walk: length of the walk [s].
    """
    rng = np.random.default_rng(seed)
    held = load_expressions(spec) | _drawn(spec, rng, poses)
    hold, every = round(HOLD / spec.control_dt), round(EVERY / spec.control_dt)
    wander = _walk(spec, rng, round(walk / spec.control_dt))
    commands = np.concatenate([np.repeat(np.array(list(held.values())), hold, axis=0), wander])
    still = hold * np.arange(1, len(held) + 1) - 1
    moving = hold * len(held) + np.arange(every - 1, len(wander), every)
    return TransferPlan(
        commands.astype(np.float32), np.concatenate([still, moving]),
        np.arange(len(still) + len(moving)) < len(still),
        (*held, *(f"walk {t:.1f} s" for t in EVERY * np.arange(1, len(moving) + 1))), seed,
    )  # fmt: skip


def _drawn(spec: FaceSpec, rng: np.random.Generator, count: int) -> dict[str, NDArray[np.float32]]:
    """Draws expressions of the atlas that no robot's command filter changes."""
    atlas = load_atlas(spec)
    free = [
        row for row, command in enumerate(atlas.commands) if row and not exceeds_exclusions(spec, command)
    ]
    return {f"atlas {row}": atlas.commands[row] for row in sorted(rng.permutation(free)[:count].tolist())}


def exceeds_exclusions(spec: FaceSpec, command: NDArray[np.float32]) -> bool:
    """Whether a command, (A,), pulls two cables against each other more than robot.toml allows."""
    pull = (command + 1) / 2
    return any(pull[one] + pull[other] > limit for one, other, limit in exclusion_pairs(spec))


def _walk(spec: FaceSpec, rng: np.random.Generator, steps: int) -> Floats:
    """Sums of slow waves on the expressive actuators, from neutral; gaze and head pose stay."""
    time = spec.control_dt * np.arange(steps)
    out = np.tile(spec.neutral.astype(float), (steps, 1))
    for index in spec.expressive:
        frequency, phase = rng.uniform(_SLOWEST, _FASTEST, _WAVES), rng.uniform(0, 2 * np.pi, _WAVES)
        wave = np.sin(2 * np.pi * frequency * time[:, None] + phase).mean(1)  # in -1..1
        out[:, index] = _PULL * (1 + wave) - 1 if spec.actuators[index].kind != "lid" else _PULL * wave
    fade = np.minimum(1.0, time / HOLD)[:, None]
    return out * fade + spec.neutral * (1 - fade)
