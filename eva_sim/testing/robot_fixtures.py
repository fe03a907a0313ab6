"""Fixtures of tests that move a robot; each is checked by a `PulseWatcher`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from eva_sim import make_face
from eva_sim.contract import Face, load_spec
from eva_sim.real.boards.firmware import FirmwareBoard
from eva_sim.real.boards.interface import BoardState
from eva_sim.real.calibration.model import Calibration
from eva_sim.real.opening import open_hidden
from eva_sim.real.robot import RobotFace
from eva_sim.real.simulation.firmware_build import missing_packages
from eva_sim.real.simulation.mock_board import MockBoard
from eva_sim.real.wire.link import Link
from eva_sim.testing.pulse_watcher import PulseWatcher


@pytest.fixture
def mock() -> MockBoard:
    """A mock of the board, in virtual time."""
    return MockBoard(load_spec())


@pytest.fixture
def watcher(mock: MockBoard) -> Iterator[PulseWatcher]:
    """Fails the test if a pulse did what it must not."""
    watching = PulseWatcher(mock)
    yield watching
    assert watching.wrong == []
    assert watching.events > 0


@pytest.fixture
def face(mock: MockBoard, watcher: PulseWatcher) -> Iterator[RobotFace]:
    """A robot without a camera."""
    with open_hidden(mock, camera_size=None) as opened:
        yield opened


@pytest.fixture
def board(mock: MockBoard, watcher: PulseWatcher) -> FirmwareBoard:
    """An armed board on the mock."""
    return armed(FirmwareBoard(load_spec(), Link(mock.port, mock.clock)), mock)


def armed(board: FirmwareBoard, mock: MockBoard) -> FirmwareBoard:
    """Configures and arms a board on the mock; all its channels are at rest."""
    calibration = Calibration.nominal(mock.spec, board.identity.robot_id)
    board.configure(calibration.limits, calibration.crc)
    board.arm(range(len(mock.spec)))
    for _ in range(20):
        mock.clock.sleep(0.02)
        board.send(calibration.limits.rest)
    assert board.status().state == BoardState.ACTIVE
    return board


REST = Calibration.nominal(load_spec()).limits.rest


def moments(mock: MockBoard, rule: str) -> list[float]:
    """A list that grows by the time of each message that a rule of the mock's firmware handles [s]."""
    times: list[float] = []
    original = getattr(mock.firmware, rule)

    def timed(message: Any) -> Any:
        times.append(mock.clock.now())
        return original(message)

    setattr(mock.firmware, rule, timed)
    return times


def play(face: Face, commands: np.ndarray) -> list[Any]:
    """Moves a face through some commands; the readings."""
    return [face.move(command) for command in commands]


def wild(steps: int, seed: int = 0) -> np.ndarray:
    """Random commands of all of EVA's actuators over their full range, one for each control step."""
    return np.random.default_rng(seed).uniform(-1, 1, (steps, 25)).astype(np.float32)


BODIES = ["mock", "virtual"]


def open_body(body: str, **options: Any) -> Face:
    """Opens a face, or skips the test if this machine cannot compile the virtual robot."""
    return skip_without_compiler(body, lambda: make_face(body, **options))


def open_machine(body: str) -> Any:
    """Opens a mock, or our firmware on the simulated board; skips the test where that cannot be compiled."""

    def opened() -> Any:
        if body == "mock":
            return MockBoard(load_spec())
        from eva_sim.real.simulation.virtual_board import SimulatedBoard

        return SimulatedBoard(load_spec())

    return skip_without_compiler(body, opened)


def skip_without_compiler(body: str, opened: Callable[[], Any]) -> Any:
    """Opens something, or skips the test if that needs the virtual robot, which cannot be compiled here."""
    if body == "virtual" and (missing := missing_packages()):
        pytest.skip(f"to compile the virtual robot: apt-get install {' '.join(missing)}")
    return opened()


#: Step of the pulses of each body [us]; a PCA9685 counts in 4.88 us.
GRAINS = {"mock": 0.25, "virtual": 5.0}


@pytest.fixture(params=BODIES)
def machine(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Each board in turn; closed after the test."""
    opened = open_machine(request.param)
    opened.grain = GRAINS[request.param]
    yield opened
    opened.close()


@pytest.fixture
def guarded(machine: Any) -> Iterator[PulseWatcher]:
    """Fails the test if a pulse of `machine` did what it must not."""
    watching = PulseWatcher(machine, machine.grain)
    yield watching
    assert watching.wrong == []
    assert watching.events > 0
