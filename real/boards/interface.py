"""The interface of a servo board.

Boards work in *raw* positions: pulses [us] for hobby servos, ticks for bus servos. The calibration
(`eva_sim.real.calibration.model`) converts commands to raw positions.
"""

from __future__ import annotations

import abc
import enum
import math
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Literal, NoReturn, TypeVar

import numpy as np
from numpy.typing import NDArray

from eva_sim.clock import Clock
from eva_sim.contract import Floats
from eva_sim.errors import SEE_DOCTOR, LinkError, NoAnswerError, RobotError
from eva_sim.real.boards.arming import ArmingAct
from eva_sim.real.boards.silence import BoardSilence, until_answered
from eva_sim.telemetry import Telemetry

T = TypeVar("T")
#: How every board begins its report that it held or went limp because the host was silent.
TARGETS_STOPPED = "targets stopped"
#: How every board reports that one answer was late or lost, which is no reason to stop.
UNANSWERED = "the board did not answer the last targets"


class BoardState(enum.IntEnum):
    """State of a board; the numbers are those of the wire, see docs/protocol.md."""

    LIMP = 0
    ARMING = 1
    ACTIVE = 2
    HOLD = 3
    STOPPED = 4
    FAULT = 5


#: States in which servos are driven.
DRIVEN = (BoardState.ARMING, BoardState.ACTIVE, BoardState.HOLD)


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

    def check_same(self, found: BoardIdentity) -> None:
        """Checks that a board that answers now belongs to the same robot.

        Raises:
            RobotError: it does not.
        """
        if (found.kind, found.robot_id, found.unit) != (self.kind, self.robot_id, self.unit):
            raise RobotError(
                f"robot {found.robot_id} ({found.kind}) answers now, and not {self.robot_id} ({self.kind}), "
                "which was opened; plug that one in, or open this one."
            )


@dataclass(frozen=True)
class BoardStatus:
    """Status of a board; arrays have one number for each actuator.

    Attributes:
        state: see `BoardState`.
        output: raw positions now; NaN where limp. Measured if `BoardIdentity.measured`.
        faults: faults in words; empty if there are none.
        supply: supply voltage of the servos [V]; NaN if the board does not measure it.
        temperature: of each servo [degrees Celsius]; NaN if the board does not measure it.
        load: of each servo, share of its stall torque, whose sign is its direction; NaN if the board does not
            measure it. Compare `effort` with limits.
        time: the board's own time of this status, since it was switched on [s]; NaN if it has no clock.
    """

    state: BoardState
    output: Floats
    faults: tuple[str, ...]
    supply: float
    temperature: Floats
    load: Floats
    time: float = math.nan

    def temperature_or(self, modelled: Floats) -> NDArray[np.float32]:
        """Returns the temperature of each servo, measured or else modelled, (A,) [degrees Celsius]."""
        known = np.isfinite(self.temperature)
        return np.where(known, self.temperature, modelled).astype(np.float32)

    def to_telemetry(self, target: Floats, picture_time: float) -> Telemetry:
        """Returns what recordings keep of a status.

        Args:
            target: raw positions that were sent last, (A,).
            picture_time: of the picture that was read with it [s].
        """
        target, output, temperature, load = (
            np.array(row, np.float32) for row in (target, self.output, self.temperature, self.load)
        )
        return Telemetry(target, output, temperature, load, self.supply, self.time, picture_time)

    @property
    def effort(self) -> Floats:
        """Magnitude of the load of each servo: a servo works as hard in either direction."""
        return np.abs(self.load)


class Board(abc.ABC):
    """A servo board. Nothing moves before `arm`, and after it went limp only `arm` makes it move again.

    This class keeps two rules for every board. Servos are driven only under an act of arming, and every stop
    ends that act (`eva_sim.real.boards.arming`). A board that does not answer is waited for
    (`eva_sim.real.boards.silence`).

    Args:
        clock: clock of the board.
        hold_after: silence after which the face holds [s].
        limp_after: silence after which the face must be limp [s].

    Attributes:
        identity: of the board.
        limp_after: silence after which the face must be limp [s].
    """

    identity: BoardIdentity

    def __init__(self, clock: Clock, hold_after: float, limp_after: float) -> None:
        self._clock, self.limp_after = clock, limp_after
        self._act: ArmingAct | None = None
        self._silence = BoardSilence(clock, hold_after, limp_after)
        self._targets: Floats | None = None
        self._known: BoardStatus | None = None

    def arm(self, actuators: Collection[int], act: ArmingAct | None = None) -> BoardStatus:
        """Starts to arm these actuators, from limp, group by group, each at its rest. Returns at once.

        Args:
            actuators: indices in the actuator table.
            act: the act of arming; this call if None.

        Raises:
            RobotError: not limp, not configured, stopped, in fault, or the act is over.
        """
        self._silence.end()
        self._known = None
        return self._checked(self._arm(actuators, act or ArmingAct(self._clock, self.limp_after)))

    def send(self, raw: Floats) -> BoardStatus:
        """Sends a target for each actuator, which is also a sign of life, and returns the status.

        If the answer is late, the status is the last one, and says so (`UNANSWERED`).

        Raises:
            LinkError: the board is gone, or was silent for `limp_after`.
        """
        began = self._clock.now()  # not later: the host may be frozen at any line from here on
        targets = self._targets if self._silence.holds and self._targets is not None else raw
        try:
            self._known = status = self._send(targets, began)
            self._silence.end()
        except NoAnswerError:
            self._silence.add_miss(began)
            status = self._unanswered()
        self._targets = targets
        return self._checked(status)

    def disarm(self) -> None:
        """Makes the face limp at once. May be called at any time, also twice."""
        self._end_act("disarmed")
        self._disarm()

    def stop(self) -> None:
        """Emergency stop: the face is limp until `clear` and a new `arm`."""
        self._end_act("stopped")
        self._stop()

    @abc.abstractmethod
    def configure(self, limits: BoardLimits, calibration: int) -> None:
        """Gives the board its limits, which it stores (in EEPROM) if it can. It must be limp.

        Raises:
            RobotError: the board refuses, or is not limp.
        """

    @abc.abstractmethod
    def status(self) -> BoardStatus:
        """Asks for the status. This has no other effect, and is no sign of life."""

    @abc.abstractmethod
    def clear(self) -> BoardStatus:
        """Ends a stop, or a fault whose cause is gone; the board is limp then."""

    @property
    def can_be_armed(self) -> bool:
        """Whether this connection may arm ever again; else it has to be opened anew."""
        return True

    @abc.abstractmethod
    def close(self) -> None:
        """Disarms if possible, and closes the port. May be called twice."""

    # What a driver adds to `arm`, `send`, `disarm` and `stop`.

    @abc.abstractmethod
    def _arm(self, actuators: Collection[int], act: ArmingAct) -> BoardStatus:
        """Arms, see `arm`; calls `_use` right before the board drives its first servo."""

    @abc.abstractmethod
    def _send(self, raw: Floats, began: float) -> BoardStatus:
        """Sends, see `send`; `began` is the time of the call, and the sign of life [s].

        Raises:
            NoAnswerError: the answer did not come in time.
            LinkError: the board is gone.
        """

    @abc.abstractmethod
    def _disarm(self) -> None:
        """Makes the face limp, see `disarm`."""

    @abc.abstractmethod
    def _stop(self) -> None:
        """Makes the face limp and stays so, see `stop`."""

    def _give_up(self, error: LinkError) -> NoReturn:
        """Raises an error, since the board counts as gone."""
        raise error

    # The rules.

    def _use(self, act: ArmingAct) -> None:
        """Drives servos under this act from here on.

        Raises:
            RobotError: the act is over, or too old.
        """
        act.use()
        self._act = act

    def _end_act(self, reason: str) -> None:
        """Ends the act under which servos are driven: the face is limp, or is about to be."""
        if self._act:
            self._act.end(reason)

    def _checked(self, status: BoardStatus) -> BoardStatus:
        """A status after an exchange. Makes the face limp if servos are driven but the act has ended."""
        if self._act is None:
            return status
        if status.state not in DRIVEN:
            self._act.end("the face went limp")
            return status
        if not self._act.is_over():
            return status
        self._disarm()
        return self.status()

    def _until_answered(self, exchange: Callable[[], T]) -> T:
        """Repeats an exchange that may happen twice, see `until_answered`."""
        return until_answered(exchange, self.limp_after)

    def _unanswered(self) -> BoardStatus:
        """The status after targets without an answer.

        Raises:
            LinkError: the board counts as gone.
        """
        if self._silence.is_over:
            told = f"the board has not answered for {self._silence.duration:.2f} s"
            self._give_up(LinkError(f"{told}; check its cable and its power. {SEE_DOCTOR}"))
        status = self._known or self.status()
        return replace(status, faults=(*status.faults, UNANSWERED))
