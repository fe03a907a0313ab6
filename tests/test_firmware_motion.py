"""The firmware's core: arming, moving, silence, stop and faults, to the letter."""

from __future__ import annotations

# ruff: noqa: F811  # fixtures by import
import random
from itertools import pairwise

import pytest

from eva_sim.real.firmware_table import NOBODY, rows
from tests import wire
from tests.core import REST, Core, active, core, program  # noqa: F401
from tests.wire import ALL

COUNT = 4.88  # us, of a PCA9685 at 50 Hz


def shares(pulses: tuple[int, ...]) -> list[float]:
    """How far each channel pulls, of its way from rest to the end that is farther from rest."""
    out = []
    for pulse, row in zip(pulses, rows(), strict=True):
        up = row.high - row.rest >= row.rest - row.low
        travel = row.high - row.rest if up else row.rest - row.low
        out.append(max(0, pulse - row.rest if up else row.rest - pulse) / travel)
    return out


def test_arming_goes_group_by_group_from_rest(core: Core) -> None:
    core.host.hello()
    core.host.calibrate()
    assert core.host.arm(0).answer == wire.VALUE and core.host.arm(ALL + 1).answer == wire.VALUE
    core.host.arm()
    began: dict[int, int] = {}
    for millisecond in range(500):
        if millisecond % 20 == 0:
            core.host.targets(REST)
        core.run(1)
        for channel, count in enumerate(core.counts):
            if count and channel not in began:
                began[channel] = core.now
                assert abs(count * COUNT - REST[channel] / 4) <= COUNT / 2
    starts = [{t for c, t in began.items() if rows()[c].group == group} for group in range(4)]
    assert all(len(start) == 1 for start in starts)
    times = [start.pop() for start in starts]
    assert all(98 <= b - a <= 122 for a, b in pairwise(times))
    assert core.host.arm().answer == wire.STATE


def test_only_armed_channels_move(core: Core) -> None:
    core.host.hello()
    core.host.calibrate()
    core.host.arm(1 << 12)
    status = core.keep_aiming([row.high for row in rows()], 1000)
    assert status.armed == 1 << 12 and status.pulses[12] == rows()[12].high
    assert [c for c, count in enumerate(core.counts) if count] == [12]


def test_slew_and_limits_to_the_letter(active: Core) -> None:
    for end in ([row.high + 500 for row in rows()], [65535] * 25, [1] * 25, REST):
        before = active.host.status().pulses
        for _ in range(100):
            status = active.host.targets(end)
            for row, was, now in zip(rows(), before, status.pulses, strict=True):
                assert row.low <= now <= row.high and abs(now - was) <= row.slew
            before = status.pulses
            active.run(20 - 1)
        assert bool(status.faults & wire.CLAMPED) == (end != REST)


def test_pairs_never_pull_together(active: Core) -> None:
    draw = random.Random(3)
    pairs = [(c, row.partner, row.limit / 64) for c, row in enumerate(rows()) if c < row.partner < NOBODY]
    assert len(pairs) == 4
    for _ in range(30):
        end = [draw.choice((row.low, row.high, draw.randint(row.low, row.high))) for row in rows()]
        for _ in range(draw.randint(1, 30)):
            pull = shares(active.host.targets(end).pulses)
            assert all(pull[a] + pull[b] <= limit for a, b, limit in pairs)
            active.run(19)


def test_a_pair_beyond_its_limit_is_scaled_alike(active: Core) -> None:
    end = [*REST]
    end[8], end[10] = rows()[8].high, rows()[10].rest + (rows()[10].high - rows()[10].rest) // 2
    status = active.keep_aiming(end, 1000)
    pull = shares(status.pulses)
    assert status.faults & wire.CLAMPED
    assert pull[8] == pytest.approx(rows()[8].limit / 64 / 1.5, abs=2e-3) and pull[10] == pytest.approx(
        pull[8] / 2, abs=2e-3
    )


def test_a_limp_target_takes_a_channel_out(active: Core) -> None:
    end = [*REST]
    end[3] = 0
    active.keep_aiming(end, 40)
    status = active.keep_aiming(REST, 200)
    assert status.armed == ALL & ~(1 << 3) and status.pulses[3] == 0 and active.counts[3] == 0


def test_silence_holds_then_goes_limp(active: Core) -> None:
    active.host.targets([row.high for row in rows()])
    active.run(205)
    held = active.host.status()
    assert held.state == wire.HOLD and held.faults & wire.SILENCE
    active.run(300)
    assert active.host.status().pulses == held.pulses  # a question is no sign of life
    assert active.host.targets(REST).state == wire.ACTIVE
    active.run(1000)
    assert not active.outputs
    active.run(20)
    status = active.host.status()
    assert status.state == wire.LIMP and not active.outputs and not any(active.counts)
    assert active.host.targets(REST).answer == wire.STATE
    active.host.arm()
    assert not active.host.status().faults


def test_silence_stops_arming_too(core: Core) -> None:
    core.host.hello()
    core.host.calibrate()
    core.host.arm()
    core.run(250)
    status = core.host.status()
    assert status.state == wire.HOLD and 0 < status.armed < ALL
    assert core.keep_aiming(REST, 300).state == wire.ACTIVE


def test_stop_is_latched(active: Core) -> None:
    assert active.host.ask(wire.STOP).state == wire.STOPPED
    assert not active.outputs
    assert active.host.arm().answer == wire.STATE
    active.host.hello()
    assert active.host.status().state == wire.STOPPED
    assert active.host.clear(1).answer == wire.VALUE
    assert active.host.clear().state == wire.LIMP


def test_a_sagging_supply_is_a_latched_fault(active: Core) -> None:
    active.do("supply", 4400)
    active.run(40)
    active.do("supply", 6000)
    assert active.host.status().state == wire.ACTIVE  # too short
    active.do("supply", 4400)
    active.run(61)
    status = active.host.status()
    assert status.state == wire.FAULT and status.faults & wire.SUPPLY and not active.outputs
    assert active.host.clear().answer == wire.STATE
    active.do("supply", 6000)
    active.run(5)
    assert active.host.status().state == wire.FAULT
    assert active.host.clear().state == wire.LIMP


@pytest.mark.parametrize("boards", [0, 1, 2])
def test_a_lost_board_is_a_latched_fault(active: Core, boards: int) -> None:
    active.do("boards", boards)
    active.run(21)
    status = active.host.status()
    assert status.state == wire.FAULT and status.faults & wire.BUS and not active.outputs
    assert active.host.clear().answer == wire.STATE
    active.do("boards", 3)
    assert active.host.clear().state == wire.LIMP


@pytest.mark.parametrize("board", [0, 1])
def test_a_board_that_lost_its_power_for_a_moment_is_a_latched_fault(active: Core, board: int) -> None:
    active.do("cut", board)
    active.run(21)
    status = active.host.status()
    assert status.state == wire.FAULT and status.faults & wire.BUS and not active.outputs
    assert active.host.clear().state == wire.LIMP


def test_such_a_board_is_noticed_while_limp(core: Core) -> None:
    core.do("cut", 1)
    core.run(21)
    assert core.host.status().state == wire.FAULT


def test_clear_is_for_a_face_at_rest(active: Core) -> None:
    assert active.host.clear().answer == wire.STATE


def test_the_watchdog_starves_without_every_part(core: Core) -> None:
    core.run(100)
    fed = core.fed
    core.run(100)
    assert core.fed >= fed + 4
    core.do("parts", 2)  # the ADC stands still
    core.run(20)
    fed = core.fed
    core.run(300)
    assert core.fed == fed


def test_a_watchdog_reset_is_told(core: Core) -> None:
    core.reset(8)
    assert core.host.status().faults & wire.WATCHDOG and core.host.hello().cause == 8
