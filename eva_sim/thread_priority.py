"""Real-time priority of threads, and the program of a process that lends it to another one.

Python's interpreter runs one thread at a time. A thread that runs ahead of other programs still has to wait
for the thread that has the interpreter, and that one may have to wait for its own turn behind other programs.
Nothing in the same process can help: everything there waits for the interpreter. So a process beside it
watches for beats. While they are missing, it lets all threads of that process run ahead, too; this is what
operating systems call priority inheritance.

This file is the program of that process. It needs the standard library only, so that it starts quickly. The
other process's side is `eva_sim.priority`.
"""

from __future__ import annotations

import mmap
import os
import select
import struct
import sys
import time
from contextlib import suppress

#: Real-time priorities, the lowest ones: ahead of ordinary programs, behind everything else of that kind.
AHEAD, LENT = 2, 1
#: Time of the last beat by the monotonic clock [s], in memory that both processes share.
BEAT = struct.Struct("d")
#: Silence after which priority is lent [s].
LEND_AFTER = 0.05
#: Time between two looks [s].
INTERVAL = 0.01


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


def run_as_usual(task: int = 0) -> None:
    """Ends what `run_ahead` began."""
    with suppress(OSError):  # it has ended
        # Only root may take back that a thread's children do not run ahead, so that stays.
        os.sched_setscheduler(task, os.SCHED_OTHER | os.SCHED_RESET_ON_FORK, os.sched_param(0))


def runs_as_usual(task: int) -> bool:
    """Whether a thread has no priority."""
    with suppress(OSError):  # it has ended
        return os.sched_getscheduler(task) & ~os.SCHED_RESET_ON_FORK == os.SCHED_OTHER
    return False


def lend_priority(process: int, beats: mmap.mmap, limp_after: float) -> None:
    """Lends real-time priority to all threads of a process while it is silent.

    It returns when the process ends, or when standard input ends or brings anything.

    Args:
        process: number of the process, which started this one.
        beats: shared with it.
        limp_after: silence after which the robot is limp, so that nothing is lent any more [s].
    """
    lent = set[int]()
    while os.getppid() == process and not select.select([0], [], [], INTERVAL)[0]:
        if LEND_AFTER < time.monotonic() - BEAT.unpack_from(beats)[0] < limp_after:
            lent |= {task for task in _tasks(process) if runs_as_usual(task) and run_ahead(task, LENT)}
        else:
            _take_back(lent)
    _take_back(lent)


def _take_back(lent: set[int]) -> None:
    for task in lent:
        with suppress(OSError):  # it has ended
            if os.sched_getparam(task).sched_priority == LENT:  # else it has one of its own by now
                run_as_usual(task)
    lent.clear()


def _tasks(process: int) -> list[int]:
    """Numbers of the threads of a process."""
    with suppress(OSError):  # it has ended
        return [int(name) for name in os.listdir(f"/proc/{process}/task")]
    return []


if __name__ == "__main__":
    shared = mmap.mmap(int(sys.argv[2]), BEAT.size, prot=mmap.PROT_READ)
    lend_priority(int(sys.argv[1]), shared, limp_after=float(sys.argv[3]))
