"""The interface of a servo board.

Boards work in *raw* positions: pulses [us] for hobby servos, ticks for bus servos. The calibration
(`eva_sim.real.calibration.model`) converts commands to raw positions.
"""

from __future__ import annotations

import abc
import enum
import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from eva_sim.contract import Floats

#: How every board begins its report that it held or went limp because the host was silent.
TARGETS_STOPPED = "targets stopped"


class BoardState(enum.IntEnum):
    """State of a board; the numbers are those of the wire, see docs/protocol.md."""

    LIMP = 0
    ARMING = 1
    ACTIVE = 2
    HOLD = 3
    STOPPED = 4
    FAULT = 5


@dataclass(frozen=True)
class BoardLimits:
    """Limits of all actuators, in the order of the actuator table, each an array of one number each [raw].

    Attributes:
        low: smaller end of travel.
        high: greater end of travel.
        rest: position between the two, where an actuator starts when it is armed.
        slew: largest change in one wire period.
    """

    low: Floats
    high: Floats
    rest: Floats
    slew: Floats


@dataclass(frozen=True)
class BoardIdentity:
    """Identity of the board that answers.

    Attributes:
        kind: of the board, `"firmware"`, `"maestro"`, `"feetech"` or `"dynamixel"`.
        robot_id: unique id of the robot; a calibration is bound to it.
        version: version of the firmware, to be shown to people.
        calibration: CRC-32 of the calibration the board holds; None where boards hold none.
        unit: of raw positions, `"us"` or `"ticks"`.
        measured: whether positions are measured (bus servos) or only what was last sent.
        watchdog: side that notices the end of the host program, the board itself or the host (a thread and a
            process).
    """

    kind: str
    robot_id: str
    version: str
    calibration: int | None
    unit: Literal["us", "ticks"]
    measured: bool
    watchdog: Literal["board", "host"]


@dataclass(frozen=True)
class BoardStatus:
    """Status of a board; arrays have one number for each actuator.

    Attributes:
        state: see `BoardState`.
        output: raw positions now; NaN where limp. Measured if `BoardIdentity.measured`.
        faults: faults in words; empty if there are none.
        supply: supply voltage of the servos [V]; NaN if the board does not measure it.
        temperature: of each servo [degrees Celsius]; NaN if the board does not measure it.
        load: of each servo, share of its stall torque; NaN if the board does not measure it.
        time: the board's own time of this status, since it was switched on [s]; NaN if it has no clock.
    """

    state: BoardState
    output: Floats
    faults: tuple[str, ...]
    supply: float
    temperature: Floats
    load: Floats
    time: float = math.nan


class Board(abc.ABC):
    """A servo board. Nothing moves before `arm`, and after it went limp only `arm` makes it move again."""

    identity: BoardIdentity

    @abc.abstractmethod
    def configure(self, limits: BoardLimits, calibration: int) -> None:
        """Gives the board its limits, which it stores (in EEPROM) if it can. It must be limp.

        Raises:
            RobotError: the board refuses, or is not limp.
        """

    @abc.abstractmethod
    def arm(self, actuators: Collection[int]) -> BoardStatus:
        """Starts to arm these actuators, from limp, group by group, each at its rest. Returns at once.

        Raises:
            RobotError: not limp, not configured, stopped, or in fault.
        """

    @abc.abstractmethod
    def send(self, raw: Floats) -> BoardStatus:
        """Sends a target for each actuator, which is also a sign of life, and returns the status.

        Raises:
            LinkError: the board is gone or does not answer.
        """

    @abc.abstractmethod
    def status(self) -> BoardStatus:
        """Asks for the status. This has no other effect, and is no sign of life."""

    @abc.abstractmethod
    def disarm(self) -> None:
        """Makes the face limp at once. May be called at any time, also twice."""

    @abc.abstractmethod
    def stop(self) -> None:
        """Emergency stop: the face is limp until `clear` and a new `arm`."""

    @abc.abstractmethod
    def clear(self) -> BoardStatus:
        """Ends a stop, or a fault whose cause is gone; the board is limp then."""

    @abc.abstractmethod
    def close(self) -> None:
        """Disarms if possible, and closes the port. May be called twice."""
