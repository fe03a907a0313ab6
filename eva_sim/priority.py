"""Real-time priority: a thread that a robot waits for runs ahead of other programs, if the system allows it.

On a busy computer an ordinary thread may wait for its turn for half a second and more, however little it has
to do. A robot that hears nothing meanwhile holds, and then goes limp.
"""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from eva_sim.clock import Clock, WallClock

#: Real-time priorities, the lowest ones: ahead of ordinary programs, behind everything else of that kind.
AHEAD, LENT = 2, 1
#: What helps a robot whose program waited too long for its turn.
ADVICE = (
    " This user's programs have no real-time priority, and may wait for their turn on a busy computer; "
    "`eva doctor` says how to allow it."
)


def run_ahead(task: int = 0, priority: int = AHEAD) -> bool:
    """Lets a thread run ahead of ordinary programs from now on; threads and processes it starts do not.

    Args:
        task: number of the thread, or of the process whose first thread is meant; 0 for the calling thread.
        priority: its real-time priority.

    Returns:
        Whether the system allows it: Linux does to root, and to users with a limit `rtprio`.
    """
    with suppress(AttributeError, OSError):  # other systems; no permission, or the task has ended
        os.sched_setscheduler(task, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(priority))
        return True
    return False


class RunningAhead:
    """Lets the thread that calls `begin` run ahead until the same thread calls `end`.

    Args:
        clock: of what the thread drives; only the wall clock does not wait for it.
    """

    def __init__(self, clock: Clock) -> None:
        self._in_real_time = isinstance(clock, WallClock)
        self._thread: int | None = None
        self._refused = False

    def begin(self) -> None:
        """Begins. May be called twice.

        What the program holds by now is left out of garbage collections: going through all of it takes a
        quarter of a second, at any moment, in which no thread can tell a robot to hold.
        """
        if self._in_real_time and self._thread is None:
            gc.collect()
            gc.freeze()
            self._refused = not run_ahead()
            self._thread = None if self._refused else threading.get_ident()

    @property
    def priority_advice(self) -> str:
        """How a user gets what the system refused, a sentence after a space; empty if it refused nothing."""
        return ADVICE if self._refused else ""

    def end(self) -> None:
        """Ends, in the thread that began. May be called twice."""
        if self._in_real_time:
            gc.unfreeze()
        if self._thread == threading.get_ident():
            _run_as_usual(0)
            self._thread = None

    @contextmanager
    def lending_priority(self) -> Iterator[None]:
        """Within this context, other threads of this program run ahead, too.

        Any of them may keep Python's interpreter, for which the thread would wait as long as they do for
        their turn.
        """
        lent = list[int]() if self._thread is None else [t for t in _others() if run_ahead(t, LENT)]
        try:
            yield
        finally:
            for task in lent:
                _run_as_usual(task)


def _others() -> list[int]:
    """Numbers of the other threads of this program that do not run ahead."""
    here = threading.current_thread()
    tasks = [t.native_id for t in threading.enumerate() if t is not here and t.native_id is not None]
    return [task for task in tasks if _runs_as_usual(task)]


def _runs_as_usual(task: int) -> bool:
    with suppress(OSError):  # it has ended
        return os.sched_getscheduler(task) == os.SCHED_OTHER
    return False


def _run_as_usual(task: int) -> None:
    with suppress(OSError):  # it has ended
        os.sched_setscheduler(task, os.SCHED_OTHER, os.sched_param(0))
