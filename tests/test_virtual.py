"""The firmware on the simulated microcontroller: "What the board does by itself" in docs/protocol.md."""

from __future__ import annotations

import hashlib
import math
import random
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eva_sim.errors import RobotError
from eva_sim.real import virtual
from eva_sim.real.firmware_table import rows
from eva_sim.real.virtual import Machine, missing_packages
from tests import wire
from tests.harm import kill_mover
from tests.watch import Watcher
from tests.wire import Host, frame

serial = pytest.importorskip("serial")
if missing := missing_packages():
    pytest.skip(f"to compile the firmware: apt-get install {' '.join(missing)}", allow_module_level=True)

COUNT = 4.88  # us, step of a PCA9685 at 50 Hz
REST = [row.rest for row in rows()]


class Watch:
    """Stands beside the servos: limits to the letter, slew to one step of the PCA9685, each start at rest."""

    def __init__(self) -> None:
        self.last: dict[int, tuple[float, float]] = {}
        self.events: list[tuple[float, int, float]] = []

    def __call__(self, time: float, channel: int, width: float) -> None:
        row = rows()[channel]
        self.events.append((time, channel, width))
        if math.isnan(width):
            self.last.pop(channel, None)
            return
        assert row.low <= 4 * width <= row.high
        if channel not in self.last:
            assert abs(width - row.rest / 4) <= COUNT
        else:
            before, was = self.last[channel]
            assert abs(width - was) <= row.slew / 4 + COUNT and time - before > 0.018
        self.last[channel] = time, width

    def limp_after(self, time: float) -> float:
        """When the last channel went limp [s]."""
        assert not self.last
        return max(t for t, _, width in self.events if math.isnan(width)) - time


class Bench:
    """A machine with a host and a watch."""

    def __init__(self, **options: Any) -> None:
        self.machine = Machine(**options)
        self.watch = Watch()
        self.machine.listen(self.watch)
        self.host = Host(lambda data: self.machine.port.write(data), self.wait)
        self.sleep = self.machine.clock.sleep
        self.sleep(0.05)

    def now(self) -> float:
        return self.machine.clock.now()

    def wait(self) -> bytes:
        self.sleep(0.001)
        read: bytes = self.machine.port.read(65536)
        return read

    def ready(self) -> None:
        self.host.hello()
        assert self.host.calibrate().answer == wire.TAKEN

    def arm(self) -> None:
        assert self.host.arm().answer == wire.TAKEN
        assert self.aim(REST, 0.5).state == wire.ACTIVE

    def aim(self, pulses: list[int], duration: float) -> wire.Status:
        """Sends the same targets at 50 Hz."""
        end = self.now() + duration
        while self.now() < end:
            began = self.now()
            status = self.host.targets(pulses)
            self.sleep(began + 0.02 - self.now())
        return status


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.machine.close()


@pytest.fixture
def active(bench: Bench) -> Bench:
    bench.ready()
    bench.arm()
    return bench


HIGH, LOW = [row.high for row in rows()], [row.low for row in rows()]


def test_it_is_limp_until_armed_group_by_group(bench: Bench) -> None:
    bench.ready()
    assert not bench.watch.events and np.isnan(bench.machine.pulses).all()
    bench.arm()
    starts = [{round(t, 2) for t, c, _ in bench.watch.events if rows()[c].group == g} for g in range(4)]
    times = [start.pop() for start in starts]
    assert not any(starts) and np.allclose(np.diff(times), 0.1, atol=0.02)
    assert np.abs(bench.machine.pulses - np.array(REST) / 4).max() <= COUNT


def test_it_moves_within_limits_and_slew(active: Bench) -> None:
    for end in (HIGH, LOW, [65535] * 25, [1] * 25):
        active.aim(end, 0.6)
    assert len({c for _, c, _ in active.watch.events}) == 25
    far = active.machine.pulses[12] * 4
    assert far == pytest.approx(rows()[12].low, abs=4 * COUNT)


def test_random_targets_never_leave_limits_or_slew(active: Bench) -> None:
    draw = random.Random(1)
    for _ in range(250):
        status = active.host.targets([draw.randint(1, 12000) for _ in range(25)])
        assert status.answer == wire.TAKEN and status.state == wire.ACTIVE
        active.sleep(draw.uniform(0.0, 0.05))
    assert len(active.watch.events) > 2000
    assert 1000 < active.host.status().worst < 15000


def test_silence_holds_by_250_ms_and_is_limp_by_1100(active: Bench) -> None:
    active.host.targets(HIGH)
    began = active.now()
    active.sleep(0.26)
    moved = [t for t, _, _ in active.watch.events if t > began + 0.25]
    assert not moved and active.host.status().state == wire.HOLD
    active.sleep(1.2)
    assert 0.9 < active.watch.limp_after(began) < 1.1
    assert active.host.status().state == wire.LIMP


def test_a_hang_ends_limp_by_the_watchdog(active: Bench) -> None:
    active.aim(HIGH, 1.5)  # until the EEPROM is written
    began = active.now()
    active.machine.hang()
    active.sleep(0.5)
    assert active.watch.limp_after(began) < 0.3
    status = active.host.status()
    assert status.state == wire.LIMP and status.faults & wire.WATCHDOG
    assert active.host.targets(HIGH).answer == wire.SESSION  # the session is gone
    active.sleep(1)
    assert np.isnan(active.machine.pulses).all()
    assert active.host.hello().cause == 8 and active.host.arm().answer == wire.TAKEN


@pytest.mark.parametrize("broken", ["first", "second", "stuck"])
def test_a_broken_bus_is_a_fault_and_no_hang(active: Bench, broken: Any) -> None:
    began = active.now()
    active.machine.break_bus(broken)
    active.sleep(0.1)
    assert active.watch.limp_after(began) < 0.05
    status = active.host.status()
    assert (status.state, status.faults) == (wire.FAULT, wire.BUS) and status.uptime > 500
    assert active.host.clear().answer == wire.STATE
    active.machine.break_bus("none")
    assert active.host.clear().state == wire.LIMP
    active.arm()


@pytest.mark.parametrize("cut", ["first cut", "second cut"])
def test_a_pwm_board_without_power_for_a_moment_is_a_fault(active: Bench, cut: Any) -> None:
    began = active.now()
    active.machine.break_bus(cut)  # it wakes up asleep, and answers as if nothing had happened
    active.sleep(0.1)
    assert active.watch.limp_after(began) < 0.05
    status = active.host.status()
    assert (status.state, status.faults) == (wire.FAULT, wire.BUS)
    assert active.host.clear().state == wire.LIMP
    active.arm()


def test_a_held_bus_is_clocked_free(active: Bench) -> None:
    active.machine.break_bus("held")
    active.sleep(0.1)
    status = active.host.status()
    assert (status.state, status.faults) == (wire.FAULT, wire.BUS)
    assert active.host.clear().state == wire.LIMP  # which starts both boards anew
    active.arm()


def test_a_brown_out_is_a_latched_fault(active: Bench) -> None:
    active.machine.supply(4.3)
    active.sleep(0.03)
    active.machine.supply(6.0)
    active.sleep(0.1)
    assert active.host.targets(REST).state == wire.ACTIVE
    began = active.now()
    active.machine.supply(4.3)
    active.sleep(0.1)
    assert 0.055 < active.watch.limp_after(began) < 0.07
    assert active.host.status().supply == pytest.approx(4300, abs=20)
    active.machine.supply(6.0)
    active.sleep(0.1)
    assert active.host.status().state == wire.FAULT
    assert active.host.clear().state == wire.LIMP


def test_stop_acts_at_once_and_hello_too(active: Bench) -> None:
    began = active.now()
    assert active.host.ask(wire.STOP).state == wire.STOPPED
    assert active.watch.limp_after(began) < 0.005
    active.host.clear()
    active.arm()
    began = active.now()
    active.host.hello()
    assert active.watch.limp_after(began) < 0.005


def test_power_comes_back_limp_and_knows_its_calibration(active: Bench) -> None:
    active.sleep(1.5)  # EEPROM is slow: 3.3 ms a byte
    robot = active.host.hello().robot
    active.machine.power_cycle()
    active.sleep(0.1)
    assert np.isnan(active.machine.pulses).all()
    ident = active.host.hello()
    assert (ident.robot, ident.calibration, ident.cause) == (robot, 7, 1)


def test_power_lost_while_committing_leaves_no_calibration(bench: Bench) -> None:
    bench.ready()
    bench.sleep(0.3)
    bench.machine.power_cycle()
    bench.sleep(0.1)
    assert bench.host.hello().calibration == 0
    assert bench.host.arm().answer == wire.NOT_CALIBRATED


def test_eeprom_outlives_the_machine(tmp_path: Path) -> None:
    bench = Bench(eeprom=tmp_path / "eeprom")
    bench.ready()
    robot = bench.host.hello().robot
    bench.sleep(0.9)
    bench.machine.close()
    bench = Bench(eeprom=tmp_path / "eeprom")
    ident = bench.host.hello()
    assert (ident.robot, ident.calibration) == (robot, 7)
    bench.machine.close()


def test_the_shortest_sleep_lets_time_pass(bench: Bench) -> None:
    began = bench.now()
    bench.sleep(1e-12)
    assert bench.now() > began
    bench.sleep(0)
    bench.sleep(-1)
    assert bench.now() == pytest.approx(began + 1 / virtual.HERTZ, abs=1e-12)


def test_robots_differ_and_repeat() -> None:
    ids = []
    for robot in (0, 1, 0):
        bench = Bench(robot=robot)
        ids.append(bench.host.hello().robot)
        bench.machine.close()
    assert ids[0] == ids[2] != ids[1]


def test_clocks_of_the_boards_scale_their_pulses() -> None:
    bench = Bench(oscillators=(0.05, -0.04))
    bench.machine._listeners.clear()  # these boards are as far beyond the limits as their clocks are off
    bench.ready()
    bench.arm()
    scale = bench.machine.pulses / (np.array(REST) / 4)
    assert np.allclose(scale[:16], 1 / 1.05, atol=4e-3) and np.allclose(scale[16:], 1 / 0.96, atol=4e-3)
    bench.machine.close()


def whole_session() -> list[bytes]:
    """All that makes a new board move, as its first session would have it."""
    messages = [(wire.HELLO, b"\1")]
    for channel, row in enumerate(rows()):
        messages.append((wire.LIMITS, struct.pack("<HBHHHH", 1, channel, *row[:4])))
    messages += [(wire.COMMIT, struct.pack("<HI", 1, 7)), (wire.ARM, struct.pack("<HI", 1, wire.ALL))]
    messages += [(wire.TARGETS, struct.pack("<H25H", 1, *HIGH))] * 20
    return [frame(kind, number, payload) for number, (kind, payload) in enumerate(messages)]


@pytest.mark.parametrize("baud", [500000, 115200, 250000, 460800, 1000000])
def test_only_the_right_baud_rate_moves_it(baud: int) -> None:
    bench = Bench(baud=baud)
    for message in whole_session():
        bench.machine.port.write(message)
        bench.sleep(0.02)
    assert bool(bench.watch.events) == (baud == 500000)
    bench.machine.close()


@pytest.mark.parametrize("baud", [490000, 510000])
def test_a_clock_two_percent_off_still_works(baud: int) -> None:
    bench = Bench(baud=baud)
    bench.ready()
    bench.arm()
    bench.machine.close()


def test_unplugged_in_the_middle_of_a_frame(active: Bench) -> None:
    port, began = active.machine.port, active.now()
    port.write(frame(wire.TARGETS, 1, struct.pack("<H25H", active.host.session, *HIGH)))
    active.sleep(0.0005)
    active.machine.unplug()
    assert not port.is_open
    for use in (lambda: port.write(b"x"), lambda: port.read(1)):
        with pytest.raises(serial.SerialException):
            use()
    active.sleep(1.2)
    assert active.watch.limp_after(began) < 1.1
    active.machine.replug()
    active.machine.port.write(b"\0")  # ends the half frame that the board still holds
    assert active.host.status().state == wire.LIMP
    active.sleep(1)
    assert np.isnan(active.machine.pulses).all()


def noise(bench: Bench, count: int) -> None:
    draw = random.Random(5)
    for _ in range(count // 1000):
        bench.machine.port.write(draw.randbytes(1000))
        bench.sleep(0.0201)
        bench.machine.port.read(65536)


def test_random_bytes_move_nothing(active: Bench) -> None:
    began = active.now()
    noise(active, 60_000)
    active.machine.port.write(b"\0")
    assert active.watch.limp_after(began) < 1.1
    status = active.host.status()
    assert status.state == wire.LIMP and status.bad > 200 and not status.faults & wire.WATCHDOG


@pytest.mark.slow
def test_a_million_random_bytes_move_nothing(active: Bench) -> None:
    began = active.now()
    noise(active, 1_000_000)
    active.machine.port.write(b"\0")
    assert active.watch.limp_after(began) < 1.1
    status = active.host.status()
    assert status.state == wire.LIMP and status.bad > 3000 and not status.faults & wire.WATCHDOG


def wander(bench: Bench, frames: int, note: Callable[[wire.Status], None]) -> None:
    """A host as it should be: a frame every 20 ms, the answer read before the next."""
    for n in range(frames):
        angles = 0.02 * n * (1 + np.arange(25) / 25)
        middle = np.add(HIGH, LOW) / 2
        note(bench.host.targets(middle + 0.8 * np.subtract(HIGH, LOW) / 2 * np.sin(angles)))
        bench.sleep(0.02 * (n + 1) - 0.02 * n - 0.003)


def test_three_runs_are_the_same_to_the_byte() -> None:
    digests = set()
    for _ in range(3):
        bench, log = Bench(robot=3), hashlib.sha256()
        bench.ready()
        bench.arm()
        wander(bench, 60, lambda status, log=log: log.update(repr(status).encode()))  # type: ignore[misc]
        bench.machine.hang()
        bench.sleep(0.5)
        log.update(repr(bench.watch.events).encode())
        bench.machine.close()
        digests.add(log.hexdigest())
    assert len(digests) == 1


@pytest.mark.slow
def test_ten_minutes_without_a_lost_frame(active: Bench) -> None:
    answers: list[wire.Status] = []
    wander(active, 30_000, answers.append)
    assert len(answers) == 30_000
    assert all(a.answer == wire.TAKEN and a.state == wire.ACTIVE for a in answers)
    last = active.host.status()
    assert (last.bad, last.stale) == (0, 0) and last.worst < 15000


def test_in_real_time_pyserial_opens_it() -> None:
    with Machine(realtime=True) as machine:
        port, answer = machine.port, b""
        for _ in range(200):
            port.write(frame(wire.QUERY, 9))
            machine.clock.sleep(0.01)
            answer += port.read(4096)
            if answer.count(b"\0") > 1:
                break
        assert wire.parse(answer.split(b"\0")[1]).content.state == wire.LIMP


def test_a_host_killed_while_moving_leaves_it_limp() -> None:
    with Machine(realtime=True) as machine:
        watcher = Watcher(machine, COUNT)
        kill_mover(machine.terminal, watcher)
        held, count = watcher.moved_at - watcher.stopped_at, watcher.events
        machine.clock.sleep(0.5)
        assert watcher.events == count  # nothing moves again
    assert held > 0.75  # how long at most is for lockstep to tell
    assert watcher.wrong == []


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EVA_CACHE", str(tmp_path))
    monkeypatch.setitem(virtual.NEEDS, "/nowhere/simavr.h", "libsimavr-dev")
    with pytest.raises(RobotError, match="apt-get install libsimavr-dev"):
        virtual.build()


def test_a_simulator_that_ended_is_said() -> None:
    machine = Machine()
    machine._process.kill()
    with pytest.raises(RobotError, match="ended"):
        machine.clock.sleep(1)
    machine.close()


def test_it_arms_some_channels_only(bench: Bench) -> None:
    bench.ready()
    bench.host.arm(0b11 << 15)
    assert bench.aim(HIGH, 0.6).armed == 0b11 << 15
    assert np.flatnonzero(~np.isnan(bench.machine.pulses)).tolist() == [15, 16]
