"""What a servo board is to the rest of the package.

Boards speak of *raw* positions: pulses [us] for hobby servos, ticks for bus servos. What raw position a
command is, is the calibration's business (`eva_sim.real.calibration.model`).
"""

from __future__ import annotations

import abc
import enum
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from eva_sim.contract import Floats


class BoardState(enum.IntEnum):
    """Of a board; the numbers are the wire's, see docs/protocol.md."""

    LIMP = 0
    ARMING = 1
    ACTIVE = 2
    HOLD = 3
    STOPPED = 4
    FAULT = 5


@dataclass(frozen=True)
class BoardLimits:
    """Of all channels of the face, in the order of the actuator table, each (25,) [raw].

    Attributes:
        low: the smaller end of travel.
        high: the greater end of travel.
        rest: where a channel starts when it is armed; between the two.
        slew: most it may move in one wire period.
    """

    low: Floats
    high: Floats
    rest: Floats
    slew: Floats


@dataclass(frozen=True)
class BoardIdentity:
    """Who answers at the other end.

    Attributes:
        kind: of the board, `"firmware"`, `"maestro"`, `"feetech"` or `"dynamixel"`.
        robot: the unique id that a calibration is bound to.
        version: of the firmware, for people.
        calibration: CRC-32 of the calibration the board holds; None where boards hold none.
        unit: of raw positions, `"us"` or `"ticks"`.
        measured: whether positions are measured (bus servos) or only what was last sent.
        dead_man: who notices that the host is gone, the board itself or a thread of the host.
    """

    kind: str
    robot: str
    version: str
    calibration: int | None
    unit: Literal["us", "ticks"]
    measured: bool
    dead_man: Literal["board", "host"]


@dataclass(frozen=True)
class BoardStatus:
    """What a board says of itself.

    Attributes:
        state: see `BoardState`.
        output: raw positions now, (25,); NaN where limp. Measured if `BoardIdentity.measured`.
        faults: what is wrong, in words; empty when all is well.
        supply: of the servos [V]; NaN if the board cannot tell.
        temperature: of each servo, (25,) [degrees Celsius]; NaN if the board cannot tell.
        load: of each servo, (25,), share of its stall torque; NaN if the board cannot tell.
    """

    state: BoardState
    output: Floats
    faults: tuple[str, ...]
    supply: float
    temperature: Floats
    load: Floats


class Board(abc.ABC):
    """A servo board. Nothing moves before `arm`, and nothing but `arm` makes it move again."""

    identity: BoardIdentity

    @abc.abstractmethod
    def configure(self, limits: BoardLimits, calibration: int) -> None:
        """Gives the board its limits, which it keeps (in EEPROM) if it can; only when limp.

        Raises:
            RobotError: the board refuses, or is not limp.
        """

    @abc.abstractmethod
    def arm(self, actuators: Collection[int]) -> BoardStatus:
        """Starts arming these actuators, from limp, group by group, each at its rest; returns at once.

        Raises:
            RobotError: not limp, not configured, stopped, or in fault.
        """

    @abc.abstractmethod
    def send(self, raw: Floats) -> BoardStatus:
        """Sends targets, (25,), a sign of life, and returns what the board says.

        Raises:
            LinkError: the board is gone or does not answer.
        """

    @abc.abstractmethod
    def status(self) -> BoardStatus:
        """Asks without any effect."""

    @abc.abstractmethod
    def disarm(self) -> None:
        """Limp at once. May be called at any time, also twice."""

    @abc.abstractmethod
    def stop(self) -> None:
        """Emergency stop: limp, and latched until `clear`."""

    @abc.abstractmethod
    def clear(self) -> BoardStatus:
        """Ends a stop or a fault whose cause is gone; the board is then limp."""

    @abc.abstractmethod
    def close(self) -> None:
        """Disarms if it can, and lets go of the port. May be called twice."""
