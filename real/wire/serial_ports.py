"""Which serial port the robot is at: by USB id, and then by asking who is there."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from eva_sim.clock import Clock, WallClock
from eva_sim.errors import LinkError, RobotError
from eva_sim.real.wire import protocol as wire
from eva_sim.real.wire.firmware_table import robot_config
from eva_sim.real.wire.link import BytePort, Link

#: USB vendor and product of what an ATmega2560 board talks through, and its name. None: any product.
USB_IDS: dict[tuple[int, int | None], str] = {
    (0x2341, None): "Arduino",
    (0x2A03, None): "Arduino",
    (0x1A86, 0x7523): "CH340",
    (0x0403, 0x6001): "FTDI",
    (0x10C4, 0xEA60): "CP210x",
    (0x16C0, 0x0483): "USB serial",
}
#: A write that takes longer has nobody at the other end [s].
WRITE_TIMEOUT = 0.2
#: A board that resets when its port is opened is in its boot loader for a second or two.
_TRIES, _PATIENCE = 15, 0.2


@dataclass(frozen=True)
class FoundPort:
    """A serial port of this computer.

    Attributes:
        path: of the device.
        name: what the USB id says it is; "" if it is none of ours.
        about: what the system says about it, for people.
    """

    path: str
    name: str
    about: str


class SerialLine:
    """A port opened by pyserial, with one system call for what usually needs but one.

    pyserial asks before and after each read and write whether the port is ready, which doubles what they
    cost. Here it is asked only when nothing came or went, and what that means is still its business.

    Args:
        serial: pyserial's, not waiting to read, of a system where ports are files.
    """

    def __init__(self, serial: Any) -> None:
        self._serial = serial
        self.fileno, self.close = serial.fileno, serial.close

    def write(self, data: bytes) -> int | None:
        """Sends bytes and says how many were taken."""
        with contextlib.suppress(BlockingIOError):
            return os.write(self.fileno(), data)
        return self._serial.write(data)

    def read(self, size: int) -> bytes:
        """What has arrived, at most `size` bytes; never waits."""
        with contextlib.suppress(BlockingIOError):
            if data := os.read(self.fileno(), size):
                return data
        return self._serial.read(size)


def find_ports() -> list[FoundPort]:
    """All serial ports, those that may be ours first.

    Raises:
        RobotError: pyserial is not installed.
    """
    ports = import_pyserial("serial.tools.list_ports").comports()
    found = [FoundPort(port.device, _name(port.vid, port.pid), port.description or "?") for port in ports]
    return sorted(found, key=lambda port: (not port.name, port.path))


def find_firmware_port(
    ports: Sequence[FoundPort] | None = None,
    opener: Callable[[str], BytePort] | None = None,
    clock: Clock | None = None,
) -> str:
    """Path of the one port at which our firmware answers.

    Asking makes a board limp, so ports whose USB id is none of ours are not touched.

    Args:
        ports: to look at; those of this computer if not given.
        opener: of a path; `open_serial` if not given.
        clock: for time-outs.

    Raises:
        RobotError: none, or several; the message lists what was found.
    """
    ports = find_ports() if ports is None else ports
    told = {port.path: _ask(port, opener or open_serial, clock or WallClock()) for port in ports}
    answering = [path for path, answer in told.items() if answer.startswith("robot")]
    if len(answering) == 1:
        return answering[0]
    listed = "; ".join(f"{path}: {answer}" for path, answer in told.items()) or "no serial port at all"
    count = "several robots answer" if answering else "no robot answers"
    raise RobotError(f"{count} ({listed}). Plug it in, or name its port, as in --port PATH.")


def open_serial(path: str, baud: int | None = None) -> Any:
    """Opens a serial port for `Link`: never waits to read, and for nobody else.

    Args:
        path: of the device.
        baud: symbols per second; that of assets/robot.toml if not given.

    Raises:
        LinkError: it cannot be opened; the message says what ports there are.
        RobotError: pyserial is not installed.
    """
    serial = import_pyserial("serial")
    speed = robot_config()["wire"]["baud"] if baud is None else baud
    try:
        line = serial.Serial(path, speed, timeout=0, write_timeout=WRITE_TIMEOUT, exclusive=True)
        return SerialLine(line) if hasattr(line, "fileno") else line
    except (OSError, ValueError) as error:
        others = ", ".join(port.path for port in find_ports()) or "none"
        hint = " Your user may need to join the group dialout." if _forbidden(path) else ""
        raise LinkError(f"{path} cannot be opened ({error}); ports here: {others}.{hint}") from error


def _ask(port: FoundPort, opener: Callable[[str], BytePort], clock: Clock) -> str:
    """What is at a port, in words; `robot ...` if it is one."""
    if not port.name:
        return f"not asked, {port.about}"
    try:
        link = Link(opener(port.path), clock)
        try:
            ident = link.ask(wire.Hello(), wire.Ident, _PATIENCE, _TRIES)
        finally:
            link.close()
    except LinkError as error:
        return str(error)
    return f"{port.name}, silent" if ident is None else f"robot {ident.robot.hex()}"


def _name(vendor: int | None, product: int | None) -> str:
    if vendor is None:
        return ""
    return USB_IDS.get((vendor, product)) or USB_IDS.get((vendor, None)) or ""


def _forbidden(path: str) -> bool:
    return os.path.exists(path) and not os.access(path, os.R_OK | os.W_OK)


def import_pyserial(module: str) -> Any:
    """A module of pyserial.

    Raises:
        RobotError: it is not installed.
    """
    import importlib

    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise RobotError(
            "serial ports need pyserial; install it with: pip install 'eva-sim[real]'"
        ) from error
