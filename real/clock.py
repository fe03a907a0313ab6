"""Time, as an argument: the wall's for a robot, the simulator's for a virtual one."""

from __future__ import annotations

import abc
import time


class Clock(abc.ABC):
    """What the adapter knows of time. Seconds throughout."""

    @abc.abstractmethod
    def now(self) -> float:
        """Time since some fixed moment [s]; never goes back."""

    @abc.abstractmethod
    def sleep(self, duration: float) -> None:
        """Lets `duration` [s] pass; not positive: nothing."""


class WallClock(Clock):
    """The computer's monotonic clock."""

    def now(self) -> float:
        return time.monotonic()

    def sleep(self, duration: float) -> None:
        if duration > 0:
            time.sleep(duration)
