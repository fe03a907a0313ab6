"""The simulated board with a host and a monitor of its pulses, for its tests."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest

from eva_sim.contract import load_spec
from eva_sim.real.simulation.virtual_board import SimulatedBoard
from eva_sim.real.wire.firmware_table import channel_rows
from eva_sim.testing import protocol_oracle
from eva_sim.testing.protocol_oracle import Host

ROWS = channel_rows(load_spec())
#: Step of a PCA9685 at 50 Hz [us].
COUNT = 4.88
REST = [row.rest for row in ROWS]
HIGH, LOW = [row.high for row in ROWS], [row.low for row in ROWS]


class PulseMonitor:
    """Checks every pulse: within limits, slew to one step of the PCA9685, and each start at rest.

    Attributes:
        last: time [s] and pulse [us] of each channel that is not limp.
        events: all changes: time [s], channel, pulse [us], NaN where limp.
    """

    def __init__(self) -> None:
        self.last: dict[int, tuple[float, float]] = {}
        self.events: list[tuple[float, int, float]] = []

    def __call__(self, time: float, channel: int, width: float) -> None:
        row = ROWS[channel]
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
        """Time from `time` until the last channel went limp [s]."""
        assert not self.last
        return max(t for t, _, width in self.events if math.isnan(width)) - time


class VirtualBench:
    """A simulated board with a host and a monitor of its pulses.

    Attributes:
        machine: the simulated board.
        monitor: monitor of its pulses.
        host: host that speaks the protocol with it.
        sleep: lets virtual time pass [s].
    """

    def __init__(self, **options: Any) -> None:
        self.machine = SimulatedBoard(load_spec(), **options)
        self.monitor = PulseMonitor()
        self.machine.listen(self.monitor)
        self.host = Host(lambda data: self.machine.port.write(data), self.wait)
        self.sleep = self.machine.clock.sleep
        self.sleep(0.15)  # until EEPROM keeps the first session numbers

    def now(self) -> float:
        """Virtual time [s]."""
        return self.machine.clock.now()

    def wait(self) -> bytes:
        """Lets a millisecond pass; the bytes that the board sent."""
        self.sleep(0.001)
        read: bytes = self.machine.port.read(65536)
        return read

    def ready(self) -> None:
        """Opens a session and calibrates the board."""
        self.host.hello()
        assert self.host.calibrate().answer == protocol_oracle.TAKEN

    def arm(self) -> None:
        """Arms all channels, at rest."""
        assert self.host.arm().answer == protocol_oracle.TAKEN
        assert self.aim(REST, 0.5).state == protocol_oracle.ACTIVE

    def aim(self, pulses: list[int], duration: float) -> protocol_oracle.Status:
        """Sends the same targets at 50 Hz."""
        end = self.now() + duration
        while self.now() < end:
            began = self.now()
            status = self.host.targets(pulses)
            self.sleep(began + 0.02 - self.now())
        return status


@pytest.fixture
def bench() -> Iterator[VirtualBench]:
    """A bench with a limp board."""
    opened = VirtualBench()
    yield opened
    opened.machine.close()


@pytest.fixture
def active(bench: VirtualBench) -> VirtualBench:
    """A bench whose channels are all armed, at rest."""
    bench.ready()
    bench.arm()
    return bench
