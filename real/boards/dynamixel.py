"""Dynamixel servos of the X series on one line (Protocol 2.0), through Robotis' `dynamixel_sdk`.

Registers by the e-Manual's "Control Table of RAM Area" of the XL430-W250, which the X series shares, "2.4.
Hardware Error Status (70)" and "Bus Watchdog (98)"; packets by its "Protocol 2.0". The Bus
Watchdog is on the side of the board: a servo that receives nothing for 200 ms stops where it is. It does not
go limp; the host's watchdog makes it limp after a second.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eva_sim.contract import Floats
from eva_sim.errors import LinkError, NoAnswerError, RobotError
from eva_sim.optional import import_optional
from eva_sim.real.boards.servo_bus import (
    TICKS,
    BusBoard,
    Displacement,
    ServoReading,
    describe_error_bits,
)

MODEL, MODES, PWM_LIMIT, CURRENT_LIMIT, LIMITS = 0, 10, 36, 38, 48  # LIMITS: greatest position first
TORQUE, ERROR, WATCHDOG, GOAL_PWM, PROFILE, GOAL = 64, 70, 98, 100, 112, 116
FULL_PWM = 885  # of both PWM registers: full voltage, so stall torque
INDIRECT_ADDRESS, INDIRECT_DATA = 168, 224
ID, DATA = 4, 9  # places in a status packet: id, and data after the error byte
TICK = 0.02  # unit of the watchdog register [s]
REBOOT = 0.5  # time until a rebooted servo answers again [s] [choice]
TRIPPED = 0xFF
SPEED = 0.229 * TICKS / 60  # unit of profile velocity [ticks/s]: 0.229 turns per minute
FASTEST = 32767
POSITION_MODE = 3
REVERSED, TIME_PROFILE, TORQUE_BY_GOAL = 1 << 0, 1 << 2, 1 << 3  # bits of the drive mode
#: Models that report load [0.1 %]; the others of the X series report current.
LOAD_MODELS = {1060, 1070, 1080, 1090, 1160}
X_SERIES = range(1000, 1320)
ERRORS = {
    0: "input voltage outside its limits",
    2: "too hot",
    3: "motor encoder fault",
    4: "electrical shock, or too little power",
    5: "overload",
}


class Field(NamedTuple):
    """One register of a reading: its address, its size, and its place in the indirect data."""

    address: int
    size: int
    at: int


_SIZES = {TORQUE: 1, ERROR: 1, WATCHDOG: 1, 126: 2, 132: 4, 144: 2, 146: 1}
_STARTS = np.cumsum([0, *_SIZES.values()])
FIELDS = {a: Field(a, size, int(at)) for (a, size), at in zip(_SIZES.items(), _STARTS[:-1], strict=True)}
LENGTH = int(_STARTS[-1])


class Dynamixel(BusBoard):
    """X-series servos, one for each actuator; see `BusBoard` for the arguments.

    The values of a reading are spread over 83 registers; indirect addresses collect them in 12.

    Raises:
        LinkError: a servo does not answer.
        RobotError: a servo is of another series or not set up as it must be, or `dynamixel_sdk` is missing.
    """

    KIND = "dynamixel"
    WATCHDOG = "board"
    DISPLACEMENTS = (
        Displacement(20, 4, 0xFFFF_FFFF, "homing offset"),
        Displacement(MODES, 1, REVERSED, "reversed direction (bit 0)"),
    )

    def _set_up(self) -> None:
        self._sdk = import_optional("dynamixel_sdk", "dynamixel", RobotError)
        self._handler = self._sdk.Protocol2PacketHandler()
        self._full_load = self._read_setup()  # first, so that nothing is written to another series
        self._until_answered(self._torque_off)
        self._check_displacements()
        self._limit_torque()
        self._set_indirect_addresses()
        self._start_watchdogs()

    _reading = (INDIRECT_DATA, LENGTH)
    _torque_register = TORQUE
    _limits_at = LIMITS

    def _read_setup(self) -> dict[int, float]:
        """Checks model and modes of each servo; returns the value of its load register at full load."""
        models = {i: int.from_bytes(data, "little") for i, data in self._read_all(MODEL, 2).items()}
        modes, currents = self._read_all(MODES, 2), self._read_all(CURRENT_LIMIT, 2)
        for number, model in models.items():
            drive, operating = modes[number]
            if model not in X_SERIES:
                raise RobotError(f"{self._named(number)} is model {model}, not of the X series.")
            if operating != POSITION_MODE or drive & (TIME_PROFILE | TORQUE_BY_GOAL):
                raise RobotError(
                    f"{self._named(number)} must be in position mode ({POSITION_MODE}) with velocity-based "
                    "profile and without torque on by goal update; set registers 11 and 10 (docs/boards.md)."
                )
        full = {i: int.from_bytes(c, "little") or 1 for i, c in currents.items()}
        return {i: 1000.0 if models[i] in LOAD_MODELS else float(full[i]) for i in self.ids}

    def _limit_torque(self) -> None:
        """Writes the torque limit of robot.toml, for now and into EEPROM for the next power-up.

        In position mode the voltage (PWM) limits torque; the current limit does not.
        """
        most = dict.fromkeys(self.ids, round(FULL_PWM * self._torque_limit).to_bytes(2, "little"))
        self._keep(PWM_LIMIT, most, "torque limit")
        self._sync_write(GOAL_PWM, most)
        self._check_kept(GOAL_PWM, most, "torque limit")

    def _set_indirect_addresses(self) -> None:
        """Sets the registers of a reading in each servo. It must be limp, and forgets them without power."""
        addresses = [f.address + k for f in FIELDS.values() for k in range(f.size)]
        data = b"".join(address.to_bytes(2, "little") for address in addresses)
        self._sync_write(INDIRECT_ADDRESS, dict.fromkeys(self.ids, data))
        if any(answer != data for answer in self._read_all(INDIRECT_ADDRESS, len(data)).values()):
            raise LinkError("a servo did not take its indirect addresses; connect again.")

    def _packed(self, low: int, high: int) -> bytes:
        return high.to_bytes(4, "little") + low.to_bytes(4, "little")

    def _write_eeprom(self, number: int, address: int, data: bytes) -> None:
        self._write(number, address, data)

    def _enable(self, channels: NDArray[np.intp], start: Floats) -> None:
        """Sets speed and goal first, then the torque, and the watchdog last."""
        counts = np.clip(np.ceil(self._slew() / SPEED), 1, FASTEST)  # 0 would mean no limit
        self._sync_write(WATCHDOG, self._encode(channels, lambda i: b"\0"))
        self._sync_write(PROFILE, self._encode(channels, lambda i: int(counts[i]).to_bytes(4, "little")))
        self._send_goals(channels, start)
        self._sync_write(TORQUE, self._encode(channels, lambda i: b"\1"))
        self._set_watchdog(channels)

    def _set_watchdog(self, channels: NDArray[np.intp]) -> None:
        """Sets the servos' watchdogs, also those that have tripped, which ends their hold."""
        count = math.ceil(self._rules.hold_after / TICK)
        for value in (b"\0", bytes((count,))):
            self._sync_write(WATCHDOG, {self.ids[i]: value for i in channels})

    def _send_positions(self, positions: Floats) -> None:
        channels = np.flatnonzero(~np.isnan(positions))
        if channels.size:
            if self._held:
                self._set_watchdog(channels)
            self._send_goals(channels, positions)

    def _send_goals(self, channels: NDArray[np.intp], raw: Floats) -> None:
        self._sync_write(GOAL, self._encode(channels, lambda i: round(raw[i]).to_bytes(4, "little")))

    def _torque_off(self) -> None:
        super()._torque_off()
        self._sync_write(WATCHDOG, dict.fromkeys(self.ids, b"\0"))

    def _recover(self) -> None:
        """Reboots servos with a hardware error: only then can they have torque again."""
        shut_down = [i for i, data in self._read(ERROR, 1, self.ids).items() if data[0]]
        for number in shut_down:
            self._handler.reboot(self._port, number)
        self._clock.sleep(REBOOT if shut_down else 0.0)
        self._set_indirect_addresses()

    def _servo(self, number: int, data: bytes) -> ServoReading:
        value = {
            a: int.from_bytes(data[f.at : f.at + f.size], "little", signed=f.size > 1)
            for a, f in FIELDS.items()
        }
        return ServoReading(
            torque=value[TORQUE] != 0,
            errors=tuple(describe_error_bits(value[ERROR], ERRORS)),
            position=value[132],
            load=value[126] / self._full_load[number],
            voltage=value[144] / 10,
            temperature=value[146],
            held=value[WATCHDOG] == TRIPPED,
        )

    def _sync_read(self, address: int, length: int, ids: Sequence[int]) -> dict[int, bytes]:
        """Reads without the library's group read, which drops every answer after a missing servo."""
        self._handler.syncReadTx(self._port, address, length, list(ids), len(ids), False)
        answers: dict[int, bytes] = {}
        while len(answers) < len(ids):
            packet, result = self._handler.rxPacket(self._port, False)
            if result == self._sdk.COMM_SUCCESS and packet[ID] in ids and len(packet) == DATA + length + 2:
                answers[packet[ID]] = bytes(packet[DATA : DATA + length])
            elif self._port.isPacketTimeout():
                break
        return answers

    def _sync_write(self, address: int, values: Mapping[int, bytes]) -> None:
        group = self._sdk.GroupSyncWrite(self._port, self._handler, address, len(next(iter(values.values()))))
        for number, data in values.items():
            group.addParam(number, list(data))
        if group.txPacket() != self._sdk.COMM_SUCCESS:
            raise LinkError("the bus adapter did not take a packet; connect again.")

    def _write(self, number: int, address: int, data: bytes) -> None:
        """Writes registers of one servo, which confirms.

        Raises:
            LinkError: it does not confirm.
            RobotError: it refuses.
        """
        error = self._until_answered(lambda: self._write_once(number, address, data))
        if reason := self._handler.getRxPacketError(error & 0x7F):
            raise RobotError(f"{self._named(number)} refuses register {address}: {reason}")

    def _write_once(self, number: int, address: int, data: bytes) -> int:
        """Writes once; returns the servo's error byte."""
        result, error = self._handler.writeTxRx(self._port, number, address, len(data), list(data))
        if result != self._sdk.COMM_SUCCESS:
            raise NoAnswerError(f"{self._named(number)} does not confirm; is its status return level (68) 2?")
        return int(error)
