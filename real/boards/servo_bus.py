"""What Feetech and Dynamixel boards have in common: many servos on one line, each measuring itself."""

from __future__ import annotations

import abc
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

from eva_sim.clock import Clock
from eva_sim.contract import Floats, load_spec
from eva_sim.errors import LinkError, RobotError
from eva_sim.real.boards.host_managed import COUNT, NAMES, HostManagedBoard, SensorReading, unknown_values
from eva_sim.real.boards.interface import BoardIdentity, BoardLimits
from eva_sim.real.boards.motion_rules import load_motion_rules
from eva_sim.real.wire.bus_port import BusPort, find_only_port, identify_robot, open_bus_port

TICKS = 4096  # of one turn, in both families
TRIES = 3  # to make servos limp, and to be answered


def default_bus_ids() -> tuple[int, ...]:
    """Bus id of each actuator: its channel plus one, because servos are shipped as 1."""
    return tuple(a.channel + 1 for a in load_spec().actuators)


@dataclass(frozen=True)
class ServoReading:
    """What one servo says of itself.

    Attributes:
        torque: whether it holds its position.
        errors: what is wrong, in words.
        position: [ticks].
        load: share of its stall torque.
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


class BusBoard(HostManagedBoard):
    """25 servos on one bus.

    Args:
        port: the line.
        robot: the id that calibrations are bound to.
        version: what USB calls the adapter.
        ids: bus id of each actuator, in the order of the actuator table; `default_bus_ids()` if None.
        clock: what time is gone by.
        owner: the thread whose death makes the face limp.

    Raises:
        LinkError: a servo does not answer.
        RobotError: a servo is not set up as it must be.
    """

    KIND: ClassVar[str]
    BAUD: ClassVar[int] = 1_000_000
    #: Who notices a silent host.
    DEAD_MAN: ClassVar[Literal["board", "host"]]

    @classmethod
    def open(
        cls,
        port: str | None = None,
        robot: str | None = None,
        ids: Sequence[int] | None = None,
        baud: int | None = None,
        clock: Clock | None = None,
    ) -> Self:
        """Connects to servos behind a serial port.

        Args:
            port: the USB adapter's; None to look for it.
            robot: the robot's id; by default the adapter's USB serial number.
            ids: bus id of each actuator; by default its channel plus one.
            baud: of the servos, if not `BAUD`.
            clock: what time is gone by.

        Raises:
            LinkError: the port or a servo does not answer.
            RobotError: a servo is not set up as it must be, or the library is missing.
        """
        port = port or find_only_port(cls.KIND)
        robot, version = identify_robot([port], robot)
        with ExitStack() as opened:
            line = opened.enter_context(closing(open_bus_port(port, baud or cls.BAUD)))
            board = cls(line, robot, version, ids, clock)
            opened.pop_all()  # from here on the board closes it
            return board

    def __init__(
        self,
        port: BusPort,
        robot: str,
        version: str = "unknown",
        ids: Sequence[int] | None = None,
        clock: Clock | None = None,
        owner: threading.Thread | None = None,
    ) -> None:
        identity = BoardIdentity(
            self.KIND, robot, version, None, "ticks", measured=True, dead_man=self.DEAD_MAN
        )
        super().__init__(identity, 1.0, (0.0, TICKS - 1.0), clock, owner)
        self._held = False
        self._port, self.ids = port, tuple(ids or default_bus_ids())
        if len(set(self.ids)) != COUNT:
            raise RobotError(f"ids are {COUNT} different numbers, one for each actuator in table order.")

    # What a family adds.

    @abc.abstractmethod
    def _sync_read(self, address: int, length: int, ids: Sequence[int]) -> dict[int, bytes]:
        """Registers of many servos in one exchange; those that did not answer rightly are left out."""

    @abc.abstractmethod
    def _sync_write(self, address: int, values: Mapping[int, bytes]) -> None:
        """Registers of many servos in one packet, which nobody answers."""

    @abc.abstractmethod
    def _servo(self, number: int, data: bytes) -> ServoReading:
        """One servo's answer to a read of `_reading`."""

    @property
    @abc.abstractmethod
    def _reading(self) -> tuple[int, int]:
        """Address and length of what `_servo` takes."""

    @property
    @abc.abstractmethod
    def _torque(self) -> int:
        """Address of the register that is 1 while the servo holds its position."""

    @property
    @abc.abstractmethod
    def _limits_at(self) -> int:
        """Address of the limits in EEPROM."""

    @abc.abstractmethod
    def _packed(self, low: int, high: int) -> bytes:
        """Limits as they lie there."""

    @abc.abstractmethod
    def _burn(self, number: int, address: int, data: bytes) -> None:
        """Writes EEPROM of one servo."""

    # What they share.

    def where(self) -> Floats:
        """Measured positions, (25,) [ticks], also of limp servos; to calibrate by hand.

        Raises:
            LinkError: a servo does not answer.
        """
        with self._talk():
            answers = self._all(*self._reading)
            return np.array([self._servo(i, answers[i]).position for i in self.ids])

    def _keep(self, limits: BoardLimits) -> None:
        """Limits into each servo's EEPROM, if they are not there yet: it wears with every write."""
        each = zip(self.ids, limits.low.astype(int), limits.high.astype(int), strict=True)
        wanted = {i: self._packed(int(low), int(high)) for i, low, high in each}
        for number in self._differing(wanted):
            self._burn(number, self._limits_at, wanted[number])
        if others := [self._named(i) for i in self._differing(wanted)]:
            raise LinkError(f"{', '.join(others)} did not keep the limits; connect again.")

    def _differing(self, wanted: Mapping[int, bytes]) -> list[int]:
        """Servos whose limits are not these."""
        answers = self._all(self._limits_at, len(next(iter(wanted.values()))))
        return [i for i, data in wanted.items() if answers[i] != data]

    def _read(self, address: int, length: int, ids: Collection[int]) -> dict[int, bytes]:
        """Registers of these servos; a servo whose answer got lost is asked again."""
        answers: dict[int, bytes] = {}
        for _ in range(TRIES):
            missing = [i for i in ids if i not in answers]
            if missing:
                answers |= self._sync_read(address, length, missing)
        return answers

    def _all(self, address: int, length: int) -> dict[int, bytes]:
        """Registers of every servo.

        Raises:
            LinkError: one does not answer.
        """
        answers = self._read(address, length, self.ids)
        if missing := [self._named(i) for i in self.ids if i not in answers]:
            raise LinkError(f"no answer from {', '.join(missing[:4])}: check power, cable, id and baud rate.")
        return answers

    def _named(self, number: int) -> str:
        return f"{NAMES[self.ids.index(number)]} (id {number})"

    def _sense(self, fully: bool) -> SensorReading:
        answers = self._read(*self._reading, self.ids)
        if not answers:
            raise LinkError("no servo answers; check power, cable and baud rate.")
        sensed, position, volts, self._held = SensorReading(), unknown_values(), unknown_values(), False
        for i, number in enumerate(self.ids):
            if number not in answers:
                sensed.faults.append(f"{self._named(number)}: no answer")
                continue
            servo = self._servo(number, answers[number])
            sensed.faults += [f"{self._named(number)}: {error}" for error in self._wrong(servo, i)]
            self._held |= servo.held
            position[i], volts[i] = servo.position, servo.voltage
            sensed.load[i], sensed.temperature[i] = servo.load, servo.temperature
        sensed.position, sensed.supply = position, float(np.nanmin(volts))
        return sensed

    def _wrong(self, servo: ServoReading, i: int) -> list[str]:
        """A servo's own errors, and a torque that is not as we left it."""
        errors = list(servo.errors)
        if servo.torque and not self.awake[i]:
            errors.append("has torque though it should be limp")
        if self.awake[i] and not servo.torque:
            errors.append("lost its torque, perhaps its power")
        return errors

    def _let_go(self) -> None:
        """Torque off, and looked after, since nobody answers a broadcast.

        A servo that does not answer at all is no reason to stop telling the others.
        """
        for _ in range(TRIES):
            self._sync_write(self._torque, dict.fromkeys(self.ids, b"\0"))
            answers = self._sync_read(self._torque, 1, self.ids)
            if len(answers) == COUNT and not any(a[0] for a in answers.values()):
                return
        if not answers:
            raise LinkError("no servo answers; check power, cable and baud rate.")
        if holding := [self._named(i) for i, a in answers.items() if a[0]]:
            raise LinkError(f"{', '.join(holding)} will not let go; cut the servos' power.")

    def _of(self, channels: NDArray[np.intp], encode: Callable[[int], bytes]) -> dict[int, bytes]:
        """What `encode` makes of each channel, by bus id."""
        return {self.ids[i]: encode(int(i)) for i in channels}

    def _slew(self) -> Floats:
        """Slew of every servo, (25,) [ticks/s]."""
        assert self._limits is not None
        return self._limits.slew / load_motion_rules().period

    def _last_words(self) -> dict[BusPort, bytes]:
        with self._port.recording() as said:
            self._sync_write(self._torque, dict.fromkeys(self.ids, b"\0"))
        return {self._port: bytes(said)}

    def _close_port(self) -> None:
        self._port.close()


def describe_error_bits(bits: int, errors: Mapping[int, str]) -> list[str]:
    """An error register in words."""
    known = [told for bit, told in errors.items() if bits >> bit & 1]
    strange = bits & ~sum(1 << bit for bit in errors)
    return [*known, f"unknown error bits {strange:#04x}"] if strange else known


def import_vendor_library(name: str, extra: str) -> Any:
    """A vendor's library.

    Raises:
        RobotError: it is not installed.
    """
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise RobotError(f"{name} is missing; install it with: pip install 'eva-sim[{extra}]'") from error
