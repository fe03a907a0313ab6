"""How long a board may be silent: the one rule of every board.

A busy computer makes answers late. So the host treats a silent board as a board treats a silent host: after
`hold_after` the face holds, that is, the last targets are sent again; after `limp_after` the board counts as
gone. A board that hears nothing either has held and gone limp at the same times, so waiting loses nothing. No
silence arms anything (`eva_sim.real.boards.arming`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from eva_sim.clock import Clock
from eva_sim.errors import LinkError, NoAnswerError

T = TypeVar("T")

#: Fewest answers that must be missing in a row: a frozen program misses one, however long it was frozen.
FEWEST_MISSES = 3


class BoardSilence:
    """Counts the answers that a board owes.

    Args:
        clock: of the board.
        hold_after: silence after which the face holds [s].
        limp_after: silence after which the board counts as gone [s].
    """

    def __init__(self, clock: Clock, hold_after: float, limp_after: float) -> None:
        self._clock, self._hold_after, self._limp_after = clock, hold_after, limp_after
        self._began: float | None = None
        self._misses = 0

    def end(self) -> None:
        """Notes an answer."""
        self._began, self._misses = None, 0

    def add_miss(self, began: float) -> None:
        """Notes that what was sent at a time [s] has no answer."""
        self._began = began if self._began is None else self._began
        self._misses += 1

    def patience(self, usual: float) -> float:
        """Longest wait for the next answer [s]: twice as long after each miss.

        It is at most half the hold time, so that no board holds because its host waits.
        """
        return min(usual * 2**self._misses, max(usual, self._hold_after / 2))

    @property
    def duration(self) -> float:
        """Time since the first message without an answer [s]; zero if none is missing."""
        return 0.0 if self._began is None else self._clock.now() - self._began

    @property
    def holds(self) -> bool:
        """Whether the face holds meanwhile."""
        return self.duration >= self._hold_after

    @property
    def is_over(self) -> bool:
        """Whether the board counts as gone."""
        return self._misses >= FEWEST_MISSES and self.duration >= self._limp_after


def until_answered(exchange: Callable[[], T], limp_after: float) -> T:
    """Repeats an exchange that may happen twice, until it is answered or the board counts as gone.

    Args:
        exchange: raises `NoAnswerError` if it has no answer.
        limp_after: silence after which the board counts as gone [s]. The wall clock counts it, as it counts
            the time-outs of ports.

    Raises:
        LinkError: the board counts as gone.
    """
    end = time.monotonic() + limp_after
    while True:
        try:
            return exchange()
        except NoAnswerError as error:
            if time.monotonic() >= end:
                raise LinkError(str(error)) from error
