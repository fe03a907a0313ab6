"""Pololu Maestro, one or two: pulses for hobby servos, positions only commanded.

By the Maestro User's Guide: "5.c. Serial Protocol" and "5.e. Serial Servo Commands" (Pololu protocol,
so that two may share a line), "5.d. Cyclic Redundancy Check (CRC) Error Detection", and "4.b. Errors"
with "On startup or error". What to set in Pololu's Control Center first: docs/boards.md.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from contextlib import ExitStack, closing

import numpy as np
from numpy.typing import NDArray

from eva_sim.clock import Clock
from eva_sim.contract import Floats, load_spec
from eva_sim.errors import LinkError, RobotError
from eva_sim.real.boards.host_managed import COUNT, NAMES, HostManagedBoard, SensorReading
from eva_sim.real.boards.interface import BoardIdentity, BoardLimits
from eva_sim.real.boards.motion_rules import load_motion_rules
from eva_sim.real.wire.bus_port import BusPort, find_only_port, identify_robot, open_bus_port

CHANNELS = 24  # of the largest Maestro
DEVICE = 12  # its number on the line, as shipped
QUARTER = 0.25  # us, the unit of its targets
SET_TARGETS, SET_SPEED, SET_ACCELERATION, GET_POSITION, GET_ERRORS = 0x9F, 0x87, 0x89, 0x90, 0xA1
TRIES = 3  # to make it limp
FASTEST = 0x3FFF  # greatest speed that two data bytes hold; 0 would mean no limit
TIMEOUT = 1 << 5
ERRORS = (
    "serial signal error: wrong baud rate or noise",
    "serial overrun",
    "serial buffer full",
    "serial CRC error: noise on the line",
    "serial protocol error: an unknown or broken command",
    "serial timeout: the host was silent",
    "script stack error",
    "script call stack error",
    "script program counter error",
)


def crc7(data: bytes) -> int:
    """The Maestro's CRC-7 (polynomial x^7 + x^3 + 1, least significant bit first) of a command."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc ^ 0x91) >> 1 if crc & 1 else crc >> 1
    return crc


def septets(value: int) -> bytes:
    """A number as the two 7-bit data bytes of a command, low bits first."""
    return bytes((value & 0x7F, value >> 7 & 0x7F))


def describe_errors(bits: int) -> list[str]:
    """The error register in words."""
    known = [told for bit, told in enumerate(ERRORS) if bits >> bit & 1]
    strange = bits >> len(ERRORS)
    return [*known, f"unknown errors {strange:#x}"] if strange else known


class MaestroUnit:
    """One Maestro and the face's channels on it.

    Args:
        port: its line, perhaps shared with another.
        device: its number there; None if it is alone, which then goes without (compact protocol).
        crc: whether commands end with a CRC; it must be set the same on the Maestro.
        actuators: which of the face are on its channels 0, 1, 2, ...
    """

    def __init__(self, port: BusPort, device: int | None, crc: bool, actuators: NDArray[np.intp]) -> None:
        self.port, self.device, self.actuators = port, device, actuators
        self._crc = crc

    def __str__(self) -> str:
        return f"Maestro at {self.port.name}" + (f", device {self.device}" if self.device else "")

    def command(self, code: int, *data: int) -> bytes:
        """A command in the Pololu protocol, or in the compact one."""
        to = (code,) if self.device is None else (0xAA, self.device, code & 0x7F)
        packet = bytes((*to, *data))
        return packet + bytes((crc7(packet),)) if self._crc else packet

    def set_targets(self, quarters: Sequence[int]) -> None:
        """Pulses of all its channels from 0 on [quarters of a us]; 0 is off."""
        data = b"".join(septets(q) for q in quarters)
        self.port.write(self.command(SET_TARGETS, len(quarters), 0, *data))

    def set_speeds(self, speeds: Sequence[int]) -> None:
        """Fastest change of each channel [quarters of a us per 10 ms], with no limit of acceleration."""
        for channel, speed in enumerate(speeds):
            self.port.write(self.command(SET_SPEED, channel, *septets(speed)))
            self.port.write(self.command(SET_ACCELERATION, channel, 0, 0))

    def ask(self, channels: Sequence[int]) -> tuple[int, list[int]]:
        """Its error bits, which this clears, and pulses of some channels [quarters of a us].

        One request for all, since each wait for a USB packet costs a millisecond. Asked twice at most.
        """
        request = self.command(GET_ERRORS) + b"".join(self.command(GET_POSITION, c) for c in channels)
        for last in (False, True):
            self.port.clearPort()
            self.port.write(request)
            try:
                reply = self.port.read(2 + 2 * len(channels))
                break
            except LinkError:
                if last:
                    raise
        numbers = [int.from_bytes(reply[i : i + 2], "little") for i in range(0, len(reply), 2)]
        return numbers[0], numbers[1:]


class Maestro(HostManagedBoard):
    """One or two Maestros; the second carries the channels from 24 on.

    Args:
        ports: one line for each Maestro, or one that they share.
        devices: the number of each on its line; None for one alone on its line.
        robot: the id that calibrations are bound to.
        version: what USB calls the device.
        crc: whether CRC is enabled on the Maestros; it should be.
        clock: what time is gone by.
        owner: the thread whose death makes the face limp.

    Raises:
        LinkError: a Maestro does not answer.
        RobotError: a Maestro refuses what it is sent, or has too few channels.
    """

    def __init__(
        self,
        ports: Sequence[BusPort],
        devices: Sequence[int | None],
        robot: str,
        version: str = "unknown",
        crc: bool = True,
        clock: Clock | None = None,
        owner: threading.Thread | None = None,
    ) -> None:
        identity = BoardIdentity("maestro", robot, version, None, "us", measured=False, dead_man="host")
        super().__init__(identity, QUARTER, load_motion_rules().widest, clock, owner)
        lines = list(ports) if len(ports) == len(devices) else [ports[0]] * len(devices)
        self._units = [
            MaestroUnit(line, device, crc, actuators)
            for line, device, actuators in zip(lines, devices, _shares(len(devices)), strict=True)
        ]
        for unit in self._units:
            _shake_hands(unit)
        self._let_go()
        self._begin()

    def _keep(self, limits: BoardLimits) -> None:
        """Slew is also set on the board: then a late host makes no steps of several slews."""
        tens = load_motion_rules().period / 0.01
        for unit in self._units:
            slews = limits.slew[unit.actuators] / QUARTER / tens
            unit.set_speeds([min(max(math.ceil(s), 1), FASTEST) for s in slews])

    def _wake(self, channels: NDArray[np.intp], start: Floats) -> None:
        self._go(self.wanted)

    def _go(self, wanted: Floats) -> None:
        for unit in self._units:
            unit.set_targets([round(w / QUARTER) for w in np.nan_to_num(wanted[unit.actuators])])

    def _let_go(self) -> None:
        """Pulses off, and looked after: a command lost to noise must not leave a servo driven."""
        for unit in self._units:
            channels = range(len(unit.actuators))
            for _ in range(TRIES):
                unit.set_targets([0] * len(channels))
                if not any(unit.ask(channels)[1]):
                    break
            else:
                raise LinkError(f"{unit} does not end its pulses; cut the servos' power.")

    def _sense(self, fully: bool) -> SensorReading:
        """Errors, and whether pulses are still there: a Maestro that lost power comes back with none."""
        faults, position = [], self.wanted.copy()
        for unit in self._units:
            driven = np.flatnonzero(self.awake[unit.actuators])
            channels = driven if fully else driven[:1]
            errors, quarters = unit.ask(channels.tolist())
            # A Maestro with a timeout, as it should have, counts a limp and quiet face as one.
            told = describe_errors(errors if driven.size else errors & ~TIMEOUT)
            faults += [f"{unit}: {word}" for word in told]
            asked = unit.actuators[channels]
            position[asked] = np.array(quarters) * QUARTER
            if not told:
                faults += [f"{NAMES[i]}: the Maestro ended its pulses" for i in asked if position[i] == 0]
        return SensorReading(faults, position if fully else None)

    def _last_words(self) -> dict[BusPort, bytes]:
        describe_errors: dict[BusPort, bytes] = {}
        for unit in self._units:
            with unit.port.recording() as said:
                unit.set_targets([0] * len(unit.actuators))
            describe_errors[unit.port] = describe_errors.get(unit.port, b"") + bytes(said)
        return describe_errors

    def _close_port(self) -> None:
        for unit in self._units:
            unit.port.close()


def _shares(maestros: int) -> list[NDArray[np.intp]]:
    """The actuators on each Maestro, in the order of its channels."""
    order = np.argsort(load_spec().column("channel"))
    if (load_spec().column("channel")[order] != np.arange(COUNT)).any():
        raise RobotError("face.toml numbers its channels with gaps; a Maestro needs 0, 1, 2 and so on.")
    if maestros * CHANNELS < COUNT:
        raise RobotError(f"{COUNT} servos need two Maestros; give both: devices=(12, 13).")
    return [order[i * CHANNELS : (i + 1) * CHANNELS] for i in range(maestros)]


def _shake_hands(unit: MaestroUnit) -> None:
    """Finds out whether it is there, hears us right and has enough channels.

    Raises:
        LinkError: it does not answer.
        RobotError: it finds errors in what we send.
    """
    last = len(unit.actuators) - 1
    unit.ask([last])  # whatever happened before is over; reading clears it
    errors, _ = unit.ask([last])
    if errors & ~TIMEOUT:
        raise RobotError(
            f"{unit} answers but reports {'; '.join(describe_errors(errors))}. In the Control Center, "
            "tick Enable CRC (or pass crc=False), and use one with enough channels (docs/boards.md)."
        )


def open_maestro(
    port: str | Sequence[str] | None = None,
    devices: Sequence[int | None] | None = None,
    robot: str | None = None,
    crc: bool = True,
    baud: int = 115200,
    clock: Clock | None = None,
) -> Maestro:
    """Connects to the Maestros behind one or two serial ports.

    Args:
        port: the command port of each, the first that of channels 0 to 23; or one whose line they share;
            None to look for that.
        devices: the device number of each; by default none needed on ports of their own, and 12 and 13
            on a line that they share.
        robot: the robot's id; by default the USB serial numbers.
        crc: whether CRC is enabled on the Maestros.
        baud: speed of a TTL line; USB does not care.
        clock: what time is gone by.

    Raises:
        LinkError: a port or a Maestro does not answer.
        RobotError: a Maestro refuses what it is sent.
    """
    port = port or find_only_port("maestro")
    names = [port] if isinstance(port, str) else list(port)
    devices = devices or ((DEVICE, DEVICE + 1) if len(names) == 1 else (None,) * len(names))
    if len(names) not in (1, len(devices)):
        raise RobotError(
            f"{len(names)} ports for {len(devices)} Maestros: give one for each, or one for all."
        )
    robot, version = identify_robot(names, robot)
    with ExitStack() as opened:
        ports = [opened.enter_context(closing(open_bus_port(name, baud))) for name in names]
        board = Maestro(ports, devices, robot, version, crc, clock)
        opened.pop_all()  # from here on the board closes them
        return board
