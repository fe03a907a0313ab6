"""Feetech STS servos (STS3215 and its kin) on one half-duplex line, through Feetech's `scservo_sdk`.

Registers by Feetech's "Magnetic Encoded STS Servo - Memory Table Parsing", sections 2.2 to 2.4 and 3.1.
Three properties of these servos determine the driver. Writing a goal switches the torque on, so goals are
sent to enabled servos only. A servo may power up with torque on, so the first write switches it off. The SCS
series answers the same packets but has the other byte order, so nothing is written before every servo was
read and is known to be an STS.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from eva_sim.contract import Floats
from eva_sim.errors import SEE_DOCTOR, LinkError, NoAnswerError, RobotError
from eva_sim.optional import import_optional
from eva_sim.real.boards.servo_bus import (
    TICKS,
    BusBoard,
    Displacement,
    ServoReading,
    describe_error_bits,
)

ORDER, SERIES = 2, 3  # byte order, 0 for low byte first; main version of the servo, by series
LIMITS, PHASE, MODE = 9, 18, 33  # EEPROM: low and high u16; speed unit and more; 0 is position control
MOST_TORQUE = 16  # EEPROM: u16 in 0.1 % of stall torque, which TORQUE_LIMIT takes at power-up
TORQUE, GOAL, TORQUE_LIMIT, LOCK, STATUS = 40, 42, 48, 55, 65
READING = (TORQUE, STATUS - TORQUE + 1)
FINE_SPEED = 1 << 2  # bit of PHASE: the unit of speed is one tick per second
COARSE = 50  # unit of speed without that bit [ticks/s]
FASTEST = 0x7FFF
#: Series by the main version of a servo. Those with the registers of this driver are in `KNOWN`.
NAMES = {5: "SCS", 8: "SMS", 9: "STS", 10: "HLS"}
KNOWN = ("SMS", "STS")
ERRORS = {
    0: "voltage outside its limits",
    1: "position sensor fault",
    2: "too hot",
    3: "too much current",
    5: "overload",
}


class Feetech(BusBoard):
    """STS servos, one for each actuator; see `BusBoard` for the arguments.

    Raises:
        LinkError: a servo does not answer.
        RobotError: a servo is of another series or not in position mode, or `scservo_sdk` is missing.
    """

    KIND = "feetech"
    WATCHDOG = "host"
    DISPLACEMENTS = (Displacement(31, 2, 0xFFFF, "position correction"),)

    def _set_up(self) -> None:
        self._sdk = import_optional("scservo_sdk", "feetech", RobotError)
        if not isinstance(self._sdk.protocol_packet_handler, type):
            raise RobotError(
                "scservo_sdk is an old copy (feetech-servo-sdk); uninstall that, install eva-sim[feetech]."
            )
        self._handler = self._sdk.protocol_packet_handler(self._port, 0)  # 0: low byte first, as STS does
        self._check_series()
        self._until_answered(self._torque_off)
        self._unit = self._read_setup()
        self._check_displacements()
        self._limit_torque()
        self._start_watchdogs()

    _reading = READING
    _torque_register = TORQUE
    _limits_at = LIMITS

    def _check_series(self) -> None:
        """Checks that every servo has this driver's registers and byte order; nothing is written.

        Raises:
            RobotError: a servo is of another series.
        """
        for number, data in self._read_all(ORDER, LIMITS + 4 - ORDER).items():
            series = NAMES.get(data[SERIES - ORDER], f"unknown ({data[SERIES - ORDER]})")
            highest = int.from_bytes(data[LIMITS + 2 - ORDER : LIMITS + 4 - ORDER], "little")
            if data[0] or series not in KNOWN or highest >= TICKS:
                raise RobotError(
                    f"{self._named(number)} is no STS servo: series {series}, byte order {data[0]}, greatest "
                    f"position {highest}. This driver would move it wrongly; nothing was written."
                )

    def _read_setup(self) -> Floats:
        """Checks the mode of each servo; returns the unit of its speed register [ticks/s]."""
        answers = self._read_all(LIMITS, MODE - LIMITS + 1)
        wrong = [self._named(i) for i, data in answers.items() if data[MODE - LIMITS] != 0]
        if wrong:
            raise RobotError(f"{', '.join(wrong)} is not in position mode; set register {MODE} to 0.")
        phases = [answers[i][PHASE - LIMITS] for i in self.ids]
        return np.array([1.0 if phase & FINE_SPEED else COARSE for phase in phases])

    def _limit_torque(self) -> None:
        """Writes the torque limit of robot.toml: for now, and into EEPROM for the next power-up."""
        most = dict.fromkeys(self.ids, round(1000 * self._torque_limit).to_bytes(2, "little"))
        self._keep(MOST_TORQUE, most, "torque limit")
        self._sync_write(TORQUE_LIMIT, most)
        self._check_kept(TORQUE_LIMIT, most, "torque limit")

    def _packed(self, low: int, high: int) -> bytes:
        return low.to_bytes(2, "little") + high.to_bytes(2, "little")

    def _write_eeprom(self, number: int, address: int, data: bytes) -> None:
        self._write(number, LOCK, b"\0")
        if self._read(LOCK, 1, [number]).get(number) != b"\0":  # then only the copy in memory would change
            raise LinkError(f"{self._named(number)} keeps its EEPROM locked, and would forget its limits.")
        self._write(number, address, data)
        self._write(number, LOCK, b"\1")

    def _enable(self, channels: NDArray[np.intp], start: Floats) -> None:
        self._send_goals(channels, start)
        self._sync_write(TORQUE, self._encode(channels, lambda i: b"\1"))

    def _send_positions(self, positions: Floats) -> None:
        self._send_goals(np.flatnonzero(~np.isnan(positions)), positions)

    def _send_goals(self, channels: NDArray[np.intp], raw: Floats) -> None:
        """Sends goal, time 0 (speed control) and speed, so that a late host causes no jump.

        Speed 0 would mean the greatest speed.
        """
        speeds = np.clip(np.ceil(self._slew() / self._unit), 1, FASTEST)
        numbers = {i: (round(raw[i]), 0, int(speeds[i])) for i in channels.tolist()}
        encode = {i: b"".join(n.to_bytes(2, "little") for n in three) for i, three in numbers.items()}
        if encode:
            self._sync_write(GOAL, self._encode(channels, encode.__getitem__))

    def _servo(self, number: int, data: bytes) -> ServoReading:
        return ServoReading(
            torque=data[0] != 0,
            errors=tuple(describe_error_bits(data[STATUS - TORQUE], ERRORS)),
            position=_signed(data, 56, 15),
            load=_signed(data, 60, 10) / 1000,
            voltage=data[62 - TORQUE] / 10,
            temperature=data[63 - TORQUE],
        )

    def _sync_read(self, address: int, length: int, ids: Sequence[int]) -> dict[int, bytes]:
        if self._handler.syncReadTx(address, length, list(ids), len(ids)) != self._sdk.COMM_SUCCESS:
            return {}
        _, received = self._handler.syncReadRx(length, len(ids))
        return find_answers(bytes(received), length, ids)

    def _sync_write(self, address: int, values: Mapping[int, bytes]) -> None:
        group = self._sdk.GroupSyncWrite(self._handler, address, len(next(iter(values.values()))))
        for number, data in values.items():
            group.addParam(number, list(data))
        if group.txPacket() != self._sdk.COMM_SUCCESS:
            raise LinkError("the bus adapter did not take a packet; connect again.")

    def _write(self, number: int, address: int, data: bytes) -> None:
        """Writes registers of one servo, which confirms.

        Raises:
            LinkError: it does not confirm.
        """
        self._until_answered(lambda: self._write_once(number, address, data))

    def _write_once(self, number: int, address: int, data: bytes) -> None:
        result, _error = self._handler.writeTxRx(number, address, len(data), list(data))
        if result != self._sdk.COMM_SUCCESS:
            raise NoAnswerError(
                f"{self._named(number)} does not confirm; check power and cable. {SEE_DOCTOR}"
            )


def find_answers(received: bytes, length: int, ids: Sequence[int]) -> dict[int, bytes]:
    """Returns the registers of each servo in what a line brought; damaged answers are left out.

    The time of the library's own search grows with the square of their number.

    Args:
        received: answers of several servos: two bytes 255, id, length, status, registers, checksum.
        length: of the registers of each [bytes].
        ids: of the servos that were asked.
    """
    answers = {}
    for number in ids:
        head = bytes((255, 255, number, length + 2))
        at = received.find(head)
        packet = received[at + 2 : at + length + 6]
        if at >= 0 and len(packet) == length + 4 and packet[-1] == ~sum(packet[:-1]) & 255:
            answers[number] = packet[3:-1]
    return answers


def _signed(data: bytes, address: int, bit: int) -> int:
    """A register of a reading whose sign is a separate bit."""
    value = int.from_bytes(data[address - TORQUE : address - TORQUE + 2], "little")
    size = value & ((1 << bit) - 1)
    return -size if value >> bit & 1 else size
