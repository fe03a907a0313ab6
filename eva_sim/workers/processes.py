"""Worker processes on this computer; they end when this process does."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Generator, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import islice
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnContext

from eva_sim.errors import SEE_DOCTOR, EvaError
from eva_sim.progress import set_quiet
from eva_sim.workers.jobs import OpenWork, Workers, picklable

#: Largest number of worker processes; more than a few for each processor only take memory.
MOST_WORKERS = max(8, 4 * (os.cpu_count() or 1))
#: Time for a worker to end by itself before it is killed [s].
_PATIENCE = 5.0


class WorkerProcesses(Workers):
    """Does jobs in processes on this computer.

    They are spawned, because a fork after the renderer has started hangs. Run from a script, the call belongs
    under `if __name__ == "__main__":`.

    Args:
        count: greatest number of processes.

    Raises:
        EvaError: there are none, or too many for this computer.
    """

    def __init__(self, count: int) -> None:
        check_count(count)
        self.count = count

    def run_jobs(self, open_work: OpenWork, jobs: Iterable[int]) -> Generator[int, None, None]:
        waiting, busy = iter(jobs), dict[Connection, _Worker]()
        context = multiprocessing.get_context("spawn")
        with ExitStack() as ending:
            for job in islice(waiting, self.count):
                worker = _Worker(context, open_work)
                ending.callback(worker.end_process)
                busy[worker.connection] = worker
                worker.give_job(job)
            while busy:
                for connection in wait(list(busy)):
                    worker = busy[connection]  # type: ignore[index]  # only connections were waited for
                    done = worker.receive_done_job()
                    following = next(waiting, None)
                    if following is None:
                        del busy[worker.connection]
                        worker.say_no_more_jobs()
                    else:
                        worker.give_job(following)
                    yield done


def check_count(count: int) -> None:
    """Raises EvaError for a number of workers that this computer cannot use."""
    if not 1 <= count <= MOST_WORKERS:
        raise EvaError(f"workers={count}; this computer does well with 1 to {MOST_WORKERS}.")


class _Worker:
    """A worker process, as its parent sees it."""

    def __init__(self, context: SpawnContext, open_work: OpenWork) -> None:
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, open_work), daemon=True)
        resource_tracker.ensure_running()  # it unblocks signals as it starts
        with _signals_blocked():  # the worker inherits that: Ctrl-C is for the parent, which ends its workers
            self._process.start()
        theirs.close()

    def give_job(self, job: int) -> None:
        """Hands out a job."""
        with suppress(OSError):  # the worker died, as `receive_done_job` finds
            self.connection.send(job)

    def receive_done_job(self) -> int:
        """Returns the job that was done."""
        try:
            answer = self.connection.recv()
        except (EOFError, OSError) as error:
            self._process.join(_PATIENCE)
            raise EvaError(_describe_death(self._process.exitcode)) from error
        if isinstance(answer, Exception):
            raise answer
        return int(answer)

    def say_no_more_jobs(self) -> None:
        """Tells the worker that there are no more jobs."""
        with suppress(OSError):
            self.connection.send(None)

    def end_process(self) -> None:
        """Ends the process, at once if it is at work."""
        if self.connection.closed:
            return
        self.connection.close()
        self._process.terminate()
        self._process.join(_PATIENCE)
        if self._process.exitcode is None:
            self._process.kill()
            self._process.join()


def _describe_death(code: int | None) -> str:
    again = "Run the same command to continue."
    if code == -signal.SIGKILL:
        cause = "a worker was killed, as the system does when memory is short; use fewer --workers"
        return f"{cause}. {again} {SEE_DOCTOR}"
    if code is not None and code < 0:
        return f"a worker was ended by {signal.Signals(-code).name}. {again}"
    return f"a worker ended unexpectedly, with exit code {code}; it may have said why above. {again}"


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """Holds back Ctrl-C and the end of the terminal for the block; they come after it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(connection: Connection, open_work: OpenWork) -> None:
    """Runs in the worker: does the jobs that come, until None comes, an error, or the end of the parent."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # temporary files are removed
    threading.Thread(target=_end_with_parent, name="parent watch", daemon=True).start()
    set_quiet(True)  # the parent shows the progress of all
    with suppress(EOFError, OSError):  # the parent closed the connection
        try:
            with open_work() as work:
                try:
                    while (job := connection.recv()) is not None:
                        work(job)
                        connection.send(job)
                finally:
                    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # what was opened is closed undisturbed
        except Exception as error:
            connection.send(picklable(error))


def _end_with_parent() -> None:
    """Waits for the end of the parent, however it ends, and then ends this process."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_PATIENCE)
    os._exit(1)  # the main thread is busy outside Python
