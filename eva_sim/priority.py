"""Real-time priority: a thread that a robot waits for runs ahead of other programs, if the system allows it.

On a busy computer an ordinary thread may wait for its turn for half a second and more, however little it has
to do. A robot that hears nothing meanwhile holds, and then goes limp.
"""

from __future__ import annotations

import gc
import mmap
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import ClassVar

from eva_sim import thread_priority
from eva_sim.clock import Clock, WallClock
from eva_sim.thread_priority import BEAT, LENT, run_ahead, run_as_usual, runs_as_usual

#: What helps a robot whose program waited too long for its turn.
ADVICE = (
    " This user's programs have no real-time priority, and may wait for their turn on a busy computer; "
    "`eva doctor` says how to allow it."
)


class _PriorityLender:
    """A process that lends priority to this one while beats are missing, see `thread_priority`."""

    def __init__(self, limp_after: float) -> None:
        memory = os.memfd_create("beats")
        os.ftruncate(memory, BEAT.size)
        self._beats = mmap.mmap(memory, BEAT.size)
        program = [sys.executable, "-I", "-S", os.path.realpath(thread_priority.__file__)]
        self._process = subprocess.Popen(
            [*program, str(os.getpid()), str(memory), str(limp_after)],
            stdin=subprocess.PIPE,
            pass_fds=(memory,),
            start_new_session=True,  # Ctrl-C is for the host alone
        )
        os.close(memory)
        run_ahead(self._process.pid)

    def note_alive(self) -> None:
        """Tells the process that this program is not kept waiting: nothing has to be lent for a while."""
        BEAT.pack_into(self._beats, 0, time.monotonic())

    def close(self) -> None:
        """Ends the process that lends priority; it first takes back what it has lent."""
        assert self._process.stdin is not None
        with suppress(OSError):  # it has ended
            self._process.stdin.write(b"!")  # a process that was forked meanwhile keeps the pipe open
            self._process.stdin.close()
        try:
            self._process.wait(timeout=2.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class RunningAhead:
    """Lets the thread that calls `begin` run ahead until the same thread calls `end`.

    The thread has to use `lending_priority` every few hundredths of a second. While it does not, because it
    waits for another thread of this program, all of them run ahead.

    Args:
        clock: of what the thread drives; only the wall clock does not wait for it.
        limp_after: silence after which a robot is limp, so that nothing is left to hurry for [s].
    """

    #: Those that have begun: Python's garbage collector is one for all of them.
    _begun: ClassVar[set[RunningAhead]] = set()

    def __init__(self, clock: Clock, limp_after: float) -> None:
        self._in_real_time, self._limp_after = isinstance(clock, WallClock), limp_after
        self._thread: int | None = None
        self._refused = False
        self._lender: _PriorityLender | None = None

    def begin(self) -> None:
        """Begins. May be called twice.

        What the program holds by now is left out of garbage collections: going through all of it takes a
        quarter of a second, at any moment, in which no thread can tell a robot to hold. Nor is there one now
        if another thread runs ahead already, which may drive an armed robot.
        """
        if self._in_real_time and self._thread is None:
            self._refused = not run_ahead()  # first, so that nobody waits long for what follows
            if not self._begun:
                gc.collect()
            gc.freeze()
            self._begun.add(self)
            if not self._refused:
                self._thread = threading.get_ident()
                with suppress(OSError):  # no memory for a process; a robot can be driven without it
                    self._lender = _PriorityLender(self._limp_after)

    @property
    def priority_advice(self) -> str:
        """How a user gets what the system refused, a sentence after a space; empty if it refused nothing."""
        return ADVICE if self._refused else ""

    def end(self) -> None:
        """Ends, in the thread that began. May be called twice."""
        self._begun.discard(self)
        if self._in_real_time and not self._begun:
            gc.unfreeze()
        if self._thread == threading.get_ident():
            run_as_usual()
            self._thread = None
        if self._lender is not None:
            self._lender.close()
            self._lender = None

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
                run_as_usual(task)
            if self._lender is not None:
                self._lender.note_alive()


def _others() -> list[int]:
    """Numbers of the other threads of this program that do not run ahead."""
    here = threading.current_thread()
    tasks = [t.native_id for t in threading.enumerate() if t is not here and t.native_id is not None]
    return [task for task in tasks if runs_as_usual(task)]
