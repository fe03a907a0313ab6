"""Rules of our firmware that the host keeps for boards that keep none themselves.

`HostManagedBoard` implements "What the board does by itself" of docs/protocol.md: states, limits, slew,
exclusion, arming group by group, hold and limp after silence, and a stop that latches. A driver adds its
operations (`driver_operations.py`).
"""

from __future__ import annotations

import atexit
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

import numpy as np

from eva_sim.clock import Clock, WallClock
from eva_sim.contract import FaceSpec, Floats
from eva_sim.errors import LinkError, NoAnswerError, RobotError
from eva_sim.forks import ForkMark
from eva_sim.real.boards.arming import ArmingAct
from eva_sim.real.boards.driver_operations import DriverOperations
from eva_sim.real.boards.guarded_lines import GuardedLines
from eva_sim.real.boards.host_state import ArmingSequence, FaultLog, SensorReading
from eva_sim.real.boards.host_watchdog import HostWatchdog
from eva_sim.real.boards.interface import (
    DRIVEN,
    TARGETS_STOPPED,
    BoardIdentity,
    BoardLimits,
    BoardState,
    BoardStatus,
)
from eva_sim.real.boards.motion_rules import (
    checked_actuators,
    checked_targets,
    limits_on_grid,
    load_motion_rules,
)

GUARD_ENDED = "the process that guards the line has ended, or was frozen; connect again"
SILENCE = f"{TARGETS_STOPPED}: the face held or went limp; arm again"


class HostManagedBoard(DriverOperations):
    """A board whose rules the host keeps.

    Args:
        spec: the face.
        identity: identity of the board.
        grid: smallest change of raw position that it can send.
        widest: smallest and greatest raw position of any calibration.
        clock: clock that the rules use; the wall clock if None.
        owner: thread whose end makes the face limp; the main thread if None.

    Attributes:
        enabled: channels that hold their position now, one bool for each actuator.
        sent: positions last sent, one for each actuator [raw]; NaN while limp.
    """

    def __init__(
        self,
        spec: FaceSpec,
        identity: BoardIdentity,
        grid: float,
        widest: tuple[float, float],
        clock: Clock | None = None,
        owner: threading.Thread | None = None,
    ) -> None:
        self._rules = load_motion_rules(spec)
        super().__init__(clock or WallClock(), self._rules.hold_after, self._rules.limp_after)
        self._spec, self.identity, self._grid, self._widest = spec, identity, grid, widest
        self._lock, self._made = threading.RLock(), ForkMark()
        self._state, self._limits = BoardState.LIMP, None
        self._torque_off_pending = self._closed = False
        self._faults, self._arming = FaultLog(), ArmingSequence()
        self.enabled, self.sent = np.zeros(len(spec), dtype=bool), self._unknown()
        self._last_step_at = self._clock.now()
        self._watchdog = HostWatchdog(self._beat, self.disarm, owner)
        self._lines: GuardedLines | None = None

    _state: BoardState
    _limits: BoardLimits | None

    def _start_watchdogs(self) -> None:
        """Starts both watchdogs. A constructor calls this last, when the face is limp."""
        self._lines = GuardedLines(self._torque_off_packets(), self.limp_after)
        atexit.register(self.close)
        self._watchdog.start()

    # The interface, see `Board`.

    def configure(self, limits: BoardLimits, calibration: int) -> None:
        with self._exchange():
            self._refuse_unless_limp("configured")
            rounded, self._limits = limits_on_grid(self._spec, limits, self._grid, self._widest), None
            self._store_limits(rounded)
            self._limits = rounded

    def _arm(self, actuators: Collection[int], act: ArmingAct) -> BoardStatus:
        with self._exchange():
            self._refuse_unless_limp("armed")
            if not self._is_watched():
                raise RobotError(
                    "not armed: no watchdog would notice the end of this program; connect again."
                )
            if self._limits is None:
                raise RobotError("the board has no limits yet; configure it with a calibration first.")
            chosen = checked_actuators(self._spec, actuators)
            reading = self._until_answered(self._check_sensors)
            if self._state is BoardState.FAULT:
                raise RobotError(f"not armed, in fault: {self._faults}.")
            self._use(act)
            assert self._lines is not None  # it is watched
            self._lines.guard.grant(act)
            self._faults.clear_notices()
            now = self._clock.now()
            self._arming.begin(self._rules.groups, chosen, now)
            self._state, self._last_step_at = BoardState.ARMING, now
            self.tick()
            return self._report(reading)

    def _send(self, raw: Floats, began: float) -> BoardStatus:
        with self._exchange():
            targets = checked_targets(self._spec, raw)
            self.tick()
            if self._act:
                self._act.renew(began)
            reading = self._check_sensors()
            self._check_silence()  # sensing takes time, and the host may have been frozen meanwhile
            if self._state in DRIVEN:
                self._state = BoardState.ARMING if self._arming.active else BoardState.ACTIVE
                self._enable_next_group()  # its time may have come during silence
                self._step_towards(targets)
                self._finish_arming()
            return self._report(reading)

    def status(self) -> BoardStatus:
        with self._exchange():
            self.tick()
            return self._report(self._until_answered(lambda: self._check_sensors(fully=True)))

    def _disarm(self) -> None:
        with self._lock:
            if not self._closed:
                with self._exchange():
                    self._until_answered(lambda: self._make_limp(BoardState.LIMP))

    def _stop(self) -> None:
        with self._exchange():
            self._state = BoardState.STOPPED  # first, so that it holds even if the link fails now
            self._until_answered(lambda: self._make_limp(BoardState.STOPPED))

    def clear(self) -> BoardStatus:
        with self._exchange():
            if self._state in DRIVEN:
                raise RobotError("nothing to clear: the face is armed; disarm it first.")
            if self._state is not BoardState.LIMP:
                self._until_answered(lambda: self._make_limp(BoardState.LIMP))
                self._recover()
                self._state = BoardState.LIMP
                self._faults.clear()
        return self.status()

    def close(self) -> None:
        if self._made.crossed:  # at the end of a forked child; port and watchdogs are its parent's
            return
        with self._lock:
            if self._closed:
                return
            self._closed = True
            with suppress(LinkError):
                self._make_limp(BoardState.LIMP)
            if self._lines:
                self._lines.guard.close(torque_off=self._torque_off_pending)
            with suppress(LinkError):
                self._close_port()
        self._watchdog.close()
        atexit.unregister(self.close)

    def tick(self) -> None:
        """Does what is due by time: the next arming group, hold, limp, a pending torque-off."""
        with self._lock:
            if self._closed:
                return
            try:
                if self._torque_off_pending:
                    self._make_limp(self._state)
                self._check_guard()
                self._check_silence()
                self._enable_next_group()
            except LinkError as error:
                self._silence.add_miss(self._clock.now())  # torque-off is pending
                if self._silence.is_over or not isinstance(error, NoAnswerError):
                    self._fail([f"link lost: {error}"])

    # State machine.

    def _unknown(self) -> Floats:
        return np.full(len(self._spec), np.nan)

    def _beat(self) -> None:
        """The watchdog thread watches the host's thread; the guard watches the watchdog thread.

        A long exchange of the host's thread does not keep beats from the guard. If the act ends meanwhile,
        the guard makes the face limp.
        """
        if self._lock.acquire(blocking=False):
            try:
                self.tick()
            finally:
                self._lock.release()
        elif self._lines and (act := self._act) is not None and act.is_over():
            self._lines.guard.limp(act)
        if self._lines:
            self._lines.guard.beat()

    @property
    def can_be_armed(self) -> bool:
        return self._is_watched()

    def _is_watched(self) -> bool:
        return self._watchdog.watching and self._lines is not None and self._lines.guard.watching

    def _check_guard(self) -> None:
        """Follows what the guard did by itself."""
        if self._lines is None:
            return
        ended = self._lines.acts_ended()
        if self._act and self._act.number in ended and self._state in DRIVEN:
            self._faults.silence = SILENCE
            self._make_limp(BoardState.LIMP)
        if self._state in DRIVEN and not self._lines.guard.watching:
            self._fail([GUARD_ENDED])

    @contextmanager
    def _exchange(self) -> Iterator[None]:
        """One exchange at a time. If the link fails, the face is in fault, and limp if possible."""
        with self._lock:
            if self._closed:
                raise LinkError("the board was closed; connect again.")
            try:
                yield
            except LinkError as error:
                if not isinstance(error, NoAnswerError):  # for which `Board` waits
                    self._fail([f"link lost: {error}"])
                raise

    def _refuse_unless_limp(self, action: str) -> None:
        if self._state is BoardState.STOPPED:
            raise RobotError(f"not {action}: the emergency stop is latched; clear it first.")
        if self._state is BoardState.FAULT:
            raise RobotError(f"not {action}, in fault: {self._faults}. Remove the cause, then clear.")
        if self._state is not BoardState.LIMP or self._torque_off_pending:
            raise RobotError(f"not {action}: the face is {self._state.name.lower()}; disarm it first.")

    def _check_sensors(self, fully: bool = False) -> SensorReading:
        """Reads the sensors; any fault makes the face limp."""
        reading = self._read_sensors(fully)
        if reading.faults:
            self._fail(reading.faults)
        return reading

    def _give_up(self, error: LinkError) -> NoReturn:
        with self._exchange():
            raise error

    def _fail(self, faults: list[str]) -> None:
        """Latches faults and makes the face limp; if the link fails now, torque-off stays pending."""
        self._faults.latch(faults)
        if self._state is not BoardState.STOPPED:
            self._state = BoardState.FAULT
        with suppress(LinkError):
            self._make_limp(self._state)

    def _make_limp(self, next_state: BoardState) -> None:
        """Switches all torque off. A stop and a fault stay latched.

        Torque-off is read back and stays pending, to be retried, until the board has confirmed it.
        """
        self._torque_off_pending = True
        self._end_act("the face went limp")
        if self._lines:
            self._lines.guard.end()
        self._arming.cancel()
        self.enabled[:], self.sent[:] = False, np.nan
        if self._state in DRIVEN:
            self._state = next_state
        if self._silence.holds:
            self._end_frozen_guard()
        try:
            self._torque_off()
        except LinkError:
            if not self._end_frozen_guard():
                raise
            self._torque_off()
        self._torque_off_pending = False
        self._silence.end()

    def _end_frozen_guard(self) -> bool:
        """Ends a guard that is frozen, in whose pipe torque-off would wait; returns whether it did so now."""
        frozen = self._lines is not None and self._lines.guard.end_if_frozen()
        if frozen:
            self._faults.latch([GUARD_ENDED])
        return frozen

    def _check_silence(self) -> None:
        if self._state not in DRIVEN or self._act is None:
            return
        silence = self._act.silence
        if silence >= self._rules.hold_after:
            self._faults.silence = SILENCE
        if self._act.is_over():
            self._make_limp(BoardState.LIMP)
        elif silence >= self._rules.hold_after:
            self._state = BoardState.HOLD  # servos keep their last position by themselves; arming pauses

    def _enable_next_group(self) -> None:
        """Enables the next arming group when its time has come."""
        now = self._clock.now()
        if self._state is not BoardState.ARMING or not self._arming.is_due(now):
            return
        try:
            start = self._start_positions()
        except NoAnswerError:
            return  # the group stays due
        self._check_silence()
        if self._arming.groups:  # a fault that the sensors reported, or silence, has cancelled arming
            group = self._arming.groups.pop(0)
            self.enabled[group], self.sent[group] = True, start[group]
            assert self._lines is not None
            with self._lines.driving(self._act):
                self._enable(group, start)
            self._arming.next_at = now + self._rules.arm_gap
            self._finish_arming()

    def _finish_arming(self) -> None:
        """Arming ends when every chosen channel is enabled and at rest.

        Servos that measure their position are enabled where they are, and must first move to rest.
        """
        assert self._limits is not None
        away = np.abs(self.sent - self._limits.rest) > self._grid  # False for limp channels
        if self._state is BoardState.ARMING and not self._arming.groups and not away.any():
            self._state, self._arming.active = BoardState.ACTIVE, False

    def _start_positions(self) -> Floats:
        """Positions at which channels are enabled: the measured ones, so that no servo jumps; else rest."""
        assert self._limits is not None
        position = self._check_sensors().position if self.identity.measured else None
        if position is None:
            return self._limits.rest
        return np.clip(position, self._limits.low, self._limits.high)

    def _step_towards(self, targets: Floats) -> None:
        """Applies limits, exclusion and slew to the targets, in this order, and sends the result."""
        assert self._limits is not None
        limits, rules, now = self._limits, self._rules, self._clock.now()
        before = np.where(self.enabled, self.sent, limits.rest)
        gliding = self._arming.active and self.identity.measured
        if gliding:
            targets = limits.rest
        allowed = rules.limit_pairs(np.clip(targets, limits.low, limits.high), limits)
        periods = min((now - self._last_step_at) / rules.period, rules.most_periods)
        reach = periods * (rules.arming_slew(limits) if gliding else limits.slew)
        step = rules.hold_back_pairs(before + np.clip(allowed - before, -reach, reach), before, limits)
        self.sent, self._last_step_at = np.where(self.enabled, step, np.nan), now
        clamped = np.flatnonzero(self.enabled & (np.abs(targets - allowed) > self._grid))
        names = ", ".join(self._spec.names[i] for i in clamped)
        self._faults.clamped = f"clamped: {names}" if names else ""
        assert self._lines is not None
        with self._lines.driving(self._act):
            self._send_positions(self.sent)

    def _report(self, reading: SensorReading) -> BoardStatus:
        position = self.sent if reading.position is None else reading.position
        output = np.where(self.enabled, position, np.nan)
        return BoardStatus(
            self._state, output, self._faults.all, reading.supply, reading.temperature, reading.load
        )
