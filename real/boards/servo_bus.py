"""Base of the Feetech and Dynamixel drivers: many servos on one line, each of which measures itself."""

from __future__ import annotations

import abc
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from eva_sim.clock import Clock
from eva_sim.contract import FaceSpec, Floats
from eva_sim.errors import SEE_DOCTOR, LinkError, NoAnswerError, RobotError
from eva_sim.real.boards.host_managed import HostManagedBoard
from eva_sim.real.boards.host_state import SensorReading
from eva_sim.real.boards.interface import BoardIdentity, BoardLimits
from eva_sim.real.wire.bus_port import BusPort
from eva_sim.real.wire.firmware_table import robot_config
from eva_sim.real.wire.serial_ports import find_only_port, identify_robot

TICKS = 4096  # ticks of one turn, in both families
TRIES = 3  # tries to make servos limp, and to get an answer


def default_bus_ids(spec: FaceSpec) -> tuple[int, ...]:
    """Bus id of each actuator: its channel plus one, because servos are shipped with id 1."""
    return tuple(a.channel + 1 for a in spec.actuators)


@dataclass(frozen=True)
class ServoReading:
    """Values that one servo measures.

    Attributes:
        torque: whether it holds its position.
        errors: its errors, in words.
        position: [ticks].
        load: share of its stall torque; its sign is its direction.
        voltage: [V].
        temperature: [degrees Celsius].
        held: whether its own watchdog has stopped it.
    """

    torque: bool
    errors: tuple[str, ...]
    position: float
    load: float
    voltage: float
    temperature: float
    held: bool = False


class Displacement(NamedTuple):
    """A setting in EEPROM by which the same position is another angle of the shaft.

    Attributes:
        address: of its register.
        size: of the register [bytes].
        bits: those that must be 0.
        name: in words.
    """

    address: int
    size: int
    bits: int
    name: str


class BusBoard(HostManagedBoard):
    """Servos on one bus, one for each actuator.

    Args:
        spec: the face.
        port: the serial line.
        robot_id: id of the robot; calibrations are bound to it.
        version: product name of the USB adapter.
        ids: bus id of each actuator, in the order of the actuator table; `default_bus_ids(spec)` if None.
        clock: clock of the board; the wall clock if None.
        owner: thread whose end makes the face limp; the main thread if None.

    Raises:
        LinkError: a servo does not answer.
        RobotError: a servo is not set up as it must be.
    """

    KIND: ClassVar[str]
    BAUD: ClassVar[int] = 1_000_000
    #: Side that notices a silent host, see `BoardIdentity`.
    WATCHDOG: ClassVar[Literal["board", "host"]]
    #: What other tools may have set after a calibration, which would be wrong then.
    DISPLACEMENTS: ClassVar[Sequence[Displacement]]

    @classmethod
    def open(
        cls,
        spec: FaceSpec,
        port: str | None = None,
        robot_id: str | None = None,
        ids: Sequence[int] | None = None,
        baud: int | None = None,
        clock: Clock | None = None,
    ) -> Self:
        """Connects to servos behind a serial port.

        Args:
            spec: the face.
            port: port of the USB adapter; None searches for it.
            robot_id: id of the robot; by default the adapter's USB serial number.
            ids: bus id of each actuator; by default its channel plus one.
            baud: baud rate of the servos, if not `BAUD`.
            clock: clock of the board; the wall clock if None.

        Raises:
            LinkError: the port or a servo does not answer.
            RobotError: a servo is not set up as it must be, or the library is missing.
        """
        port = port or find_only_port(cls.KIND)
        robot_id, version = identify_robot([port], robot_id)
        with ExitStack() as opened:
            line = opened.enter_context(closing(BusPort.open(port, baud or cls.BAUD)))
            board = cls(spec, line, robot_id, version, ids, clock)
            opened.pop_all()  # from here on the board closes it
            return board

    def __init__(
        self,
        spec: FaceSpec,
        port: BusPort,
        robot_id: str,
        version: str = "unknown",
        ids: Sequence[int] | None = None,
        clock: Clock | None = None,
        owner: threading.Thread | None = None,
    ) -> None:
        identity = BoardIdentity(
            self.KIND, robot_id, version, None, "ticks", measured=True, watchdog=self.WATCHDOG
        )
        super().__init__(spec, identity, 1.0, (0.0, TICKS - 1.0), clock, owner)
        self._held = False
        self._port, self.ids = port, tuple(ids or default_bus_ids(spec))
        if len(set(self.ids)) != len(spec):
            raise RobotError(f"ids are {len(spec)} different numbers, one for each actuator in table order.")
        self._set_up()

    # Operations that a family of servos adds.

    @abc.abstractmethod
    def _set_up(self) -> None:
        """Checks the servos, switches all torque off, checks their settings, and starts the watchdogs.

        Nothing is written before it is known that every servo has the registers of this driver.

        Raises:
            LinkError: a servo does not answer.
            RobotError: a servo is not set as it must be, or the vendor's library is missing.
        """

    @abc.abstractmethod
    def _sync_read(self, address: int, length: int, ids: Sequence[int]) -> dict[int, bytes]:
        """Reads registers of many servos in one exchange; the result lacks those without a valid answer."""

    @abc.abstractmethod
    def _sync_write(self, address: int, values: Mapping[int, bytes]) -> None:
        """Writes registers of many servos in one packet, which no servo answers."""

    @abc.abstractmethod
    def _servo(self, number: int, data: bytes) -> ServoReading:
        """Decodes one servo's answer to a read of `_reading`."""

    @property
    @abc.abstractmethod
    def _reading(self) -> tuple[int, int]:
        """Address and length of the registers that `_servo` decodes."""

    @property
    @abc.abstractmethod
    def _torque_register(self) -> int:
        """Address of the register that is 1 while the servo holds its position."""

    @property
    @abc.abstractmethod
    def _limits_at(self) -> int:
        """Address of the limits in EEPROM."""

    @abc.abstractmethod
    def _packed(self, low: int, high: int) -> bytes:
        """Limits as bytes of that register."""

    @abc.abstractmethod
    def _write_eeprom(self, number: int, address: int, data: bytes) -> None:
        """Writes the EEPROM of one servo."""

    # Operations that both families share.

    def _check_displacements(self) -> None:
        """Checks that positions of all servos mean the angles that were calibrated.

        Raises:
            LinkError: a servo does not answer.
            RobotError: a servo has an offset, or its direction is reversed.
        """
        for address, size, bits, name in self.DISPLACEMENTS:
            for number, data in self._read_all(address, size).items():
                value = int.from_bytes(data, "little")
                if value & bits:
                    raise RobotError(
                        f"{self._named(number)} has a {name}: register {address} is {value}. Clear that with "
                        "the vendor's tool, since positions mean other angles; if it was there when the "
                        "robot was calibrated, calibrate it again."
                    )

    def measured_positions(self) -> Floats:
        """Measured positions of all servos [ticks], also of limp ones; used to calibrate by hand.

        Raises:
            LinkError: a servo does not answer.
        """
        with self._exchange():
            answers = self._read_all(*self._reading)
            return np.array([self._servo(i, answers[i]).position for i in self.ids])

    def _store_limits(self, limits: BoardLimits) -> None:
        """Writes the ends of travel into each servo's EEPROM."""
        ends = zip(self.ids, limits.low.astype(int), limits.high.astype(int), strict=True)
        self._keep(self._limits_at, {i: self._packed(int(low), int(high)) for i, low, high in ends}, "limits")

    def _keep(self, address: int, wanted: Mapping[int, bytes], what: str) -> None:
        """Writes each servo's EEPROM where it differs, and reads it back; EEPROM wears with every write.

        Raises:
            LinkError: a servo does not answer, or keeps something else.
        """
        for number in self._differing(address, wanted):
            self._write_eeprom(number, address, wanted[number])
        self._check_kept(address, wanted, what)

    def _check_kept(self, address: int, wanted: Mapping[int, bytes], what: str) -> None:
        """Reads registers back.

        Raises:
            LinkError: a servo does not answer, or has something else.
        """
        if others := [self._named(i) for i in self._differing(address, wanted)]:
            raise LinkError(f"{', '.join(others)} did not keep the {what}; connect again.")

    def _differing(self, address: int, wanted: Mapping[int, bytes]) -> list[int]:
        """Ids of the servos that have other bytes at this address."""
        answers = self._read_all(address, len(next(iter(wanted.values()))))
        return [i for i, data in wanted.items() if answers[i] != data]

    @property
    def _torque_limit(self) -> float:
        """Greatest torque of any servo, share of its stall torque."""
        share: float = robot_config(self._spec)["safety"]["torque_limit"]
        return share

    def _read(self, address: int, length: int, ids: Collection[int]) -> dict[int, bytes]:
        """Reads registers of these servos; a servo whose answer was lost is asked again."""
        answers: dict[int, bytes] = {}
        for _ in range(TRIES):
            missing = [i for i in ids if i not in answers]
            if missing:
                answers |= self._sync_read(address, length, missing)
        return answers

    def _read_all(self, address: int, length: int) -> dict[int, bytes]:
        """Reads registers of every servo.

        Raises:
            LinkError: one does not answer.
        """
        return self._until_answered(lambda: self._read_each(address, length))

    def _read_each(self, address: int, length: int) -> dict[int, bytes]:
        answers = self._read(address, length, self.ids)
        if missing := [self._named(i) for i in self.ids if i not in answers]:
            silent = ", ".join(missing[:4])
            raise NoAnswerError(
                f"no answer from {silent}: check power, cable, id and baud rate. {SEE_DOCTOR}"
            )
        return answers

    def _named(self, number: int) -> str:
        return f"{self._spec.names[self.ids.index(number)]} (id {number})"

    def _read_sensors(self, fully: bool) -> SensorReading:
        answers = self._sync_read(*self._reading, self.ids)
        if not answers:  # `Board` waits for the whole line, and only single servos are asked again here
            raise NoAnswerError(f"no servo answers; check power, cable and baud rate. {SEE_DOCTOR}")
        answers |= self._read(*self._reading, [i for i in self.ids if i not in answers])
        reading = SensorReading(self._unknown(), self._unknown())
        position, volts, self._held = self._unknown(), self._unknown(), False
        for i, number in enumerate(self.ids):
            if number not in answers:
                reading.faults.append(f"{self._named(number)}: no answer")
                continue
            servo = self._servo(number, answers[number])
            reading.faults += [f"{self._named(number)}: {error}" for error in self._errors(servo, i)]
            self._held |= servo.held
            position[i], volts[i] = servo.position, servo.voltage
            reading.load[i], reading.temperature[i] = servo.load, servo.temperature
        reading.position, reading.supply = position, float(np.nanmin(volts))
        return reading

    def _errors(self, servo: ServoReading, i: int) -> list[str]:
        """A servo's own errors, and a torque that differs from the one that was set."""
        errors = list(servo.errors)
        if servo.torque and not self.enabled[i]:
            errors.append("has torque though it should be limp")
        if self.enabled[i] and not servo.torque:
            errors.append("lost its torque, perhaps its power")
        return errors

    def _torque_off(self) -> None:
        """Switches torque off and reads it back, because no servo answers a broadcast.

        A servo that never answers does not stop this for the others.
        """
        for _ in range(TRIES):
            self._sync_write(self._torque_register, dict.fromkeys(self.ids, b"\0"))
            answers = self._sync_read(self._torque_register, 1, self.ids)
            if len(answers) == len(self.ids) and not any(a[0] for a in answers.values()):
                return
        if not answers:
            raise NoAnswerError(f"no servo answers; check power, cable and baud rate. {SEE_DOCTOR}")
        if holding := [self._named(i) for i, a in answers.items() if a[0]]:
            raise LinkError(f"{', '.join(holding)} keeps its torque; switch off the servos' power.")

    def _encode(self, channels: NDArray[np.intp], encode: Callable[[int], bytes]) -> dict[int, bytes]:
        """Encoded values of some channels, by bus id."""
        return {self.ids[i]: encode(int(i)) for i in channels}

    def _slew(self) -> Floats:
        """Slew of every servo [ticks/s]."""
        assert self._limits is not None
        return self._limits.slew / self._rules.period

    def _torque_off_packets(self) -> dict[BusPort, bytes]:
        with self._port.recording() as recorded:
            self._sync_write(self._torque_register, dict.fromkeys(self.ids, b"\0"))
        return {self._port: bytes(recorded)}

    def _close_port(self) -> None:
        self._port.close()


def describe_error_bits(bits: int, errors: Mapping[int, str]) -> list[str]:
    """Descriptions of the errors in an error register."""
    known = [description for bit, description in errors.items() if bits >> bit & 1]
    unknown = bits & ~sum(1 << bit for bit in errors)
    return [*known, f"unknown error bits {unknown:#04x}"] if unknown else known
