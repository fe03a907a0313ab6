"""A board without firmware of ours on its fake, watched, and a host that keeps it moving."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import numpy as np

from eva_sim.clock import Clock, SimulatedClock, WallClock
from eva_sim.contract import Floats
from eva_sim.errors import EvaError, LinkError
from eva_sim.real.boards.dynamixel import Dynamixel
from eva_sim.real.boards.feetech import Feetech
from eva_sim.real.boards.host_managed import HostManagedBoard
from eva_sim.real.boards.interface import DRIVEN, BoardState, BoardStatus
from eva_sim.real.boards.maestro import Maestro
from eva_sim.real.boards.servo_bus import default_bus_ids
from eva_sim.real.simulation.fake_bus import PAUSE, ServoBus
from eva_sim.real.simulation.fake_line import MemoryPort, PtyLine
from eva_sim.real.wire.bus_port import BusPort
from eva_sim.testing.board_rigs import ALL, SPEC, device_of, limits_of, open_board
from eva_sim.testing.conformance.bench import Trial
from eva_sim.testing.conformance.servo_watcher import PERIOD, ServoWatcher, WatchedLine

#: States of a board that obeys targets; on a busy computer it may have held in between.
MOVING = (BoardState.ACTIVE, BoardState.HOLD)
#: Latency of a fake in memory, which answers at once or not at all [s]. A host waits longer than the pause
#: that ends a packet, as with real adapters: else its retries would complete half a packet.
_AT_ONCE = 1.2 * PAUSE


class BoardBench:
    """A board, its fake, its watcher, and a host that moves all channels to and fro.

    In simulated time the fake is in memory; by the wall clock it is at a pseudo-terminal, behind a guard.

    Args:
        trial: what is tried.
        stack: closes what is opened.
    """

    def __init__(self, trial: Trial, stack: ExitStack) -> None:
        self.trial, self.kind, self._stack = trial, trial.body, stack
        self.clock: Clock = WallClock() if trial.real_time else SimulatedClock()
        self.device, self.limits = device_of(self.kind), limits_of(self.kind)
        if isinstance(self.device, ServoBus):
            self.device.now = self._line_time
        self.ids = default_bus_ids(SPEC)
        self.board: HostManagedBoard
        self.line: WatchedLine
        self._count, self._due = 0, self.clock.now()
        self.plug_in()
        self.watcher = ServoWatcher(self.device, self.limits, self.clock, not trial.real_time)
        self.line.watcher = self.watcher

    def _line_time(self) -> float:
        """Time by which a pause ends a packet: a host waits for answers by the wall clock in either time."""
        return self.clock.now() + (0.0 if self.trial.real_time else time.monotonic())

    def plug_in(self) -> None:
        """Connects to the device, by a new line."""
        watcher = self.line.watcher if hasattr(self, "line") else None
        self.line = WatchedLine(self.device)
        self.line.watcher = watcher
        if self.trial.real_time:
            end = self._stack.enter_context(PtyLine(self.line))
            self.board = open_board(self.kind, end.name)
        else:
            self.board = self._in_memory(BusPort(MemoryPort(self.line), "fake", 1_000_000, latency=_AT_ONCE))
        self._stack.callback(self.board.close)

    def _in_memory(self, port: BusPort) -> HostManagedBoard:
        if self.kind == "maestro":
            return Maestro(SPEC, [port], (12, 13), robot_id="fake", clock=self.clock)
        family = Feetech if self.kind == "feetech" else Dynamixel
        return family(SPEC, port, robot_id="fake", clock=self.clock)

    def ready(self) -> None:
        """Ends a fault, calibrates, arms, and moves."""
        status = self.board.status()
        if status.state in (BoardState.FAULT, BoardState.STOPPED):
            self.board.clear()
        elif status.state in DRIVEN:
            self.board.disarm()
        self.board.configure(self.limits, 1)
        self.arm()

    def arm(self) -> None:
        """Arms, and moves; only what is armed here may start."""
        self.watcher.armable = set(ALL)
        self.board.arm(ALL)
        for _ in range(500):
            self.rest_of_period()
            if self.board.send(self.limits.rest).state is BoardState.ACTIVE:
                break
        self.trial.expect(self.move(3).state in MOVING, "it could not be armed")

    def aim(self) -> Floats:
        """To and fro between the ends."""
        self._count += 1
        return self.limits.low if self._count // 8 % 2 else self.limits.high

    def move(self, frames: int) -> BoardStatus:
        """Sends some targets, one each period."""
        for _ in range(frames):
            self.rest_of_period()
            status = self.board.send(self.aim())
        return status

    def rest_of_period(self) -> None:
        """Waits for the next period."""
        now = self.clock.now()
        self._due = self._due + PERIOD if now < self._due + PERIOD else now
        self.clock.sleep(self._due - now)

    def wait(self, duration: float) -> None:
        """Lets time pass; in simulated time the watchdog's thread beats as it would."""
        if self.trial.real_time:
            self.clock.sleep(duration)
            return
        until = self.clock.now() + duration
        while self.clock.now() < until:
            self.clock.sleep(PERIOD / 4)
            with suppress(LinkError):
                self.board.tick()

    def stays_limp(self) -> bool:
        """Targets that come again, from the same host, arm nothing."""
        for _ in range(5):
            with suppress(EvaError):
                self.board.send(self.aim())
            self.wait(PERIOD)
        return self.watcher.limp

    def others_limp(self, index: int) -> bool:
        """Whether all servos but that of one actuator are limp."""
        self.watcher.look()
        return bool(np.isnan(np.delete(self.watcher.held, index)).all())

    def goes_on_or_is_latched(self) -> str:
        """What became of it, some periods after a disturbance; an armed one again. Empty if neither."""
        with suppress(LinkError):
            if self.move(3).state in MOVING:
                return "it goes on"
        self.wait(0.1)
        if not self.stays_limp() or self.board.status().state is not BoardState.FAULT:
            return ""
        self.ready()
        return "limp, latched, moves after clear and arm()"


@contextmanager
def board_bench(trial: Trial) -> Iterator[BoardBench]:
    """A bench whose watcher's findings come into the trial."""
    with ExitStack() as stack:
        bench = BoardBench(trial, stack)
        try:
            yield bench
        finally:
            trial.add(bench.watcher)


def writes_of_a_send(bench: BoardBench) -> list[tuple[int, int]]:
    """Bytes of each write of one `send`, and of its answers."""
    before = len(bench.line.sizes)
    bench.move(1)
    bench.wait(PERIOD / 2)
    return bench.line.sizes[before:]


def disturbed(bench: BoardBench, place: str, number: int, how: Callable[[bytes], bytes]) -> str:
    """Disturbs one write of a `send`, or one answer to it; returns what became of it.

    Args:
        bench: the bench.
        place: `"spoil_requests"` or `"spoil"`, attributes of `FakeLine`.
        number: how many of them pass before.
        how: changes the bytes.
    """
    spoilers: list[Any] = [*[bytes] * number, how]
    setattr(bench.line, place, spoilers)
    bench.rest_of_period()
    with suppress(EvaError):
        bench.board.send(bench.aim())
    bench.wait(PERIOD / 4)
    spoilers.clear()
    return bench.goes_on_or_is_latched()
