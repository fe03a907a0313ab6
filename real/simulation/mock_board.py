"""A board with the firmware's rules, for machines without the toolchain.

`MockBoard` has what `SimulatedBoard` of `virtual_board.py` has: a port, a clock, the pulses that are out, and
listeners to them. Time is virtual unless asked otherwise: it passes only while somebody sleeps.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np

from eva_sim.clock import Clock, WallClock
from eva_sim.contract import Floats
from eva_sim.real.simulation.firmware_rules import FirmwareRules
from eva_sim.real.wire import protocol as wire
from eva_sim.real.wire.firmware_table import robot_config

Listener = Callable[[float, int, float], None]

_PERIOD = round(1000 * robot_config()["wire"]["period"])


class SimulatedClock(Clock):
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self._now = 0.0

    def now(self) -> float:
        return self._now

    def sleep(self, duration: float) -> None:
        self._now += max(duration, 0.0)


class MockBoard:
    """A board with the firmware's rules, its clock, and what comes out of it.

    The firmware runs whenever somebody looks: it then does all that was due since, with the right times.

    Args:
        robot: seed of its id.
        realtime: whether its clock is the wall's.

    Attributes:
        clock: by which it lives.
        port: for a `Link`.
    """

    def __init__(self, robot: int = 0, realtime: bool = False) -> None:
        self.clock: Clock = WallClock() if realtime else SimulatedClock()
        self._listeners: list[Listener] = []
        self._pulses = np.full(wire.CHANNELS, np.nan)
        self._born, self._booted = self.clock.now(), 0
        self._ticked = -_PERIOD // 2  # half a period off the host's, so that neither waits for the other
        self._decoder = wire.Decoder(wire.TO_BOARD)
        self.firmware = FirmwareRules(hashlib.sha256(f"mock {robot}".encode()).digest()[:8], self._emit)
        self.port = MockPort(self)

    @property
    def pulses(self) -> Floats:
        """What is out now, by channel, (25,) [us]; NaN where limp."""
        self.advance()
        return self._pulses.copy()

    def listen(self, callback: Listener) -> None:
        """From now on calls `callback(time, channel, width [us])` at every change; NaN for limp.

        Time is since the start of this mock [s].
        """
        self._listeners.append(callback)

    def close(self) -> None:
        """Ends it; there is nothing to let go of."""

    def supply(self, volts: float) -> None:
        """Sets the voltage of the servos."""
        self.advance()
        self.firmware.supply = round(1000 * volts)

    def power_cycle(self) -> None:
        """Takes the power away and gives it back."""
        self.advance()
        self._booted = self._ms()
        self._decoder = wire.Decoder(wire.TO_BOARD)
        self.firmware.boot()

    def advance(self) -> None:
        """Does what was due."""
        now = self._ms()
        while self._ticked + _PERIOD <= now:
            self._ticked += _PERIOD
            self.firmware.tick(self._ticked - self._booted)

    def answer(self, data: bytes) -> bytes:
        """What the board sends back for some bytes."""
        self.advance()
        now, out = self._ms() - self._booted, b""
        for sequence, message in self._decoder.feed(data):
            told = self.firmware.hear(message, sequence, now, self._decoder.bad)
            out += wire.encode_frame(told, sequence)
        return out

    def _ms(self) -> int:
        return int(1000 * (self.clock.now() - self._born) + 1e-6)

    def _emit(self, at: int, channel: int, pulse: int) -> None:
        width = pulse / 4 if pulse else np.nan
        self._pulses[channel] = width
        for listener in self._listeners:
            listener((at + self._booted) / 1000, channel, width)


class MockPort:
    """The cable to a `MockBoard`. A pulled plug raises what pyserial lets through then.

    Args:
        mock: at the other end.
    """

    def __init__(self, mock: MockBoard) -> None:
        self._mock, self._arrived = mock, b""
        self.is_open = self._plugged = True

    def write(self, data: bytes) -> int:
        self._check()
        self._arrived += self._mock.answer(bytes(data))
        return len(data)

    def read(self, size: int = 1) -> bytes:
        self._check()
        self._mock.advance()
        part, self._arrived = self._arrived[:size], self._arrived[size:]
        return part

    def close(self) -> None:
        self.is_open = False

    def unplug(self) -> None:
        """Pulls the plug; what was on the line is lost."""
        self._plugged, self._arrived = False, b""

    def replug(self) -> None:
        """Puts the plug in again; to be opened anew."""
        self._plugged = self.is_open = True

    def _check(self) -> None:
        if not self._plugged:
            raise OSError(5, "Input/output error")
        if not self.is_open:
            raise OSError(9, "Bad file descriptor")
