"""Real-time priority of the thread that drives a robot."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from eva_sim.clock import SimulatedClock, WallClock
from eva_sim.priority import RunningAhead
from eva_sim.thread_priority import AHEAD, LENT, run_ahead

LIMP_AFTER = 1.0  # s of silence

pytestmark = pytest.mark.skipif(not hasattr(os, "sched_setscheduler"), reason="the system has no such calls")


@pytest.fixture
def allowed() -> None:
    with ThreadPoolExecutor(1) as threads:
        if not threads.submit(run_ahead).result():
            pytest.skip("the system does not allow it")


def priority(task: int = 0) -> int:
    """Real-time priority of a thread; 0 if it has none."""
    return os.sched_getparam(task).sched_priority


@pytest.fixture
def other_thread() -> Iterator[int]:
    end = threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()
    yield thread.native_id or 0
    end.set()
    thread.join()


def test_the_thread_runs_ahead_until_it_ends(allowed: None) -> None:
    ahead = RunningAhead(WallClock(), LIMP_AFTER)
    ahead.begin()
    ahead.begin()
    here = priority()
    ahead.end()
    ahead.end()
    assert here == AHEAD and priority() == 0 and ahead.priority_advice == ""


def test_other_threads_do_while_it_waits_for_the_interpreter(allowed: None, other_thread: int) -> None:
    ahead = RunningAhead(WallClock(), LIMP_AFTER)
    with ahead.lending_priority():
        assert priority(other_thread) == 0  # it does not run ahead itself
    ahead.begin()
    try:
        with ahead.lending_priority():
            assert priority(other_thread) == LENT
        assert priority(other_thread) == 0
    finally:
        ahead.end()


def test_a_thread_that_runs_ahead_by_itself_keeps_its_priority(allowed: None, other_thread: int) -> None:
    run_ahead(other_thread)
    ahead = RunningAhead(WallClock(), LIMP_AFTER)
    ahead.begin()
    with ahead.lending_priority():
        lent = priority(other_thread)
    ahead.end()
    assert lent == priority(other_thread) == AHEAD


def test_what_it_starts_does_not(allowed: None) -> None:
    ahead, found = RunningAhead(WallClock(), LIMP_AFTER), list[int]()
    ahead.begin()
    try:
        thread = threading.Thread(target=lambda: found.append(priority()))
        thread.start()
        thread.join()
        program = "import os; print(os.sched_getparam(0).sched_priority)"
        found.append(int(subprocess.check_output([sys.executable, "-c", program])))
    finally:
        ahead.end()
    assert found == [0, 0]


def eventually(wanted: int, task: int) -> bool:
    """Whether a thread soon has a priority."""
    end = time.monotonic() + 20
    while priority(task) != wanted and time.monotonic() < end:
        time.sleep(0.001)
    return priority(task) == wanted


def test_others_run_ahead_while_it_cannot_say_that_it_lives(allowed: None, other_thread: int) -> None:
    ahead = RunningAhead(WallClock(), LIMP_AFTER)
    ahead.begin()
    try:
        for _ in range(2):
            with ahead.lending_priority():
                pass
            assert eventually(LENT, other_thread)
            assert eventually(0, other_thread)  # a robot is limp by now
        with ahead.lending_priority():
            pass
        assert eventually(LENT, other_thread)
    finally:
        ahead.end()
    assert priority(other_thread) == 0


def test_what_lends_priority_ends_with_the_program(allowed: None) -> None:
    ahead = RunningAhead(WallClock(), LIMP_AFTER)
    ahead.begin()
    lenders = _children()
    ahead.end()
    assert lenders and not _children() & lenders


def test_it_need_not_be_killed_where_a_forked_worker_lives(allowed: None) -> None:
    """The worker has the pipe too, so its end is no end of the pipe."""
    ahead, (waits, ends) = RunningAhead(WallClock(), LIMP_AFTER), os.pipe()
    ahead.begin()
    assert ahead._lender is not None
    lender = ahead._lender._process
    worker = os.fork()
    if worker == 0:
        os.close(ends)
        os.read(waits, 1)
        os._exit(0)
    ahead.end()
    os.close(ends)
    os.close(waits)
    os.waitpid(worker, 0)
    assert lender.returncode == 0


def _children() -> set[str]:
    """Processes that lend priority to this one."""
    wanted, found = f"thread_priority.py\0{os.getpid()}\0", set[str]()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended
            if wanted in (process / "cmdline").read_text():
                found.add(process.name)
    return found


def test_simulated_time_waits_for_nobody() -> None:
    ahead = RunningAhead(SimulatedClock(), LIMP_AFTER)
    ahead.begin()
    with ahead.lending_priority():
        assert priority() == 0
    assert ahead.priority_advice == ""


def test_a_system_that_refuses_changes_nothing(monkeypatch: pytest.MonkeyPatch, other_thread: int) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    ahead = RunningAhead(WallClock(), LIMP_AFTER)
    ahead.begin()
    with ahead.lending_priority():
        assert priority() == priority(other_thread) == 0
    ahead.end()
    assert not run_ahead() and "eva doctor" in ahead.priority_advice


def test_what_a_program_holds_is_not_collected_while_a_robot_is_armed() -> None:
    """By the wall clock only: a collection of everything would keep the robot waiting."""
    ahead = RunningAhead(SimulatedClock(), LIMP_AFTER)
    ahead.begin()
    assert gc.get_freeze_count() == 0
    ahead = RunningAhead(WallClock(), LIMP_AFTER)
    ahead.begin()
    assert gc.get_freeze_count() > 0
    ahead.end()
    assert gc.get_freeze_count() == 0


def test_arming_a_second_robot_keeps_no_armed_one_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    collected = list[int]()
    monkeypatch.setattr(gc, "collect", lambda: collected.append(1))
    first, second = RunningAhead(WallClock(), LIMP_AFTER), RunningAhead(WallClock(), LIMP_AFTER)
    first.begin()
    try:
        second.begin()
        second.end()
        assert len(collected) == 1 and gc.get_freeze_count() > 0  # the first is still armed
    finally:
        first.end()
    assert gc.get_freeze_count() == 0
