"""Workers of Ray without Ray: what they refuse, and what an actor does.

`tests/clients/ray_checks.py` has the rest.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import pytest

import eva_sim
from eva_sim.errors import DataError, EvaError
from eva_sim.workers.choice import choose_workers
from eva_sim.workers.jobs import ThisProcess, picklable
from eva_sim.workers.processes import MOST_WORKERS, WorkerProcesses
from eva_sim.workers.ray_cluster import RayWorkers, _check_head, _RayWorker


@contextmanager
def note_jobs(notes: list[str], error: Exception | None = None) -> Iterator[Callable[[int], None]]:
    """Work that notes what happens, or raises an error."""
    notes.append("opened")

    def work(job: int) -> None:
        if error:
            raise error
        notes.append(f"job {job}")

    yield work
    notes.append("closed")


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    path = tmp_path / "mark"
    path.touch()
    return path


def test_an_actor_opens_once_and_closes(mark: Path) -> None:
    notes = list[str]()
    actor = _RayWorker(partial(note_jobs, notes), mark, eva_sim.__version__)
    actor.start()
    assert notes == [] and [actor.do_job(job) for job in (4, 2)] == [4, 2]
    actor.close()
    assert notes == ["opened", "job 4", "job 2", "closed"]


@pytest.mark.parametrize("error", [DataError("the disk is full"), OSError(28, "No space left on device")])
def test_an_actor_returns_the_error_of_a_job(error: Exception, mark: Path) -> None:
    answer = _RayWorker(partial(note_jobs, [], error), mark, eva_sim.__version__).do_job(0)
    assert answer is error


def test_an_actor_refuses_another_folder_or_version(mark: Path) -> None:
    notes = list[str]()
    elsewhere = _RayWorker(partial(note_jobs, notes), mark.parent / "away" / "mark", eva_sim.__version__)
    older = _RayWorker(partial(note_jobs, notes), mark, "0.0.1")
    for actor, message in ((elsewhere, "put --out on a disk that all"), (older, "install the same on all")):
        answer = actor.do_job(0)
        assert isinstance(answer, EvaError) and message in str(answer) and socket.gethostname() in str(answer)
    assert notes == []


@pytest.mark.parametrize("address", ["ray://head:10001", "head:", ":6379", "head:123456", "", "a b:1"])
def test_what_is_no_address_is_refused(address: str, tmp_path: Path) -> None:
    with pytest.raises(EvaError, match="is no cluster; give 'local', or HOST:PORT"):
        RayWorkers(tmp_path, 2, address)


@pytest.mark.parametrize("port", ["1", "99999"])
def test_a_cluster_that_is_not_there_is_told_at_once(port: str) -> None:
    with pytest.raises(EvaError, match=f"no Ray cluster answers at 127.0.0.1:{port}"):
        _check_head(f"127.0.0.1:{port}")


def test_workers_are_chosen_by_number_and_address(tmp_path: Path) -> None:
    assert isinstance(choose_workers(1), ThisProcess)
    two = choose_workers(2)
    assert isinstance(two, WorkerProcesses) and two.count == 2 and choose_workers(two) is two
    ray = choose_workers(1, tmp_path, "10.0.0.1:6379")
    assert isinstance(ray, RayWorkers) and ray.count == 1
    for address in (None, "local"):
        with pytest.raises(EvaError, match=f"does well with 1 to {MOST_WORKERS}"):
            choose_workers(MOST_WORKERS + 1, tmp_path, address)


def test_no_cluster_starts_without_a_job(tmp_path: Path) -> None:
    assert list(RayWorkers(tmp_path / "out").run_jobs(partial(note_jobs, []), [])) == []
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(find_spec("ray") is not None, reason="ray is installed")
def test_a_missing_ray_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    before = {name: value for name, value in os.environ.items() if name.startswith("RAY_AUTH")}
    with pytest.raises(EvaError, match=r"eva-sim\[ray\]"):
        list(RayWorkers(tmp_path / "out").run_jobs(partial(note_jobs, []), [1]))
    assert not (tmp_path / "out").exists() and os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
    assert {name: value for name, value in os.environ.items() if name.startswith("RAY_AUTH")} == before


class Unpicklable(Exception):
    """An error that no other process can read."""

    def __init__(self) -> None:
        super().__init__("cannot travel")
        self.what = lambda: None


class NeedsTwo(Exception):
    """An error that pickles, and cannot be made again."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} {two}")


@pytest.mark.parametrize(
    ("error", "text"), [(Unpicklable(), "Unpicklable: cannot travel"), (NeedsTwo(1, 2), "NeedsTwo: 1 2")]
)
def test_an_error_that_cannot_travel_keeps_its_text(error: Exception, text: str) -> None:
    travelling = picklable(error)
    assert isinstance(travelling, EvaError) and str(travelling) == text
