"""One rule for all boards: servos are driven only under an act of arming, and every stop ends that act.

The host is frozen at every line of its loop: its clock jumps, and the guard of the line, or the board, makes
the face limp meanwhile. Whatever the host does when it goes on, only a new `arm` may drive a servo.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from eva_sim.clock import SimulatedClock, WallClock
from eva_sim.errors import EvaError, RobotError
from eva_sim.real.boards.arming import ARM_WITHIN, ArmingAct
from eva_sim.real.boards.firmware import FirmwareBoard
from eva_sim.real.boards.interface import TARGETS_STOPPED, Board, BoardState
from eva_sim.real.calibration.model import Calibration
from eva_sim.real.robot import RobotFace
from eva_sim.real.simulation.mock_board import MockBoard
from eva_sim.real.wire.link import Link
from eva_sim.testing.board_rigs import KINDS, SPEC, BoardRig, build, limp
from eva_sim.testing.freezing import Freezer, LineCounter, LineRecorder
from tests.boards.test_board_faces import UNIT

ALL_KINDS = ("mock", *KINDS)


@dataclass
class Subject:
    """A face over a board of some kind, all in simulated time.

    Attributes:
        face: the face.
        clock: its clock.
        stop_all: what the guard of the line does to a face whose host is frozen.
        limp: whether no servo is driven.
        drives: number of times that a servo was driven so far.
    """

    face: RobotFace
    clock: SimulatedClock
    stop_all: Callable[[], None]
    limp: Callable[[], bool]
    drives: Callable[[], int]

    def freeze(self, seconds: float) -> Callable[[bool], None]:
        """A freeze of the host alone, or of its guard, too."""

        def freeze(guard_too: bool) -> None:
            self.clock.time += seconds
            if not guard_too:
                self.stop_all()

        return freeze

    def arm(self) -> None:
        """Arms a limp face, also after a fault."""
        self.clock.time += 100.0  # the pause after a fault
        self.face.arm()
        for _ in range(2):
            self.face.move(SPEC.command(jaw=0.3))


@contextmanager
def open_subject(kind: str) -> Iterator[Subject]:
    with ExitStack() as stack:
        yield mock_subject(stack) if kind == "mock" else rig_subject(stack, kind)


def mock_subject(stack: ExitStack) -> Subject:
    mock, drives = MockBoard(SPEC), [0]
    assert isinstance(mock.clock, SimulatedClock)

    def count(time: float, channel: int, width: float) -> None:
        drives[0] += not np.isnan(width)

    mock.listen(count)
    calibration = Calibration.nominal(SPEC, mock.firmware._robot_id.hex())
    face = RobotFace(
        SPEC, lambda: FirmwareBoard(SPEC, Link(mock.port, mock.clock)), mock.clock, lambda _: calibration
    )
    stack.enter_context(face)
    return Subject(
        face, mock.clock, mock.advance, lambda: bool(np.isnan(mock.pulses).all()), lambda: drives[0]
    )


def rig_subject(stack: ExitStack, kind: str) -> Subject:
    rig = build(kind, SimulatedClock())
    calibration = Calibration.nominal(SPEC, "fake", kind, UNIT[kind])
    face = RobotFace(SPEC, lambda: rig.board, rig.clock, lambda _: calibration)
    stack.enter_context(face)
    packets = b"".join(rig.board._torque_off_packets().values())
    return Subject(
        face, rig.clock, lambda: stop_by_guard(rig, packets), lambda: limp(rig),
        lambda: sum(bool(position) for _, position in rig.device.driven),
    )  # fmt: skip


def stop_by_guard(rig: BoardRig, packets: bytes) -> None:
    """The guard's process writes while the host is frozen; the device drops a packet that was cut short."""
    with rig.board._lock:  # the watchdog thread is frozen, too
        for _ in range(2):
            rig.device.feed(packets)


@pytest.fixture(params=ALL_KINDS)
def subject(request: pytest.FixtureRequest) -> Iterator[Subject]:
    with open_subject(request.param) as opened:
        yield opened


def go_on(subject: Subject) -> None:
    """What a program does that knows of nothing: it moves, resets, and asks."""
    for action in (
        lambda: subject.face.move(SPEC.command(jaw=0.6)),
        lambda: subject.face.move(SPEC.neutral),
        subject.face.reset,
        lambda: subject.face.move(SPEC.neutral),
    ):
        with suppress(EvaError):
            action()
    subject.clock.sleep(0.1)


def count_lines(subject: Subject, action: Callable[[], Any]) -> int:
    counter = LineCounter()
    with counter.watching():
        action()
    return counter.lines


def some_lines(subject: Subject, action: Callable[[], Any]) -> range:
    """About 20 lines, evenly spread."""
    lines = count_lines(subject, action)
    return range(0, lines, max(1, lines // 20))


def every_line(subject: Subject, action: Callable[[], Any]) -> list[int]:
    """Every line by every way that leads there, when it is executed first and last.

    A loop that waits executes the same lines ten thousands of times; all of them would take days.
    """
    recorder = LineRecorder()
    with recorder.watching():
        action()
    return recorder.first_and_last()


def frozen_everywhere(
    subject: Subject,
    action: Callable[[], Any],
    seconds: float,
    choose_lines: Callable[[Subject, Callable[[], Any]], Sequence[int]],
) -> list[str]:
    """Freezes the host at lines of an action; the places after which a servo was driven, or is not limp.

    Args:
        subject: the face.
        action: run once for each line, from an armed face.
        seconds: length of the freeze.
        choose_lines: runs the action once, and returns the numbers of the lines to freeze at.
    """
    subject.arm()
    wrong = list[str]()
    for at in choose_lines(subject, action):
        if subject.limp():
            subject.arm()
        wrong += frozen_at(subject, action, seconds, at)
    return wrong


def frozen_at(subject: Subject, action: Callable[[], Any], seconds: float, at: int) -> list[str]:
    """What is wrong after a freeze at one line."""
    frozen = list[tuple[bool, int, ArmingAct | None]]()

    def freeze(guard_too: bool) -> None:
        subject.freeze(seconds)(guard_too)
        frozen.append((guard_too, subject.drives(), subject.face._acts.latest))

    freezer = Freezer(at, freeze)
    with freezer.watching(), suppress(EvaError):
        action()
    go_on(subject)
    if not frozen:
        return []
    guard_too, drives, act = frozen[0]
    if subject.face._acts.latest is not act:  # frozen before a person armed: that act is a new one
        return []
    if not subject.limp():
        return [f"{freezer.place}: not limp"]
    # A packet on its way may still arrive if the guard was frozen, too: nobody made the face limp then.
    driven = subject.drives() - drives
    return [f"{freezer.place}: driven {driven} times"] if driven and not guard_too else []


def move(subject: Subject) -> Callable[[], Any]:
    return lambda: subject.face.move(SPEC.command(jaw=0.4))


def rearm(subject: Subject) -> Callable[[], Any]:
    """A person stops the face and arms it again."""

    def action() -> None:
        subject.face.disarm()
        subject.face.arm()

    return action


@pytest.mark.parametrize(("action", "seconds"), [(move, 1.01), (move, 60.0), (rearm, 60.0)])
def test_frozen_in_the_loop(
    subject: Subject, action: Callable[[Subject], Callable[[], Any]], seconds: float
) -> None:
    assert frozen_everywhere(subject, action(subject), seconds, some_lines) == []


@pytest.mark.slow
@pytest.mark.parametrize(("action", "seconds"), [(move, 1.01), (move, 2.5), (rearm, 60.0)])
def test_frozen_at_every_line_of_the_loop(
    subject: Subject, action: Callable[[Subject], Callable[[], Any]], seconds: float
) -> None:
    assert frozen_everywhere(subject, action(subject), seconds, every_line) == []


@pytest.mark.parametrize("how", ["stop", "disarm"])
def test_a_stop_during_arming_ends_it(subject: Subject, how: str) -> None:
    """Another thread presses the button at a line of `arm`, and the face stays limp."""
    lines = count_lines(subject, subject.arm)
    for at in range(0, lines, max(1, lines // 15)):
        with suppress(EvaError):  # two threads at one link may lose an answer
            subject.face.disarm()
        pressed = list[ArmingAct | None]()

        def press(guard_too: bool) -> None:
            with suppress(EvaError):
                getattr(subject.face, how)()
            pressed.append(subject.face._acts.latest)  # noqa: B023

        freezer = Freezer(at, press)
        with freezer.watching(), suppress(EvaError):
            subject.face.arm()
        if pressed and subject.face._acts.latest is pressed[0]:  # else it was pressed before this act
            subject.clock.sleep(0.3)
            assert subject.limp(), freezer.place


@pytest.mark.parametrize("end", ["stop", "fault", "silence", "close"])
def test_an_act_serves_once(subject: Subject, end: str) -> None:
    """No board arms by an act that was used, whatever ended it."""
    subject.arm()
    board: Board = subject.face._board
    used = subject.face._acts.latest
    assert used is not None
    if end == "silence":
        subject.clock.sleep(1.5)
        subject.face.move(SPEC.neutral)
    elif end == "fault":
        board._end_act("a fault")
        board.send(subject.face.calibration.limits.rest)
    elif end == "close":
        subject.face.disarm()
    else:
        subject.face.stop()
        board.clear()
    assert subject.limp() and used.is_over()
    drives = subject.drives()
    with pytest.raises(RobotError, match="not armed"):
        board.arm(range(25), used)
    board.send(subject.face.calibration.limits.rest)
    assert subject.limp() and subject.drives() == drives
    assert board.status().state is BoardState.LIMP


@pytest.mark.parametrize("seconds", [1.0, 100.0])
def test_a_computer_that_slept_between_two_moves(subject: Subject, seconds: float) -> None:
    """Nobody acted meanwhile, also no guard: on waking the face is made limp, and the reading says so."""
    subject.arm()
    subject.clock.time += seconds
    reading = subject.face.move(SPEC.command(jaw=0.6))
    assert subject.limp() and any(TARGETS_STOPPED in fault for fault in reading.faults)
    drives = subject.drives()
    go_on(subject)
    assert subject.limp() and subject.drives() == drives


def test_the_clock_counts_the_sleep_of_the_computer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The monotonic clock of Linux and macOS stands still meanwhile."""
    slept = time.clock_gettime
    monkeypatch.setattr(time, "monotonic", lambda: 100.0)
    monkeypatch.setattr(time, "clock_gettime", lambda number: slept(number) + 3600.0)
    clock = WallClock()
    act = ArmingAct(clock, 1.0)
    act.use()
    assert not act.is_over()
    monkeypatch.setattr(time, "clock_gettime", lambda number: slept(number) + 7200.0)
    assert act.is_over()


def test_an_act_is_over_wherever_its_use_was_frozen() -> None:
    counter, usual = LineCounter(), ArmingAct(SimulatedClock(), 1.0)
    with counter.watching():
        usual.use()
    for at in range(counter.lines):
        clock = SimulatedClock()
        act = ArmingAct(clock, 1.0)
        freezer = Freezer(at, lambda guard_too: clock.sleep(60))  # noqa: B023
        with freezer.watching(), suppress(RobotError):
            act.use()
        assert freezer.place and act.is_over(), freezer.place


def test_an_act_is_good_for_a_short_time() -> None:
    clock = SimulatedClock()
    fresh, old, stopped = (ArmingAct(clock, 1.0) for _ in range(3))
    stopped.end("stopped")
    clock.sleep(ARM_WITHIN)
    fresh.use()
    clock.sleep(0.9)
    assert not fresh.is_over()
    for act, why in ((old, "frozen"), (stopped, "stopped"), (fresh, "used before")):
        with pytest.raises(RobotError, match=why):
            act.use()
    clock.sleep(0.2)
    fresh.renew(clock.now())  # too late
    assert fresh.is_over() and old.number != fresh.number
