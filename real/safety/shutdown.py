"""Doing one thing when the program is told to end: Ctrl-C, SIGTERM, or the interpreter's exit.

A signal may come in the middle of a frame on the wire, or while a hidden robot moves. So what is under
way, at most one control period and its picture, is finished first; then the will is done; then the signal
goes to whoever had it before. A second signal does not wait, and goes there at once.
"""

from __future__ import annotations

import atexit
import os
import signal
import threading
from collections.abc import Callable
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class ShutdownHandler:
    """Runs `will` on a signal and at exit, until `close`.

    What is done `with` it is not broken off; such blocks may be nested. Signals are heard in the main
    thread only, since only that one may ask for them.

    Args:
        will: must not raise.
    """

    def __init__(self, will: Callable[[], None]) -> None:
        self._will, self._busy, self._waiting = will, 0, 0
        self._before: dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._hear) for number in SIGNALS}
        atexit.register(self._will)

    def __enter__(self) -> None:
        self._busy += 1

    def __exit__(self, *error: object) -> None:
        self._busy -= 1
        if self._waiting and not self._busy:
            number, self._waiting = self._waiting, 0
            self._end(number)

    def close(self) -> None:
        """Gives the signals back, where nobody else has taken them since. May be called twice."""
        atexit.unregister(self._will)
        for number, before in self._before.items():
            if signal.getsignal(number) == self._hear:
                signal.signal(number, before)
        self._before = {}

    def _hear(self, number: int, frame: Any) -> None:
        if not self._busy:
            self._end(number)
        elif not self._waiting:
            self._waiting = number
        else:  # whatever is under way hangs: the will would hang, too
            self._pass_on(number)

    def _end(self, number: int) -> None:
        self._will()
        self._pass_on(number)

    def _pass_on(self, number: int) -> None:
        before = self._before.get(number, signal.SIG_DFL)
        if callable(before):
            before(number, None)
        elif before != signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
