"""A watchdog thread in the host, for boards without a watchdog of their own.

It covers a main thread that hangs or ends without disarming: that thread no longer calls `send`, but this
one still runs, notices the silence and makes the face limp. It never arms anything. It ends with its
process, so SIGKILL and a frozen interpreter are covered by `watchdog_process`, and a frozen or unplugged
computer only by the board's own timeout, see docs/boards.md.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from eva_sim.errors import EvaError
from eva_sim.thread_priority import run_ahead

#: Time between two checks [s]; a quarter of the 50 ms by which a hold may be late.
INTERVAL = 0.0125


class HostWatchdog:
    """Calls `beat` regularly from its own thread, and `limp` once its owner has ended.

    Args:
        beat: holds the face or makes it limp after silence; may be called from any thread.
        limp: makes the face limp for good; may be called from any thread.
        owner: thread whose end makes the face limp; the main thread if None.
        interval: time between two checks [s].
    """

    def __init__(
        self,
        beat: Callable[[], None],
        limp: Callable[[], None],
        owner: threading.Thread | None = None,
        interval: float = INTERVAL,
    ) -> None:
        self._beat, self._limp, self._interval = beat, limp, interval
        self._owner = owner or threading.main_thread()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="eva-watchdog", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def close(self) -> None:
        """Ends the thread. May be called twice, and by the thread itself."""
        self._ended.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout=1.0)

    @property
    def watching(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def check(self) -> bool:
        """Checks once; False if the owner has ended and the face was made limp."""
        if self._owner.is_alive():
            self._beat()
            return True
        self._limp()
        return False

    def _run(self) -> None:
        run_ahead()
        while not self._ended.wait(self._interval):
            try:
                if not self.check():
                    return
            except EvaError:
                continue  # the link failed just now; torque-off is pending and retried at the next check
            except BaseException:
                self._limp()  # an error in this program must not leave servos driven without a watchdog
                raise
