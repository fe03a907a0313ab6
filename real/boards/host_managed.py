"""The rules of our firmware, kept by the host, for boards that keep none themselves.

States, limits, slew, exclusion, arming group by group, silence -> hold -> limp, and a stop that latches:
all of docs/protocol.md's "What the board does by itself", in `HostManagedBoard`. A driver adds four small
things: how to wake channels, how to send positions, how to let everything go, and what to sense.
"""

from __future__ import annotations

import abc
import atexit
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from eva_sim.clock import Clock, WallClock
from eva_sim.contract import Floats, load_spec
from eva_sim.errors import LinkError, RobotError
from eva_sim.real.boards.host_watchdog import HostWatchdog
from eva_sim.real.boards.interface import Board, BoardIdentity, BoardLimits, BoardState, BoardStatus
from eva_sim.real.boards.motion_rules import load_motion_rules
from eva_sim.real.boards.watchdog_process import WatchdogProcess
from eva_sim.real.wire.bus_port import BusPort

NAMES = load_spec().names
COUNT = len(NAMES)
MOVING = (BoardState.ARMING, BoardState.ACTIVE, BoardState.HOLD)
SILENCE = "limp or held since targets stopped; arm again"


def unknown_values() -> Floats:
    """25 numbers that nobody knows."""
    return np.full(COUNT, np.nan)


@dataclass
class SensorReading:
    """What a driver learnt in one exchange.

    Attributes:
        faults: what is wrong, in words; any of them makes the face limp.
        position: measured, (25,) [raw]; None on boards that measure nothing.
        supply: lowest of the servos [V]; NaN if unknown.
        temperature: (25,) [degrees Celsius]; NaN if unknown.
        load: (25,), share of the stall torque; NaN if unknown.
    """

    faults: list[str] = field(default_factory=list)
    position: Floats | None = None
    supply: float = float("nan")
    temperature: Floats = field(default_factory=unknown_values)
    load: Floats = field(default_factory=unknown_values)


class HostManagedBoard(Board):
    """A board whose rules the host keeps.

    Args:
        identity: who it is.
        grid: the smallest change of raw position it can send.
        widest: smallest and greatest raw position of any calibration.
        clock: what the rules go by; the wall's if None.
        owner: the thread whose death makes the face limp; the main thread if None.

    Attributes:
        awake: channels that hold their position now, bool (25,).
        wanted: positions last sent, (25,) [raw]; NaN while asleep.
    """

    def __init__(
        self,
        identity: BoardIdentity,
        grid: float,
        widest: tuple[float, float],
        clock: Clock | None = None,
        owner: threading.Thread | None = None,
    ) -> None:
        self.identity, self._grid, self._widest = identity, grid, widest
        self._clock, self._rules = clock or WallClock(), load_motion_rules()
        self._lock = threading.RLock()
        self._state, self._limits = BoardState.LIMP, None
        self._owed = self._closed = self._arming = False
        self._latched: list[str] = []
        self._notes: list[str] = []
        self._queue: list[NDArray[np.intp]] = []
        self.awake, self.wanted = np.zeros(COUNT, dtype=bool), unknown_values()
        self._heard = self._moved = self._next_group = self._clock.now()
        self._deadman = HostWatchdog(self._beat, self.disarm, owner)
        self._guard: WatchdogProcess | None = None

    _state: BoardState
    _limits: BoardLimits | None

    # What a driver adds.

    @abc.abstractmethod
    def _wake(self, channels: NDArray[np.intp], start: Floats) -> None:
        """Makes these channels hold `start`, (25,) [raw], of which only theirs counts."""

    @abc.abstractmethod
    def _go(self, wanted: Floats) -> None:
        """Sends positions, (25,) [raw]; NaN: asleep, and must stay so."""

    @abc.abstractmethod
    def _let_go(self) -> None:
        """All channels limp. Also the first thing done to a board, when nothing is known of it."""

    @abc.abstractmethod
    def _sense(self, fully: bool) -> SensorReading:
        """Asks the board; `fully` if there is time for all it knows."""

    @abc.abstractmethod
    def _last_words(self) -> dict[BusPort, bytes]:
        """What makes everything limp, whoever says it, on each port."""

    @abc.abstractmethod
    def _close_port(self) -> None:
        """Lets go of the port. May be called twice."""

    def _keep(self, limits: BoardLimits) -> None:
        """Gives the board its share of the limits, if it keeps any."""

    def _recover(self) -> None:
        """Does what the board needs after a fault before it can be used again."""

    def _begin(self) -> None:
        """The dead man and the guard watch from here on. The last thing in a constructor, long after limp."""
        words = {n: said for port, said in self._last_words().items() if (n := port.number()) is not None}
        if words:
            self._guard = WatchdogProcess(words, self._rules.limp_after)
        atexit.register(self.close)
        self._deadman.start()

    # The interface, see `Board`.

    def configure(self, limits: BoardLimits, calibration: int) -> None:
        with self._talk():
            self._refuse_unless_limp("configured")
            checked, self._limits = limits_on_grid(limits, self._grid, self._widest), None
            self._keep(checked)
            self._limits = checked

    def arm(self, actuators: Collection[int]) -> BoardStatus:
        with self._talk():
            self._refuse_unless_limp("armed")
            if not self._deadman.watching or (self._guard and not self._guard.watching):
                raise RobotError("not armed: nobody would notice if this program died; connect again.")
            if self._limits is None:
                raise RobotError("the board has no limits yet; configure it with a calibration first.")
            chosen = self._chosen(actuators)
            sensed = self._look()
            if self._state is BoardState.FAULT:
                raise RobotError(f"not armed, in fault: {'; '.join(self._latched)}.")
            self._notes.clear()
            self._queue = [group for g in self._rules.groups if (group := np.intersect1d(g, chosen)).size]
            self._state, self._arming = BoardState.ARMING, True
            self._heard = self._moved = self._next_group = self._clock.now()
            self.tick()
            return self._report(sensed)

    def send(self, raw: Floats) -> BoardStatus:
        with self._talk():
            targets = checked_targets(raw)
            self.tick()
            sensed = self._look()
            if self._state in MOVING:
                self._heard = self._clock.now()
                self._state = BoardState.ARMING if self._arming else BoardState.ACTIVE
                self._wake_next()  # its turn may have come in silence
                self._follow(targets)
                self._end_arming()
            return self._report(sensed)

    def status(self) -> BoardStatus:
        with self._talk():
            self.tick()
            return self._report(self._look(fully=True))

    def disarm(self) -> None:
        with self._lock:
            if not self._closed:
                with self._talk():
                    self._limp(BoardState.LIMP)

    def stop(self) -> None:
        with self._talk():
            self._state = BoardState.STOPPED  # first, so that it holds even if the link fails now
            self._limp(BoardState.STOPPED)

    def clear(self) -> BoardStatus:
        with self._talk():
            if self._state in MOVING:
                raise RobotError("nothing to clear: the face is armed; disarm it first.")
            if self._state is not BoardState.LIMP:
                self._limp(BoardState.LIMP)
                self._recover()
                self._state, self._latched = BoardState.LIMP, []
            return self._report(self._look(fully=True))

    def close(self) -> None:
        with self._lock:
            if self._closed:
                return
            self._closed = True
            with suppress(LinkError):
                self._limp(BoardState.LIMP)
            if self._guard:
                self._guard.close(speak=self._owed)
            with suppress(LinkError):
                self._close_port()
        self._deadman.close()
        atexit.unregister(self.close)

    def tick(self) -> None:
        """Lets time act: the next arming group, hold, limp. Called by every exchange and by the dead man."""
        with self._lock:
            if self._closed:
                return
            try:
                if self._owed:
                    self._limp(self._state)
                self._mind_silence()
                self._wake_next()
            except LinkError as error:
                self._fail([f"link lost: {error}"])

    # Insides.

    def _beat(self) -> None:
        """The dead man watches the host's thread, and by this the guard watches the dead man."""
        self.tick()
        if self._guard:
            self._guard.beat()

    @contextmanager
    def _talk(self) -> Iterator[None]:
        """One exchange at a time; when the link fails in it, the face is limp as far as we can make it."""
        with self._lock:
            if self._closed:
                raise LinkError("the board was closed; connect again.")
            try:
                yield
            except LinkError as error:
                self._fail([f"link lost: {error}"])
                raise

    def _refuse_unless_limp(self, what: str) -> None:
        if self._state is BoardState.STOPPED:
            raise RobotError(f"not {what}: the emergency stop is latched; clear it first.")
        if self._state is BoardState.FAULT:
            raise RobotError(f"not {what}, in fault: {'; '.join(self._latched)}. Mend it, then clear.")
        if self._state is not BoardState.LIMP or self._owed:
            raise RobotError(f"not {what}: the face is {self._state.name.lower()}; disarm it first.")

    def _chosen(self, actuators: Collection[int]) -> NDArray[np.intp]:
        chosen = np.array(sorted(set(actuators)), dtype=np.intp)
        if not chosen.size or chosen[0] < 0 or chosen[-1] >= COUNT:
            raise RobotError(f"actuators to arm are numbers from 0 to {COUNT - 1}, not {list(actuators)}.")
        return chosen

    def _look(self, fully: bool = False) -> SensorReading:
        """Senses, and makes the face limp if anything is wrong."""
        sensed = self._sense(fully)
        if sensed.faults:
            self._fail(sensed.faults)
        return sensed

    def _fail(self, faults: list[str]) -> None:
        """Limp and latched; a link that fails now leaves the limp owed."""
        self._latched += [f for f in faults if f not in self._latched]
        if self._state is not BoardState.STOPPED:
            self._state = BoardState.FAULT
        with suppress(LinkError):
            self._limp(self._state)

    def _limp(self, then: BoardState) -> None:
        """Everything limp; a stop and a fault stay what they are. Owed until the board was told."""
        self._owed = True
        self._queue = []
        self.awake[:], self.wanted[:] = False, np.nan
        if self._state in MOVING:
            self._state = then
        self._let_go()
        self._owed = False

    def _mind_silence(self) -> None:
        if self._state not in MOVING:
            return
        silence = self._clock.now() - self._heard
        if silence >= self._rules.hold_after and SILENCE not in self._notes:
            self._notes.append(SILENCE)
        if silence >= self._rules.limp_after:
            self._limp(BoardState.LIMP)
        elif silence >= self._rules.hold_after:
            self._state = BoardState.HOLD  # servos keep their last position by themselves; arming waits

    def _wake_next(self) -> None:
        """Wakes the group whose turn has come."""
        now = self._clock.now()
        if self._state is not BoardState.ARMING or now < self._next_group:
            return
        start = self._start() if self._queue else None
        if self._queue and start is not None:  # sensing found no fault, which empties the queue
            group = self._queue.pop(0)
            self.awake[group], self.wanted[group] = True, start[group]
            self._wake(group, start)
            self._next_group = now + self._rules.arm_gap
            self._end_arming()

    def _end_arming(self) -> None:
        """Armed is who is awake and at rest; measured servos woke up elsewhere and had to go there."""
        assert self._limits is not None
        away = np.abs(self.wanted - self._limits.rest) > self._grid  # not so for those asleep
        if self._state is BoardState.ARMING and not self._queue and not away.any():
            self._state, self._arming = BoardState.ACTIVE, False

    def _start(self) -> Floats:
        """Where channels wake: where they are, if that is measured, so that nothing snaps; else at rest."""
        assert self._limits is not None
        position = self._look().position if self.identity.measured else None
        if position is None:
            return self._limits.rest
        return np.clip(position, self._limits.low, self._limits.high)

    def _follow(self, targets: Floats) -> None:
        """Limits, exclusion, slew, in this order, and out it goes."""
        assert self._limits is not None
        limits, rules, now = self._limits, self._rules, self._clock.now()
        before = np.where(self.awake, self.wanted, limits.rest)
        if self._arming and self.identity.measured:
            targets = limits.rest
        allowed = rules.ease(np.clip(targets, limits.low, limits.high), limits)
        periods = min((now - self._moved) / rules.period, rules.most_periods)
        reach = limits.slew * periods
        step = rules.hold_back(before + np.clip(allowed - before, -reach, reach), before, limits)
        self.wanted, self._moved = np.where(self.awake, step, np.nan), now
        self._tell_clamped(targets, allowed)
        self._go(self.wanted)

    def _tell_clamped(self, targets: Floats, allowed: Floats) -> None:
        self._notes = [note for note in self._notes if not note.startswith("clamped")]
        clamped = np.flatnonzero(self.awake & (np.abs(targets - allowed) > self._grid))
        if clamped.size:
            self._notes.append(f"clamped: {', '.join(NAMES[i] for i in clamped)}")

    def _report(self, sensed: SensorReading) -> BoardStatus:
        position = self.wanted if sensed.position is None else sensed.position
        output = np.where(self.awake, position, np.nan)
        faults = (*self._latched, *self._notes)
        return BoardStatus(self._state, output, faults, sensed.supply, sensed.temperature, sensed.load)


def checked_targets(raw: Floats) -> Floats:
    """`raw` as float64 (25,).

    Raises:
        RobotError: wrong shape, or not finite; nothing was sent.
    """
    targets = np.asarray(raw, dtype=float)
    if targets.shape != (COUNT,) or not np.isfinite(targets).all():
        raise RobotError(f"targets are {COUNT} finite numbers; nothing was sent.")
    return targets


def limits_on_grid(limits: BoardLimits, grid: float, widest: tuple[float, float]) -> BoardLimits:
    """`limits` drawn in to what the board can send, so that rounding never leaves them.

    Raises:
        RobotError: wrong shapes, not finite, in the wrong order, or wider than the board allows.
    """
    columns = [np.asarray(c, dtype=float) for c in (limits.low, limits.high, limits.rest, limits.slew)]
    if any(c.shape != (COUNT,) or not np.isfinite(c).all() for c in columns):
        raise RobotError(f"limits are four columns of {COUNT} finite numbers; calibrate again.")
    low, high = np.ceil(columns[0] / grid) * grid, np.floor(columns[1] / grid) * grid
    rest, slew = np.clip(columns[2], low, high), columns[3]
    bad = (low >= high) | (low < widest[0]) | (high > widest[1]) | (slew <= 0) | (rest - columns[2] > grid)
    bad |= columns[2] - rest > grid
    if bad.any():
        told = ", ".join(NAMES[i] for i in np.flatnonzero(bad)[:4])
        raise RobotError(
            f"limits of {told} are not {widest[0]:g} <= low <= rest <= high <= {widest[1]:g} with "
            "low < high and slew > 0; calibrate again."
        )
    return BoardLimits(low, high, rest, slew)
