"""Slow work does not make a robot limp: it is held meanwhile, by one helper, for a limited time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eva_sim import priority
from eva_sim.clock import WallClock
from eva_sim.contract import load_spec
from eva_sim.errors import RobotError
from eva_sim.holding import iterate_while_held, work_while_held
from eva_sim.real.boards.interface import BoardState
from eva_sim.real.opening import open_hidden, open_mock
from eva_sim.real.simulation.mock_board import MockBoard
from eva_sim.real.wire.firmware_table import robot_config
from eva_sim.recording.recorder import record_face
from eva_sim.testing.fake_face import FakeFace

SPEC = load_spec()
PERIOD, HELD_FOR = 0.02, robot_config(SPEC)["safety"]["held_for"]


@pytest.fixture
def board() -> MockBoard:
    return MockBoard(SPEC)


def armed(board: MockBoard) -> Any:
    face = open_hidden(board, camera_size=None)
    face.reset()
    return face


def hold(face: Any, board: MockBoard, duration: float) -> None:
    """A host that is slow for a time, and holds its robot."""
    for _ in range(round(duration / PERIOD)):
        board.clock.sleep(PERIOD)
        face.hold_still()


def test_a_robot_is_held_where_it_is_while_its_host_is_slow(board: MockBoard) -> None:
    with armed(board) as face:
        for _ in range(10):
            face.move(SPEC.command(jaw=0.5))
        before = board.pulses
        hold(face, board, 5.0)
        assert np.array_equal(board.pulses, before) and not np.isnan(before).any()
        assert face.move(SPEC.command(jaw=0.5)).faults == ()


def test_silence_is_still_silence(board: MockBoard) -> None:
    with armed(board) as face:
        board.clock.sleep(1.1)
        face.hold_still()
        assert np.isnan(board.pulses).all()


def test_a_hold_ends(board: MockBoard) -> None:
    with armed(board) as face:
        hold(face, board, HELD_FOR - 0.5)
        assert not np.isnan(board.pulses).any()
        hold(face, board, 2.0)
        assert np.isnan(board.pulses).all()


@pytest.mark.parametrize("end", ["disarm", "stop", "power_cycle"])
def test_a_hold_never_arms(board: MockBoard, end: str) -> None:
    with armed(board) as face:
        board.power_cycle() if end == "power_cycle" else getattr(face, end)()
        hold(face, board, 0.5)
        assert np.isnan(board.pulses).all()


def test_a_robot_that_was_never_armed_is_not_held(board: MockBoard) -> None:
    with open_hidden(board, camera_size=None) as face:
        hold(face, board, 0.5)
        assert np.isnan(board.pulses).all() and face._board.status().state is BoardState.LIMP


def test_a_lost_link_is_told_by_the_next_move(board: MockBoard) -> None:
    with armed(board) as face:
        board.port.unplug()
        hold(face, board, 0.5)
        with pytest.raises(Exception, match="link lost"):
            face.move(SPEC.neutral)
        board.port.replug()


class Held(FakeFace):
    """A fake by the wall clock that counts how often it was told to stay."""

    def __init__(self, clock: Any) -> None:
        super().__init__()
        self.clock, self.told, self.by = clock, 0, set[str]()

    def hold_still(self) -> None:
        self.told += 1
        self.by.add(threading.current_thread().name)


def _slow() -> str:
    time.sleep(0.3)
    return threading.current_thread().name


def test_work_is_done_beside_the_thread_that_holds() -> None:
    face, here = Held(WallClock()), threading.current_thread().name
    assert work_while_held(face, _slow) != here
    assert face.told > 2 and face.by == {here}


def test_a_body_whose_time_stands_still_needs_no_holding() -> None:
    face = Held(None)
    assert work_while_held(face, _slow) == threading.current_thread().name
    assert face.told == 0


def test_a_recorded_body_is_held_too(tmp_path: Path) -> None:
    face = Held(WallClock())
    with record_face(face, tmp_path) as recorded:
        recorded.reset()
        work_while_held(recorded, _slow)
    assert face.told > 2


@pytest.mark.parametrize("error", [ValueError("odd"), KeyboardInterrupt(), StopIteration()])
def test_errors_of_the_work_are_raised(error: BaseException) -> None:
    def work() -> None:
        raise error

    with pytest.raises(type(error)):
        work_while_held(Held(WallClock()), work)


def test_what_a_holder_raises_ends_the_work_first() -> None:
    """Nothing that the work uses may be closed under it."""
    face, ended = Held(WallClock()), threading.Event()

    def refuse() -> None:
        raise KeyboardInterrupt

    def work() -> None:
        time.sleep(0.2)
        ended.set()

    face.hold_still = refuse  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        work_while_held(face, work)
    assert ended.is_set()


def test_items_that_are_slow_to_come(monkeypatch: pytest.MonkeyPatch) -> None:
    def items(pause: Callable[[], object]) -> Iterator[int]:
        for n in range(3):
            pause()
            yield n

    face = Held(WallClock())
    assert list(iterate_while_held(face, items(_slow))) == [0, 1, 2] and face.told > 6
    assert list(iterate_while_held(Held(None), items(lambda: None))) == [0, 1, 2]


@pytest.mark.parametrize("allowed", [True, False])
def test_who_went_limp_by_waiting_is_told_of_priority(allowed: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not where the program ran ahead of others already."""
    monkeypatch.setattr(priority, "run_ahead", lambda *_: allowed)
    with open_mock(camera_size=None, realtime=True) as face:
        face.reset()
        time.sleep(1.3)
        assert face.move(face.spec.neutral).faults
        with pytest.raises(RobotError, match="targets stopped") as error:
            face.move(face.spec.neutral)
    assert ("eva doctor" in str(error.value)) == (not allowed)
