"""One servo on the bench: armed alone, moved slowly, never beyond what robot.toml allows."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from eva_sim.clock import Clock
from eva_sim.errors import RobotError
from eva_sim.real.boards.interface import Board, BoardLimits, BoardState, BoardStatus
from eva_sim.real.boards.motion_rules import pulse_change_to_raw, pulse_to_raw

#: How fast a servo is moved [shares of the allowed travel per second]: a careful hand's speed.
GENTLE = 0.2
#: A servo that works harder than this gives way, where the board measures it [share of stall torque].
GIVE_WAY = 0.5
#: How long arming may take [s]: a bus servo wakes where it lies and glides to rest, at most all its way.
_ARMING = 1 / GENTLE + 2.0


class ServoBench:
    """A board of which one servo at a time is alive.

    The board itself is given the gentle speed, so that it would not snap either if this program erred,
    and it goes limp by itself if this program hangs. `tick` must be called all the time, each takes one
    wire period; a program that waits for its user calls it meanwhile.

    Args:
        board: limp, and nobody else's.
        clock: by which to wait.
        widest: what no servo may leave, and where each is armed, in raw positions.
        period: of the wire [s].
        too_hot: temperature at which all ends, where the board measures it [degrees Celsius].

    Attributes:
        widest: what no servo may leave.
        raw: where the armed servo is told to be [raw].
        goal: where it shall go [raw]; set it with `go`.

    Raises:
        RobotError: the board refuses.
    """

    def __init__(
        self, board: Board, clock: Clock, widest: BoardLimits, period: float, too_hot: float
    ) -> None:
        self.board, self.clock, self._period, self._too_hot = board, clock, period, too_hot
        slew = np.minimum(widest.slew, GENTLE * period * (widest.high - widest.low))
        self.widest = BoardLimits(widest.low, widest.high, widest.rest, slew)
        numbers = np.concatenate([widest.low, widest.high, widest.rest, slew])
        board.configure(self.widest, zlib.crc32(numbers.astype("<f8").tobytes()) or 1)
        self._armed: int | None = None
        self._targets = widest.rest.astype(float).copy()
        self.raw = self.goal = 0.0

    @contextmanager
    def armed(self, actuator: int) -> Iterator[None]:
        """Arms one servo at its rest for as long as the block lasts; then all is limp again.

        Raises:
            RobotError: the board refuses, or told a fault.
        """
        self._targets = self.widest.rest.astype(float).copy()
        self._armed, self.raw = actuator, float(self.widest.rest[actuator])
        self.goal = self.raw
        try:
            status = self.board.arm({actuator})
            until = self.clock.now() + _ARMING
            while status.state == BoardState.ARMING and self.clock.now() < until:
                status = self._send()
            self._check(status)
            yield
        finally:
            self._armed = None
            self.board.disarm()

    def idle(self) -> None:
        """Lets a wire period pass while all is limp; boards hear from their host meanwhile."""
        self.board.status()
        self.clock.sleep(self._period)

    def go(self, raw: float) -> None:
        """Says where the armed servo shall go [raw]; what is not allowed is cut to what is."""
        actuator = self._need()
        self.goal = float(np.clip(raw, self.widest.low[actuator], self.widest.high[actuator]))

    @property
    def arrived(self) -> bool:
        """Whether the servo was told its goal."""
        return self.raw == self.goal

    def tick(self) -> BoardStatus:
        """Moves on by one wire period.

        Raises:
            RobotError: the servo is hot or no longer active; leave `armed`, which makes it limp.
        """
        actuator = self._need()
        slew = float(self.widest.slew[actuator])
        step = float(np.clip(self.goal - self.raw, -slew, slew))
        self.raw += step
        self._targets[actuator] = self.raw
        status = self._send()
        self._check(status)
        if status.load[actuator] > GIVE_WAY:  # it met its end: back to where it did not push
            self.go(self.raw - 5 * slew * np.sign(step))
        return status

    def _send(self) -> BoardStatus:
        status = self.board.send(self._targets.copy())
        self.clock.sleep(self._period)
        return status

    def _need(self) -> int:
        if self._armed is None:
            raise RobotError("no servo is armed; use it within `armed`.")
        return self._armed

    def _check(self, status: BoardStatus) -> None:
        """Faults that the board lives with, such as an earlier reset, are no reason to end."""
        hot = self._armed is not None and status.temperature[self._armed] > self._too_hot
        if hot or status.state not in (BoardState.ACTIVE, BoardState.HOLD):
            state = "the servo is too hot" if hot else f"the board is {status.state.name.lower()}"
            why = "; ".join([state, *status.faults])
            if any("targets stopped" in fault for fault in status.faults):
                why += "; if the cable is well, this computer was too busy: end other programs"
            raise RobotError(
                f"the servo was let go: {why}. Look at the robot, then go on with `eva calibrate`."
            )


def widest_limits(unit: str) -> BoardLimits:
    """What no calibration may leave, from assets/robot.toml, in a board's unit.

    Args:
        unit: `"us"` or `"ticks"`.
    """
    from eva_sim.contract import load_spec
    from eva_sim.real.wire.firmware_table import channel_rows

    chosen = [channel_rows(load_spec())[a.channel] for a in load_spec().actuators]
    low, high, rest, slew = (
        np.array([getattr(r, n) / 4 for r in chosen]) for n in ("low", "high", "rest", "slew")
    )
    low, high, rest = (pulse_to_raw(pulse, unit) for pulse in (low, high, rest))
    return BoardLimits(low, high, rest, pulse_change_to_raw(slew, unit))
