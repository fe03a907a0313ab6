"""The firmware's core: arming, moving, silence, stop and faults, to the letter."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from eva_sim.contract import load_spec
from eva_sim.real.wire.firmware_table import NO_PARTNER, channel_rows
from eva_sim.testing import protocol_oracle
from eva_sim.testing.firmware_host import REST, FirmwareHost
from eva_sim.testing.protocol_oracle import ALL

ROWS = channel_rows(load_spec())
COUNT = 4.88  # us, of a PCA9685 at 50 Hz


def shares(pulses: tuple[int, ...]) -> list[float]:
    """How far each channel pulls, of its way from rest to the end that is farther from rest."""
    out = []
    for pulse, row in zip(pulses, ROWS, strict=True):
        up = row.high - row.rest >= row.rest - row.low
        travel = row.high - row.rest if up else row.rest - row.low
        out.append(max(0, pulse - row.rest if up else row.rest - pulse) / travel)
    return out


def test_arming_goes_group_by_group_from_rest(firmware_host: FirmwareHost) -> None:
    firmware_host.host.hello()
    firmware_host.host.calibrate()
    assert (
        firmware_host.host.arm(0).answer == protocol_oracle.BAD_VALUE
        and firmware_host.host.arm(ALL + 1).answer == protocol_oracle.BAD_VALUE
    )
    firmware_host.host.arm()
    began: dict[int, int] = {}
    for millisecond in range(500):
        if millisecond % 20 == 0:
            firmware_host.host.targets(REST)
        firmware_host.run(1)
        for channel, count in enumerate(firmware_host.counts):
            if count and channel not in began:
                began[channel] = firmware_host.now
                assert abs(count * COUNT - REST[channel] / 4) <= COUNT / 2
    starts = [{t for c, t in began.items() if ROWS[c].group == group} for group in range(4)]
    assert all(len(start) == 1 for start in starts)
    times = [start.pop() for start in starts]
    assert all(98 <= b - a <= 122 for a, b in pairwise(times))
    assert firmware_host.host.arm().answer == protocol_oracle.WRONG_STATE


def test_only_armed_channels_move(firmware_host: FirmwareHost) -> None:
    firmware_host.host.hello()
    firmware_host.host.calibrate()
    firmware_host.host.arm(1 << 12)
    status = firmware_host.keep_aiming([row.high for row in ROWS], 1000)
    assert status.armed == 1 << 12 and status.pulses[12] == ROWS[12].high
    assert [c for c, count in enumerate(firmware_host.counts) if count] == [12]


def test_slew_and_limits_to_the_letter(active: FirmwareHost) -> None:
    for end in ([row.high + 500 for row in ROWS], [65535] * 25, [1] * 25, REST):
        before = active.host.status().pulses
        for _ in range(100):
            status = active.host.targets(end)
            for row, was, now in zip(ROWS, before, status.pulses, strict=True):
                assert row.low <= now <= row.high and abs(now - was) <= row.slew
            before = status.pulses
            active.run(20 - 1)
        assert bool(status.faults & protocol_oracle.CLAMPED) == (end != REST)


def test_pairs_never_pull_together(active: FirmwareHost) -> None:
    draw = random.Random(3)
    pairs = [(c, row.partner, row.limit / 64) for c, row in enumerate(ROWS) if c < row.partner < NO_PARTNER]
    assert len(pairs) == 4
    for _ in range(30):
        end = [draw.choice((row.low, row.high, draw.randint(row.low, row.high))) for row in ROWS]
        for _ in range(draw.randint(1, 30)):
            pull = shares(active.host.targets(end).pulses)
            assert all(pull[a] + pull[b] <= limit for a, b, limit in pairs)
            active.run(19)


def test_a_pair_beyond_its_limit_is_scaled_alike(active: FirmwareHost) -> None:
    end = [*REST]
    end[8], end[10] = (
        ROWS[8].high,
        ROWS[10].rest + (ROWS[10].high - ROWS[10].rest) // 2,
    )
    status = active.keep_aiming(end, 1000)
    pull = shares(status.pulses)
    assert status.faults & protocol_oracle.CLAMPED
    assert pull[8] == pytest.approx(ROWS[8].limit / 64 / 1.5, abs=2e-3) and pull[10] == pytest.approx(
        pull[8] / 2, abs=2e-3
    )


def test_a_limp_target_takes_a_channel_out(active: FirmwareHost) -> None:
    end = [*REST]
    end[3] = 0
    active.keep_aiming(end, 40)
    status = active.keep_aiming(REST, 200)
    assert status.armed == ALL & ~(1 << 3) and status.pulses[3] == 0 and active.counts[3] == 0


def test_silence_holds_then_goes_limp(active: FirmwareHost) -> None:
    active.host.targets([row.high for row in ROWS])
    active.run(205)
    held = active.host.status()
    assert held.state == protocol_oracle.HOLD and held.faults & protocol_oracle.SILENCE
    active.run(300)
    assert active.host.status().pulses == held.pulses  # a question is no sign of life
    assert active.host.targets(REST).state == protocol_oracle.ACTIVE
    active.run(1000)
    assert not active.outputs
    active.run(20)
    status = active.host.status()
    assert status.state == protocol_oracle.LIMP and not active.outputs and not any(active.counts)
    assert active.host.targets(REST).answer == protocol_oracle.WRONG_STATE
    active.host.arm()
    assert not active.host.status().faults


def test_silence_stops_arming_too(firmware_host: FirmwareHost) -> None:
    firmware_host.host.hello()
    firmware_host.host.calibrate()
    firmware_host.host.arm()
    firmware_host.run(250)
    status = firmware_host.host.status()
    assert status.state == protocol_oracle.HOLD and 0 < status.armed < ALL
    assert firmware_host.keep_aiming(REST, 300).state == protocol_oracle.ACTIVE


def test_stop_is_latched(active: FirmwareHost) -> None:
    assert active.host.ask(protocol_oracle.STOP).state == protocol_oracle.STOPPED
    assert not active.outputs
    assert active.host.arm().answer == protocol_oracle.WRONG_STATE
    active.host.hello()
    assert active.host.status().state == protocol_oracle.STOPPED
    assert active.host.clear(1).answer == protocol_oracle.BAD_VALUE
    assert active.host.clear().state == protocol_oracle.LIMP


def test_a_sagging_supply_is_a_latched_fault(active: FirmwareHost) -> None:
    active.do("supply", 4400)
    active.run(40)
    active.do("supply", 6000)
    assert active.keep_aiming(REST, 400).state == protocol_oracle.ACTIVE  # too short
    active.do("supply", 4400)
    active.run(61)
    status = active.host.status()
    assert (
        status.state == protocol_oracle.FAULT
        and status.faults & protocol_oracle.SUPPLY
        and not active.outputs
    )
    assert active.host.clear().answer == protocol_oracle.WRONG_STATE
    active.do("supply", 6000)
    active.run(5)
    assert active.host.status().state == protocol_oracle.FAULT
    assert active.host.clear().state == protocol_oracle.LIMP


@pytest.mark.parametrize("millivolts", [6600, 7400, 8400, 10000])
def test_a_supply_that_is_too_high_is_a_latched_fault(active: FirmwareHost, millivolts: int) -> None:
    active.do("supply", millivolts)
    active.run(61)
    status = active.host.status()
    assert (status.state, status.faults) == (protocol_oracle.FAULT, protocol_oracle.OVERVOLTAGE)
    assert not active.outputs
    assert active.host.clear().answer == protocol_oracle.WRONG_STATE
    active.do("supply", 6000)
    active.run(5)
    assert active.host.clear().state == protocol_oracle.LIMP


@pytest.mark.parametrize("millivolts", [0, 4400, 6600, 9900])
def test_nothing_is_armed_at_a_wrong_supply(firmware_host: FirmwareHost, millivolts: int) -> None:
    firmware_host.host.hello()
    firmware_host.host.calibrate()
    firmware_host.do("supply", millivolts)
    firmware_host.run(1)
    assert firmware_host.host.arm().answer == protocol_oracle.BAD_SUPPLY
    firmware_host.run(100)
    assert firmware_host.host.status().state == protocol_oracle.FAULT
    assert not any(firmware_host.counts)


def supply_in_turn(active: FirmwareHost, outside: int, spans: tuple[int, int]) -> protocol_oracle.Status:
    """Ten seconds of a supply that is outside its limits [mV] for one span and within for the other [ms]."""
    status, begin, last = active.host.targets(REST), active.now, active.now
    while active.now - begin < 10_000 and status.state == protocol_oracle.ACTIVE:
        for millivolts, span in zip((outside, 5000), spans, strict=True):
            active.do("supply", millivolts)
            for _ in range(span):
                active.run(1)
                if active.now - last >= 20:
                    last = active.now
                    status = active.host.targets(REST)
    return status


@pytest.mark.parametrize("spans", [(50, 4), (55, 2), (20, 40), (8, 30), (3, 12)])
@pytest.mark.parametrize(
    "outside, fault", [(3000, protocol_oracle.SUPPLY), (7400, protocol_oracle.OVERVOLTAGE)]
)
def test_short_dips_count_together(
    active: FirmwareHost, outside: int, fault: int, spans: tuple[int, int]
) -> None:
    status = supply_in_turn(active, outside, spans)
    assert (status.state, status.faults) == (protocol_oracle.FAULT, fault)


@pytest.mark.parametrize("spans", [(50, 950), (20, 200), (3, 60)])
def test_rare_dips_are_forgotten(active: FirmwareHost, spans: tuple[int, int]) -> None:
    assert supply_in_turn(active, 3000, spans).state == protocol_oracle.ACTIVE


#: Bits on the bus of a period: 66 and 38 bytes to write; to read back the same, less the number of the first
#: register, and two addresses, the number of the first register and the 6 registers before the pulses.
PERIOD_BITS = 8 * (66 + 38 + (64 + 9) + (36 + 9))


def test_a_flipped_bit_on_the_bus_moves_no_servo(active: FirmwareHost) -> None:
    """Pulses are read back before they act: each bit that passes in a period is flipped once."""
    usual = active.counts
    for bit in range(PERIOD_BITS):
        active.do("flip", bit)
        for _ in range(21):
            active.run(1)
            assert active.counts == usual, bit
        assert active.host.targets(REST).state == protocol_oracle.ACTIVE
    # The rest hits what the boards hold already, or registers that have no part in a pulse.
    assert 0.9 * PERIOD_BITS < active.host.status().repeats < PERIOD_BITS


def test_a_flipped_bit_on_the_bus_delays_no_motion(active: FirmwareHost) -> None:
    """While all channels move, what comes out is what STATUS says, whichever bit was flipped."""
    for n, bit in enumerate(range(0, PERIOD_BITS, 7)):
        active.do("flip", bit)
        aim = [row.high if n // 10 % 2 else row.low for row in ROWS]
        pulses = active.host.targets(aim).pulses
        while (now := active.host.status().pulses) == pulses:
            active.run(1)
        active.run(14)  # until they are written, read back, and out
        assert all(abs(c * COUNT - p / 4) <= COUNT for c, p in zip(active.counts, now, strict=True)), bit
    assert active.host.status().repeats > 150


@pytest.mark.parametrize("bit", [0, 11, 20, 300, 700, 850])
def test_noise_while_the_boards_are_started_is_noticed(firmware_host: FirmwareHost, bit: int) -> None:
    firmware_host.host.hello()
    firmware_host.host.calibrate()
    firmware_host.do("boards", 2)
    firmware_host.run(21)
    firmware_host.do("boards", 3)
    firmware_host.do("flip", bit % 200)
    cleared = firmware_host.host.clear()
    if cleared.answer != protocol_oracle.TAKEN:
        cleared = firmware_host.host.clear()
    assert cleared.state == protocol_oracle.LIMP
    firmware_host.host.arm()
    firmware_host.keep_aiming(REST, 500)
    assert all(abs(c * COUNT - r / 4) <= COUNT for c, r in zip(firmware_host.counts, REST, strict=True))


@pytest.mark.parametrize("boards", [0, 1, 2])
def test_a_lost_board_is_a_latched_fault(active: FirmwareHost, boards: int) -> None:
    active.do("boards", boards)
    active.run(21)
    status = active.host.status()
    assert (
        status.state == protocol_oracle.FAULT and status.faults & protocol_oracle.BUS and not active.outputs
    )
    assert active.host.clear().answer == protocol_oracle.WRONG_STATE
    active.do("boards", 3)
    assert active.host.clear().state == protocol_oracle.LIMP


@pytest.mark.parametrize("board", [0, 1])
def test_a_board_that_lost_its_power_for_a_moment_is_a_latched_fault(
    active: FirmwareHost, board: int
) -> None:
    active.do("cut", board)
    active.run(21)
    status = active.host.status()
    assert (
        status.state == protocol_oracle.FAULT and status.faults & protocol_oracle.BUS and not active.outputs
    )
    assert active.host.clear().state == protocol_oracle.LIMP


def test_such_a_board_is_noticed_while_limp(firmware_host: FirmwareHost) -> None:
    firmware_host.do("cut", 1)
    firmware_host.run(21)
    assert firmware_host.host.status().state == protocol_oracle.FAULT


def test_clear_is_for_a_face_at_rest(active: FirmwareHost) -> None:
    assert active.host.clear().answer == protocol_oracle.WRONG_STATE


def test_the_watchdog_starves_without_every_part(firmware_host: FirmwareHost) -> None:
    firmware_host.run(100)
    fed = firmware_host.fed
    firmware_host.run(100)
    assert firmware_host.fed >= fed + 4
    firmware_host.do("parts", 2)  # the ADC stands still
    firmware_host.run(20)
    fed = firmware_host.fed
    firmware_host.run(300)
    assert firmware_host.fed == fed


def test_a_watchdog_reset_is_reported(firmware_host: FirmwareHost) -> None:
    firmware_host.reset(8)
    assert (
        firmware_host.host.status().faults & protocol_oracle.WATCHDOG
        and firmware_host.host.hello().cause == 8
    )
