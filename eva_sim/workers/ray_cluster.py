"""Workers on a Ray cluster: one that this process starts on this computer, or one of many computers.

Ray's usage statistics are switched off before Ray is imported. A cluster that is started here listens on
loopback only, has no dashboard, and keeps its files in a temporary folder.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
import socket
import tempfile
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import lru_cache
from itertools import chain, islice
from pathlib import Path
from typing import Any

import eva_sim
from eva_sim.errors import EvaError
from eva_sim.files import mark_unfinished
from eva_sim.optional import import_optional
from eva_sim.progress import set_quiet
from eva_sim.workers.jobs import OpenWork, Workers, picklable
from eva_sim.workers.processes import check_count

#: The address that starts a cluster on this computer.
LOCAL = "local"
#: How often a job whose worker is lost is done again, by a new worker.
_RETRIES = 3
#: Memory for the objects of a cluster that is started here; results are in files [bytes].
_STORE = 80_000_000
#: Time for the cluster to start a worker if none works [s].
_STARTING = 300.0
#: Time for a worker to close what it opened [s].
_PATIENCE = 5.0
_LOOPBACK = "127.0.0.1"
_CONTINUE = "Finished parts are kept; run the same command to continue."


class RayWorkers(Workers):
    """Does jobs in actors of a Ray cluster. A job whose worker is lost is done again by a new one.

    Args:
        folder: of the results; all computers of the cluster must see it under the same absolute path.
        count: number of actors; each takes a processor.
        address: `"local"` starts a cluster on this computer; `HOST:PORT` is the head of one that runs.

    Raises:
        EvaError: the number or the address has no meaning.
    """

    def __init__(self, folder: str | os.PathLike[str], count: int = 2, address: str = LOCAL) -> None:
        if address == LOCAL:
            check_count(count)
        elif count < 1:
            raise EvaError(f"workers={count}; a Ray cluster needs 1 or more.")
        elif not re.fullmatch(r"[^\s/]+:\d{1,5}", address):
            raise EvaError(f"ray={address!r} is no cluster; give {LOCAL!r}, or HOST:PORT of its head.")
        self._folder, self.count, self._address = Path(folder).absolute(), count, address

    def run_jobs(self, open_work: OpenWork, jobs: Iterable[int]) -> Generator[int, None, None]:
        waiting = iter(jobs)
        first = list(islice(waiting, self.count))
        if not first:
            return  # no cluster is started
        with mark_unfinished(self._folder) as mark, _connected(self._address, self.count) as ray:
            kind = ray.remote(num_cpus=1)(_RayWorker)
            pool = _Pool(ray, lambda: kind.remote(open_work, mark, eva_sim.__version__))
            with closing(pool):
                yield from pool.run(chain(first, waiting), len(first))


class _Pool:
    """Actors, and the jobs that they do. Only an actor that has started gets a job.

    Args:
        ray: the module, connected.
        start: starts an actor, which may wait for a free processor.
    """

    def __init__(self, ray: Any, start: Callable[[], Any]) -> None:
        self._ray, self._start = ray, start
        self._pending = dict[Any, tuple[Any, int | None]]()  # actor and job by what is waited for
        self._idle = list[Any]()
        self._losses = Counter[int | None]()  # by job; None: actors that did not start

    def run(self, jobs: Iterator[int], count: int) -> Iterator[int]:
        """Has `count` actors do the jobs, and yields each that is done.

        Raises:
            EvaError: actors are lost again and again, or none starts. Errors of a job are raised as they are.
        """
        for _ in range(count):
            self._wait_for_start()
        while (job := next(jobs, None)) is not None or self._running():
            if job is not None and self._idle:
                self._give(self._idle.pop(), job)
                continue
            if job is not None:
                jobs = chain([job], jobs)
            answer, lost = self._next_answer()
            jobs = chain(lost, jobs)
            if isinstance(answer, Exception):
                raise answer
            if answer is not None:
                yield answer

    def _running(self) -> bool:
        return any(job is not None for _, job in self._pending.values())

    def _wait_for_start(self) -> None:
        actor = self._start()
        self._pending[actor.start.remote()] = actor, None

    def _give(self, actor: Any, job: int) -> None:
        self._pending[actor.do_job.remote(job)] = actor, job

    def _next_answer(self) -> tuple[int | Exception | None, list[int]]:
        """Waits for an actor; returns the job that it did, or the error of it, and the job that is lost."""
        limit = None if self._running() else _STARTING
        ready, _ = self._ray.wait(list(self._pending), num_returns=1, timeout=limit)
        if not ready:
            raise EvaError(
                f"the Ray cluster started no worker for {_STARTING:.0f} s; look at `ray status` there. "
                f"{_CONTINUE}"
            )
        actor, job = self._pending.pop(ready[0])
        try:
            answer = self._ray.get(ready[0])
        except self._ray.exceptions.RayError as error:
            self._replace(actor, job, error)
            return None, [] if job is None else [job]
        self._idle.append(actor)
        return answer, []

    def _replace(self, actor: Any, job: int | None, error: Exception) -> None:
        """Starts another actor for one that is lost."""
        self._ray.kill(actor)
        self._losses[job] += 1
        if self._losses[job] > _RETRIES:
            raise EvaError(_describe_loss(error)) from error
        self._wait_for_start()

    def close(self) -> None:
        """Lets actors without a job close what they opened, and ends all."""
        closed = [actor.close.remote() for actor in self._idle]
        if closed:
            self._ray.wait(closed, num_returns=len(closed), timeout=_PATIENCE)
        for actor in [*self._idle, *(actor for actor, _ in self._pending.values())]:
            self._ray.kill(actor)


class _RayWorker:
    """A worker, as it lives in an actor.

    Args:
        open_work: opens what it needs; called at the first job.
        mark: a file in the folder of the results.
        version: of this package on the computer that hands out the jobs.
    """

    def __init__(self, open_work: OpenWork, mark: Path, version: str) -> None:
        self._open_work, self._mark, self._version = open_work, mark, version
        self._opened, self._work = ExitStack(), None  # type: ExitStack, Callable[[int], None] | None

    def start(self) -> None:
        """Returns at once: whoever waits for it knows that the actor has started."""

    def do_job(self, job: int) -> int | Exception:
        """Does a job and returns it, or the error that it raised."""
        try:
            if self._work is None:
                self._work = self._open()
            self._work(job)
        except Exception as error:
            return picklable(error)
        return job

    def _open(self) -> Callable[[int], None]:
        set_quiet(True)  # whoever hands out the jobs shows the progress of all
        here = socket.gethostname()
        if eva_sim.__version__ != self._version:
            raise EvaError(
                f"{here} has version {eva_sim.__version__} of eva-sim, and the jobs come from "
                f"{self._version}; install the same on all computers of the cluster."
            )
        if not self._mark.exists():
            raise EvaError(
                f"{here} does not see {self._mark.parent}; put --out on a disk that all computers of the "
                "cluster share, under the same path."
            )
        return self._opened.enter_context(self._open_work())

    def close(self) -> None:
        """Closes what was opened."""
        self._opened.close()


@contextmanager
def _connected(address: str, count: int) -> Iterator[Any]:
    """Yields the module `ray`, connected to a cluster that has a processor for each worker."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    with ExitStack() as stack:
        options = stack.enter_context(_local_cluster(count)) if address == LOCAL else {}
        ray = import_optional("ray", "ray")
        if not ray.is_initialized():  # else the caller's own connection is used, and kept
            stack.callback(ray.shutdown)
            _connect(ray, address, options)
        processors = int(ray.cluster_resources().get("CPU", 0))
        if processors < count:
            raise EvaError(
                f"workers={count}, and the Ray cluster has {processors} processors; ask for {processors} or "
                "fewer, or add computers to it."
            )
        yield ray


def _connect(ray: Any, address: str, options: dict[str, Any]) -> None:
    if address != LOCAL:
        _check_head(address)
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **options)
    except (ray.exceptions.RayError, OSError, RuntimeError, ValueError) as error:
        told = str(error).splitlines()[0] if str(error) else type(error).__name__
        advice = "look at `ray status` there" if address != LOCAL else "end other work, or set TMPDIR to /tmp"
        raise EvaError(f"the Ray cluster {address!r} cannot be used ({told}); {advice}.") from error
    if address == LOCAL and (there := ray.util.get_node_ip_address()) != _LOOPBACK:
        raise EvaError(
            f"the Ray cluster would listen on {there}, because ray was imported before; import it after the "
            "workers have started, or call ray.init yourself before."
        )


def _check_head(address: str) -> None:
    """Checks that something answers at the address, which Ray itself tries for minutes."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=_PATIENCE).close()
    except (OSError, OverflowError) as error:
        raise EvaError(
            f"no Ray cluster answers at {address} ({error}); start its head there, or give another address."
        ) from error


@lru_cache(maxsize=1)
def loopback_settings() -> dict[str, str]:
    """Returns the variables of the environment with which Ray is reachable from this process alone."""
    return {
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # one computer: then Ray listens on loopback only
        "RAY_AUTH_MODE": "token",
        # Without one, Ray keeps a token at home. It reads a token once in a process.
        "RAY_AUTH_TOKEN": os.environ.get("RAY_AUTH_TOKEN") or secrets.token_hex(32),
        "RAY_enable_metrics_collection": "0",
    }


@contextmanager
def _local_cluster(count: int) -> Iterator[dict[str, Any]]:
    """Yields options of `ray.init` for a cluster of this process alone, whose settings hold for the block."""
    settings = loopback_settings()
    before = {name: os.environ.get(name) for name in settings}
    with tempfile.TemporaryDirectory(prefix="eva-ray-", ignore_cleanup_errors=True) as folder:
        os.environ.update(settings)
        try:
            yield {
                "num_cpus": count, "include_dashboard": False, "object_store_memory": _STORE,
                "_temp_dir": folder,
            }  # fmt: skip
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})


def _describe_loss(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    told = lines[-1] if "creation task" in lines[0] else lines[0]
    return f"a worker of the Ray cluster was lost {_RETRIES + 1} times ({told}). {_CONTINUE}"
