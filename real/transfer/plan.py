"""What twin and robot are both told: settled expressions, then a smooth random walk."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from eva_sim.atlas import load_atlas
from eva_sim.contract import FaceSpec, Floats, load_spec
from eva_sim.expressions import load_expressions
from eva_sim.real.wire.firmware_table import exclusion_pairs

#: How long an expression is held before it is read [s]: the slowest servo has arrived.
HOLD = 1.0
#: Expressions of the atlas beside the named ones.
POSES = 13
#: Length of the walk, and how often it is read [s].
WALK, EVERY = 8.0, 0.4
#: Of the walk's waves, how fast [Hz] and how many for each actuator.
_WAVES, _SLOWEST, _FASTEST = 4, 0.1, 0.5
#: How far the walk pulls [share of travel]; two exclusive cables then never exceed their limit.
_PULL = 0.55


@dataclass(frozen=True)
class TransferPlan:
    """Commands, and after which of them a picture is read.

    Attributes:
        commands: float32 (T, 25).
        read: (K,), rising.
        settled: whether the face had come to rest, (K,).
        names: of each reading, for people.
        seed: that it was made from.
    """

    commands: NDArray[np.float32]
    read: NDArray[np.intp]
    settled: NDArray[np.bool_]
    names: tuple[str, ...]
    seed: int

    @cached_property
    def digest(self) -> str:
        """Tells plans apart."""
        content = self.commands.astype("<f4").tobytes() + self.read.astype("<i8").tobytes()
        return hashlib.sha256(content).hexdigest()


def make_plan(seed: int = 0, poses: int = POSES, walk: float = WALK) -> TransferPlan:
    """A plan drawn by a seed.

    Args:
        seed: of everything random.
        poses: expressions of the atlas beside the named ones.
        walk: length of the walk [s].
    """
    spec, rng = load_spec(), np.random.default_rng(seed)
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
    """Expressions of the atlas that no robot's safety bends."""
    atlas = load_atlas(spec)
    free = [
        row for row, command in enumerate(atlas.commands) if row and not exceeds_exclusions(spec, command)
    ]
    return {f"atlas {row}": atlas.commands[row] for row in sorted(rng.permutation(free)[:count].tolist())}


def exceeds_exclusions(spec: FaceSpec, command: NDArray[np.float32]) -> bool:
    """Whether a command, (25,), pulls two cables against each other more than robot.toml allows."""
    pull = (command + 1) / 2
    return any(pull[one] + pull[other] > limit for one, other, limit in exclusion_pairs(spec))


def _walk(spec: FaceSpec, rng: np.random.Generator, steps: int) -> Floats:
    """Sums of slow waves on all that moves the face, from neutral; eyes and neck stay."""
    time = spec.control_dt * np.arange(steps)
    out = np.tile(spec.neutral.astype(float), (steps, 1))
    for index in spec.expressive:
        speed, phase = rng.uniform(_SLOWEST, _FASTEST, _WAVES), rng.uniform(0, 2 * np.pi, _WAVES)
        wave = np.sin(2 * np.pi * speed * time[:, None] + phase).mean(1)  # in -1..1
        out[:, index] = _PULL * (1 + wave) - 1 if spec.actuators[index].kind != "lid" else _PULL * wave
    fade = np.minimum(1.0, time / HOLD)[:, None]
    return out * fade + spec.neutral * (1 - fade)
