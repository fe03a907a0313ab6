"""A serial port with the methods that the vendors' libraries expect; it fails with `LinkError` only.

The libraries' own ports use the processor while they wait, measure time by the time of day, and hide or
leak the system's errors. Both libraries accept any object with these methods instead.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self

from eva_sim.errors import SEE_DOCTOR, LinkError, NoAnswerError
from eva_sim.real.wire.link import PORT_ERRORS
from eva_sim.real.wire.serial_ports import close_port, open_port

#: Longest wait of a single read [s]; a reply is awaited in several reads.
READ_TIMEOUT = 0.002
#: Delay that USB adapters and busy hosts may add to an answer [s]; FTDI's own default is 16 ms.
LATENCY = 0.05
#: A wait in vain doubles the next ones, up to this many times the usual latency; they stay long until none
#: was in vain for a time [s]. An answer of many servos comes in parts, and any of them may be late.
MOST_STRETCHED, CALM = 4, 1.0
#: Longest time that a write may take [s]; a longer one means that nobody reads.
WRITE_TIMEOUT = 0.1


class BusPort:
    """A serial line, or anything with pyserial's `read`, `write`, `reset_input_buffer` and `close`.

    Args:
        line: the open line; its reads wait for `READ_TIMEOUT` at most.
        name: name of the port in error messages.
        baud: bits per second, from which timeouts follow.
        latency: delay that an answer may have [s]; `LATENCY` if None.
    """

    @classmethod
    def open(cls, path: str, baud: int) -> Self:
        """Opens a serial port that no other program can open meanwhile.

        Raises:
            LinkError: there is no such port, or another program uses it.
            RobotError: pyserial is not installed.
        """
        port = cls(open_port(path, baud, READ_TIMEOUT, WRITE_TIMEOUT), path, baud)
        port.clearPort()
        return port

    def __init__(self, line: Any, name: str, baud: int, latency: float | None = None) -> None:
        self._line, self.name, self._baud = line, name, baud
        self._latency = LATENCY if latency is None else latency
        self._deadline, self._stretch, self._missed, self._calm_at = 0.0, 1, False, 0.0
        self._record: bytearray | None = None
        self._write: Callable[[bytes], int] = self.write_line

    def write_through(self, write: Callable[[bytes], int]) -> None:
        """From now on bytes are sent by this function, which raises `OSError` if that fails."""
        self._write = write

    def write_line(self, data: bytes) -> int:
        """Writes bytes to the line itself; returns how many were taken."""
        return int(self._line.write(data))

    def write(self, data: bytes) -> None:
        """Sends all bytes."""
        self.writePort(data)

    def read(self, count: int) -> bytes:
        """Reads exactly `count` bytes.

        Raises:
            NoAnswerError: they did not arrive in time.
        """
        self.setPacketTimeout(count)
        received = b""
        while len(received) < count:
            received += self.readPort(count - len(received))
            if len(received) < count and self.isPacketTimeout():
                told = f"{self.name} sent {len(received)} of {count} bytes; check power and cable."
                raise NoAnswerError(f"{told} {SEE_DOCTOR}")
        return received

    @contextmanager
    def recording(self) -> Iterator[bytearray]:
        """Within this context, bytes are collected instead of sent."""
        self._record = bytearray()
        try:
            yield self._record
        finally:
            self._record = None

    def file_number(self) -> int | None:
        """File number of the line; None if it is no file."""
        try:
            return int(self._line.fileno())
        except AttributeError:
            return None

    def close(self) -> None:
        """Closes the line. May be called twice."""
        with self._link_errors():
            close_port(self._line)

    @contextmanager
    def _link_errors(self) -> Iterator[None]:
        try:
            yield
        except PORT_ERRORS as error:
            raise LinkError(
                f"{self.name} is gone ({error}); plug it in and connect again. {SEE_DOCTOR}"
            ) from error

    # The interface that scservo_sdk and dynamixel_sdk expect of a port, in their spelling.

    @property
    def is_using(self) -> bool:
        """Always False: the board's lock prevents concurrent use, and an error must not block the port."""
        return False

    @is_using.setter
    def is_using(self, _: bool) -> None:
        pass

    def getBaudRate(self) -> int:
        return self._baud

    def clearPort(self) -> None:
        with self._link_errors():
            self._line.reset_input_buffer()

    def readPort(self, count: int) -> bytes:
        with self._link_errors():
            return bytes(self._line.read(count))

    def writePort(self, packet: Any) -> int:
        if self._record is not None:
            self._record += bytes(packet)
            return len(packet)
        with self._link_errors():
            return self._write(bytes(packet))

    def setPacketTimeout(self, count: int) -> None:
        now = time.monotonic()
        if self._missed:
            self._stretch, self._calm_at = min(2 * self._stretch, MOST_STRETCHED), now + CALM
        elif now >= self._calm_at:
            self._stretch = 1
        self._missed = False
        self.setPacketTimeoutMillis(1e3 * (10.0 * count / self._baud + self._stretch * self._latency))

    def setPacketTimeoutMillis(self, milliseconds: float) -> None:
        self._deadline = time.monotonic() + milliseconds / 1e3

    def isPacketTimeout(self) -> bool:
        over = time.monotonic() > self._deadline
        self._missed = self._missed or over
        return over
