"""Worker processes: jobs are handed out as they are done, and no worker outlives its parent."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from eva_sim.errors import DataError, EvaError
from eva_sim.testing.process_signals import default_signals, is_running, wait_until
from eva_sim.workers.processes import WorkerProcesses


@contextmanager
def note_jobs(folder: Path, job_time: float = 0.0) -> Iterator[Callable[[int], None]]:
    """Work that leaves a file for each job, and one for the end of each worker."""
    (folder / f"worker-{os.getpid()}").touch()

    def work(job: int) -> None:
        time.sleep(job_time)
        (folder / f"job-{job}").touch()

    try:
        yield work
    finally:
        (folder / f"ended-{os.getpid()}").touch()


@contextmanager
def end_with(signal_number: int | None) -> Iterator[Callable[[int], None]]:
    """Work that ends the worker at its second job, by a signal or without one."""

    def work(job: int) -> None:
        if job:
            if signal_number is None:
                os._exit(7)
            os.kill(os.getpid(), signal_number)
            time.sleep(30)

    yield work


@contextmanager
def fail(error: Exception) -> Iterator[Callable[[int], None]]:
    """Work that raises an error."""

    def work(job: int) -> None:
        raise error

    yield work


class Unpicklable(Exception):
    """An error that no other process can read."""

    def __init__(self) -> None:
        super().__init__("cannot travel")
        self.what = lambda: None


def test_every_job_is_done_once(tmp_path: Path) -> None:
    assert sorted(WorkerProcesses(2).run_jobs(partial(note_jobs, tmp_path), range(7))) == list(range(7))
    names = sorted(path.name for path in tmp_path.iterdir())
    assert sum(name.startswith("job-") for name in names) == 7
    assert sum(name.startswith("worker-") for name in names) == 2
    assert list(WorkerProcesses(2).run_jobs(partial(note_jobs, tmp_path), [])) == []


def test_jobs_are_drawn_as_workers_are_free(tmp_path: Path) -> None:
    """Endless jobs take no memory: at most one more than there are workers is drawn before one is done."""
    drawn = list[int]()

    def endless() -> Iterator[int]:
        for job in count():
            drawn.append(job)
            yield job

    jobs = WorkerProcesses(2).run_jobs(partial(note_jobs, tmp_path), endless())
    for done in range(1, 5):
        next(jobs)
        assert len(drawn) <= done + 2
    jobs.close()
    begun, ended = (list(tmp_path.glob(f"{state}-*")) for state in ("worker", "ended"))
    assert len(begun) == len(ended)  # each closed what it had opened


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (signal.SIGKILL, "was killed, as the system does when memory is short; use fewer --workers"),
        (signal.SIGSEGV, "was ended by SIGSEGV"),
        (None, "exit code 7"),
    ],
)
def test_the_death_of_a_worker_is_told_as_it_was(number: int | None, message: str) -> None:
    with pytest.raises(EvaError, match=message):
        list(WorkerProcesses(2).run_jobs(partial(end_with, number), range(4)))


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (DataError("the disk is full"), DataError, "the disk is full"),
        (OSError(28, "No space left on device"), OSError, "No space left"),
        (Unpicklable(), EvaError, "Unpicklable: cannot travel"),
    ],
)
def test_errors_of_a_job_are_raised_as_they_are(
    error: Exception, kind: type[Exception], message: str
) -> None:
    if isinstance(error, Unpicklable):
        opening: partial = partial(fail_unpicklable)
    else:
        opening = partial(fail, error)
    with pytest.raises(kind, match=message):
        list(WorkerProcesses(2).run_jobs(opening, range(3)))


@contextmanager
def fail_unpicklable() -> Iterator[Callable[[int], None]]:
    """Work that raises an error which cannot be pickled."""
    with fail(Unpicklable()) as work:
        yield work


PARENT = """
import sys
from functools import partial
from pathlib import Path
from eva_sim.workers.processes import WorkerProcesses
from tests.workers.test_processes import note_jobs

if __name__ == "__main__":
    for job in WorkerProcesses(2).run_jobs(partial(note_jobs, Path(sys.argv[1]), 0.2), range(10**9)):
        print(job, flush=True)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_workers_end_with_their_parent_however_it_ends(number: signal.Signals, tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    folder = tmp_path / "work"
    folder.mkdir()
    root = Path(__file__).resolve().parents[2]
    parent = subprocess.Popen(
        [sys.executable, script, folder],
        stdout=subprocess.PIPE, cwd=root, env={**os.environ, "PYTHONPATH": str(root)},
        start_new_session=True, preexec_fn=default_signals,
    )  # fmt: skip
    assert parent.stdout is not None
    with parent, parent.stdout as lines:
        lines.readline()  # a job is done, and others are under way
        parent.send_signal(number)
        parent.wait(timeout=30)
    workers = [int(path.name.partition("-")[2]) for path in folder.glob("worker-*")]
    assert workers
    assert wait_until(lambda: not any(is_running(worker) for worker in workers))
    assert len(list(folder.glob("ended-*"))) == len(workers)
