"""The firmware on the simulated microcontroller: "What the board does by itself" in docs/protocol.md."""

from __future__ import annotations

import random
import struct
from typing import Any

import numpy as np
import pytest

from eva_sim.real.simulation.firmware_build import missing_packages
from eva_sim.testing import protocol_oracle
from eva_sim.testing.protocol_oracle import frame
from eva_sim.testing.virtual_bench import HIGH, REST, ROWS, VirtualBench

serial = pytest.importorskip("serial")
if missing := missing_packages():
    pytest.skip(f"to compile the firmware: apt-get install {' '.join(missing)}", allow_module_level=True)


def test_silence_holds_by_250_ms_and_is_limp_by_1100(active: VirtualBench) -> None:
    active.host.targets(HIGH)
    began = active.now()
    active.sleep(0.26)
    moved = [t for t, _, _ in active.monitor.events if t > began + 0.25]
    assert not moved and active.host.status().state == protocol_oracle.HOLD
    active.sleep(1.2)
    assert 0.9 < active.monitor.limp_after(began) < 1.1
    assert active.host.status().state == protocol_oracle.LIMP


def test_a_hang_ends_limp_by_the_watchdog(active: VirtualBench) -> None:
    active.aim(HIGH, 1.5)  # until the EEPROM is written
    began = active.now()
    active.machine.hang()
    active.sleep(0.5)
    assert active.monitor.limp_after(began) < 0.3
    status = active.host.status()
    assert status.state == protocol_oracle.LIMP and status.faults & protocol_oracle.WATCHDOG
    assert active.host.targets(HIGH).answer == protocol_oracle.WRONG_SESSION  # the session is gone
    active.sleep(1)
    assert np.isnan(active.machine.pulses).all()
    assert active.host.hello().cause == 8 and active.host.arm().answer == protocol_oracle.TAKEN


@pytest.mark.parametrize("broken", ["first", "second", "stuck"])
def test_a_broken_bus_is_a_fault_and_no_hang(active: VirtualBench, broken: Any) -> None:
    began = active.now()
    active.machine.break_bus(broken)
    active.sleep(0.1)
    assert active.monitor.limp_after(began) < 0.05
    status = active.host.status()
    assert (status.state, status.faults) == (
        protocol_oracle.FAULT,
        protocol_oracle.BUS,
    ) and status.uptime > 500
    assert active.host.clear().answer == protocol_oracle.WRONG_STATE
    active.machine.break_bus("none")
    assert active.host.clear().state == protocol_oracle.LIMP
    active.arm()


@pytest.mark.parametrize("cut", ["first cut", "second cut"])
def test_a_pwm_board_without_power_for_a_moment_is_a_fault(active: VirtualBench, cut: Any) -> None:
    began = active.now()
    active.machine.break_bus(cut)  # it wakes up asleep, and answers as if nothing had happened
    active.sleep(0.1)
    assert active.monitor.limp_after(began) < 0.05
    status = active.host.status()
    assert (status.state, status.faults) == (protocol_oracle.FAULT, protocol_oracle.BUS)
    assert active.host.clear().state == protocol_oracle.LIMP
    active.arm()


def test_a_held_bus_is_clocked_free(active: VirtualBench) -> None:
    active.machine.break_bus("held")
    active.sleep(0.1)
    status = active.host.status()
    assert (status.state, status.faults) == (protocol_oracle.FAULT, protocol_oracle.BUS)
    assert active.host.clear().state == protocol_oracle.LIMP  # which starts both boards anew
    active.arm()


def test_a_brown_out_is_a_latched_fault(active: VirtualBench) -> None:
    active.machine.supply(4.3)
    active.sleep(0.03)
    active.machine.supply(6.0)
    assert active.aim(REST, 0.3).state == protocol_oracle.ACTIVE
    began = active.now()
    active.machine.supply(4.3)
    active.sleep(0.1)
    assert 0.055 < active.monitor.limp_after(began) < 0.07
    assert active.host.status().supply == pytest.approx(4300, abs=20)
    active.machine.supply(6.0)
    active.sleep(0.1)
    assert active.host.status().state == protocol_oracle.FAULT
    assert active.host.clear().state == protocol_oracle.LIMP


@pytest.mark.parametrize("volts", [7.4, 9.9])
def test_a_supply_that_is_too_high_is_a_latched_fault(active: VirtualBench, volts: float) -> None:
    began = active.now()
    active.machine.supply(volts)
    active.sleep(0.1)
    assert 0.055 < active.monitor.limp_after(began) < 0.07
    assert active.host.status().faults == protocol_oracle.OVERVOLTAGE


def test_stop_acts_at_once_and_hello_too(active: VirtualBench) -> None:
    began = active.now()
    assert active.host.ask(protocol_oracle.STOP).state == protocol_oracle.STOPPED
    assert active.monitor.limp_after(began) < 0.005
    active.host.clear()
    active.arm()
    began = active.now()
    active.host.hello()
    assert active.monitor.limp_after(began) < 0.005


def test_power_comes_back_limp_and_knows_its_calibration(active: VirtualBench) -> None:
    active.sleep(1.5)  # EEPROM is slow: 3.3 ms a byte
    robot = active.host.hello().robot
    active.machine.power_cycle()
    active.sleep(0.1)
    assert np.isnan(active.machine.pulses).all()
    ident = active.host.hello()
    assert (ident.robot, ident.calibration, ident.cause) == (robot, 7, 1)


def test_power_lost_while_committing_leaves_no_calibration(bench: VirtualBench) -> None:
    bench.ready()
    bench.sleep(0.3)
    bench.machine.power_cycle()
    bench.sleep(0.1)
    assert bench.host.hello().calibration == 0
    assert bench.host.arm().answer == protocol_oracle.NOT_CALIBRATED


def first_session() -> int:
    """Number of the first session of a new board; the noise of its chip repeats."""
    bench = VirtualBench()
    session = bench.host.hello().session
    bench.machine.close()
    return session


def whole_session() -> list[bytes]:
    """All that makes a new board move, as its first session would have it."""
    session = first_session()
    messages = [(protocol_oracle.HELLO, b"\2")]
    for channel, row in enumerate(ROWS):
        messages.append((protocol_oracle.LIMITS, struct.pack("<IBHHHH", session, channel, *row[:4])))
    messages += [
        (protocol_oracle.COMMIT, struct.pack("<II", session, 7)),
        (protocol_oracle.ARM, struct.pack("<II", session, protocol_oracle.ALL)),
    ]
    messages += [(protocol_oracle.TARGETS, struct.pack("<I25H", session, *HIGH))] * 20
    return [frame(kind, number, payload) for number, (kind, payload) in enumerate(messages)]


@pytest.mark.parametrize("baud", [500000, 115200, 250000, 460800, 1000000])
def test_only_the_right_baud_rate_moves_it(baud: int) -> None:
    bench = VirtualBench(baud=baud)
    for message in whole_session():
        bench.machine.port.write(message)
        bench.sleep(0.02)
    assert bool(bench.monitor.events) == (baud == 500000)
    bench.machine.close()


@pytest.mark.parametrize("baud", [490000, 510000])
def test_a_clock_two_percent_off_still_works(baud: int) -> None:
    bench = VirtualBench(baud=baud)
    bench.ready()
    bench.arm()
    bench.machine.close()


def test_unplugged_in_the_middle_of_a_frame(active: VirtualBench) -> None:
    port, began = active.machine.port, active.now()
    port.write(frame(protocol_oracle.TARGETS, 1, struct.pack("<I25H", active.host.session, *HIGH)))
    active.sleep(0.0005)
    active.machine.unplug()
    assert not port.is_open
    for use in (lambda: port.write(b"x"), lambda: port.read(1)):
        with pytest.raises(serial.SerialException):
            use()
    active.sleep(1.2)
    assert active.monitor.limp_after(began) < 1.1
    active.machine.replug()
    active.machine.port.write(b"\0")  # ends the half frame that the board still holds
    assert active.host.status().state == protocol_oracle.LIMP
    active.sleep(1)
    assert np.isnan(active.machine.pulses).all()


def noise(bench: VirtualBench, count: int) -> None:
    draw = random.Random(5)
    for _ in range(count // 1000):
        bench.machine.port.write(draw.randbytes(1000))
        bench.sleep(0.0201)
        bench.machine.port.read(65536)


def test_random_bytes_move_nothing(active: VirtualBench) -> None:
    began = active.now()
    noise(active, 60_000)
    active.machine.port.write(b"\0")
    assert active.monitor.limp_after(began) < 1.1
    status = active.host.status()
    assert (
        status.state == protocol_oracle.LIMP
        and status.bad > 200
        and not status.faults & protocol_oracle.WATCHDOG
    )


@pytest.mark.slow
def test_a_million_random_bytes_move_nothing(active: VirtualBench) -> None:
    began = active.now()
    noise(active, 1_000_000)
    active.machine.port.write(b"\0")
    assert active.monitor.limp_after(began) < 1.1
    status = active.host.status()
    assert (
        status.state == protocol_oracle.LIMP
        and status.bad > 3000
        and not status.faults & protocol_oracle.WATCHDOG
    )
