"""The table that is compiled into the firmware: limits that no calibration may exceed, and timing.

Host and firmware compare the CRC-32 of `packed_table(spec)`, little-endian. For each channel, in order: the
narrowest and widest pulse a calibration may take, the nominal rest [quarters of a us], the fastest slew
[quarters of a us per 20 ms] (u16 each), arming group, exclusion partner (255: none), exclusion limit [1/64]
(u8 each). Then hold, limp [ms], lowest and highest supply [mV], how long it may be outside [ms], good time
that makes up for one outside, gap between arming groups [ms] (u16).
"""

from __future__ import annotations

import struct
import zlib
from functools import lru_cache
from itertools import combinations
from typing import NamedTuple

from eva_sim.contract import Actuator, FaceSpec
from eva_sim.errors import DataError
from eva_sim.robot_config import pull_rules
from eva_sim.robot_config import robot_config as robot_config  # also read from here

#: Exclusion partner of a channel without one.
NO_PARTNER = 255
#: Sum of two shares of travel from which a pair is no exclusion: both may be at their ends.
_BOTH = 1.99
_ROUNDING = 1e-6
_ROW, _TIMES = struct.Struct("<HHHHBBB"), struct.Struct("<HHHHHHH")


class ChannelRow(NamedTuple):
    """Limits of one channel.

    Attributes:
        low: narrowest pulse a calibration may take [quarters of a us].
        high: widest pulse a calibration may take [quarters of a us].
        rest: nominal pulse at rest [quarters of a us].
        slew: fastest change of the pulse [quarters of a us per wire period].
        group: place in the order of arming.
        partner: channel that must not pull together with this one, or `NO_PARTNER`.
        limit: greatest sum of both shares of travel [1/64]; 0 without a partner.
    """

    low: int
    high: int
    rest: int
    slew: int
    group: int
    partner: int
    limit: int


class BoardTiming(NamedTuple):
    """Times and voltage at which the board acts by itself.

    Attributes:
        hold: silence until the board holds [ms].
        limp: silence until the board is limp [ms].
        supply_low: lowest voltage of the servos [mV].
        supply_high: highest voltage of the servos [mV].
        sag: time for which the supply may be outside these, in all [ms].
        recovery: time of good supply that makes up for one outside [1].
        arm_gap: time between two arming groups [ms].
    """

    hold: int
    limp: int
    supply_low: int
    supply_high: int
    sag: int
    recovery: int
    arm_gap: int


@lru_cache(maxsize=8)
def exclusion_pairs(spec: FaceSpec) -> tuple[tuple[int, int, float], ...]:
    """Pairs of actuators that must not pull together, and the greatest sum of their shares of travel.

    They follow from the rules of `robot.toml`, which may join more than two actuators. So they allow whatever
    the rules allow, and a little more. Strictest first.
    """
    limits: dict[tuple[int, int], float] = {}
    for rule in pull_rules(spec):
        for pair in combinations(rule.members, 2):
            limits[pair] = min(limits.get(pair, 2.0), rule.pair_limit(*pair))
    pairs = [(one, other, limit) for (one, other), limit in limits.items() if limit < _BOTH]
    return tuple(sorted(pairs, key=lambda pair: pair[2]))


@lru_cache(maxsize=8)
def firmware_pairs(spec: FaceSpec) -> tuple[tuple[int, int, float], ...]:
    """The exclusion pairs that the firmware keeps: at most one for each channel, both sides alike."""
    kept: list[tuple[int, int, float]] = []
    for one, other, limit in exclusion_pairs(spec):
        same_side = spec.actuators[one].side == spec.actuators[other].side
        if same_side and not {one, other} & {index for pair in kept for index in pair[:2]}:
            kept.append((one, other, limit))
    return tuple(kept)


@lru_cache(maxsize=8)
def channel_rows(spec: FaceSpec) -> tuple[ChannelRow, ...]:
    """Limits of all channels, in the order of the channels.

    Raises:
        DataError: the tables contradict each other.
    """
    actuators = _by_channel(spec)
    if [a.channel for a in actuators] != list(range(len(spec))):
        raise DataError(f"face.toml: the firmware needs channels 0 to {len(spec) - 1}, each once.")
    return tuple(_row(actuator, spec) for actuator in actuators)


@lru_cache(maxsize=8)
def board_timing(spec: FaceSpec) -> BoardTiming:
    """Timing and limits of the supply voltage, from `robot.toml`."""
    safety = robot_config(spec)["safety"]
    return BoardTiming(
        hold=round(1000 * safety["hold_after"]),
        limp=round(1000 * safety["limp_after"]),
        supply_low=round(1000 * safety["supply_low"]),
        supply_high=round(1000 * safety["supply_high"]),
        sag=round(1000 * safety["supply_for"]),
        recovery=round(safety["supply_recovery"]),
        arm_gap=round(1000 * safety["arm_gap"]),
    )


def packed_table(spec: FaceSpec) -> bytes:
    """The bytes that host and firmware must agree on."""
    return b"".join(_ROW.pack(*row) for row in channel_rows(spec)) + _TIMES.pack(*board_timing(spec))


@lru_cache(maxsize=8)
def table_crc(spec: FaceSpec) -> int:
    """CRC-32 of `packed_table(spec)`; firmware compiled for this face sends it in `IDENT`."""
    return zlib.crc32(packed_table(spec))


def render_header(spec: FaceSpec) -> str:
    """Text of `real/firmware/table.h`."""
    named = zip(channel_rows(spec), _by_channel(spec), strict=True)
    lines = [f"    ROW({', '.join(map(str, row))}) /* {actuator.name} */" for row, actuator in named]
    config = robot_config(spec)
    return _HEADER.format(
        rows=" \\\n".join(lines),
        groups=len(config["safety"]["arm_groups"]),
        crc=table_crc(spec),
        baud=config["wire"]["baud"],
        period=round(1000 * config["wire"]["period"]),
        channels=len(lines),
        **board_timing(spec)._asdict(),
    )


def _by_channel(spec: FaceSpec) -> list[Actuator]:
    return sorted(spec.actuators, key=lambda actuator: actuator.channel)


def _row(actuator: Actuator, spec: FaceSpec) -> ChannelRow:
    pulse, period = robot_config(spec)["pulse"], robot_config(spec)["wire"]["period"]
    low, high = pulse[actuator.kind]
    travel = actuator.high - actuator.low
    share = (actuator.neutral - actuator.low) / travel
    rest = low + (share if actuator.direction > 0 else 1 - share) * (high - low)
    partner, limit = _exclusion(actuator, spec)
    return ChannelRow(
        low=round(4 * max(low - pulse["margin"], pulse["narrowest"])),
        high=round(4 * min(high + pulse["margin"], pulse["widest"])),
        rest=round(4 * rest),
        slew=round(4 * actuator.rate * period / travel * (high - low)),
        group=_group(actuator.kind, spec),
        partner=partner,
        limit=limit,
    )


def _group(kind: str, spec: FaceSpec) -> int:
    for number, kinds in enumerate(robot_config(spec)["safety"]["arm_groups"]):
        if kind in kinds:
            return number
    raise DataError(f"robot.toml: no arming group holds the kind {kind!r}; add it to arm_groups.")


def _exclusion(actuator: Actuator, spec: FaceSpec) -> tuple[int, int]:
    """Partner's channel on the same side, and the limit, rounded down so that it is never exceeded."""
    index = spec.index(actuator.name)
    for one, other, limit in firmware_pairs(spec):
        if index in (one, other):
            return spec.actuators[one + other - index].channel, int(64 * limit + _ROUNDING)
    return NO_PARTNER, 0


_HEADER = """\
/* What no calibration may exceed, and the timing. Made from assets/face.toml and assets/robot.toml by
 * python -m tools.build_table: do not edit. Pulses in quarters of a microsecond, slew in those per period. */
#ifndef TABLE_H
#define TABLE_H

#define TABLE_CRC 0x{crc:08X}UL
#define CHANNELS {channels}
#define ARM_GROUPS {groups}
#define BAUD {baud}UL
#define PERIOD_MS {period}
#define HOLD_MS {hold}
#define LIMP_MS {limp}
#define SUPPLY_LOW_MV {supply_low}
#define SUPPLY_HIGH_MV {supply_high}
#define SUPPLY_SAG_MS {sag}
#define SUPPLY_RECOVERY {recovery}
#define ARM_GAP_MS {arm_gap}

/* low, high, rest, slew, arming group, exclusion partner, exclusion limit [1/64] */
#define TABLE_ROWS(ROW) \\
{rows}

#endif
"""
