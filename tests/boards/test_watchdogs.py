"""Nobody at the helm: the dead man's thread, and the guard's process."""

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
from eva_sim.testing.board_rigs import ALL, KINDS, BoardRig, limp, rigged


@pytest.fixture(params=KINDS)
def rig(request: pytest.FixtureRequest) -> Iterator[BoardRig]:
    yield from rigged(request.param)


HOST = """
import os, signal, sys
sys.path[:0] = {path!r}
from eva_sim.real.wire import bus_port
from eva_sim.testing.board_rigs import ALL, limits_of, open_board
port.LATENCY = 5.0  # the fake may be slow on a busy machine
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
    """In a process of its own, on a pseudo-terminal: nothing of it is left to say anything, but its guard."""
    pytest.importorskip("serial", reason="needs eva-sim[real]")
    with PtyLine(rig.line) as pty:
        path = [str(Path(__file__).parents[1]), *sys.path]
        script = HOST.format(path=path, kind=rig.kind, name=pty.name, how=how)
        host = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
        assert host.stdout == "armed\n", host.stderr
        assert host.returncode == (-signal.SIGKILL if how == "SIGKILL" else 1)
        deadline = time.monotonic() + 20  # its guard speaks at once; the machine may be busy
        while not limp(rig) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert limp(rig)


@pytest.fixture
def ends() -> Iterator[dict[str, int]]:
    """A pipe from host to guard, and one that stands for the port."""
    heard, say = os.pipe()
    bus_port, speak = os.pipe()
    yield {"heard": heard, "say": say, "port": bus_port, "speak": speak}
    for number in (heard, say, bus_port, speak):
        with suppress(OSError):
            os.close(number)


def test_guard_ends_what_the_host_could_not(ends: dict[str, int]) -> None:
    """A board that was closed but did not let go: its guard speaks, then ends."""
    watch = watchdog_process.WatchdogProcess({ends["speak"]: b"limp"}, 60.0)
    watch.beat()
    assert watch.watching
    watch.close(speak=True)
    assert not watch.watching and os.read(ends["port"], 99) == b"limp" * watchdog_process.REPEATS
    watch.close()


def test_guard_speaks_when_the_host_is_dead(ends: dict[str, int]) -> None:
    os.write(ends["say"], b"..")
    os.close(ends["say"])
    watchdog_process.watch_host(ends["heard"], 60.0, {ends["speak"]: b"limp"})
    assert os.read(ends["port"], 99) == b"limp" * watchdog_process.REPEATS


def test_guard_speaks_when_the_host_is_frozen(ends: dict[str, int]) -> None:
    arguments = (ends["heard"], 0.001, {ends["speak"]: b"limp"})
    thread = threading.Thread(target=watchdog_process.watch_host, args=arguments, daemon=True)
    thread.start()
    assert os.read(ends["port"], 4) == b"limp"
    os.write(ends["say"], watchdog_process.GOODBYE)
    thread.join(10)
    assert not thread.is_alive()


def test_guard_leaves_in_silence_when_told(ends: dict[str, int]) -> None:
    os.write(ends["say"], b"..!")
    watchdog_process.watch_host(ends["heard"], 60.0, {ends["speak"]: b"limp"})
    os.close(ends["speak"])
    assert os.read(ends["port"], 99) == b""


# The dead man's thread.


def dead_thread() -> threading.Thread:
    thread = threading.Thread()
    thread.start()
    thread.join()
    return thread


def test_dead_man_beats_from_his_own_thread() -> None:
    beats, threads = threading.Semaphore(0), set()

    def beat() -> None:
        threads.add(threading.current_thread().name)
        beats.release()

    man = HostWatchdog(beat, lambda: None, interval=0.0)
    man.start()
    assert all(beats.acquire(timeout=10) for _ in range(5))
    man.close()
    assert not man.watching and threads == {"eva-deadman"}


def test_dead_man_limps_when_his_owner_dies_and_ends() -> None:
    limped = threading.Event()
    man = HostWatchdog(
        lambda: pytest.fail("the owner is dead"), limped.set, owner=dead_thread(), interval=0.0
    )
    man.start()
    assert limped.wait(10)
    man.close()
    assert not man.watching


def test_dead_man_tries_again_when_the_link_fails() -> None:
    limped = threading.Event()
    tries: list[int] = []

    def limp_at_third() -> None:
        tries.append(1)
        if len(tries) < 3:
            raise LinkError("noise")
        limped.set()

    man = HostWatchdog(lambda: None, limp_at_third, owner=dead_thread(), interval=0.0)
    man.start()
    assert limped.wait(10)
    man.close()


def test_board_whose_owner_died_cannot_be_armed(rig: BoardRig) -> None:
    port = BusPort(MemoryPort(rig.line), "fake", 1_000_000)
    if rig.kind == "maestro":
        board: HostManagedBoard = Maestro([port], (12, 13), "fake", clock=rig.clock, owner=dead_thread())
    else:
        kind = Feetech if rig.kind == "feetech" else Dynamixel
        board = kind(port, "fake", clock=rig.clock, owner=dead_thread())
    board.configure(rig.limits, 1)
    board._deadman._thread.join(10)
    with pytest.raises(RobotError, match="nobody would notice"):
        board.arm(ALL)
    board.close()
