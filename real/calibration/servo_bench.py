"""A bench for one servo: armed alone, moved slowly, never beyond the limits of robot.toml."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from eva_sim.clock import Clock
from eva_sim.contract import FaceSpec
from eva_sim.errors import RobotError
from eva_sim.priority import RunningAhead
from eva_sim.real.boards.interface import TARGETS_STOPPED, Board, BoardLimits, BoardState, BoardStatus
from eva_sim.real.boards.motion_rules import pulse_change_to_raw, pulse_to_raw
from eva_sim.real.wire.firmware_table import channel_rows

#: Speed of a servo on the bench [shares of the allowed travel per second].
BENCH_SPEED = 0.2
#: Effort above which a servo gives way, where the board measures it, and effort at which it stays again
#: [share of stall torque].
GIVE_WAY, RELEASED = 0.5, 0.2
#: Longest way back [share of the allowed travel], and longest time of effort without a way back [s].
_WAY_BACK, _STUCK_FOR = 0.2, 0.5
#: Longest time for arming [s]: a bus servo wakes at its present position and glides to rest, at most its
#: whole travel.
_ARMING_TIME = 1 / BENCH_SPEED + 2.0


class ServoBench:
    """A board with one armed servo at a time.

    The board itself is configured with the bench speed, so it would not snap even if this program erred,
    and it goes limp by itself if this program hangs. Call `tick` all the time; each call takes one wire
    period. A program that waits for its operator calls it meanwhile.

    Args:
        board: limp, and used by nothing else.
        clock: the board's clock.
        widest: limits that no servo may leave, and the rest at which each is armed [raw].
        period: of the wire [s].
        too_hot: temperature at which the search ends, where the board measures it [degrees Celsius].

    Attributes:
        widest: limits that no servo may leave.
        raw: current target of the armed servo [raw].
        goal: position to which the target moves [raw]; set it with `go`.
        notice: what happened to the servo since somebody emptied this, for the operator; usually empty.

    Raises:
        RobotError: the board refuses.
    """

    def __init__(
        self, board: Board, clock: Clock, widest: BoardLimits, period: float, too_hot: float
    ) -> None:
        self.board, self.clock, self._period, self._too_hot = board, clock, period, too_hot
        slew = np.minimum(widest.slew, BENCH_SPEED * period * (widest.high - widest.low))
        self.widest = BoardLimits(widest.low, widest.high, widest.rest, slew)
        numbers = np.concatenate([widest.low, widest.high, widest.rest, slew])
        board.configure(self.widest, zlib.crc32(numbers.astype("<f8").tobytes()) or 1)
        self._ahead, self._armed = RunningAhead(clock, board.limp_after), None
        self._targets = widest.rest.astype(float).copy()
        self.raw = self.goal = 0.0
        self.notice = ""
        self._way = 0.0  # direction of its last move, -1 or 1; 0 before the first one
        self._hard_at: float | None = None  # position from which it is giving way [raw]
        self._hard_for = 0.0  # time of effort so far [s]

    _armed: int | None

    @contextmanager
    def armed(self, actuator: int, attend: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Arms one servo at its rest during the block; afterwards all servos are limp again.

        The calling thread runs ahead of other programs meanwhile, see `eva_sim.priority`.

        Args:
            actuator: index in the actuator table.
            attend: called once a wire period while the servo is being armed; what it raises ends that.

        Raises:
            RobotError: the board refuses, or reports a fault.
        """
        self._targets = self.widest.rest.astype(float).copy()
        self._armed, self.raw = actuator, float(self.widest.rest[actuator])
        self.goal, self._way, self._hard_at, self._hard_for = self.raw, 0.0, None, 0.0
        self.notice = ""
        self._ahead.begin()
        try:
            status = self.board.arm({actuator})
            until = self.clock.now() + _ARMING_TIME
            while status.state == BoardState.ARMING and self.clock.now() < until:
                status = self._send()
                attend()
            self._check(status)
            yield
        finally:
            self._armed = None
            try:
                self.board.disarm()
            finally:
                self._ahead.end()

    def idle(self) -> None:
        """Lets one wire period pass while all servos are limp; the board still hears from its host."""
        self.board.status()
        self.clock.sleep(self._period)

    def go(self, raw: float) -> None:
        """Sets the goal of the armed servo [raw], clipped to its limits; not while it gives way."""
        actuator = self._armed_actuator()
        if self._hard_at is not None:
            return
        self.goal = self._clipped(actuator, raw)

    @property
    def arrived(self) -> bool:
        """Whether the target has reached the goal."""
        return self.raw == self.goal

    def tick(self) -> BoardStatus:
        """Moves the target for one wire period. A servo that works hard gives way, see `notice`.

        Raises:
            RobotError: the servo is hot, no longer active, or works hard wherever it goes; leave `armed`,
                which makes it limp.
        """
        actuator = self._armed_actuator()
        slew = float(self.widest.slew[actuator])
        step = float(np.clip(self.goal - self.raw, -slew, slew))
        self.raw += step
        self._way = float(np.sign(step)) or self._way
        self._targets[actuator] = self.raw
        status = self._send()
        self._check(status)
        self._give_way(actuator, float(status.effort[actuator]))
        return status

    def _give_way(self, actuator: int, effort: float) -> None:
        """Sends a servo that works hard back the way it came, until its effort has fallen; it stays there."""
        if self._hard_at is None:
            self._hard_for = self._hard_for + self._period if effort > GIVE_WAY else 0.0
            if self._hard_for > _STUCK_FOR:
                raise self._works_hard(self.raw)
            if effort > GIVE_WAY and self._way:
                self._hard_at, back = self.raw, _WAY_BACK * (self.widest.high - self.widest.low)[actuator]
                self.goal = self._clipped(actuator, self.raw - self._way * back)
        elif effort < RELEASED:
            self.notice = f"met resistance at {self._hard_at:.0f} and went back to {self.raw:.0f}"
            self.goal, self._hard_at = self.raw, None
        elif self.arrived:
            raise self._works_hard(self._hard_at)

    def _works_hard(self, first: float) -> RobotError:
        places = dict.fromkeys((f"{first:.0f}", f"{self.raw:.0f}"))
        return RobotError(
            f"the servo was made limp: it works hard at {' and at '.join(places)}. "
            "Check its horn and its cable, then run `eva calibrate` again."
        )

    def _clipped(self, actuator: int, raw: float) -> float:
        return float(np.clip(raw, self.widest.low[actuator], self.widest.high[actuator]))

    def _send(self) -> BoardStatus:
        with self._ahead.lending_priority():
            status = self.board.send(self._targets.copy())
        self.clock.sleep(self._period)
        return status

    def _armed_actuator(self) -> int:
        if self._armed is None:
            raise RobotError("no servo is armed; use it within `armed`.")
        return self._armed

    def _check(self, status: BoardStatus) -> None:
        """Raises if the servo is hot or the board not active; other faults, as of an earlier reset, pass."""
        hot = self._armed is not None and status.temperature[self._armed] > self._too_hot
        if hot or status.state not in (BoardState.ACTIVE, BoardState.HOLD):
            state = "the servo is too hot" if hot else f"the board is {status.state.name.lower()}"
            reason, advice = "; ".join([state, *status.faults]), ""
            if any(fault.startswith(TARGETS_STOPPED) for fault in status.faults):
                reason += "; if the cable is intact, this computer is overloaded: close other programs"
                advice = self._ahead.priority_advice
            raise RobotError(
                f"the servo was made limp: {reason}. Check the robot, then run `eva calibrate` again.{advice}"
            )


def widest_limits(spec: FaceSpec, unit: str) -> BoardLimits:
    """Limits of robot.toml that no calibration may leave, in a board's unit.

    Args:
        spec: the face.
        unit: `"us"` or `"ticks"`.
    """
    rows = [channel_rows(spec)[a.channel] for a in spec.actuators]
    low, high, rest, slew = (
        np.array([getattr(row, name) / 4 for row in rows]) for name in ("low", "high", "rest", "slew")
    )
    low, high, rest = (pulse_to_raw(pulse, unit) for pulse in (low, high, rest))
    return BoardLimits(low, high, rest, pulse_change_to_raw(slew, unit))
