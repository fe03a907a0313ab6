"""A silent board, by one rule for every board: held, then given up when it would be limp; never a motion."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pytest

from eva_sim.clock import SimulatedClock
from eva_sim.contract import Floats
from eva_sim.errors import LinkError, NoAnswerError
from eva_sim.real.boards.firmware import FirmwareBoard
from eva_sim.real.boards.interface import DRIVEN, UNANSWERED, Board, BoardState
from eva_sim.real.boards.silence import FEWEST_MISSES, BoardSilence
from eva_sim.real.calibration.model import Calibration
from eva_sim.real.simulation.mock_board import MockBoard, mock_id
from eva_sim.real.wire.bus_port import BusPort
from eva_sim.real.wire.link import Link
from eva_sim.testing.board_rigs import ALL, KINDS, RULES, SPEC, rigged
from eva_sim.testing.fault_injection import LateAnswers, LineFilter

PERIOD, EVER = RULES.period, 10**9


@dataclass
class Silenced:
    """A board that is armed, at rest, and whose line may lose what passes.

    Attributes:
        lose_answers: loses this number of the next answers.
        lose_requests: loses this number of the next requests.
        held: positions at which the servos are held [raw]; NaN where limp.
        rest: targets at which it is [raw].
        far: others [raw].
        line: the line of a board with our firmware.
    """

    board: Board
    clock: Any
    lose_answers: Callable[[int], None]
    lose_requests: Callable[[int], None]
    held: Callable[[], Floats]
    rest: Floats
    far: Floats
    line: LineFilter | None = None

    def send(self, duration: float, targets: Floats) -> list[str]:
        """Sends targets for a time [s]; returns what was reported."""
        faults, end = list[str](), self.clock.now() + duration
        while self.clock.now() < end:
            self.clock.sleep(PERIOD)
            faults += self.board.send(targets).faults
        return faults


def lose(count: int) -> Callable[[bytes], bytes]:
    """Loses the next pieces of data."""
    left = count

    def pass_on(data: bytes) -> bytes:
        nonlocal left
        left -= bool(data)
        return data if left < 0 else b""

    return pass_on


def mock_board() -> Iterator[Silenced]:
    mock = MockBoard(SPEC)
    line = LineFilter(mock.port)
    board = FirmwareBoard(SPEC, Link(line, mock.clock))
    limits = Calibration.nominal(SPEC, mock_id(0)).limits
    board.configure(limits, 1)
    board.arm(ALL)
    order = [a.channel for a in SPEC.actuators]
    there = Silenced(
        board,
        mock.clock,
        lambda count: setattr(line, "back", lose(count)),
        lambda count: setattr(line, "out", lose(count)),
        lambda: mock.pulses[order],
        limits.rest,
        np.clip(limits.rest + np.where(limits.high - limits.rest > 50, 50, -50), limits.low, limits.high),
        line,
    )
    there.send(1.0, limits.rest)
    yield there
    board.close()


def host_managed(kind: str) -> Iterator[Silenced]:
    for rig in rigged(kind):
        rig.ready()
        yield Silenced(
            rig.board,
            rig.clock,
            partial(setattr, rig.line, "lose_replies"),
            partial(setattr, rig.line, "lose_requests"),
            rig.held_positions,
            rig.limits.rest,
            rig.limits.high,
        )


@pytest.fixture(params=["firmware", *KINDS])
def there(request: pytest.FixtureRequest) -> Iterator[Silenced]:
    yield from mock_board() if request.param == "firmware" else host_managed(request.param)


@pytest.mark.parametrize("lost", ["lose_answers", "lose_requests"])
def test_a_board_that_is_late_for_a_while_is_no_reason_to_stop(there: Silenced, lost: str) -> None:
    getattr(there, lost)(EVER)
    faults = there.send(0.8 * RULES.limp_after, there.far)
    assert set(faults) <= {UNANSWERED}
    getattr(there, lost)(0)
    there.send(2 * PERIOD, there.far)
    assert not np.isnan(there.held()).any() and UNANSWERED not in there.send(0.2, there.far)
    before = there.held()
    there.send(0.2, there.rest)
    assert (there.held() != before).any()  # it goes on by itself
    assert there.board.status().state is BoardState.ACTIVE


def test_it_is_held_meanwhile(there: Silenced) -> None:
    """The board hears, and only its answers are lost: whatever the caller asks, it stays where it is."""
    there.lose_answers(EVER)
    there.send(RULES.hold_after + 3 * PERIOD, there.held())
    before = there.held()
    there.send(0.4 * RULES.limp_after, there.far)
    assert np.array_equal(there.held(), before)


@pytest.mark.parametrize("lost", ["lose_answers", "lose_requests"])
def test_it_is_given_up_when_it_would_be_limp(there: Silenced, lost: str) -> None:
    getattr(there, lost)(EVER)
    began = there.clock.now()
    with pytest.raises(LinkError, match="has not answered for"):
        there.send(3 * RULES.limp_after, there.far)
    assert RULES.limp_after <= there.clock.now() - began < RULES.limp_after + RULES.hold_after + PERIOD
    there.clock.sleep(1.1 * RULES.limp_after)  # nobody sends any more
    getattr(there, lost)(0)
    if tick := getattr(there.board, "tick", None):
        tick()
    assert np.isnan(there.held()).all()
    there.send(0.2, there.far)
    assert np.isnan(there.held()).all()  # only arming starts a servo


@pytest.mark.parametrize("count", [1, 6])
def test_late_answers_do_not_lose_a_status_nor_a_stop(there: Silenced, count: int) -> None:
    there.lose_answers(count)
    assert there.board.status().state in DRIVEN
    there.lose_answers(count)
    there.board.disarm()
    assert np.isnan(there.held()).all()
    status = there.board.status()
    assert status.state is BoardState.LIMP, status.faults


@pytest.mark.parametrize("kind", KINDS)
def test_arming_goes_on_after_late_answers(kind: str) -> None:
    for rig in rigged(kind):
        rig.board.configure(rig.limits, 1)
        rig.board.arm(ALL)
        for _ in range(100):
            rig.line.lose_replies = 3
            for _ in range(6):
                rig.clock.sleep(PERIOD)
                state = rig.board.send(rig.limits.rest).state
            if state is BoardState.ACTIVE:
                break
        assert state is BoardState.ACTIVE and not np.isnan(rig.held_positions()).any()


def board_that_is_late(latency: float) -> Silenced:
    there = next(mock_board())
    assert there.line is not None
    there.line.back = LateAnswers(there.clock, latency)
    return there


@pytest.mark.parametrize("latency", [0.05, 0.15, 0.4, 0.9])
def test_a_board_of_ours_that_is_always_late_is_not_silent(latency: float) -> None:
    """A computer that is too busy runs its ports late, all the time."""
    there = board_that_is_late(latency)
    faults = there.send(2.0, there.far)
    assert set(faults) <= {UNANSWERED} and len(faults) < 2 + latency / PERIOD
    assert not np.isnan(there.held()).any()
    there.board.disarm()
    assert np.isnan(there.held()).all() and there.board.status().state is BoardState.LIMP


@pytest.mark.parametrize("latency", [1.1, 3.0])
def test_answers_later_than_a_silence_do_not_count(latency: float) -> None:
    there = board_that_is_late(latency)
    with pytest.raises(LinkError, match="has not answered for"):
        there.send(5.0, there.far)


def test_time_and_number_both_count() -> None:
    """A program that was frozen for a minute misses one answer, and then hears the next."""
    clock = SimulatedClock()
    silence = BoardSilence(clock, 0.2, 1.0)
    silence.add_miss(clock.now())
    clock.sleep(60.0)
    assert silence.holds and not silence.is_over
    for _ in range(FEWEST_MISSES):
        silence.add_miss(clock.now())
    assert silence.is_over and silence.duration == 60.0
    silence.end()
    assert not silence.holds and not silence.is_over


def test_a_line_that_is_always_late_is_waited_for_longer() -> None:
    silence, waits = BoardSilence(SimulatedClock(), 0.2, 1.0), list[float]()
    for _ in range(6):
        waits.append(silence.patience(0.014))
        silence.add_miss(0.0)
    assert waits == pytest.approx([0.014, 0.028, 0.056, 0.1, 0.1, 0.1])
    silence.end()
    assert silence.patience(0.014) == 0.014 and silence.patience(0.5) == 0.5


@pytest.mark.parametrize("late", [0.07, 0.15])
def test_a_port_whose_answers_are_always_late(late: float) -> None:
    """The usual wait is 50 ms; each late answer belongs to a request that was given up."""

    class Late:
        def __init__(self) -> None:
            self.due = list[float]()

        def write(self, data: bytes) -> int:
            self.due.append(time.monotonic() + late)
            return len(data)

        def read(self, count: int) -> bytes:
            time.sleep(0.002)
            return b"x" * min(count, sum(at <= time.monotonic() for at in self.due))

        def reset_input_buffer(self) -> None:
            self.due.clear()

    port, misses = BusPort(Late(), "late", 1_000_000), 0
    for _ in range(6):
        port.clearPort()
        port.write(b"?")
        try:
            port.read(1)
        except NoAnswerError:
            misses += 1
    assert 0 < misses <= 4
