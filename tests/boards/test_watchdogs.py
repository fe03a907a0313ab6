"""The watchdogs of boards without one: a thread, and a process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from eva_sim.errors import LinkError, RobotError
from eva_sim.real.boards import watchdog_process
from eva_sim.real.boards.dynamixel import Dynamixel
from eva_sim.real.boards.feetech import Feetech
from eva_sim.real.boards.host_managed import HostManagedBoard
from eva_sim.real.boards.host_watchdog import HostWatchdog
from eva_sim.real.boards.maestro import Maestro
from eva_sim.real.simulation.fake_line import MemoryPort, PtyLine
from eva_sim.real.wire.bus_port import BusPort
from eva_sim.testing.board_rigs import ALL, KINDS, SPEC, BoardRig, limp, rigged


@pytest.fixture(params=KINDS)
def rig(request: pytest.FixtureRequest) -> Iterator[BoardRig]:
    yield from rigged(request.param)


HOST = """
import os, signal, sys
sys.path[:0] = {path!r}
from eva_sim.real.wire import bus_port
from eva_sim.testing.board_rigs import ALL, limits_of, open_board
bus_port.LATENCY = 5.0  # the fake may be slow on a busy machine
board = open_board({kind!r}, {name!r})
board.configure(limits_of({kind!r}), 1)
board.arm(ALL)
board.send(limits_of({kind!r}).rest)
print("armed", flush=True)
if {how!r} == "SIGKILL":
    os.kill(os.getpid(), signal.SIGKILL)
sys.exit("a mistake")
"""


@pytest.mark.parametrize("how", ["SIGKILL", "exit"])
def test_a_dead_host_leaves_a_limp_face(rig: BoardRig, how: str) -> None:
    """In a process of its own, on a pseudo-terminal: only its watchdog process is left."""
    pytest.importorskip("serial", reason="needs eva-sim[real]")
    with PtyLine(rig.line) as pty:
        path = [str(Path(__file__).parents[1]), *sys.path]
        script = HOST.format(path=path, kind=rig.kind, name=pty.name, how=how)
        host = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
        assert host.stdout == "armed\n", host.stderr
        assert host.returncode == (-signal.SIGKILL if how == "SIGKILL" else 1)
        deadline = time.monotonic() + 20  # the watchdog writes at once; the machine may be busy
        while not limp(rig) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert limp(rig)


@pytest.fixture
def ends() -> Iterator[dict[str, int]]:
    """A pipe from the host to the watchdog process, and one that stands for the port."""
    process, host = os.pipe()
    port, bus = os.pipe()
    yield {"process": process, "host": host, "port": port, "bus": bus}
    for number in (process, host, port, bus):
        with suppress(OSError):
            os.close(number)


def test_watchdog_process_finishes_a_torque_off(ends: dict[str, int]) -> None:
    """A board was closed, but its torque-off failed: the process writes the packets, then ends."""
    watch = watchdog_process.WatchdogProcess({ends["bus"]: b"limp"}, 60.0)
    watch.beat()
    assert watch.watching
    watch.close(torque_off=True)
    assert not watch.watching and os.read(ends["port"], 99) == b"limp" * watchdog_process.REPEATS
    watch.close()


def test_watchdog_process_acts_when_the_host_has_ended(ends: dict[str, int]) -> None:
    os.write(ends["host"], b"..")
    os.close(ends["host"])
    watchdog_process.watch_host(ends["process"], 60.0, {ends["bus"]: b"limp"})
    assert os.read(ends["port"], 99) == b"limp" * watchdog_process.REPEATS


def test_watchdog_process_acts_when_the_host_is_frozen(ends: dict[str, int]) -> None:
    arguments = (ends["process"], 0.001, {ends["bus"]: b"limp"})
    thread = threading.Thread(target=watchdog_process.watch_host, args=arguments, daemon=True)
    thread.start()
    assert os.read(ends["port"], 4) == b"limp"
    os.write(ends["host"], watchdog_process.GOODBYE)
    thread.join(10)
    assert not thread.is_alive()


def test_watchdog_process_ends_silently_after_goodbye(ends: dict[str, int]) -> None:
    os.write(ends["host"], b"..!")
    watchdog_process.watch_host(ends["process"], 60.0, {ends["bus"]: b"limp"})
    os.close(ends["bus"])
    assert os.read(ends["port"], 99) == b""


# The watchdog thread.


def dead_thread() -> threading.Thread:
    thread = threading.Thread()
    thread.start()
    thread.join()
    return thread


def test_watchdog_beats_from_its_own_thread() -> None:
    beats, threads = threading.Semaphore(0), set()

    def beat() -> None:
        threads.add(threading.current_thread().name)
        beats.release()

    watchdog = HostWatchdog(beat, lambda: None, interval=0.0)
    watchdog.start()
    assert all(beats.acquire(timeout=10) for _ in range(5))
    watchdog.close()
    assert not watchdog.watching and threads == {"eva-watchdog"}


def test_watchdog_limps_when_its_owner_ends() -> None:
    limped = threading.Event()
    watchdog = HostWatchdog(
        lambda: pytest.fail("the owner is dead"), limped.set, owner=dead_thread(), interval=0.0
    )
    watchdog.start()
    assert limped.wait(10)
    watchdog.close()
    assert not watchdog.watching


def test_watchdog_tries_again_when_the_link_fails() -> None:
    limped = threading.Event()
    tries: list[int] = []

    def limp_at_third() -> None:
        tries.append(1)
        if len(tries) < 3:
            raise LinkError("noise")
        limped.set()

    watchdog = HostWatchdog(lambda: None, limp_at_third, owner=dead_thread(), interval=0.0)
    watchdog.start()
    assert limped.wait(10)
    watchdog.close()


def test_board_whose_owner_died_cannot_be_armed(rig: BoardRig) -> None:
    port = BusPort(MemoryPort(rig.line), "fake", 1_000_000)
    if rig.kind == "maestro":
        board: HostManagedBoard = Maestro(
            SPEC, [port], (12, 13), "fake", clock=rig.clock, owner=dead_thread()
        )
    else:
        kind = Feetech if rig.kind == "feetech" else Dynamixel
        board = kind(SPEC, port, "fake", clock=rig.clock, owner=dead_thread())
    board.configure(rig.limits, 1)
    board._watchdog._thread.join(10)
    with pytest.raises(RobotError, match="no watchdog would notice"):
        board.arm(ALL)
    board.close()
