"""Fixtures of tests that move a robot; each is checked by a `PulseWatcher`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from eva_sim import make_face
from eva_sim.contract import Face, load_spec
from eva_sim.errors import RobotError
from eva_sim.real.boards.firmware import FirmwareBoard
from eva_sim.real.boards.interface import BoardState
from eva_sim.real.calibration.model import Calibration
from eva_sim.real.opening import open_hidden
from eva_sim.real.robot import RobotFace
from eva_sim.real.simulation.mock_board import MockBoard
from eva_sim.real.wire.link import Link
from eva_sim.testing.pulse_watcher import PulseWatcher


@pytest.fixture
def mock() -> MockBoard:
    return MockBoard()


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
    with open_hidden(mock, size=None) as opened:
        yield opened


@pytest.fixture
def board(mock: MockBoard, watcher: PulseWatcher) -> FirmwareBoard:
    return armed(FirmwareBoard(Link(mock.port, mock.clock)), mock)


def armed(board: FirmwareBoard, mock: MockBoard) -> FirmwareBoard:
    calibration = Calibration.nominal(load_spec(), board.identity.robot)
    board.configure(calibration.limits, calibration.crc)
    board.arm(range(25))
    for _ in range(20):
        mock.clock.sleep(0.02)
        board.send(calibration.limits.rest)
    assert board.status().state == BoardState.ACTIVE
    return board


REST = Calibration.nominal(load_spec()).limits.rest


def moments(mock: MockBoard, rule: str) -> list[float]:
    """Grows by the time of each message that a rule of the firmware hears."""
    heard: list[float] = []
    whole = getattr(mock.firmware, rule)

    def noted(message: Any) -> Any:
        heard.append(mock.clock.now())
        return whole(message)

    setattr(mock.firmware, rule, noted)
    return heard


def play(face: Face, commands: np.ndarray) -> list[Any]:
    return [face.move(command) for command in commands]


def wild(steps: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (steps, 25)).astype(np.float32)


def face_machine(face: RobotFace) -> Any:
    """The mock under a face that `open_hidden` opened."""
    return face._release.__self__  # type: ignore[union-attr]


BODIES = ["mock", "virtual"]


def open_body(body: str, **options: Any) -> Face:
    """Opens a face, or skips the test if this machine cannot compile the virtual robot."""
    return skipping(body, lambda: make_face(body, **options))


def open_machine(body: str) -> Any:
    """A mock, or our firmware on the simulated board."""

    def opened() -> Any:
        if body == "mock":
            return MockBoard()
        from eva_sim.real.simulation.virtual_board import SimulatedBoard

        return SimulatedBoard(0)

    return skipping(body, opened)


def skipping(body: str, opened: Callable[[], Any]) -> Any:
    if body != "virtual":
        return opened()
    pytest.importorskip("eva_sim.real.simulation.virtual_board", reason="the virtual robot is not built yet")
    try:
        return opened()
    except RobotError as error:
        pytest.skip(f"the virtual robot cannot be built here: {error}")


#: A PCA9685 counts in 4.88 us.
GRAINS = {"mock": 0.25, "virtual": 5.0}


@pytest.fixture(params=BODIES)
def machine(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Each machine in turn, closed in the end."""
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
