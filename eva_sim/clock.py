"""Clocks: the wall clock for a robot, simulated time for a virtual one.

Code that waits takes its clock as an argument.
"""

from __future__ import annotations

import abc
import select
import time
from typing import Any

#: Interval at which a port without a file descriptor is polled [s]; a frame takes 2.7 ms on the wire.
POLL_INTERVAL = 0.001


class Clock(abc.ABC):
    """A source of time [s] that can be waited on."""

    @abc.abstractmethod
    def now(self) -> float:
        """Returns the time since some fixed moment [s]; it never goes back."""

    @abc.abstractmethod
    def sleep(self, duration: float) -> None:
        """Waits for `duration` [s]; returns at once if that is not positive."""

    def wait(self, port: Any, duration: float) -> None:
        """Waits until something arrives at `port`, at most `duration` [s]."""
        self.sleep(min(POLL_INTERVAL, duration))


def _elapsing() -> int | None:
    """The system's clock that counts a computer's sleep too, if it has one by number."""
    for name in ("CLOCK_BOOTTIME", "CLOCK_MONOTONIC_RAW"):  # Linux; macOS, whose monotonic clock stands still
        number: int | None = getattr(time, name, None)
        if number is not None:
            return number
    return None


#: Number of that clock; None if there is only `time.monotonic`.
ELAPSING = _elapsing()


class WallClock(Clock):
    """The computer's clock that never goes back. It counts the time in which the computer sleeps, too.

    A clock that stands still meanwhile would hide an hour of silence from the rules of safety.
    """

    def now(self) -> float:
        return time.monotonic() if ELAPSING is None else time.clock_gettime(ELAPSING)

    def sleep(self, duration: float) -> None:
        if duration > 0:
            time.sleep(duration)

    def wait(self, port: Any, duration: float) -> None:
        if hasattr(port, "fileno"):  # being woken costs less than polling
            select.select([port], [], [], max(0.0, duration))
        else:
            super().wait(port, duration)


class SimulatedClock(Clock):
    """Time that passes only during a sleep.

    Attributes:
        time: now [s]; a test may set it.
    """

    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time

    def sleep(self, duration: float) -> None:
        self.time += max(duration, 0.0)
