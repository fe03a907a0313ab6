"""Rules of motion that every board keeps, from the face's `robot.toml`, and conversion of pulses."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eva_sim.contract import FaceSpec, Floats
from eva_sim.errors import RobotError
from eva_sim.real.boards.interface import BoardLimits
from eva_sim.real.wire.firmware_table import exclusion_pairs, robot_config


@dataclass(frozen=True)
class MotionRules:
    """Timing, arming groups, widest pulses and exclusion pairs.

    Attributes:
        period: wire period, in which a channel may move by its slew [s].
        most_periods: most periods of slew in one `send`; a control step, so that no jump follows a pause.
        hold_after: silence until the face holds [s].
        limp_after: silence until it is limp [s].
        arm_gap: time between arming groups [s].
        arm_speed: fastest way to rest of servos that measure themselves, when they are armed [travels per
            second].
        groups: indices of the actuators of each arming group, in their order.
        pairs: (one, other, limit) of cables whose pulls may not add up to more than the limit.
        widest: smallest and greatest pulse of any calibration [us].
    """

    period: float
    most_periods: float
    hold_after: float
    limp_after: float
    arm_gap: float
    arm_speed: float
    groups: tuple[NDArray[np.intp], ...]
    pairs: tuple[tuple[int, int, float], ...]
    widest: tuple[float, float]

    def arming_slew(self, limits: BoardLimits) -> Floats:
        """Largest change in one wire period on the way to rest, one for each actuator [raw]."""
        return np.minimum(limits.slew, self.arm_speed * self.period * (limits.high - limits.low))

    def limit_pairs(self, targets: Floats, limits: BoardLimits) -> Floats:
        """Scales down the targets of pairs that would pull beyond their limit [raw]."""
        limited = targets.copy()
        for one, other, limit in self.pairs:
            # Of what the pairs before have left: a cable may be in several, and none may raise it again.
            pull, both = pull_shares(limited, limits), [one, other]
            if (total := pull[both].sum()) > limit:
                limited[both] = limits.rest[both] + (limited[both] - limits.rest[both]) * limit / total
        return limited

    def hold_back_pairs(self, wanted: Floats, before: Floats, limits: BoardLimits) -> Floats:
        """Keeps each pair within its limit on the way, too: the cable that pulls harder waits [raw].

        Because slews differ, positions between two allowed positions may exceed the limit.
        """
        held = wanted.copy()
        for one, other, limit in self.pairs:
            for own, partner in ((one, other), (other, one)):
                now, then = pull_shares(held, limits), pull_shares(before, limits)
                most = max(then[own], limit - now[partner])
                if now[own] > most:
                    held[own] = limits.rest[own] + (held[own] - limits.rest[own]) * most / now[own]
        return held


def pull_shares(raw: Floats, limits: BoardLimits) -> Floats:
    """Shares of the way from rest to the far end of travel, 0 to 1, one for each actuator."""
    up, down = limits.high - limits.rest, limits.rest - limits.low
    far = np.where(up >= down, up, -down)
    return np.clip((raw - limits.rest) / far, 0.0, 1.0)


#: Raw position that corresponds to a pulse of 1,500 us, and raw change per us.
_MIDDLE, _SCALE = {"us": 1500.0, "ticks": 2048.0}, {"us": 1.0, "ticks": 1.024}
UNITS = tuple(_MIDDLE)


def pulse_to_raw(pulse: Any, unit: str) -> Any:
    """The raw position of a pulse [us]; both describe an angle of the horn.

    A quarter turn is 1,000 us of a hobby servo and 1,024 ticks of a bus servo; the middle is 1,500 and 2,048.

    Args:
        pulse: a number or an array.
        unit: `"us"` or `"ticks"`.
    """
    return _MIDDLE[unit] + pulse_change_to_raw(pulse - _MIDDLE["us"], unit)


def pulse_change_to_raw(pulse: Any, unit: str) -> Any:
    """A change of pulse [us], a number or an array, as a change of raw position."""
    return _SCALE[unit] * pulse


@lru_cache(maxsize=8)
def load_motion_rules(spec: FaceSpec) -> MotionRules:
    """Reads the rules from the face's `robot.toml`."""
    config = robot_config(spec)
    safety, pulse = config["safety"], config["pulse"]
    period = config["wire"]["period"]
    return MotionRules(
        period=period,
        most_periods=max(1.0, spec.control_dt / period),
        hold_after=safety["hold_after"],
        limp_after=safety["limp_after"],
        arm_gap=safety["arm_gap"],
        arm_speed=safety["arm_speed"],
        groups=tuple(spec.where(*kinds) for kinds in safety["arm_groups"]),
        pairs=exclusion_pairs(spec),
        widest=(pulse["narrowest"], pulse["widest"]),
    )


def checked_actuators(spec: FaceSpec, actuators: Collection[int]) -> NDArray[np.intp]:
    """Indices of actuators to arm, rising, each once.

    Raises:
        RobotError: there is none, or one that the face does not have.
    """
    chosen = np.array(sorted(set(actuators)), dtype=np.intp)
    last = len(spec) - 1
    if not chosen.size or chosen[0] < 0 or chosen[-1] > last:
        raise RobotError(f"actuators to arm are numbers from 0 to {last}, not {list(actuators)}.")
    return chosen


def checked_targets(spec: FaceSpec, raw: Floats) -> Floats:
    """`raw` as float64, one number for each actuator.

    Raises:
        RobotError: wrong shape, or not finite; nothing was sent.
    """
    targets = np.asarray(raw, dtype=float)
    if targets.shape != (len(spec),) or not np.isfinite(targets).all():
        raise RobotError(f"targets are {len(spec)} finite numbers; nothing was sent.")
    return targets


def limits_on_grid(
    spec: FaceSpec, limits: BoardLimits, grid: float, widest: tuple[float, float]
) -> BoardLimits:
    """`limits`, narrowed to positions that the board can send, so that rounding never leaves them.

    Raises:
        RobotError: wrong shapes, not finite, in the wrong order, or wider than the board allows.
    """
    columns = [np.asarray(c, dtype=float) for c in (limits.low, limits.high, limits.rest, limits.slew)]
    if any(c.shape != (len(spec),) or not np.isfinite(c).all() for c in columns):
        raise RobotError(f"limits are four columns of {len(spec)} finite numbers; calibrate again.")
    low, high = np.ceil(columns[0] / grid) * grid, np.floor(columns[1] / grid) * grid
    rest, slew = np.clip(columns[2], low, high), columns[3]
    bad = (low >= high) | (low < widest[0]) | (high > widest[1]) | (slew <= 0) | (rest - columns[2] > grid)
    bad |= columns[2] - rest > grid
    if bad.any():
        names = ", ".join(spec.names[i] for i in np.flatnonzero(bad)[:4])
        raise RobotError(
            f"limits of {names} are not {widest[0]:g} <= low <= rest <= high <= {widest[1]:g} with "
            "low < high and slew > 0; calibrate again."
        )
    return BoardLimits(low, high, rest, slew)
