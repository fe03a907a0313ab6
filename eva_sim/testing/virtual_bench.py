"""A bench around the simulated microcontroller, and a watch beside its servos."""

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
COUNT = 4.88  # us, step of a PCA9685 at 50 Hz
REST = [row.rest for row in ROWS]
HIGH, LOW = [row.high for row in ROWS], [row.low for row in ROWS]


class Watch:
    """Stands beside the servos: limits to the letter, slew to one step of the PCA9685, each start at rest."""

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
        """When the last channel went limp [s]."""
        assert not self.last
        return max(t for t, _, width in self.events if math.isnan(width)) - time


class Bench:
    """A machine with a host and a watch."""

    def __init__(self, **options: Any) -> None:
        self.machine = SimulatedBoard(load_spec(), **options)
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
        assert self.host.calibrate().answer == protocol_oracle.TAKEN

    def arm(self) -> None:
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
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.machine.close()


@pytest.fixture
def active(bench: Bench) -> Bench:
    bench.ready()
    bench.arm()
    return bench
