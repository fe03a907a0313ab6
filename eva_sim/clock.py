"""Time, as an argument: the wall's for a robot, the simulator's for a virtual one."""

from __future__ import annotations

import abc
import select
import time
from typing import Any

#: How often one looks at a port that cannot be waited for [s]; targets and status take 2.7 ms on the wire.
GLANCE = 0.001


class Clock(abc.ABC):
    """What the adapter knows of time. Seconds throughout."""

    @abc.abstractmethod
    def now(self) -> float:
        """Time since some fixed moment [s]; never goes back."""

    @abc.abstractmethod
    def sleep(self, duration: float) -> None:
        """Lets `duration` [s] pass; not positive: nothing."""

    def wait(self, port: Any, duration: float) -> None:
        """Lets at most `duration` [s] pass, less if something arrives at `port` meanwhile."""
        self.sleep(min(GLANCE, duration))


class WallClock(Clock):
    """The computer's monotonic clock."""

    def now(self) -> float:
        return time.monotonic()

    def sleep(self, duration: float) -> None:
        if duration > 0:
            time.sleep(duration)

    def wait(self, port: Any, duration: float) -> None:
        if hasattr(port, "fileno"):  # to be woken costs less than to look again and again
            select.select([port], [], [], max(0.0, duration))
        else:
            super().wait(port, duration)
