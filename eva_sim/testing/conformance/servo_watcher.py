"""A monitor of the servos at the far end of another board's line: what they hold must obey the limits given.

It reads the fakes' registers and uses nothing of the code under test.
"""

from __future__ import annotations

import threading

import numpy as np

from eva_sim.clock import Clock
from eva_sim.contract import Floats
from eva_sim.real.boards.interface import BoardLimits
from eva_sim.real.simulation.fake_line import FakeDevice, FakeLine
from eva_sim.testing.board_rigs import held_positions, lying_positions

PERIOD = 0.02
#: Periods of motion that may come between two looks, by the wall clock.
_LATE = 2.0


class ServoWatcher:
    """Looks at all servos after each exchange on the line and collects violations.

    Attributes are those of `PulseWatcher`, in raw units of the board.

    Args:
        device: the fake at the far end.
        limits: limits that the board is given.
        clock: its clock.
        exact: whether packets arrive when they are sent; by the wall clock they do not.
    """

    def __init__(self, device: FakeDevice, limits: BoardLimits, clock: Clock, exact: bool) -> None:
        self._device, self._limits, self._clock = device, limits, clock
        self._exact, self._looking = exact, threading.Lock()
        self.held, self._lay = held_positions(device), lying_positions(device)
        self._since = np.full(len(self.held), clock.now())
        self.wrong, self.armable = list[str](), set[int]()
        self.events, self.moved_at, self.stopped_at = 0, 0.0, 0.0
        self.beyond, self.faster, self.rearmed = 0.0, 0.0, 0

    @property
    def limp(self) -> bool:
        """Whether no servo is held."""
        self.look()
        return bool(np.isnan(self.held).all())

    def look(self) -> None:
        """Looks now."""
        with self._looking:
            held, now = held_positions(self._device), self._clock.now()
            changed = ~((held == self.held) | (np.isnan(held) & np.isnan(self.held)))
            if changed.any():
                self._note(held, changed, now)
            self._lay = lying_positions(self._device)

    def _note(self, held: Floats, changed: np.ndarray, now: float) -> None:
        driven = changed & ~np.isnan(held)
        started, moved = driven & np.isnan(self.held), driven & ~np.isnan(self.held)
        self.events, self.moved_at = self.events + int(changed.sum()), now
        if driven.any():
            self.stopped_at = now
            low, high = self._limits.low, self._limits.high
            self.beyond = max(self.beyond, float(np.max(np.maximum(low - held, held - high)[driven])))
        self._check_starts(held, started)
        if moved.any():
            self._check_steps(np.abs(held - self.held)[moved], moved, now)
        self.held = held
        self._since[driven] = now
        if np.isnan(held).all():
            self.armable = set()

    def _check_starts(self, held: Floats, started: np.ndarray) -> None:
        """A servo starts where it lies, or, if nobody can know that, at rest; and only if it was armed."""
        at = np.where(np.isnan(self._lay), self._limits.rest, self._lay)
        for i in np.flatnonzero(started):
            self.rearmed += i not in self.armable
            self.armable.discard(int(i))
            seen_late = 0.0 if self._exact else _LATE * self._limits.slew[i]
            if abs(held[i] - np.clip(at[i], self._limits.low[i], self._limits.high[i])) > 1 + seen_late:
                self.wrong.append(f"actuator {i} starts at {held[i]:g} and lay at {at[i]:g}")

    def _check_steps(self, steps: Floats, moved: np.ndarray, now: float) -> None:
        """A servo that missed a goal gets several steps at once; it goes there at its own speed, the slew."""
        periods = (now - self._since[moved]) / PERIOD + (0.0 if self._exact else _LATE)
        allowed = self._limits.slew[moved] * np.maximum(periods, 1.0)
        self.faster = max(self.faster, float(np.max(steps - allowed)) - 0.5)  # whole ticks


class WatchedLine(FakeLine):
    """A line whose servos are looked at after each exchange.

    Attributes:
        watcher: looks; None before there are limits.
        sizes: bytes of each write and of its answers.
    """

    def __init__(self, device: FakeDevice) -> None:
        super().__init__(device)
        self.watcher: ServoWatcher | None = None
        self.sizes = list[tuple[int, int]]()

    def exchange(self, data: bytes) -> bytes:
        try:
            answer = super().exchange(data)
            if data:
                self.sizes.append((len(data), len(answer)))
            return answer
        finally:
            if self.watcher:
                self.watcher.look()
