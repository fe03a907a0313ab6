"""One fault's trials, and a watched machine that a host keeps moving."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np

from eva_sim.contract import Floats, load_spec
from eva_sim.errors import LinkError
from eva_sim.real.boards.arming import ArmingAct
from eva_sim.real.boards.firmware import FirmwareBoard
from eva_sim.real.boards.interface import DRIVEN, UNANSWERED, BoardState, BoardStatus
from eva_sim.real.calibration.model import Calibration
from eva_sim.real.robot import RobotFace
from eva_sim.real.simulation.mock_board import MockBoard
from eva_sim.real.vision.camera_source import CameraSource
from eva_sim.real.wire import protocol as wire
from eva_sim.real.wire.link import Link
from eva_sim.testing.fault_injection import LineFilter
from eva_sim.testing.pulse_watcher import GRAIN, PulseWatcher

PERIOD = 0.02
SPEC = load_spec()
ALL = set(range(len(SPEC)))
#: Channel of each actuator.
CHANNEL = SPEC.column("channel").astype(int)
#: A PCA9685 of 25 MHz that divides by 122 and 4096 counts in this [us]; the mock as the wire does.
STEP = {"virtual": 122 / 25}
#: Opens a board of a body, with the options of `SimulatedBoard`: a mock, a virtual board, or one at a port.
Opener = Callable[..., Any]
#: Time after which a change of pulses was seen by the wall clock [s].
SEEN_LATE = 0.05
#: Within what a silent host's face holds and is limp [s].
HOLD, LIMP = 0.25, 1.1


class Findings(Protocol):
    """What a watcher of servos finds, see `PulseWatcher`."""

    beyond: float
    faster: float
    rearmed: int
    events: int
    wrong: list[str]


class Trial:
    """What is found of one fault.

    Args:
        body: `"mock"`, `"virtual"`, `"port"`, or the kind of another board.
        quick: whether fewer cases will do.
        note: called with how many cases are done.
        opener: opens the board.
        real_time: whether all is by the wall clock.

    Attributes:
        tried: number of cases.
        happened: outcomes, in words, and how often.
        wrong: what should not have been, in words.
        holds, limps: times from the fault until the last pulse moved, and until limp [s].
        limp_by: how long that may take [s].
        beyond, faster, rearmed, events: as in `PulseWatcher`, over all machines.
    """

    def __init__(
        self,
        body: str,
        quick: bool,
        note: Callable[[int], object] = bool,
        opener: Opener | None = None,
        real_time: bool = False,
    ) -> None:
        self.body, self.quick, self._note, self._opener = body, quick, note, opener or open_machine
        self.real_time = real_time or body == "port"
        self.tried, self.happened, self.wrong = 0, Counter[str](), list[str]()
        self.holds, self.limps, self.limp_by = list[float](), list[float](), LIMP
        self.beyond, self.faster, self.rearmed, self.events = 0.0, 0.0, 0, 0

    @property
    def going_on(self) -> tuple[BoardState, ...]:
        """States of a board that goes on; by the wall clock a computer may be late, and the face hold."""
        return DRIVEN if self.real_time else (BoardState.ACTIVE,)

    def choose(self, full: int, quick: int) -> int:
        return quick if self.quick else full

    def some(self, cases: range, quick: int) -> list[int]:
        """All cases, or about that many of them, evenly."""
        return list(cases)[:: max(1, len(cases) // quick)] if self.quick else list(cases)

    def saw(self, what: str, good: bool = True, count: int = 1) -> None:
        """Counts outcomes; bad ones spoil the row."""
        self.tried += count
        self.happened[what] += count
        if not good:
            self.wrong.append(what)
        self._note(count)

    def expect(self, good: Any, what: str) -> None:
        """Something that has to be, whatever the outcome."""
        if not good:
            self.wrong.append(what)

    @contextmanager
    def bench(self, **options: Any) -> Iterator[Bench]:
        """A machine of the body, whose watcher's findings come into this trial."""
        bench = Bench(self, self._opener(self.body, **options, **self._clock_options()))
        try:
            yield bench
        finally:
            bench.machine.close()
            self.add(bench.watcher)

    def _clock_options(self) -> dict[str, bool]:
        return {"realtime": True} if self.real_time and self.body in ("mock", "virtual") else {}

    def watch(self, machine: Any, margin: float | None = 0.0) -> PulseWatcher:
        """A watcher that counts starts; limits are those of the nominal calibration."""
        looks = getattr(machine, "periods", None)  # a board that is seen through STATUS alone
        watcher = PulseWatcher(machine, STEP.get(self.body, GRAIN), margin, looks)
        watcher.armable = set()
        return watcher

    def add(self, watcher: Findings) -> None:
        self.beyond, self.faster = max(self.beyond, watcher.beyond), max(self.faster, watcher.faster)
        self.rearmed, self.events = self.rearmed + watcher.rearmed, self.events + watcher.events
        self.wrong += watcher.wrong

    @property
    def ok(self) -> bool:
        """Whether all was as it must be."""
        limits = self.beyond <= 0 and self.faster <= STEP.get(self.body, 0.0) + 1e-6
        in_time = max(self.holds, default=0) <= HOLD and max(self.limps, default=0) <= self.limp_by
        return bool(self.tried and limits and in_time and not self.rearmed and not self.wrong)


class Line(LineFilter):
    """A machine's port, which stays open for the next connection."""

    def close(self) -> None:
        """Leaves it to the machine."""


class Bench:
    """A machine, its watcher, and a host that moves all channels to and fro.

    Attributes:
        port: to harm what passes.
        board: of the host; `ready` opens it.
        link: under it.
        sent_at: when the last targets were sent.
    """

    def __init__(self, trial: Trial, machine: Any) -> None:
        self.trial, self.machine, self.clock = trial, machine, machine.clock
        self.watcher = trial.watch(machine)
        self.limits = Calibration.nominal(load_spec()).limits
        self.board: FirmwareBoard
        self.link: Link
        self.sent_at, self._count, self._due = 0.0, 0, 0.0
        self._lag = 0.0
        if trial.real_time:
            machine.listen(self._note_lag)

    def _note_lag(self, time: float, channel: int, width: float) -> None:
        """A board in real time counts its own time, from its start, and a busy computer makes it slower."""
        self._lag = self.clock.now() - time

    def connect(self) -> FirmwareBoard:
        """Opens a new session."""
        self.port = Line(self.machine.port)
        self.link = Link(self.port, self.clock)
        self.board = FirmwareBoard(SPEC, self.link)
        arm = self.board.arm

        def counted(actuators: Any, act: ArmingAct | None = None) -> BoardStatus:
            """Only what somebody armed may start."""
            _ = self.limp  # a board behind a port is seen only when somebody looks
            self.watcher.armable = set(ALL)
            try:
                return arm(actuators, act)
            except Exception:
                self.watcher.armable = set()
                raise

        self.board.arm = counted  # type: ignore[method-assign]
        return self.board

    def ready(self) -> None:
        """Connects, calibrates, arms, and moves."""
        calibration = Calibration.nominal(load_spec(), self.connect().identity.robot_id)
        self.board.configure(calibration.limits, calibration.crc)
        self.board.arm(range(len(ALL)))
        self.move(30)
        self.trial.expect(self.board.status().state == BoardState.ACTIVE, "it could not be armed")

    def ask(self) -> wire.Status:
        """What the board says of itself; a question may be repeated, since computers are late."""
        return self.link.demand(wire.Query(), wire.Status, 0.1, tries=10)

    def move(self, frames: int, into: int = 0) -> BoardStatus:
        """Sends some targets, one each period, and goes on `into` milliseconds into the next one."""
        for _ in range(frames):
            status = self.board.send(self.aim())
            self.rest_of_period()
        self.clock.sleep(into / 1000)
        return status

    def await_quiet_bus(self) -> None:
        """Lets periods begin half a period after pulses came out, when also a second writing is over."""
        self.send_far()
        self.await_pulses()
        self.clock.sleep(PERIOD / 2)
        self._due = self.clock.now()

    def await_pulses(self) -> None:
        """Waits until new pulses come out; something must be on its way."""
        before = self.machine.pulses
        while np.array_equal(self.machine.pulses, before, equal_nan=True):
            self.clock.sleep(0.0005)

    def rest_of_period(self) -> None:
        """Waits for the next multiple of the period since the last one; begins anew if that is over."""
        now = self.clock.now()
        self._due = self._due + PERIOD if now < self._due + PERIOD else now
        self.clock.sleep(self._due - now)

    def aim(self) -> Floats:
        """To and fro between the ends, turning before the fastest are there; to be sent now."""
        self.sent_at = self.clock.now()
        self._count += 1
        return self.limits.low if self._count // 8 % 2 else self.limits.high

    def send_far(self) -> float:
        """Sends everything to its farther end, and says when; as if it were the last targets ever."""
        low, high = self.limits.low, self.limits.high
        begin, now = self.clock.now(), self.machine.pulses[CHANNEL]
        self.board.send(np.where(now > (low + high) / 2, low, high))
        return float(begin)

    @property
    def limp(self) -> bool:
        """Whether all servos are; a mock does what was due when somebody looks."""
        if self.trial.real_time:
            self.clock.sleep(SEEN_LATE)
        return bool(np.isnan(self.machine.pulses).all()) and self.watcher.limp

    def fall_silent(self, begin: float, lasting: float = 1.3) -> None:
        """Lets time pass from a fault at `begin` on; notes when it held and when it was limp."""
        there = begin - self._lag
        self.clock.sleep(begin + lasting - self.clock.now())
        self.trial.expect(self.limp, "not limp after silence")
        self.trial.holds.append(max(0.0, self.watcher.stopped_at - there))  # it may have held before
        self.trial.limps.append(self.watcher.moved_at - there)

    def went_limp(self, begin: float, lasting: float) -> None:
        """The same for faults that it does not hold before."""
        there = begin - self._lag
        self.clock.sleep(begin + lasting - self.clock.now())
        self._await_slow_board()
        self.trial.expect(self.limp, "not limp")
        self.trial.limps.append(self.watcher.moved_at - there)

    def _await_slow_board(self) -> None:
        """A busy computer makes a board in real time slower; its own time tells how late it was."""
        until = self.clock.now() + 1.0
        while self.trial.real_time and not self.limp and self.clock.now() < until:
            pass  # each look takes a while

    def stays_limp(self) -> bool:
        """Targets that come again, from the same host, arm nothing."""
        for n in range(5):
            try:
                status = self.board.send(self.aim())
            except LinkError:
                break
            old = self.trial.real_time and n < 4  # a late answer to targets before
            self.trial.expect(old or status.state not in DRIVEN, "moves unarmed")
            self.clock.sleep(PERIOD)
        self.clock.sleep(0.2)
        return self.limp

    def arms_again(self) -> bool:
        """Whether it moves again after it was armed, which is the only way back."""
        self.board.arm(range(len(ALL)))
        return self.move(25).state == BoardState.ACTIVE and not self.limp

    def face(self, camera: CameraSource | None = None) -> RobotFace:
        """The whole adapter in place of the bare board."""
        spec = load_spec()
        return RobotFace(
            spec, self.connect, self.clock, lambda who: Calibration.nominal(spec, who.robot_id), camera
        )


def answered(status: BoardStatus) -> bool:
    """Whether the board answered the last targets."""
    return UNANSWERED not in status.faults


def open_machine(body: str, **options: Any) -> Any:
    """Opens a mock or a virtual board."""
    if body == "mock":
        return MockBoard(SPEC, **options)
    from eva_sim.real.simulation.virtual_board import SimulatedBoard

    return SimulatedBoard(SPEC, **options)
