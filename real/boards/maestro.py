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
from functools import partial

import numpy as np
from numpy.typing import NDArray

from eva_sim.clock import Clock
from eva_sim.contract import FaceSpec, Floats
from eva_sim.errors import LinkError, RobotError
from eva_sim.real.boards.host_managed import HostManagedBoard
from eva_sim.real.boards.host_state import SensorReading
from eva_sim.real.boards.interface import BoardIdentity, BoardLimits
from eva_sim.real.boards.motion_rules import load_motion_rules
from eva_sim.real.wire.bus_port import BusPort
from eva_sim.real.wire.serial_ports import find_only_port, identify_robot

CHANNELS = 24  # number of channels of the largest Maestro
DEVICE = 12  # device number as shipped
QUARTER = 0.25  # unit of targets [us]
SET_TARGETS, SET_SPEED, SET_ACCELERATION, GET_POSITION, GET_ERRORS = 0x9F, 0x87, 0x89, 0x90, 0xA1
TRIES = 3  # tries to make it limp
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
    """Descriptions of the errors in the error register."""
    known = [description for bit, description in enumerate(ERRORS) if bits >> bit & 1]
    unknown = bits >> len(ERRORS)
    return [*known, f"unknown errors {unknown:#x}"] if unknown else known


class MaestroUnit:
    """One Maestro and the face's actuators on it.

    Args:
        port: its serial line, which another Maestro may share.
        device: its device number on the line; None if it is alone there (compact protocol).
        crc: whether commands end with a CRC; the Maestro must have the same setting.
        actuators: indices of the actuators on its channels 0, 1, 2, ...
    """

    def __init__(self, port: BusPort, device: int | None, crc: bool, actuators: NDArray[np.intp]) -> None:
        self.port, self.device, self.actuators = port, device, actuators
        self._crc = crc

    def __str__(self) -> str:
        return f"Maestro at {self.port.name}" + (f", device {self.device}" if self.device else "")

    def command(self, code: int, *data: int) -> bytes:
        """A command in the Pololu protocol, or in the compact one."""
        head = (code,) if self.device is None else (0xAA, self.device, code & 0x7F)
        packet = bytes((*head, *data))
        return packet + bytes((crc7(packet),)) if self._crc else packet

    def set_targets(self, quarters: Sequence[int]) -> None:
        """Sets the pulses of all its channels from 0 on [quarters of a us]; 0 is off."""
        data = b"".join(septets(q) for q in quarters)
        self.port.write(self.command(SET_TARGETS, len(quarters), 0, *data))

    def set_speeds(self, speeds: Sequence[int]) -> None:
        """Sets the slew of each channel [quarters of a us per 10 ms], and no limit of acceleration."""
        for channel, speed in enumerate(speeds):
            self.port.write(self.command(SET_SPEED, channel, *septets(speed)))
            self.port.write(self.command(SET_ACCELERATION, channel, 0, 0))

    def ask(self, channels: Sequence[int]) -> tuple[int, list[int]]:
        """Reads and clears the error bits, and reads pulses of some channels [quarters of a us].

        All are read by one request, because each USB packet takes a millisecond.

        Raises:
            NoAnswerError: the answer did not come in time.
        """
        request = self.command(GET_ERRORS) + b"".join(self.command(GET_POSITION, c) for c in channels)
        self.port.clearPort()
        self.port.write(request)
        reply = self.port.read(2 + 2 * len(channels))
        numbers = [int.from_bytes(reply[i : i + 2], "little") for i in range(0, len(reply), 2)]
        return numbers[0], numbers[1:]


class Maestro(HostManagedBoard):
    """One or two Maestros; the second has the channels from 24 on.

    Args:
        spec: the face.
        ports: a serial line for each Maestro, or one that they share.
        devices: device number of each; None for a Maestro that is alone on its line.
        robot_id: id of the robot; calibrations are bound to it.
        version: product name of the USB device.
        crc: whether CRC is enabled on the Maestros; it should be.
        clock: clock of the board; the wall clock if None.
        owner: thread whose end makes the face limp; the main thread if None.

    Raises:
        LinkError: a Maestro does not answer.
        RobotError: a Maestro reports errors in the commands, or has too few channels.
    """

    def __init__(
        self,
        spec: FaceSpec,
        ports: Sequence[BusPort],
        devices: Sequence[int | None],
        robot_id: str,
        version: str = "unknown",
        crc: bool = True,
        clock: Clock | None = None,
        owner: threading.Thread | None = None,
    ) -> None:
        identity = BoardIdentity("maestro", robot_id, version, None, "us", measured=False, watchdog="host")
        super().__init__(spec, identity, QUARTER, load_motion_rules(spec).widest, clock, owner)
        lines = list(ports) if len(ports) == len(devices) else [ports[0]] * len(devices)
        self._units = [
            MaestroUnit(line, device, crc, actuators)
            for line, device, actuators in zip(
                lines, devices, _split_channels(spec, len(devices)), strict=True
            )
        ]
        self._spoilt = list[str]()
        for unit in self._units:
            self._until_answered(partial(_check_unit, unit))
        self._until_answered(self._torque_off)
        self._start_watchdogs()

    def _store_limits(self, limits: BoardLimits) -> None:
        """Sets the slew on the board, too: then a late host cannot make a step of several slews."""
        tens = self._rules.period / 0.01
        for unit in self._units:
            slews = limits.slew[unit.actuators] / QUARTER / tens
            unit.set_speeds([min(max(math.ceil(s), 1), FASTEST) for s in slews])

    def _enable(self, channels: NDArray[np.intp], start: Floats) -> None:
        self._send_positions(self.sent)

    def _send_positions(self, positions: Floats) -> None:
        for number, unit in enumerate(self._units):
            if number and self._is_spoilt(unit):
                return
            unit.set_targets([round(p / QUARTER) for p in np.nan_to_num(positions[unit.actuators])])

    def _is_spoilt(self, unit: MaestroUnit) -> bool:
        """Whether a packet that came before has ended the pulses of this Maestro.

        On a shared line each hears the packets of the other. Pulses that ended must not begin again unarmed.
        """
        errors, _ = unit.ask([])
        self._spoilt += [f"{unit}: {error}" for error in describe_errors(errors)]
        return bool(errors)

    def _torque_off(self) -> None:
        """Ends all pulses and reads back that they ended: noise must not leave a servo driven."""
        for unit in self._units:
            channels = range(len(unit.actuators))
            for _ in range(TRIES):
                unit.set_targets([0] * len(channels))
                if not any(unit.ask(channels)[1]):
                    break
            else:
                raise LinkError(f"{unit} does not end its pulses; switch off the servos' power.")

    def _read_sensors(self, fully: bool) -> SensorReading:
        """Reads errors and pulses; a Maestro that lost its power comes back without pulses."""
        faults, self._spoilt, position = self._spoilt, [], self.sent.copy()
        for unit in self._units:
            driven = np.flatnonzero(self.enabled[unit.actuators])
            channels = driven if fully else driven[:1]
            errors, quarters = unit.ask(channels.tolist())
            # A Maestro with a timeout, as it should have, reports one while the face is limp.
            found = describe_errors(errors if driven.size else errors & ~TIMEOUT)
            faults += [f"{unit}: {error}" for error in found]
            asked = unit.actuators[channels]
            position[asked] = np.array(quarters) * QUARTER
            if not found:
                ended = [self._spec.names[i] for i in asked if position[i] == 0]
                faults += [f"{name}: the Maestro ended its pulses" for name in ended]
        return SensorReading(self._unknown(), self._unknown(), faults, position if fully else None)

    def _torque_off_packets(self) -> dict[BusPort, bytes]:
        packets: dict[BusPort, bytes] = {}
        for unit in self._units:
            with unit.port.recording() as recorded:
                unit.set_targets([0] * len(unit.actuators))
            packets[unit.port] = packets.get(unit.port, b"") + bytes(recorded)
        return packets

    def _close_port(self) -> None:
        for unit in self._units:
            unit.port.close()


def _split_channels(spec: FaceSpec, maestros: int) -> list[NDArray[np.intp]]:
    """Indices of the actuators on each Maestro, in the order of its channels."""
    channels = spec.column("channel")
    order = np.argsort(channels)
    if (channels[order] != np.arange(len(spec))).any():
        raise RobotError("face.toml numbers its channels with gaps; a Maestro needs 0, 1, 2 and so on.")
    if maestros * CHANNELS < len(spec):
        raise RobotError(f"{len(spec)} servos need two Maestros; give both: devices=(12, 13).")
    return [order[i * CHANNELS : (i + 1) * CHANNELS] for i in range(maestros)]


def _check_unit(unit: MaestroUnit) -> None:
    """Checks that a Maestro answers, understands commands and has enough channels.

    Raises:
        LinkError: it does not answer.
        RobotError: it reports errors in the commands.
    """
    last = len(unit.actuators) - 1
    unit.ask([last])  # reading clears errors of the time before
    errors, _ = unit.ask([last])
    if errors & ~TIMEOUT:
        raise RobotError(
            f"{unit} answers but reports {'; '.join(describe_errors(errors))}. In the Control Center, "
            "tick Enable CRC (or pass crc=False), and use one with enough channels (docs/boards.md)."
        )


def open_maestro(
    spec: FaceSpec,
    port: str | Sequence[str] | None = None,
    devices: Sequence[int | None] | None = None,
    robot_id: str | None = None,
    crc: bool = True,
    baud: int = 115200,
    clock: Clock | None = None,
) -> Maestro:
    """Connects to the Maestros behind one or two serial ports.

    Args:
        spec: the face.
        port: command port of each, first that of channels 0 to 23; or one port whose line they share;
            None searches for the latter.
        devices: device number of each; by default none on ports of their own, and 12 and 13 on a line
            that they share.
        robot_id: id of the robot; by default the USB serial numbers.
        crc: whether CRC is enabled on the Maestros.
        baud: speed of a TTL line; it has no effect over USB.
        clock: clock of the board; the wall clock if None.

    Raises:
        LinkError: a port or a Maestro does not answer.
        RobotError: a Maestro reports errors in the commands.
    """
    port = port or find_only_port("maestro")
    paths = [port] if isinstance(port, str) else list(port)
    devices = devices or ((DEVICE, DEVICE + 1) if len(paths) == 1 else (None,) * len(paths))
    if len(paths) not in (1, len(devices)):
        raise RobotError(
            f"{len(paths)} ports for {len(devices)} Maestros: give one for each, or one for all."
        )
    robot_id, version = identify_robot(paths, robot_id)
    with ExitStack() as opened:
        ports = [opened.enter_context(closing(BusPort.open(path, baud))) for path in paths]
        board = Maestro(spec, ports, devices, robot_id, version, crc, clock)
        opened.pop_all()  # from here on the board closes them
        return board
