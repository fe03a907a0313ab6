"""The firmware on the simulated microcontroller: how it moves, repeats, and keeps time."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from eva_sim.contract import load_spec
from eva_sim.errors import RobotError
from eva_sim.real.simulation import firmware_build
from eva_sim.real.simulation.firmware_build import missing_packages
from eva_sim.real.simulation.simulator_process import HERTZ
from eva_sim.real.simulation.virtual_board import SimulatedBoard
from eva_sim.testing import protocol_oracle
from eva_sim.testing.fault_injection import kill_mover
from eva_sim.testing.protocol_oracle import frame
from eva_sim.testing.pulse_watcher import PulseWatcher
from eva_sim.testing.virtual_bench import COUNT, HIGH, LOW, REST, ROWS, VirtualBench

serial = pytest.importorskip("serial")
if missing := missing_packages():
    pytest.skip(f"to compile the firmware: apt-get install {' '.join(missing)}", allow_module_level=True)


def test_it_is_limp_until_armed_group_by_group(bench: VirtualBench) -> None:
    bench.ready()
    assert not bench.monitor.events and np.isnan(bench.machine.pulses).all()
    bench.arm()
    starts = [{round(t, 2) for t, c, _ in bench.monitor.events if ROWS[c].group == g} for g in range(4)]
    times = [start.pop() for start in starts]
    assert not any(starts) and np.allclose(np.diff(times), 0.1, atol=0.02)
    assert np.abs(bench.machine.pulses - np.array(REST) / 4).max() <= COUNT


def test_it_moves_within_limits_and_slew(active: VirtualBench) -> None:
    for end in (HIGH, LOW, [65535] * 25, [1] * 25):
        active.aim(end, 0.6)
    assert len({c for _, c, _ in active.monitor.events}) == 25
    far = active.machine.pulses[12] * 4
    assert far == pytest.approx(ROWS[12].low, abs=4 * COUNT)


def test_random_targets_never_leave_limits_or_slew(active: VirtualBench) -> None:
    draw = random.Random(1)
    for _ in range(250):
        status = active.host.targets([draw.randint(1, 12000) for _ in range(25)])
        assert status.answer == protocol_oracle.TAKEN and status.state == protocol_oracle.ACTIVE
        active.sleep(draw.uniform(0.0, 0.05))
    assert len(active.monitor.events) > 2000
    assert 1000 < active.host.status().worst < 15000


def test_eeprom_outlives_the_machine(tmp_path: Path) -> None:
    bench = VirtualBench(eeprom=tmp_path / "eeprom")
    bench.ready()
    robot = bench.host.hello().robot
    bench.sleep(0.9)
    bench.machine.close()
    bench = VirtualBench(eeprom=tmp_path / "eeprom")
    ident = bench.host.hello()
    assert (ident.robot, ident.calibration) == (robot, 7)
    bench.machine.close()


def test_the_shortest_sleep_lets_time_pass(bench: VirtualBench) -> None:
    began = bench.now()
    bench.sleep(1e-12)
    assert bench.now() > began
    bench.sleep(0)
    bench.sleep(-1)
    assert bench.now() == pytest.approx(began + 1 / HERTZ, abs=1e-12)


def test_robots_differ_and_repeat() -> None:
    ids = []
    for robot in (0, 1, 0):
        bench = VirtualBench(seed=robot)
        ids.append(bench.host.hello().robot)
        bench.machine.close()
    assert ids[0] == ids[2] != ids[1]


def test_clocks_of_the_boards_scale_their_pulses() -> None:
    bench = VirtualBench(oscillators=(0.05, -0.04))
    bench.machine._listeners.clear()  # these boards are as far beyond the limits as their clocks are off
    bench.ready()
    bench.arm()
    scale = bench.machine.pulses / (np.array(REST) / 4)
    assert np.allclose(scale[:16], 1 / 1.05, atol=4e-3) and np.allclose(scale[16:], 1 / 0.96, atol=4e-3)
    bench.machine.close()


def wander(bench: VirtualBench, frames: int, note: Callable[[protocol_oracle.Status], None]) -> None:
    """A host as it should be: a frame every 20 ms, the answer read before the next."""
    for n in range(frames):
        angles = 0.02 * n * (1 + np.arange(25) / 25)
        middle = np.add(HIGH, LOW) / 2
        note(bench.host.targets(middle + 0.8 * np.subtract(HIGH, LOW) / 2 * np.sin(angles)))
        bench.sleep(0.02 * (n + 1) - 0.02 * n - 0.003)


def test_three_runs_are_the_same_to_the_byte() -> None:
    digests = set()
    for _ in range(3):
        bench, log = VirtualBench(seed=3), hashlib.sha256()
        bench.ready()
        bench.arm()
        wander(bench, 60, lambda status, log=log: log.update(repr(status).encode()))  # type: ignore[misc]
        bench.machine.hang()
        bench.sleep(0.5)
        log.update(repr(bench.monitor.events).encode())
        bench.machine.close()
        digests.add(log.hexdigest())
    assert len(digests) == 1


@pytest.mark.slow
def test_ten_minutes_without_a_lost_frame(active: VirtualBench) -> None:
    answers: list[protocol_oracle.Status] = []
    wander(active, 30_000, answers.append)
    assert len(answers) == 30_000
    assert all(a.answer == protocol_oracle.TAKEN and a.state == protocol_oracle.ACTIVE for a in answers)
    last = active.host.status()
    assert (last.bad, last.stale) == (0, 0) and last.worst < 15000


def test_in_real_time_pyserial_opens_it() -> None:
    with SimulatedBoard(load_spec(), realtime=True) as machine:
        port, answer = machine.port, b""
        for _ in range(200):
            port.write(frame(protocol_oracle.QUERY, 9))
            machine.clock.sleep(0.01)
            answer += port.read(4096)
            if answer.count(b"\0") > 1:
                break
        assert protocol_oracle.parse(answer.split(b"\0")[1]).content.state == protocol_oracle.LIMP


def test_a_host_killed_while_moving_leaves_it_limp() -> None:
    with SimulatedBoard(load_spec(), realtime=True) as machine:
        watcher = PulseWatcher(machine, COUNT)
        kill_mover(machine.terminal, watcher)
        held, count = watcher.moved_at - watcher.stopped_at, watcher.events
        machine.clock.sleep(0.5)
        assert watcher.events == count  # nothing moves again
    assert held > 0.75  # how long at most is for lockstep to tell
    assert watcher.wrong == []


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EVA_CACHE", str(tmp_path))
    monkeypatch.setitem(firmware_build.NEEDS, "/nowhere/simavr.h", "libsimavr-dev")
    with pytest.raises(RobotError, match="apt-get install libsimavr-dev"):
        firmware_build.build_firmware()


def test_a_simulator_that_ended_is_said() -> None:
    machine = SimulatedBoard(load_spec())
    machine._process.kill()
    with pytest.raises(RobotError, match="ended"):
        machine.clock.sleep(1)
    machine.close()


def test_it_arms_some_channels_only(bench: VirtualBench) -> None:
    bench.ready()
    bench.host.arm(0b11 << 15)
    assert bench.aim(HIGH, 0.6).armed == 0b11 << 15
    assert np.flatnonzero(~np.isnan(bench.machine.pulses)).tolist() == [15, 16]
