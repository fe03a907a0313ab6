"""Checks with Ray: its workers make the same files as one process, none is lost, and nothing is reachable.

Ray is imported inside the tests, since its settings have to come first.
"""

from __future__ import annotations

import hashlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eva_sim.agents.data.babbling import babble
from eva_sim.agents.data.dataset import load_dataset
from eva_sim.agents.evaluate import EvaluationConfig, evaluate_model
from eva_sim.agents.models.inverse import SHIPPED_MODEL, InverseModel
from eva_sim.agents.models.model_file import MODEL_FILE
from eva_sim.contract import load_spec
from eva_sim.errors import DataError, EvaError
from eva_sim.expressions import expression_command
from eva_sim.files import asset
from eva_sim.real.transfer.plan import TransferPlan
from eva_sim.real.transfer.report import robot_opener, run_transfer
from eva_sim.workers.jobs import ThisProcess, Workers
from eva_sim.workers.ray_cluster import RayWorkers, loopback_settings

SHARD_TIME = 0.2


@pytest.fixture(autouse=True)
def importable_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets actors import this module, which holds their work."""
    here = str(Path(__file__).parent)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([here, os.environ.get("PYTHONPATH", "")]))


def hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of a folder."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def same_files(work: Callable[[Path, Workers], object], folder: Path) -> int:
    """Does work with one process and with two Ray workers; returns the number of equal files."""
    one, two = folder / "one", folder / "two"
    work(one, ThisProcess())
    work(two, RayWorkers(two, 2))
    assert hashes(one) == hashes(two)
    return len(hashes(one))


def test_babbling_makes_the_same_shards(tmp_path: Path) -> None:
    def work(out: Path, workers: Workers) -> None:
        babble(out, 120, 5, workers=workers, image_size=32, options={"skin": "reduced"})

    assert same_files(work, tmp_path) == 3 + 2


def test_evaluation_makes_the_same_scores(tmp_path: Path) -> None:
    babble(tmp_path / "data", 150, 3, workers=1, image_size=None, options={"skin": "reduced"})
    data, model = load_dataset(tmp_path / "data"), InverseModel.load(asset(SHIPPED_MODEL) / MODEL_FILE)

    def work(out: Path, workers: Workers) -> None:
        evaluate_model(model, out, EvaluationConfig(faces=1, seeds=2), data, workers)

    assert same_files(work, tmp_path) == 2 + 2 * 4


@pytest.mark.parametrize("body", ["twin", "mock"])
def test_transfer_makes_the_same_report(body: str, tmp_path: Path) -> None:
    spec = load_spec()
    commands = np.repeat([expression_command(spec, "surprise")], 20, axis=0)
    plan = TransferPlan(commands, np.array([9, 19]), np.array([False, True]), ("early", "surprise"), 0)

    def work(out: Path, workers: Workers) -> None:
        run_transfer(spec, out, robot_opener(spec, body), (1,), plan=plan, workers=workers)

    assert same_files(work, tmp_path) == 5 + 3


@contextmanager
def slow_notes(folder: Path) -> Iterator[Callable[[int], None]]:
    """Work that writes who did each job, after a while."""

    def work(job: int) -> None:
        (folder / f"begun-{job}-{os.getpid()}").touch()
        time.sleep(5 * SHARD_TIME)
        (folder / f"job-{job}").write_text(f"{job}")

    yield work


def kill_first(folder: Path, killed: list[int]) -> None:
    """Kills the worker of the first job that begins, before it is done."""
    while not (begun := list(folder.glob("begun-*"))):
        time.sleep(SHARD_TIME / 10)
    killed.append(int(begun[0].name.split("-")[2]))
    os.kill(killed[0], signal.SIGKILL)


def test_a_killed_worker_loses_no_job(tmp_path: Path) -> None:
    killed = list[int]()
    thread = threading.Thread(target=kill_first, args=(tmp_path, killed))
    thread.start()
    done = sorted(RayWorkers(tmp_path, 2).run_jobs(partial(slow_notes, tmp_path), range(6)))
    thread.join()
    assert done == list(range(6)) == sorted(int(path.read_text()) for path in tmp_path.glob("job-*"))
    (lost,) = tmp_path.glob(f"begun-*-{killed[0]}")
    assert len(list(tmp_path.glob(f"begun-{lost.name.split('-')[1]}-*"))) == 2  # another worker did it


def test_a_killed_worker_loses_no_shard(tmp_path: Path) -> None:
    babble(tmp_path / "one", 200, 7, workers=1, image_size=None, options={"skin": "reduced"})
    two, found = tmp_path / "two", threading.Event()

    def kill() -> None:
        while not list(two.glob("shard-*")):
            time.sleep(SHARD_TIME / 4)
        workers = [pid for pid in descendants(os.getpid()) if "_RayWorker" in command(pid)]
        os.kill(workers[0], signal.SIGKILL)
        found.set()

    thread = threading.Thread(target=kill)
    thread.start()
    babble(two, 200, 7, workers=RayWorkers(two, 2), image_size=None, options={"skin": "reduced"})
    thread.join()
    assert found.is_set() and hashes(tmp_path / "one") == hashes(two)


@contextmanager
def die_or_fail(error: Exception | None) -> Iterator[Callable[[int], None]]:
    """Work that ends its worker, or raises an error."""

    def work(job: int) -> None:
        if error is not None:
            raise error
        os._exit(3)

    yield work


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (None, EvaError, "was lost 4 times"),
        (DataError("the disk is full"), DataError, "the disk is full"),
        (OSError(28, "No space left on device"), OSError, "No space left"),
    ],
)
def test_what_ends_a_job_is_told(
    error: Exception | None, kind: type[Exception], message: str, tmp_path: Path
) -> None:
    with pytest.raises(kind, match=message):
        list(RayWorkers(tmp_path, 1).run_jobs(partial(die_or_fail, error), range(3)))
    assert not list(tmp_path.iterdir())


def command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def descendants(pid: int) -> list[int]:
    """Processes that a process has started, and those that these have started."""
    parents = dict[int, int]()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found = [pid]
    for parent in found:
        found += [child for child, of in parents.items() if of == parent]
    return found


def open_sockets(name: str) -> list[str]:
    return Path(f"/proc/net/{name}").read_text().splitlines()


def listening(pids: list[int]) -> set[str]:
    """Addresses on which processes listen, in the hexadecimal form of /proc."""
    inodes = set[str]()
    for pid in pids:
        for link in Path(f"/proc/{pid}/fd").glob("*"):
            try:
                inodes.add(os.readlink(link).removeprefix("socket:[").removesuffix("]"))
            except OSError:
                continue
    lines = [line.split() for name in ("tcp", "tcp6") for line in open_sockets(name)]
    return {line[1].partition(":")[0] for line in lines if line[3] == "0A" and line[9] in inodes}


@contextmanager
def tell_environment(folder: Path) -> Iterator[Callable[[int], None]]:
    """Work that writes down what the worker was told about usage statistics."""

    def work(job: int) -> None:
        (folder / f"told-{job}").write_text(os.environ.get("RAY_USAGE_STATS_ENABLED", "missing"))

    yield work


def test_nothing_is_sent_and_nothing_listens_beyond_loopback(tmp_path: Path) -> None:
    for job in RayWorkers(tmp_path, 2).run_jobs(partial(tell_environment, tmp_path), range(2)):
        from ray._common.usage import usage_lib

        assert (tmp_path / f"told-{job}").read_text() == "0"
        assert not usage_lib.usage_stats_enabled()
        addresses = listening(descendants(os.getpid()))
        assert addresses  # 127.0.0.1, in the notation of IPv4 and of IPv6
        assert addresses <= {"0100007F", "0000000000000000FFFF00000100007F"}
    import ray

    assert not ray.is_initialized()


def test_a_lost_computer_loses_no_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two nodes of a cluster that is there already; one of them is ended in the middle."""
    for name, value in loopback_settings().items():
        monkeypatch.setenv(name, value)
    from ray.cluster_utils import Cluster

    node: dict[str, Any] = {"num_cpus": 1, "object_store_memory": 80_000_000}
    cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    other = cluster.add_node(**node)
    done = list[int]()
    for job in RayWorkers(tmp_path, 2, cluster.address).run_jobs(partial(slow_notes, tmp_path), range(8)):
        if len(done) == 2:
            cluster.remove_node(other, allow_graceful=False)
        done.append(job)
    cluster.shutdown()
    assert sorted(done) == list(range(8)) and len(list(tmp_path.glob("job-*"))) == 8
