"""Stopping a robot while the loop that moves it is busy, as with arming, which takes up to seconds."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

import numpy as np

from eva_sim.files import Closing

#: Time between two looks at whether to stop [s]: a wire period.
_PERIOD = 0.02


class Stopper(Closing):
    """Stops a robot from a thread of its own, again and again until the loop has heard of it.

    Args:
        stop: stops the robot; may be called from any thread.

    Attributes:
        arming_for: page for which the loop arms the robot now; None while it does not.
        ended: whether the loop is to end; asked only while it arms, since it notices by itself otherwise.
        asked: when a stop was asked for last, by `time.perf_counter` [s].
    """

    def __init__(self, stop: Callable[[], None]) -> None:
        self.arming_for: int | None = None
        self.ended: Callable[[], bool] = lambda: False
        self._stop, self.asked, self._heard = stop, -np.inf, -np.inf
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="stopper", daemon=True)
        self._thread.start()

    def ask_to_stop(self, time: float) -> None:
        """Asks for a stop, from any thread.

        Args:
            time: of the request, by `time.perf_counter` [s].
        """
        self.asked = time

    def note_heard(self, time: float) -> None:
        """Notes that the loop has heard of all stops up to a time [s]."""
        self._heard = max(self._heard, time)

    def close(self) -> None:
        """Ends the thread. May be called twice."""
        self._closed.set()
        self._thread.join(timeout=1.0)

    def _watch(self) -> None:
        while not self._closed.wait(_PERIOD):
            if self.asked > self._heard or (self.arming_for is not None and self.ended()):
                with suppress(Exception):  # the loop tells what is wrong with the robot
                    self._stop()
