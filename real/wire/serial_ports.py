"""Serial ports: finding the board's port by USB id, asking who answers there, and opening it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eva_sim.clock import Clock, WallClock
from eva_sim.errors import SEE_DOCTOR, LinkError, RobotError
from eva_sim.optional import import_optional
from eva_sim.real.wire import protocol as wire
from eva_sim.real.wire.known_ports import UsbDevice, known_devices
from eva_sim.real.wire.link import PORT_ERRORS, BytePort, Link

#: For each kind of board, USB vendor and product of the adapters that it comes with, and their names.
#: A product of None stands for any product of the vendor. Others are listed and never opened unasked.
USB_IDS: Mapping[str, Mapping[tuple[int, int | None], str]] = {
    "firmware": {  # microcontroller boards and their adapters
        (0x2341, None): "Arduino",
        (0x2A03, None): "Arduino",
        (0x2E8A, 0x0005): "MicroPython board",
        (0x2E8A, 0x000C): "Debug Probe",
        (0x2E8A, None): "Raspberry Pi Pico",
        (0x303A, None): "Espressif",
        (0x1A86, 0x7523): "CH340",
        (0x1A86, 0x55D3): "CH343",
        (0x1A86, 0x55D4): "CH9102",
        (0x0403, 0x6001): "FTDI",
        (0x10C4, 0xEA60): "CP210x",
        (0x16C0, 0x0483): "USB serial",
    },
    "maestro": {(0x1FFB, product): "Maestro" for product in (0x0089, 0x008A, 0x008B, 0x008C)},
    "feetech": {(0x1A86, 0x55D3): "CH343", (0x1A86, 0x7523): "CH340"},
    "dynamixel": {(0x0403, 0x6014): "FTDI"},  # the chip of a U2D2
}
#: Adapters of a general kind, to which anything may be connected, also a printer. They are asked only where a
#: robot was found before, see `known_ports`.
GENERAL = (
    "CH340", "CH343", "CH9102", "FTDI", "CP210x", "USB serial", "MicroPython board", "Debug Probe",
)  # fmt: skip
#: Longest time that a write to the firmware's port may take [s]; a longer one means that nobody reads.
WRITE_TIMEOUT = 0.2
#: A board that resets when its port is opened is in its boot loader for a second or two.
_TRIES, _PATIENCE = 15, 0.2
#: Advice about an adapter of a general kind.
NAME_IT = "may be any device; name it once with --port, and auto finds it from then on by its serial number"
#: Errors of opening a port; pyserial raises ValueError for a bad setting.
_OPEN_ERRORS: tuple[type[Exception], ...] = (*PORT_ERRORS, ValueError)


@dataclass(frozen=True)
class FoundPort:
    """A serial port of this computer.

    Attributes:
        path: path of the device.
        adapter: name of the adapter by its USB id; "" if boards of this kind do not come with it.
        description: the operating system's description of the port.
        unknown: whether anything may be behind it, so that it is not opened unless it is named.
    """

    path: str
    adapter: str
    description: str
    unknown: bool = False


class SerialLine:
    """A port opened by pyserial that reads and writes with a single system call where one is enough.

    pyserial asks the system before and after each read and write whether the port is ready, which doubles
    their cost. This class asks pyserial only when nothing was read or written, to find out why.

    Args:
        serial: a port of pyserial that does not wait to read, on a system where ports are files.
    """

    def __init__(self, serial: Any) -> None:
        self._serial = serial
        self.fileno = serial.fileno

    def close(self) -> None:
        """Closes the port. May be called twice."""
        close_port(self._serial)

    def write(self, data: bytes) -> int | None:
        """Sends bytes and returns how many were taken."""
        with contextlib.suppress(BlockingIOError):
            return os.write(self.fileno(), data)
        return self._serial.write(data)

    def read(self, size: int) -> bytes:
        """Returns at most `size` of the bytes that have arrived; never waits."""
        with contextlib.suppress(BlockingIOError):
            if data := os.read(self.fileno(), size):
                return data
        return self._serial.read(size)


def find_ports(kind: str) -> list[FoundPort]:
    """All serial ports of this computer; those whose adapter fits this kind of board come first.

    Raises:
        RobotError: pyserial is not installed.
    """
    known, found = known_devices(kind), list[FoundPort]()
    for port in listed_ports():
        adapter = _adapter(kind, port)
        unknown = adapter in GENERAL and UsbDevice.of(port) not in known
        found.append(FoundPort(port.device, adapter, port.description or "?", unknown))
    return sorted(found, key=lambda port: (not port.adapter, port.path))


def likely_ports(kind: str) -> list[str]:
    """Paths of the ports that may be asked for a board of this kind: by their USB id, or known from before.

    Raises:
        RobotError: pyserial is not installed.
    """
    return [port.path for port in find_ports(kind) if port.adapter and not port.unknown]


def describe_unasked(kind: str) -> str:
    """Advice about ports that are not asked although such a board may be there; "" if there is none."""
    unknown = [f"{port.path} ({port.adapter})" for port in find_ports(kind) if port.unknown]
    return f"; {', '.join(unknown)} {NAME_IT}" if unknown else ""


def find_only_port(kind: str) -> str:
    """Path of the only port with the USB id of this kind of board. It is not opened.

    Raises:
        LinkError: no such port, or several.
        RobotError: pyserial is not installed.
    """
    paths = likely_ports(kind)
    if len(paths) != 1:
        found = (", ".join(paths) or "none") + " was found" + describe_unasked(kind)
        raise LinkError(
            f"one port with the USB id of a {kind} board is needed, but {found}; "
            f"plug it in, or name its port: --port PATH (port=... in Python). {SEE_DOCTOR}"
        )
    return paths[0]


def find_firmware_port(
    baud: int,
    ports: Sequence[FoundPort] | None = None,
    opener: Callable[[str], BytePort] | None = None,
    clock: Clock | None = None,
) -> str:
    """Path of the only port at which our firmware answers.

    A board that is asked goes limp, and a printer spoils its print. So ports with an unknown USB id are not
    opened, and adapters of a general kind only where a robot was found before.

    Args:
        baud: symbols per second.
        ports: ports to look at; by default those of this computer.
        opener: opens a port by its path; by default `open_serial`.
        clock: clock for time-outs; by default the wall clock.

    Raises:
        RobotError: no robot, or several; the message lists what was found.
    """
    ports = find_ports("firmware") if ports is None else ports
    opened = opener or (lambda path: open_serial(path, baud))
    answers = {port.path: _ask(port, opened, clock or WallClock()) for port in ports}
    robots = [path for path, answer in answers.items() if answer.startswith("robot")]
    if len(robots) == 1:
        return robots[0]
    listed = "; ".join(f"{path}: {answer}" for path, answer in answers.items()) or "no serial port at all"
    count = "several robots answer" if robots else "no robot answers"
    raise RobotError(
        f"{count} ({listed}). Plug it in, or name its port: --port PATH (port=... in Python). "
        f"Without hardware there are the bodies virtual and mock. {SEE_DOCTOR}"
    )


def open_serial(path: str, baud: int) -> Any:
    """Opens a serial port for a `Link`: reads never wait, and no other program can open it.

    Args:
        path: path of the device.
        baud: symbols per second.

    Raises:
        LinkError: the port cannot be opened; the message lists the ports of this computer.
        RobotError: pyserial is not installed.
    """
    port = open_port(path, baud, 0.0, WRITE_TIMEOUT)
    return SerialLine(port) if hasattr(port, "fileno") else port


def open_port(path: str, baud: int, read_timeout: float, write_timeout: float) -> Any:
    """Opens a serial port that no other program can open meanwhile.

    Args:
        path: path of the device.
        baud: symbols per second.
        read_timeout: longest wait of a read [s].
        write_timeout: longest time that a write may take [s].

    Returns:
        A `serial.Serial`.

    Raises:
        LinkError: the port cannot be opened; the message lists the ports of this computer.
        RobotError: pyserial is not installed.
    """
    serial = import_optional("serial", "real", RobotError)
    try:
        return serial.Serial(path, baud, timeout=read_timeout, write_timeout=write_timeout, exclusive=True)
    except _OPEN_ERRORS as error:
        others = ", ".join(sorted(found.device for found in listed_ports())) or "none"
        hint = " Your user may need to join the group dialout." if _forbidden(path) else ""
        told = f"{path} cannot be opened ({error}); ports here: {others}.{hint} {SEE_DOCTOR}"
        raise LinkError(told) from error


def close_port(port: Any) -> None:
    """Closes a port of `open_port` and ends its lock, which a process that was forked meanwhile would keep.

    Raises:
        OSError: the port is gone.
    """
    with contextlib.suppress(*PORT_ERRORS):  # pyserial ends the lock before it notices that a port is gone
        port.exclusive = False
    port.close()


def usb_identity(path: str) -> tuple[str, str] | None:
    """Serial number and product of the USB device behind a port; None if it has no serial number.

    A calibration is bound to this number, so that two boards of one kind are not mistaken for each other.
    """
    for port in listed_ports():
        if os.path.realpath(port.device) == os.path.realpath(path) and port.serial_number:
            return str(port.serial_number), str(port.product or port.description)
    return None


def identify_robot(paths: Sequence[str], robot_id: str | None) -> tuple[str, str]:
    """Id of the robot behind some ports, and the product name of its USB devices.

    Args:
        paths: paths of the ports.
        robot_id: id given by the user; None takes the USB serial numbers.

    Raises:
        LinkError: no id was given, and a device has no USB serial number.
    """
    found = [usb_identity(path) for path in paths]
    product = ", ".join(name for _, name in filter(None, found)) or "unknown"
    if robot_id:
        return robot_id, product
    if not all(found):
        raise LinkError(
            f"{', '.join(paths)} has no USB serial number that identifies the robot; give the robot an id, "
            'the same one each time: --robot-id NAME (robot_id="..." in Python).'
        )
    return "+".join(number for number, _ in filter(None, found)), product


def listed_ports() -> list[Any]:
    """The serial ports of this computer, as pyserial describes them.

    Raises:
        RobotError: pyserial is not installed.
    """
    return list(import_optional("serial.tools.list_ports", "real", RobotError).comports())


def _adapter(kind: str, port: Any) -> str:
    """Name of a port's adapter, if boards of this kind come with it; else ""."""
    if port.vid is None:
        return ""
    # A Maestro has two ports: the first takes commands, the second is its TTL line.
    if kind == "maestro" and not str(port.location).endswith(".0"):
        return ""
    ids = USB_IDS[kind]
    return ids.get((port.vid, port.pid)) or ids.get((port.vid, None)) or ""


def _ask(port: FoundPort, opener: Callable[[str], BytePort], clock: Clock) -> str:
    """Describes what is at a port; the description of a robot begins with `robot`."""
    if port.unknown:
        return f"{port.adapter}, not asked: it {NAME_IT}"
    if not port.adapter:
        return "not asked" if port.description in ("", "n/a") else f"not asked, {port.description}"
    try:
        link = Link(opener(port.path), clock)
        try:
            ident = link.ask(wire.Hello(), wire.Ident, _PATIENCE, _TRIES)
        finally:
            link.close()
    except LinkError as error:
        return str(error).removesuffix(f" {SEE_DOCTOR}")  # the list ends with that
    return f"{port.adapter}, silent" if ident is None else f"robot {ident.robot.hex()}"


def _forbidden(path: str) -> bool:
    return os.path.exists(path) and not os.access(path, os.R_OK | os.W_OK)
