"""A board with the firmware's rules, for machines without the toolchain.

`MockBoard` has the interface of `SimulatedBoard` of `virtual_board.py`: a port, a clock, the output pulses,
and listeners to them. By default time is virtual: it passes only during a sleep on the board's clock.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable

import numpy as np

from eva_sim.clock import Clock, SimulatedClock, WallClock
from eva_sim.contract import FaceSpec, Floats
from eva_sim.real.simulation.firmware_rules import FirmwareRules
from eva_sim.real.wire import protocol as wire
from eva_sim.real.wire.firmware_table import robot_config

Listener = Callable[[float, int, float], None]


class MockBoard:
    """A board with the firmware's rules, its clock, and its output pulses.

    The rules run at every access: they then do all that was due since the last one, with the right times.

    Args:
        spec: the face.
        seed: seed of the hidden robot, which determines the board's id.
        realtime: whether its clock is the wall clock.

    Attributes:
        spec: the face.
        clock: clock of the board.
        port: port for a `Link`.
        firmware: the rules.
    """

    def __init__(self, spec: FaceSpec, seed: int = 0, realtime: bool = False) -> None:
        self.spec = spec
        self.clock: Clock = WallClock() if realtime else SimulatedClock()
        self._listeners: list[Listener] = []
        self._lock = threading.RLock()  # in real time a camera may be read by another thread
        self._pulses = np.full(len(spec), np.nan)
        self._period = round(1000 * robot_config(spec)["wire"]["period"])  # ms
        self._started_at, self._booted = self.clock.now(), 0
        self._ticked = -self._period // 2  # half a period off the host's, so that neither waits for the other
        self._decoder = wire.Decoder(wire.TO_BOARD, len(spec))
        self.firmware = FirmwareRules(spec, bytes.fromhex(mock_id(seed)), self._emit)
        self.port = MockPort(self)

    @property
    def pulses(self) -> Floats:
        """Output pulses now, by channel [us]; NaN where limp."""
        self.advance()
        return self._pulses.copy()

    def listen(self, callback: Listener) -> None:
        """From now on calls `callback(time, channel, width [us])` at every change; NaN for limp.

        The time is counted from the start of this board [s].
        """
        self._listeners.append(callback)

    def close(self) -> None:
        """Does nothing; the mock holds no resources."""

    def supply(self, volts: float) -> None:
        """Sets the voltage of the servos."""
        self.advance()
        self.firmware.set_supply(round(1000 * volts), self._ms() - self._booted)

    def power_cycle(self) -> None:
        """Switches the power off and on again."""
        self.advance()
        self._booted = self._ms()
        self._decoder = wire.Decoder(wire.TO_BOARD, len(self.spec))
        self.firmware.boot()

    def advance(self) -> None:
        """Runs the rules up to now."""
        with self._lock:
            now = self._ms()
            while self._ticked + self._period <= now:
                self._ticked += self._period
                self.firmware.tick(self._ticked - self._booted)

    def answer(self, data: bytes) -> bytes:
        """Bytes that the board answers to some bytes."""
        with self._lock:
            self.advance()
            now, out = self._ms() - self._booted, b""
            for sequence, message in self._decoder.feed(data):
                reply = self.firmware.receive(message, sequence, now, self._decoder.bad)
                out += wire.encode_frame(reply, sequence)
            return out

    def _ms(self) -> int:
        return int(1000 * (self.clock.now() - self._started_at) + 1e-6)

    def _emit(self, at: int, channel: int, pulse: int) -> None:
        width = pulse / 4 if pulse else np.nan
        self._pulses[channel] = width
        for listener in self._listeners:
            listener((at + self._booted) / 1000, channel, width)


def mock_id(seed: int) -> str:
    """Id of the mock robot of a seed."""
    return hashlib.sha256(f"mock {seed}".encode()).digest()[:8].hex()


class MockPort:
    """The cable to a `MockBoard`. A pulled plug raises the same errors as with pyserial.

    Args:
        mock: the board at the other end.
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
        """Pulls the plug; bytes on the line are lost."""
        self._plugged, self._arrived = False, b""

    def replug(self) -> None:
        """Puts the plug in again and reopens the port."""
        self._plugged = self.is_open = True

    def _check(self) -> None:
        if not self._plugged:
            raise OSError(5, "Input/output error")
        if not self.is_open:
            raise OSError(9, "Bad file descriptor")
