"""A board that records its commands, and a bench on it, for the tests of calibration."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from queue import SimpleQueue
from time import sleep

import numpy as np
import pytest

from eva_sim.clock import SimulatedClock
from eva_sim.contract import FaceSpec, Floats, load_spec
from eva_sim.real.boards.arming import ArmingAct
from eva_sim.real.boards.interface import Board, BoardIdentity, BoardLimits, BoardState, BoardStatus
from eva_sim.real.calibration.operator_ui import READING_TIME, TerminalUI
from eva_sim.real.calibration.servo_bench import ServoBench
from eva_sim.real.calibration.session import CalibrationSession

PERIOD = 0.02
NAN = np.full(25, np.nan)


class RecordingBoard(Board):
    """A board that records its commands, and may get hot, loaded or disarmed by itself."""

    identity = BoardIdentity("firmware", "robot-7", "1.0", None, "us", False, "board")

    def __init__(self) -> None:
        super().__init__(SimulatedClock(), 0.2, 1.0)
        self.armed = frozenset[int]()
        self.sent, self.history = list[Floats](), list[frozenset[int]]()
        self.limits: BoardLimits | None = None
        self.load, self.temperature, self.fails_after = NAN.copy(), NAN.copy(), -1

    def configure(self, limits: BoardLimits, calibration: int) -> None:
        assert not self.armed and calibration != 0
        self.limits = limits

    def _arm(self, actuators: Collection[int], act: ArmingAct) -> BoardStatus:
        assert not self.armed
        self._use(act)
        self.armed = frozenset(actuators)
        return self._status(BoardState.ARMING)

    def _send(self, raw: Floats, began: float) -> BoardStatus:
        self.sent.append(raw.copy())
        self.history.append(self.armed)
        if self.fails_after == len(self.sent):
            self.armed = frozenset()
        return self.status()

    def status(self) -> BoardStatus:
        return self._status(BoardState.ACTIVE if self.armed else BoardState.LIMP)

    def _disarm(self) -> None:
        self.armed = frozenset()

    def close(self) -> None:
        self.disarm()

    _stop = _disarm

    def clear(self) -> BoardStatus:
        return self.status()

    def _status(self, state: BoardState) -> BoardStatus:
        return BoardStatus(state, NAN, ("the servo supply sagged",), 6.0, self.temperature, self.load)


class Typist(TerminalUI):
    """A terminal at which somebody types lines, each once a certain text is shown.

    Args:
        lines: text to wait for, and the line; in their order. `"..."` waits until a question could be read.
    """

    def __init__(self, *lines: tuple[str, str]) -> None:
        self._left, self._now, self.shown = [*lines], SimpleQueue[str](), list[str]()
        super().__init__(lines=self._type())

    def _type(self) -> Iterator[str]:
        while True:
            line = self._now.get()
            if line.startswith("..."):
                sleep(1.2 * READING_TIME)
            yield line.removeprefix("...")

    def tell(self, text: str) -> None:
        self.shown.append(text)
        while self._left and self._left[0][0] in text:
            self._now.put(self._left.pop(0)[1])


@pytest.fixture
def widest(spec: FaceSpec) -> BoardLimits:
    """Limits that no servo may leave [us]."""
    rest = np.where(spec.column("direction") > 0, 900.0, 2100.0)
    rest[spec.where("eye", "lid", "leg")] = 1500.0
    return BoardLimits(np.full(25, 700.0), np.full(25, 2300.0), rest, np.full(25, 200.0))


@pytest.fixture
def bus() -> RecordingBoard:
    """A board that records its commands."""
    return RecordingBoard()


@pytest.fixture
def bench(bus: RecordingBoard, widest: BoardLimits) -> ServoBench:
    """A servo bench over the recording board."""
    return ServoBench(bus, SimulatedClock(), widest, PERIOD, too_hot=70.0)


def session(tmp_path: Path) -> CalibrationSession:
    """Opens a calibration session in a folder."""
    return CalibrationSession.open(load_spec(), tmp_path / "part.json", "robot-7", "firmware", "us")


def careful_endpoints(spec: FaceSpec, *names: str) -> dict[str, dict[str, float]]:
    """Endpoints that a careful operator would find."""
    endpoints = {}
    for a in spec.actuators:
        low, high = (800.0, 2000.0) if a.direction > 0 else (2200.0, 1000.0)
        endpoints[a.name] = {"low": low, "neutral": 1480.0, "high": high}
    return {name: endpoints[name] for name in names or spec.names}
