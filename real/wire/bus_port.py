"""One serial port that fails in one way, `LinkError`, and has the methods that both bus libraries expect.

The libraries' own ports spin while they wait, go by the time of day and swallow or leak the system's
errors; both libraries take any object with these methods instead.
"""

from __future__ import annotations

import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from eva_sim.errors import LinkError
from eva_sim.real.wire.serial_ports import import_pyserial

#: Longest a single read waits [s]; replies are awaited in slices of it.
SLICE = 0.002
#: What USB adapters and busy hosts may add to an answer [s]; FTDI's own default is 16 ms.
LATENCY = 0.05
#: A write that takes longer has nobody at the other end [s].
WRITE_TIMEOUT = 0.1
#: USB vendor and product of the boards and adapters that each kind usually comes with.
USB_IDS = {
    "maestro": {(0x1FFB, product) for product in (0x0089, 0x008A, 0x008B, 0x008C)},
    "feetech": {(0x1A86, 0x55D3), (0x1A86, 0x7523)},  # CH343 and CH340
    "dynamixel": {(0x0403, 0x6014)},  # the FTDI chip of a U2D2
}


class BusPort:
    """A serial line, or anything with pyserial's `read`, `write`, `reset_input_buffer` and `close`.

    Args:
        line: the open line; its reads wait for `SLICE` at most.
        name: for people.
        baud: bits per second, from which timeouts follow.
        latency: what an answer may be late by [s]; `LATENCY` if None.
    """

    def __init__(self, line: Any, name: str, baud: int, latency: float | None = None) -> None:
        self._line, self.name, self._baud = line, name, baud
        self._latency = LATENCY if latency is None else latency
        self._deadline = 0.0
        self._record: bytearray | None = None

    def write(self, data: bytes) -> None:
        """Sends all of it."""
        self.writePort(data)

    def read(self, count: int) -> bytes:
        """Exactly `count` bytes.

        Raises:
            LinkError: they did not come in time.
        """
        self.setPacketTimeout(count)
        got = b""
        while len(got) < count:
            got += self.readPort(count - len(got))
            if len(got) < count and self.isPacketTimeout():
                raise LinkError(f"{self.name} sent {len(got)} of {count} bytes; check power and cable.")
        return got

    @contextmanager
    def recording(self) -> Iterator[bytearray]:
        """Meanwhile nothing is sent; what would have been is written down."""
        self._record = bytearray()
        try:
            yield self._record
        finally:
            self._record = None

    def number(self) -> int | None:
        """The line's file number; None if it is no file."""
        try:
            return int(self._line.fileno())
        except AttributeError:
            return None

    def close(self) -> None:
        """Lets go of the line. May be called twice."""
        with self._explained():
            self._line.close()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (OSError, termios.error) as error:
            raise LinkError(f"{self.name} is gone ({error}); plug it in and connect again.") from error

    # What scservo_sdk and dynamixel_sdk ask of a port, in their spelling.

    @property
    def is_using(self) -> bool:
        """Never in use: the board's lock sees to that, and an error must not leave it blocked."""
        return False

    @is_using.setter
    def is_using(self, _: bool) -> None:
        pass

    def getBaudRate(self) -> int:
        return self._baud

    def clearPort(self) -> None:
        with self._explained():
            self._line.reset_input_buffer()

    def readPort(self, count: int) -> bytes:
        with self._explained():
            return bytes(self._line.read(count))

    def writePort(self, packet: Any) -> int:
        if self._record is not None:
            self._record += bytes(packet)
            return len(packet)
        with self._explained():
            return int(self._line.write(bytes(packet)))

    def setPacketTimeout(self, count: int) -> None:
        self.setPacketTimeoutMillis(1e3 * (10.0 * count / self._baud + self._latency))

    def setPacketTimeoutMillis(self, milliseconds: float) -> None:
        self._deadline = time.monotonic() + milliseconds / 1e3

    def isPacketTimeout(self) -> bool:
        return time.monotonic() > self._deadline


def open_bus_port(name: str, baud: int) -> BusPort:
    """Opens a serial port for us alone.

    Raises:
        LinkError: there is none, or it is taken.
        RobotError: pyserial is not installed.
    """
    serial = import_pyserial("serial")
    try:
        line = serial.Serial(name, baud, timeout=SLICE, write_timeout=WRITE_TIMEOUT, exclusive=True)
        line.reset_input_buffer()
    except (OSError, termios.error, ValueError) as error:
        raise LinkError(f"cannot open {name} ({error}); check cable, name and permission.") from error
    return BusPort(line, name, baud)


def likely_ports(kind: str) -> list[str]:
    """The ports behind which a board of this kind may be, by their USB id.

    Raises:
        RobotError: pyserial is not installed.
    """
    listed = import_pyserial("serial.tools.list_ports").comports()
    ports = [p for p in listed if (p.vid, p.pid) in USB_IDS[kind]]
    # A Maestro has two: the first takes commands, the second is its TTL line.
    return sorted(p.device for p in ports if kind != "maestro" or str(p.location).endswith(".0"))


def find_only_port(kind: str) -> str:
    """The one port behind which a board of this kind may be; opening it then asks who is there.

    Raises:
        LinkError: there is none, or there are several.
        RobotError: pyserial is not installed.
    """
    names = likely_ports(kind)
    if len(names) != 1:
        found = ", ".join(names) or "none"
        raise LinkError(f"not one port that may be a {kind}, but {found}; say which: port=...")
    return names[0]


def usb_serial(name: str) -> tuple[str, str] | None:
    """Serial number and product of the USB device behind a port; None if it has none.

    A calibration is bound to this number, so two boards of one kind are not mixed up.
    """
    import os

    for port in import_pyserial("serial.tools.list_ports").comports():
        if os.path.realpath(port.device) == os.path.realpath(name) and port.serial_number:
            return str(port.serial_number), str(port.product or port.description)
    return None


def identify_robot(names: list[str], told: str | None) -> tuple[str, str]:
    """The robot's id, from USB unless the user said it, and what the device calls itself.

    Raises:
        LinkError: neither is known.
    """
    found = [usb_serial(name) for name in names]
    product = ", ".join(f[1] for f in found if f) or "unknown"
    if told:
        return told, product
    if not all(found):
        raise LinkError(
            f"{', '.join(names)} has no USB serial number to tell this robot from others; give it a name, "
            'the same one each time: --robot-id NAME (robot_id="..." in Python).'
        )
    return "+".join(f[0] for f in found if f), product
