"""The watchdogs of boards without one: a thread, and the process that guards the line."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from eva_sim.clock import WallClock
from eva_sim.contract import FaceSpec
from eva_sim.errors import EvaError, LinkError, RobotError
from eva_sim.real.boards import line_guard
from eva_sim.real.boards.arming import ArmingAct
from eva_sim.real.boards.dynamixel import Dynamixel
from eva_sim.real.boards.feetech import Feetech
from eva_sim.real.boards.guard_process import MOST_UNANSWERED, GuardProcess, LocalGuard
from eva_sim.real.boards.host_managed import HostManagedBoard
from eva_sim.real.boards.host_watchdog import HostWatchdog
from eva_sim.real.boards.interface import DRIVEN, BoardState
from eva_sim.real.boards.line_guard import ENDED, LineGuard
from eva_sim.real.boards.maestro import Maestro
from eva_sim.real.simulation.fake_line import MemoryPort, PtyLine
from eva_sim.real.wire.bus_port import BusPort
from eva_sim.testing.board_rigs import ALL, KINDS, LIBRARIES, SPEC, BoardRig, limp, rigged
from eva_sim.testing.board_terminals import BoardProcess
from eva_sim.testing.fault_injection import wait_until


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


# The guard of the line: a process.


class GuardBench:
    """A guard process over one end of a terminal.

    Attributes:
        guard: the guard.
        act: an act of arming in use.
    """

    def __init__(self, timeout: float) -> None:
        self._bus, self._port = os.openpty()
        tty.setraw(self._port)
        os.set_blocking(self._bus, False)
        self.guard = GuardProcess({self._port: b"limp"}, timeout)
        self.act = ArmingAct(WallClock(), 60.0)
        self.act.use()
        self.guard.beat()
        wait_until(lambda: self.guard._unanswered == 0 or bool(self.guard.notices()))

    def close(self) -> None:
        self.guard.close()
        for number in (self._bus, self._port):
            os.close(number)

    def written(self, expected: bytes) -> None:
        """Waits until exactly these bytes have arrived at the bus."""
        arrived = b""

        def complete() -> bool:
            nonlocal arrived
            with suppress(BlockingIOError):
                arrived += os.read(self._bus, 4096)
            return len(arrived) >= len(expected)

        wait_until(complete)
        assert arrived == expected

    def nothing(self) -> None:
        """Nothing arrives at the bus, also not after everything that was sent before."""
        self.guard.write(0, b"?", None)
        self.written(b"?")


LIMP = b"limp" * line_guard.REPEATS


@pytest.fixture
def bench() -> Iterator[Callable[[float], GuardBench]]:
    opened: list[GuardBench] = []

    def open_bench(timeout: float) -> GuardBench:
        opened.append(GuardBench(timeout))
        return opened[-1]

    yield open_bench
    for one in opened:
        one.close()


def test_the_guard_finishes_a_torque_off(bench: Callable[[float], GuardBench]) -> None:
    """A board was closed, but its torque-off failed: the guard writes the packets, then ends."""
    one = bench(60.0)
    assert one.guard.watching
    one.guard.close(torque_off=True)
    one.written(LIMP)
    assert not one.guard.watching
    one.guard.close()


def test_the_guard_ends_silently_after_goodbye(bench: Callable[[float], GuardBench]) -> None:
    one = bench(60.0)
    one.guard.close()
    os.write(one._port, b"?")
    one.written(b"?")


def test_packets_that_drive_need_an_act(bench: Callable[[float], GuardBench]) -> None:
    one, other = bench(60.0), ArmingAct(WallClock(), 60.0)
    one.guard.write(0, b"go", one.act)  # before it was granted
    one.nothing()
    one.guard.grant(one.act)
    one.guard.write(0, b"go", one.act)
    one.written(b"go")
    one.guard.write(0, b"go", other)
    one.nothing()
    one.guard.end()
    one.guard.write(0, b"go", one.act)
    one.nothing()


def test_a_silent_host_ends_the_act(bench: Callable[[float], GuardBench]) -> None:
    """Its packets that drive are dropped afterwards, as after a freeze; only a new act is obeyed."""
    one = bench(0.3)
    one.guard.grant(one.act)
    one.written(LIMP)
    said = list[tuple[bytes, int]]()

    def ended() -> bool:
        said.extend(one.guard.notices())
        return (ENDED, one.act.number) in said

    wait_until(ended)
    one.guard.beat()
    one.guard.write(0, b"go", one.act)
    one.nothing()


def test_without_a_guard_only_limp_is_possible(bench: Callable[[float], GuardBench]) -> None:
    one = bench(60.0)
    one.guard.grant(one.act)
    one.guard._process.kill()
    one.guard._process.wait()
    assert not one.guard.watching
    with pytest.raises(OSError, match="guard of this line has ended"):
        one.guard.write(0, b"go", one.act)
    with pytest.raises(LinkError, match="connect again"):
        one.guard.grant(one.act)
    one.guard.write(0, b"off", None)
    one.written(b"off")


def test_a_frozen_guard_is_ended(bench: Callable[[float], GuardBench]) -> None:
    """What waits in its pipe must not be written when it goes on."""
    one = bench(60.0)
    one.guard.grant(one.act)
    os.kill(one.guard._process.pid, signal.SIGSTOP)
    one.guard.write(0, b"go", one.act)
    for _ in range(MOST_UNANSWERED + 1):
        one.guard.beat()
        one.guard.notices()
    assert not one.guard.watching
    one.nothing()


def test_what_makes_limp_never_waits_in_a_frozen_pipe(bench: Callable[[float], GuardBench]) -> None:
    one = bench(60.0)
    one.guard.grant(one.act)
    assert not one.guard.end_if_frozen() and one.guard.watching
    os.kill(one.guard._process.pid, signal.SIGSTOP)
    one.guard.write(0, b"lost", None)
    assert one.guard.end_if_frozen() and not one.guard.watching
    one.guard.write(0, b"off", None)
    one.written(b"off")
    assert not one.guard.end_if_frozen()  # it had ended before


def test_a_frozen_guard_is_ended_at_the_end_and_its_packets_are_written(
    bench: Callable[[float], GuardBench],
) -> None:
    one = bench(60.0)
    os.kill(one.guard._process.pid, signal.SIGSTOP)
    one.guard.write(0, b"lost", None)
    one.guard.close(torque_off=True)
    one.written(LIMP)


def test_a_guard_that_nobody_listened_to_is_not_frozen(bench: Callable[[float], GuardBench]) -> None:
    """A long exchange of the host reads none of its answers meanwhile."""
    one = bench(60.0)
    for _ in range(MOST_UNANSWERED + 1):
        one.guard.beat()
    wait_until(lambda: bool(select.select([one.guard._back], [], [], 0)[0]))
    assert one.guard.watching


@pytest.mark.parametrize("how", ["stop", "disarm", "close", "send"])
@pytest.mark.parametrize("kind", ["maestro", "feetech", "dynamixel"])
def test_a_robot_behind_a_frozen_guard_goes_limp(kind: str, how: str, spec: FaceSpec) -> None:
    """The packets that say so would wait in the guard's pipe for ever."""
    pytest.importorskip("serial", reason="needs eva-sim[real]")
    if kind in LIBRARIES:
        pytest.importorskip(LIBRARIES[kind], reason=f"needs eva-sim[{kind}]")
    with BoardProcess(kind) as boards, boards.open_face() as face:
        face.reset()
        assert boards.driven
        guard = face._board._lines.guard  # type: ignore[attr-defined]
        os.kill(guard._process.pid, signal.SIGSTOP)
        if how == "send":
            with suppress(EvaError):
                while boards.driven:
                    face.move(spec.neutral)
        else:
            getattr(face, how)()
        wait_until(lambda: not boards.driven)
        assert guard._process.poll() is not None  # so that it writes nothing if it is woken


class Lines:
    """What the rules of a guard write, by their own clock."""

    def __init__(self) -> None:
        self.time, self.written = 100.0, list[bytes]()
        self.rules = LineGuard(
            lambda port, data: self.written.append(data), lambda: self.written.append(b"limp"),
            lambda: self.time, 1.0,
        )  # fmt: skip


def test_the_guard_notices_that_it_was_frozen_itself() -> None:
    """The computer slept: an old beat, an old grant and an old packet wait in the pipe."""
    lines = Lines()
    lines.rules.grant(7, lines.time)
    lines.rules.drive(7, 0, b"go")
    lines.time += 3600.0
    lines.rules.beat()
    lines.rules.grant(8, lines.time - 3600.0)
    for act in (7, 8):
        lines.rules.drive(act, 0, b"go")
    assert lines.written == [b"go", b"limp"] and lines.rules.ended == 7
    lines.rules.grant(9, lines.time)
    lines.rules.drive(9, 0, b"again")
    assert lines.written[-1] == b"again"


def test_the_guard_frozen_within_a_write() -> None:
    """The packet arrives after a long time; the guard undoes it at once."""
    lines = Lines()

    def slow(port: int, data: bytes) -> None:
        lines.time += 2.0
        lines.written.append(data)

    lines.rules.write = slow
    lines.rules.grant(7, lines.time)
    lines.rules.drive(7, 0, b"go")
    assert lines.written == [b"go", b"limp"] and lines.rules.act == 0


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


def test_the_end_of_an_act_reaches_no_later_act(bench: Callable[[float], GuardBench]) -> None:
    """The watchdog thread may read an old act, and its message may come after the grant of a new one."""
    one = bench(60.0)
    later = ArmingAct(WallClock(), 60.0)
    later.use()
    one.guard.grant(later)
    one.guard.limp(one.act)
    one.guard.write(0, b"drive", later)
    one.written(b"drive")
    one.guard.limp(later)
    one.written(LIMP)


def test_a_notice_about_an_earlier_act_ends_no_later_act(rig: BoardRig) -> None:
    """The guard may say that it has ended an act when the host has granted the next one already."""
    board = rig.board
    board.configure(rig.limits, 1)
    board.arm(ALL)
    assert board._act is not None and board._lines is not None
    earlier = board._act.number
    board.disarm()
    board.arm(ALL)
    board._watchdog.close()  # this test ticks by itself
    guard = board._lines.guard
    assert isinstance(guard, LocalGuard)
    guard._said.append((ENDED, earlier))
    board.tick()
    assert board._state in DRIVEN
    guard._said.append((ENDED, board._act.number))
    board.tick()
    assert board._state is BoardState.LIMP and board._faults.silence


# A long exchange.


class NotingGuard:
    """A guard that notes what it is told."""

    watching = True

    def __init__(self) -> None:
        self.told: list[str] = []

    def notices(self) -> list[tuple[bytes, int]]:
        return []

    def __getattr__(self, name: str) -> Any:
        def note(*arguments: Any, **options: Any) -> None:
            self.told.append(name)

        return note


def test_a_long_exchange_keeps_no_beat_from_the_guard(rig: BoardRig) -> None:
    """The watchdog thread finds the lock taken; only silence makes the guard let go."""
    board, held, done = rig.board, threading.Event(), threading.Event()
    board.configure(rig.limits, 1)
    board.arm(ALL)
    guard: Any = NotingGuard()
    assert board._lines is not None
    board._watchdog.close()  # this test beats by itself
    board._lines.guard = guard

    def exchange() -> None:
        with board._exchange():
            held.set()
            assert done.wait(20)

    thread = threading.Thread(target=exchange)
    thread.start()
    assert held.wait(10)
    board._beat()
    assert guard.told == ["beat"]
    rig.clock.sleep(1.5 * board._rules.limp_after)
    board._beat()
    assert guard.told == ["beat", "limp", "beat"]
    done.set()
    thread.join()
