"""Heat and armings after faults are not forgotten: while a robot is held, and after it was closed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from eva_sim.clock import SimulatedClock, WallClock
from eva_sim.contract import FaceSpec, load_spec
from eva_sim.errors import RobotError
from eva_sim.real.calibration.model import Calibration
from eva_sim.real.opening import open_hidden
from eva_sim.real.robot import RobotFace
from eva_sim.real.safety.command_filter import CommandFilter
from eva_sim.real.safety.cooldown import Cooldown
from eva_sim.real.safety.robot_memory import RobotMemory
from eva_sim.real.simulation.mock_board import MockBoard
from eva_sim.testing.pulse_watcher import PulseWatcher


class KeptBoard(MockBoard):
    """A simulated board that stays when a robot before it is closed, as a physical one does."""

    def close(self) -> None:
        pass


@pytest.fixture
def pulled(spec: FaceSpec) -> np.ndarray:
    """A command that every cable pulls whole, which warms the servos."""
    return np.array([1 if a.kind == "cable" else rest for a, rest in
                     zip(spec.actuators, spec.neutral, strict=True)], np.float32)  # fmt: skip


def play_until_hot(face: RobotFace, command: np.ndarray, held: float = 0.0) -> float:
    """Plays a command, held for a time between two of them [s]; returns after how long it is too hot."""
    began = face.clock.now()
    while not face._filter.faults and face.clock.now() - began < 600:
        face.move(command)
        end = face.clock.now() + held
        while face.clock.now() < end:
            face.hold_still()
            face.clock.sleep(0.1)
    assert any("too hot by its load" in fault for fault in face._filter.faults)
    return face.clock.now() - began


def test_holding_warms_as_playing_does(pulled: np.ndarray) -> None:
    times = []
    for held in (0.0, 5.0):
        with open_hidden(MockBoard(load_spec()), camera_size=None) as face:
            face.reset()
            for _ in range(40):
                face.move(pulled)
            times.append(play_until_hot(face, pulled, held))
    assert times[1] == pytest.approx(times[0], abs=5.5)


def test_a_servo_that_is_too_hot_by_its_load_is_limp_at_once(
    face: RobotFace, watcher: PulseWatcher, pulled: np.ndarray
) -> None:
    face.reset()
    play_until_hot(face, pulled)
    assert watcher.limp


def test_silence_is_no_load(face: RobotFace, pulled: np.ndarray) -> None:
    face.reset()
    for _ in range(200):
        face.move(pulled)
    warm = face._filter.temperature.copy()
    face.clock.sleep(600)  # limp after a second
    face.arm()
    assert (face._filter.temperature <= warm).all() and face._filter.temperature.max() < warm.max() - 5


def test_a_robot_that_is_opened_again_is_still_hot(pulled: np.ndarray) -> None:
    board = KeptBoard(load_spec())
    with open_hidden(board, camera_size=None) as face:
        face.reset()
        cold = play_until_hot(face, pulled)
        hot = face._filter.temperature
    with open_hidden(board, camera_size=None) as face:
        assert face._filter.temperature == pytest.approx(hot, abs=1.0)
        with pytest.raises(RobotError, match=r"not armed: .* is too hot by its load"):
            face.arm()
        board.clock.sleep(3)
        face.arm()
        assert play_until_hot(face, pulled) < 0.5 * cold
    with open_hidden(board, camera_size=None) as face, pytest.raises(RobotError, match="1 times in a row"):
        face.arm()
    board.clock.sleep(3600)
    with open_hidden(board, camera_size=None) as face:
        assert face._filter.temperature.max() < 30
        face.arm()


def test_a_person_who_closes_or_stops_needs_no_pause() -> None:
    board = KeptBoard(load_spec())
    for end in (RobotFace.stop, RobotFace.disarm, RobotFace._go_limp, RobotFace.hold_still):
        for _ in range(3):
            with open_hidden(board, camera_size=None) as face:
                face.arm()
                end(face)


Remembered = tuple[CommandFilter, Cooldown]


@pytest.fixture
def fresh(spec: FaceSpec) -> Callable[[], Remembered]:
    return lambda: (CommandFilter(spec, Calibration.nominal(spec)), Cooldown(spec, SimulatedClock()))


def test_a_physical_robot_is_remembered_by_other_programs(
    tmp_path: Path, fresh: Callable[[], Remembered]
) -> None:
    limits, cooldown = fresh()
    limits.restore_heat(np.full(25, 65.0), 0.0)
    cooldown.count, cooldown.in_fault = 2, True
    RobotMemory(WallClock(), tmp_path).keep("head", limits, cooldown)
    later, pauses = fresh()
    RobotMemory(WallClock(), tmp_path).recall("head", later, pauses)
    assert later.temperature == pytest.approx(np.full(25, 65.0), abs=0.5)
    assert pauses.count == 2 and pauses.in_fault
    other, _ = fresh()
    RobotMemory(WallClock(), tmp_path).recall("another head", other, pauses)
    assert other.temperature.max() < 30


@pytest.mark.parametrize(
    "change",
    [
        {"temperature": [1.0]},
        {"temperature": "hot"},
        {"time": None},
        {"count": "x"},
        {"count": float("inf")},
        {"temperature": [-1e6] * 25},
        {"time": 1e99},
    ],
)
def test_a_damaged_memory_tells_nothing(
    tmp_path: Path, fresh: Callable[[], Remembered], change: dict[str, object]
) -> None:
    limits, cooldown = fresh()
    memory = RobotMemory(WallClock(), tmp_path)
    limits.restore_heat(np.full(25, 65.0), 0.0)
    memory.keep("head", limits, cooldown)
    file = tmp_path / "head.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    later, pauses = fresh()
    RobotMemory(WallClock(), tmp_path).recall("head", later, pauses)
    # A time in the future is that of a clock that was set back: nothing has cooled.
    assert 20 < later.temperature.max() < 30 or change == {"time": 1e99}
    assert pauses.count == 0
    file.write_text("not json")
    RobotMemory(WallClock(), tmp_path).recall("head", later, pauses)


def test_a_folder_that_cannot_be_written_is_no_failure(
    tmp_path: Path, fresh: Callable[[], Remembered]
) -> None:
    (tmp_path / "file").write_text("")
    RobotMemory(WallClock(), tmp_path / "file" / "servos").keep("head", *fresh())
