"""What is compiled into the firmware: the limits that no calibration may exceed, and its timing.

Host and firmware agree by the CRC-32 of `packed_table()`, little-endian. For each channel, in order: the
narrowest and widest pulse a calibration may take, the nominal rest [quarters of a us], the fastest slew
[quarters of a us per 20 ms] (u16 each), arming group, exclusion partner (255: none), exclusion limit [1/64]
(u8 each). Then hold, limp [ms], supply limit [mV], how long it may sag, gap between arming groups [ms] (u16).
"""

from __future__ import annotations

import struct
import tomllib
import zlib
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from eva_sim.contract import Actuator, FaceSpec, load_spec
from eva_sim.errors import DataError
from eva_sim.files import asset

#: Exclusion partner of a channel without one.
NO_PARTNER = 255
_ROW, _TIMES = struct.Struct("<HHHHBBB"), struct.Struct("<HHHHH")


class ChannelRow(NamedTuple):
    """One channel.

    Attributes:
        low: narrowest pulse a calibration may take [quarters of a us].
        high: widest.
        rest: the nominal rest.
        slew: fastest the pulse may change [quarters of a us per 20 ms].
        group: place in the order of arming.
        partner: channel that must not pull together with this one, or `NO_PARTNER`.
        limit: to what both shares of travel may add up [1/64]; 0 without a partner.
    """

    low: int
    high: int
    rest: int
    slew: int
    group: int
    partner: int
    limit: int


class BoardTiming(NamedTuple):
    """When the board acts by itself [ms]; `supply` in mV."""

    hold: int
    limp: int
    supply: int
    sag: int
    arm_gap: int


@lru_cache(maxsize=1)
def robot_config() -> Mapping[str, Any]:
    """`assets/robot.toml`, as it is."""
    return tomllib.loads(asset("robot.toml").read_text())


def exclusion_pairs() -> tuple[tuple[int, int, float], ...]:
    """Pairs of actuators that must not pull together, and to what their shares of travel may add up."""
    spec = load_spec()
    return tuple(
        (spec.index(f"{one}_{side}"), spec.index(f"{other}_{side}"), rule["limit"])
        for rule in robot_config()["exclusions"]
        for one, other in [rule["pair"]]
        for side in ("left", "right")
    )


def channel_rows() -> tuple[ChannelRow, ...]:
    """All 25 channels, by channel.

    Raises:
        DataError: the tables contradict each other.
    """
    spec = load_spec()
    actuators = sorted(spec.actuators, key=lambda a: a.channel)
    if [a.channel for a in actuators] != list(range(len(spec))):
        raise DataError(f"face.toml: the firmware needs channels 0 to {len(spec) - 1}, each once.")
    return tuple(_row(a, spec) for a in actuators)


def board_timing() -> BoardTiming:
    """The timing and the supply's limit."""
    safety = robot_config()["safety"]
    names = ("hold_after", "limp_after", "supply_low", "supply_for", "arm_gap")
    return BoardTiming(*(round(1000 * safety[name]) for name in names))


def packed_table() -> bytes:
    """The bytes that host and firmware must agree on."""
    return b"".join(_ROW.pack(*row) for row in channel_rows()) + _TIMES.pack(*board_timing())


@lru_cache(maxsize=1)
def table_crc() -> int:
    """CRC-32 of `packed_table()`, as the firmware of this version says it in `IDENT`."""
    return zlib.crc32(packed_table())


def render_header() -> str:
    """Text of `real/firmware/table.h`."""
    lines = [f"    ROW({', '.join(map(str, row))}) /* {name} */" for row, name in _named()]
    return _HEADER.format(
        channel_rows=" \\\n".join(lines),
        groups=len(robot_config()["safety"]["arm_groups"]),
        crc=table_crc(),
        baud=robot_config()["wire"]["baud"],
        period=round(1000 * robot_config()["wire"]["period"]),
        channels=len(lines),
        **board_timing()._asdict(),
    )


def _named() -> list[tuple[ChannelRow, str]]:
    names = {a.channel: a.name for a in load_spec().actuators}
    return [(row, names[channel]) for channel, row in enumerate(channel_rows())]


def _row(actuator: Actuator, spec: FaceSpec) -> ChannelRow:
    pulse, period = robot_config()["pulse"], robot_config()["wire"]["period"]
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
        group=_group(actuator.kind),
        partner=partner,
        limit=limit,
    )


def _group(kind: str) -> int:
    for number, kinds in enumerate(robot_config()["safety"]["arm_groups"]):
        if kind in kinds:
            return number
    raise DataError(f"robot.toml: no arming group holds the kind {kind!r}.")


def _exclusion(actuator: Actuator, spec: FaceSpec) -> tuple[int, int]:
    """Partner's channel on the same side, and the limit, rounded down so that it is never exceeded."""
    mine = spec.index(actuator.name)
    for one, other, limit in exclusion_pairs():
        if mine in (one, other):
            return spec.actuators[one + other - mine].channel, int(64 * limit)
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
#define SUPPLY_LOW_MV {supply}
#define SUPPLY_SAG_MS {sag}
#define ARM_GAP_MS {arm_gap}

/* low, high, rest, slew, arming group, exclusion partner, exclusion limit [1/64] */
#define TABLE_ROWS(ROW) \\
{rows}

#endif
"""
