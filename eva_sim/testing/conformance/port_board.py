"""A board at a serial port, seen from its host's side only: its pulses are what `STATUS` says.

Nobody stands on the servos' side of a physical board, so its own word is taken for its pulses. It is asked
every few milliseconds, because a question is no sign of life.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from eva_sim.clock import WallClock
from eva_sim.contract import FaceSpec, Floats
from eva_sim.real.wire import protocol as wire
from eva_sim.real.wire.firmware_table import robot_config
from eva_sim.real.wire.serial_ports import open_serial

#: Interval at which the board is asked while the host waits, and longest wait for its answer [s].
_ASKED, _ANSWERED = 0.006, 0.02
#: Sequence number of these questions, which the host's own link never reaches.
_NUMBER = 0xFFFFFFFF


class PortBoard:
    """A board at a serial port, with the interface of `MockBoard`.

    Args:
        spec: the face.
        path: path of the port.

    Attributes:
        clock: the wall clock, which asks the board while it waits.
        port: the port for a `Link`; every `STATUS` that passes is looked at.

    Raises:
        LinkError: the port cannot be opened.
    """

    def __init__(self, spec: FaceSpec, path: str) -> None:
        self.spec, self.clock = spec, _AskingClock(self.ask)
        self._line = open_serial(path, robot_config(spec)["wire"]["baud"])
        self.port = _TappedPort(self._line, self._look)
        self._period: float = robot_config(spec)["wire"]["period"]
        self._pulses, self._listeners = (
            np.full(len(spec), np.nan),
            list[Callable[[float, int, float], None]](),
        )
        self._seen, self._uptime, self._passed = self.clock.now(), 0, 0

    @property
    def pulses(self) -> Floats:
        """Pulses now, by channel [us]; NaN where limp."""
        self.ask()
        return self._pulses.copy()

    def listen(self, callback: Callable[[float, int, float], None]) -> None:
        """From now on calls `callback(time, channel, width [us])` at every change that is seen."""
        self._listeners.append(callback)

    def periods(self) -> int:
        """How many wire periods may lie between the last two looks."""
        return int(self._passed / 1000 / self._period) + 2

    def ask(self, patience: float = _ANSWERED) -> None:
        """Asks the board for its pulses; noise on the line may take the answer."""
        self.port.write(b"\0" + wire.encode_frame(wire.Query(), _NUMBER))
        until, seen = self.clock.now() + patience, self._seen
        while self._seen == seen and self.clock.now() < until:
            self.clock.wait(self._line, until - self.clock.now())
            self.port.read(4096)

    def close(self) -> None:
        """Leaves the board limp and closes the port."""
        self.port.write(b"\0" + wire.encode_frame(wire.Disarm(), _NUMBER))
        self.ask()
        self._line.close()

    def _look(self, status: wire.Status) -> None:
        self._seen = self.clock.now()
        # By the board's own time, since answers may have waited for a busy computer.
        self._passed, self._uptime = max(0, status.uptime - self._uptime), status.uptime
        for channel, pulse in enumerate(status.pulses):
            width = pulse / 4 if pulse else np.nan
            if width == self._pulses[channel] or (np.isnan(width) and np.isnan(self._pulses[channel])):
                continue
            self._pulses[channel] = width
            for listener in self._listeners:
                listener(self._seen, channel, width)


class _TappedPort:
    """A port that shows every `STATUS` that is read from it."""

    def __init__(self, line: Any, look: Callable[[wire.Status], None]) -> None:
        self._line, self._look = line, look
        self._decoder = wire.Decoder(wire.TO_HOST)
        self.write, self.close, self.fileno = line.write, line.close, line.fileno

    def read(self, size: int) -> bytes:
        data: bytes = self._line.read(size)
        for frame in self._decoder.feed(data):
            if isinstance(frame.message, wire.Status):
                self._look(frame.message)
        return data


class _AskingClock(WallClock):
    """The wall clock; it asks for the pulses again and again while somebody sleeps."""

    def __init__(self, ask: Callable[[float], None]) -> None:
        self._ask = ask

    def sleep(self, duration: float) -> None:
        until = self.now() + duration
        while (left := until - self.now()) > _ASKED:
            self._ask(min(left, _ANSWERED))
            super().sleep(min(_ASKED, until - self.now()))
        super().sleep(until - self.now())
