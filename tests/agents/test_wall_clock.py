"""Mirroring on a robot that lives by the wall clock: it goes limp after a second without commands.

A busy computer stops this process for longer than the 0.2 s after which the board holds and says so. So the
time between two signs of life is measured in processor time of this process, and a notice that the board held
is no fault.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike

from eva_sim import display, make_face
from eva_sim.agents.mirroring import frame_detector
from eva_sim.agents.mirroring.live import NEUTRAL_DURATION
from eva_sim.agents.mirroring.mirror import mirror
from eva_sim.agents.models.inverse import InverseModel
from eva_sim.contract import Face, Reading
from eva_sim.detector import DetectedFace, canonical_face
from eva_sim.errors import RobotError
from eva_sim.landmarks import POINTS
from eva_sim.media.sources import Frames, FrameSource
from eva_sim.robot_config import robot_config
from tests.agents.detected_faces import detected

pytestmark = pytest.mark.wall_clock
DT = 0.04
FRAMES = 60
#: Notice of a board that heard nothing for a while, and held.
HELD = "targets stopped coming"
GRAY = np.full((48, 64, 3), 128, np.uint8)


class Clip(FrameSource):
    """A clip of `FRAMES` gray frames."""

    name, fps, length = "clip", 1 / DT, FRAMES

    def __iter__(self) -> Frames:
        for number in range(FRAMES):
            yield number * DT, GRAY


class LiveCamera(FrameSource):
    """A camera that sends gray frames in real time, until `moving` seconds after the first command."""

    name, fps, live = "camera", 1 / DT, True
    moving = 1.5

    def __init__(self, commands: list[Command]) -> None:
        self._commands = commands

    def __iter__(self) -> Frames:
        start = time.monotonic()
        while not self._commands or time.monotonic() - self._commands[0].time < self.moving:
            time.sleep(DT)
            yield time.monotonic() - start, GRAY


class SlowDetector:
    """Finds a face with a little jitter, in twice the time that a good detector takes."""

    def __init__(self, mode: str = "picture", faces: int = 1, scores: bool = False) -> None:
        self._rng = np.random.default_rng(0)

    def detect_face(self, image: Any, at: float | None = None) -> DetectedFace:
        time.sleep(0.03)
        return detected(canonical_face() + self._rng.normal(0, 0.02, (len(POINTS), 3)))

    def detect_all(self, image: Any, at: float | None = None) -> list[np.ndarray]:
        return [self.detect_face(image, at).landmarks]

    def __enter__(self) -> SlowDetector:
        return self

    def __exit__(self, *_: Any) -> None:
        pass


class Command:
    """A command that was sent.

    Attributes:
        time: at which it was answered [s].
        faults: of the answer, but for the notice that the board held.
    """

    def __init__(self, reading: Reading) -> None:
        self.time = time.monotonic()
        self.faults = {fault for fault in reading.faults if fault != HELD}


@dataclass
class NotedRobot:
    """A robot whose commands and signs of life are noted.

    Attributes:
        face: the robot.
        commands: that were sent.
        resets: times at which a reset began [s].
        silences: processor time of this process between the signs of life of an armed robot [s].
    """

    face: Face
    commands: list[Command] = field(default_factory=list)
    resets: list[float] = field(default_factory=list)
    silences: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._move, self._reset, self._hold_still = self.face.move, self.face.reset, self.face.hold_still
        self._heard = 0.0

    def move(self, command: ArrayLike) -> Reading:
        self._note_silence()
        reading = self._move(command)
        self._heard = time.process_time()
        self.commands.append(Command(reading))
        return reading

    def hold_still(self) -> None:
        self._note_silence()
        self._hold_still()
        self._heard = time.process_time()

    def reset(self, seed: int | None = None) -> Reading:
        started, reading = time.monotonic(), self._reset(seed)
        self._heard = time.process_time()
        self.resets.append(started)
        return reading

    def check_life(self) -> None:
        """The robot never went limp, and no work kept it waiting until it holds."""
        assert {fault for command in self.commands for fault in command.faults} == set()
        assert max(self.silences) < robot_config(self.face.spec)["safety"]["hold_after"]

    def _note_silence(self) -> None:
        if self.resets:
            self.silences.append(time.process_time() - self._heard)


@pytest.fixture
def robot(monkeypatch: pytest.MonkeyPatch) -> Iterator[NotedRobot]:
    """A mock on the wall clock; its camera is a gray picture."""
    monkeypatch.setattr(frame_detector, "Detector", SlowDetector)
    monkeypatch.setattr(display, "display_available", lambda: False)
    with make_face("mock", realtime=True, camera_size=None) as face:
        noted = NotedRobot(face)
        monkeypatch.setattr(face, "render", lambda size: np.full((size, size, 3), 90, np.uint8))
        for name in ("move", "reset", "hold_still"):
            monkeypatch.setattr(face, name, getattr(noted, name))
        yield noted


def test_a_clip_is_mirrored_to_its_end_at_its_own_pace(
    robot: NotedRobot, model: InverseModel, tmp_path: Path
) -> None:
    started = time.monotonic()
    metrics = mirror(Clip(), model, robot.face, tmp_path)
    assert metrics["ended"] == "the source ended"
    assert metrics["steps"] == FRAMES == len(robot.commands)
    assert robot.resets[0] - started > 0.03 * FRAMES > 1.0  # nothing moves while the clip is analysed
    robot.check_life()
    took = robot.commands[-1].time - robot.commands[0].time
    assert took > 0.8 * (FRAMES - 1) * DT  # never faster than the clip


def test_a_live_person_is_met_before_the_robot_is_armed(
    robot: NotedRobot, model: InverseModel, tmp_path: Path
) -> None:
    started = time.monotonic()
    metrics = mirror(LiveCamera(robot.commands), model, robot.face, tmp_path)
    assert metrics["ended"] == "stopped by the user"
    assert metrics["steps"] == len(robot.commands) > 5
    assert len(robot.resets) == 1 and robot.resets[0] - started > NEUTRAL_DURATION
    robot.check_life()


def test_a_robot_that_cannot_be_rendered_is_not_moved(
    robot: NotedRobot, model: InverseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(size: int) -> None:
        raise RobotError("no camera.")

    monkeypatch.setattr(robot.face, "render", fail)
    with pytest.raises(RobotError, match="no camera"):
        mirror(Clip(), model, robot.face, tmp_path / "out")
    assert robot.resets == [] and not (tmp_path / "out").exists()
