"""Running an action when the program is asked to end: Ctrl-C, SIGTERM, SIGHUP, or the interpreter's exit.

A signal may come in the middle of a frame on the wire, or while a hidden robot moves. So the block under way,
at most one control period and its picture, is finished first, or broken off after a second. Then the action
runs. Then the signal goes to its previous handler. A second signal does not wait, and goes there at once.
"""

from __future__ import annotations

import atexit
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

from eva_sim.forks import ForkMark
from eva_sim.interrupts import accepted_signals

#: Longest time that a signal waits for a picture [s], see `ShutdownHandler.act_on_waiting_signal`.
PATIENCE = 1.0


class ShutdownHandler:
    """Runs an action on a signal and at exit, until `close`.

    Signals do not break off a `with` block of the handler in the main thread, where they arrive; such blocks
    may be nested. Only the main thread can install signal handlers; elsewhere the action runs at exit only.
    In a forked child it does not run.

    Args:
        action: must not raise.
    """

    def __init__(self, action: Callable[[], None]) -> None:
        self._action, self._depth, self._pending, self._made = action, 0, 0, ForkMark()
        self._closed, self._waiting_since = False, 0.0
        self._previous: dict[int, Any] = {
            number: signal.signal(number, self._on_signal) for number in accepted_signals()
        }
        atexit.register(self._act)

    def __enter__(self) -> None:
        self._depth += _in_main_thread()

    def __exit__(self, *error: object) -> None:
        if not _in_main_thread():
            return  # a signal ends the program, not one of its threads
        self._depth -= 1
        if self._pending and not self._depth:
            number, self._pending = self._pending, 0
            self._end(number)

    def act_on_waiting_signal(self) -> None:
        """Breaks off a block that has kept a signal waiting for long, such as that of a camera that hangs.

        It is called where no frame is on its way.
        """
        waited = time.monotonic() - self._waiting_since
        if self._pending and waited > PATIENCE and _in_main_thread():
            number, self._pending = self._pending, 0
            self._end(number)

    def close(self) -> None:
        """Restores the previous signal handlers. May be called twice.

        A handler that was installed since stays, and may still pass signals on to this one, which then only
        passes them on. So it does if another thread closes it, which may not restore handlers.
        """
        atexit.unregister(self._act)
        self._closed = True
        for number, previous in list(self._previous.items()) if _in_main_thread() else ():
            if signal.getsignal(number) == self._on_signal:
                signal.signal(number, previous)
                del self._previous[number]

    def _on_signal(self, number: int, frame: Any) -> None:
        if not self._depth:
            self._end(number)
        elif not self._pending:
            self._pending, self._waiting_since = number, time.monotonic()
        else:  # the block hangs, and the action would hang as well
            self._pass_on(number)

    def _end(self, number: int) -> None:
        self._act()
        self._pass_on(number)

    def _act(self) -> None:
        if not self._closed and not self._made.crossed:
            self._action()

    def _pass_on(self, number: int) -> None:
        previous = self._previous.get(number, signal.SIG_DFL)
        if callable(previous):
            previous(number, None)
        elif previous != signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
