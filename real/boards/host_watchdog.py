"""Who notices that the host is gone, for boards that do not: a thread of its own.

A hung or ended main thread stops calling `send`; this thread goes on, sees the silence and makes the
face limp. It never arms anything. What it cannot outlive is the whole process: against SIGKILL and a
frozen computer only the board's own timeout helps, see docs/boards.md.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from eva_sim.errors import EvaError

#: Time between two looks [s]; a quarter of the 50 ms that a hold may be late.
INTERVAL = 0.0125


class HostWatchdog:
    """Calls `beat` again and again from its own thread, and `limp` once its owner has died.

    Args:
        beat: looks at the clock, and holds or limps after silence; may be called from any thread.
        limp: makes the face limp for good; may be called from any thread.
        owner: the thread whose death ends everything; the main thread if None.
        interval: time between two looks [s].
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
        self._thread = threading.Thread(target=self._run, name="eva-deadman", daemon=True)

    def start(self) -> None:
        """Begins to watch."""
        self._thread.start()

    def close(self) -> None:
        """Ends the watch. May be called twice, and by the watching thread itself."""
        self._ended.set()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join(timeout=1.0)

    @property
    def watching(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def look(self) -> bool:
        """One look; False when the owner is dead and the face was made limp."""
        if self._owner.is_alive():
            self._beat()
            return True
        self._limp()
        return False

    def _run(self) -> None:
        while not self._ended.wait(self._interval):
            try:
                if not self.look():
                    return
            except EvaError:
                continue  # the link failed just now; limp is owed and tried again at the next look
            except BaseException:
                self._limp()  # a mistake of ours must not leave servos driven without a watch
                raise
