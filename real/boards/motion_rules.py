"""What `assets/robot.toml` says of every board: timing, arming groups, widest pulses, exclusion pairs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eva_sim.contract import Floats, load_spec
from eva_sim.real.boards.interface import BoardLimits
from eva_sim.real.wire.firmware_table import exclusion_pairs, robot_config


@dataclass(frozen=True)
class MotionRules:
    """The figures of the physical side that a board's driver needs.

    Attributes:
        period: time in which a channel may move by its slew [s].
        most_periods: slews that one `send` may make up for; a control step, so a pause earns no jump.
        hold_after: silence until the face holds [s].
        limp_after: silence until it is limp [s].
        arm_gap: time between arming groups [s].
        groups: indices of the actuators of each arming group, in their order.
        pairs: (one, other, limit) of cables whose pulls may not add up to more than the limit.
        widest: smallest and greatest pulse of any calibration [us].
    """

    period: float
    most_periods: float
    hold_after: float
    limp_after: float
    arm_gap: float
    groups: tuple[NDArray[np.intp], ...]
    pairs: tuple[tuple[int, int, float], ...]
    widest: tuple[float, float]

    def ease(self, targets: Floats, limits: BoardLimits) -> Floats:
        """Scales down the targets of pairs that would pull beyond their limit, (25,) [raw]."""
        eased, pull = targets.copy(), pull_shares(targets, limits)
        for one, other, limit in self.pairs:
            total = pull[one] + pull[other]
            if total > limit:
                both = [one, other]
                eased[both] = limits.rest[both] + (targets[both] - limits.rest[both]) * limit / total
        return eased

    def hold_back(self, wanted: Floats, before: Floats, limits: BoardLimits) -> Floats:
        """Keeps a pair inside its limit on the way, too: who pulls harder waits for who lets go, (25,) [raw].

        Both ends of a step may be allowed and what lies between not, because slews differ.
        """
        held = wanted.copy()
        for one, other, limit in self.pairs:
            for mine, theirs in ((one, other), (other, one)):
                now, then = pull_shares(held, limits), pull_shares(before, limits)
                most = max(then[mine], limit - now[theirs])
                if now[mine] > most:
                    held[mine] = limits.rest[mine] + (held[mine] - limits.rest[mine]) * most / now[mine]
        return held


def pull_shares(raw: Floats, limits: BoardLimits) -> Floats:
    """Shares of the way from rest to the far end of travel, (25,) in 0..1."""
    up, down = limits.high - limits.rest, limits.rest - limits.low
    far = np.where(up >= down, up, -down)
    return np.clip((raw - limits.rest) / far, 0.0, 1.0)


#: Raw positions of a horn that is turned as by a pulse of 1,500 us, and more for each us beyond.
_MIDDLE, _SCALE = {"us": 1500.0, "ticks": 2048.0}, {"us": 1.0, "ticks": 1.024}
UNITS = tuple(_MIDDLE)


def pulse_to_raw(pulse: Any, unit: str) -> Any:
    """The raw position of a pulse [us]: both are an angle of the horn.

    A quarter turn is 1,000 us of a hobby servo and 1,024 ticks of a bus servo; the middle is 1,500 and 2,048.

    Args:
        pulse: a number or an array.
        unit: `"us"` or `"ticks"`.
    """
    return _MIDDLE[unit] + pulse_change_to_raw(pulse - _MIDDLE["us"], unit)


def pulse_change_to_raw(pulse: Any, unit: str) -> Any:
    """A difference of pulses [us], a number or an array, as one of raw positions."""
    return _SCALE[unit] * pulse


@lru_cache(maxsize=1)
def load_motion_rules() -> MotionRules:
    """Reads `assets/robot.toml`."""
    spec, table = load_spec(), robot_config()
    safety, pulse = table["safety"], table["pulse"]
    period = table["wire"]["period"]
    return MotionRules(
        period=period,
        most_periods=max(1.0, spec.control_dt / period),
        hold_after=safety["hold_after"],
        limp_after=safety["limp_after"],
        arm_gap=safety["arm_gap"],
        groups=tuple(spec.where(*kinds) for kinds in safety["arm_groups"]),
        pairs=exclusion_pairs(),
        widest=(pulse["narrowest"], pulse["widest"]),
    )
