"""Pictures that lie: a frozen camera, and a face that is not the robot's; and what must not count as one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

from eva_sim.contract import FaceSpec, Reading, load_spec
from eva_sim.files import asset
from eva_sim.media.sources import open_source
from eva_sim.real.boards.firmware import FirmwareBoard
from eva_sim.real.calibration.model import Calibration
from eva_sim.real.opening import RobotConnection
from eva_sim.real.simulation.mock_board import MockBoard
from eva_sim.real.simulation.plant import Plant, PlantCamera
from eva_sim.real.vision.camera_source import CameraSource, Picture, TimedImage
from eva_sim.real.vision.picture_checks import FrozenCheck
from eva_sim.real.wire.link import Link

SPEC = load_spec()
Change = Callable[[TimedImage], TimedImage]


class LyingCamera(CameraSource):
    """A camera whose pictures are changed.

    Attributes:
        change: what becomes of each picture.
    """

    def __init__(self, camera: CameraSource) -> None:
        self._camera = camera
        self.change: Change = lambda seen: seen

    def latest_image(self) -> TimedImage:
        return self.change(self._camera.latest_image())


class Robot:
    """A mock with a camera that may lie."""

    def __init__(self) -> None:
        board = MockBoard(SPEC, 1)
        plant = Plant(SPEC, 1, 240)
        board.listen(plant.follow)
        self.camera = LyingCamera(PlantCamera(plant, board))
        self.camera.latest_image()
        connection = RobotConnection(
            lambda: FirmwareBoard(SPEC, Link(board.port, board.clock)), board.clock, self.camera, board.close
        )
        self.face: Any = connection.open_face(
            SPEC, lambda identity: Calibration.nominal(SPEC, identity.robot_id)
        )
        self.clock = board.clock
        self.face.reset()

    def move(self, count: int = 25, **command: float) -> list[Reading]:
        return [self.face.move(SPEC.command(**command)) for _ in range(count)]


@pytest.fixture(scope="module")
def opened() -> Iterator[Robot]:
    robot = Robot()
    yield robot
    robot.face.close()


@pytest.fixture
def robot(opened: Robot) -> Robot:
    """The robot at rest, seen by an honest camera."""
    opened.camera.change = lambda seen: seen
    opened.move(8)
    return opened


def freeze(robot: Robot, stamp: bool) -> None:
    """Freezes the camera on its newest picture, with new times or with the old one."""
    kept = robot.camera.latest_image()
    robot.camera.change = lambda seen: kept if stamp else TimedImage(seen.time, kept.picture)


@pytest.mark.parametrize("command", [{"jaw": 0.4}, {"zygomaticus": 0.2}, {"eye_left_yaw": 0.6}])
def test_a_camera_is_frozen_if_its_picture_stays_while_the_face_moves(
    robot: Robot, command: dict[str, float]
) -> None:
    freeze(robot, stamp=False)
    seen = robot.move(20, **command)
    assert any("frozen" in fault for fault in seen[-1].faults) and not seen[-1].found
    robot.camera.change = lambda seen: seen
    assert robot.move(2)[-1].found


@pytest.mark.parametrize("moves", [False, True])
def test_a_camera_whose_time_stands_still_is_frozen(robot: Robot, moves: bool) -> None:
    freeze(robot, stamp=True)
    seen = robot.move(28, jaw=0.5) if moves else robot.move(28)
    assert any("frozen" in fault for fault in seen[-1].faults) and not seen[-1].found


def test_a_face_at_rest_is_not_a_frozen_camera(robot: Robot) -> None:
    """A camera without noise shows the same picture for seconds."""
    assert all(reading.faults == () and reading.found for reading in robot.move(25))


def test_what_does_not_show_does_not_count(spec: FaceSpec) -> None:
    check, picture = FrozenCheck(spec), np.zeros((4, 4, 3), np.uint8)
    slack = spec.neutral.copy()
    slack[spec.where("cable")] += 0.3
    told = [check(picture, t, t, slack if t > 1 else spec.neutral) for t in np.arange(0, 10, 0.04)]
    assert set(told) == {""}


def changed(way: Callable[[Picture], Picture]) -> Change:
    return lambda seen: TimedImage(seen.time, np.ascontiguousarray(way(seen.picture)))


def zoom(picture: Picture, factor: float) -> Picture:
    side = len(picture)
    image = Image.fromarray(picture).resize((round(side * factor),) * 2)
    edge = (image.width - side) // 2
    return np.asarray(image.crop((edge, edge, edge + side, edge + side)))


STRANGERS: dict[str, tuple[Callable[[Picture], Picture], str]] = {
    "red skin": (lambda picture: picture[:, :, ::-1], "another colour"),
    "green skin": (lambda picture: picture[:, :, [0, 2, 1]], "another colour"),
    "nearer": (lambda picture: zoom(picture, 1.6), "times as large"),
    "farther": (lambda picture: zoom(picture, 0.6), "times as large"),
}


@pytest.mark.parametrize("name", list(STRANGERS))
def test_another_face_is_not_the_robots(robot: Robot, name: str) -> None:
    way, reason = STRANGERS[name]
    robot.camera.change = changed(way)
    seen = robot.move(5)
    assert not any(reading.found for reading in seen)
    faults = {fault for reading in seen for fault in reading.faults}
    assert any(reason in fault for fault in faults), faults
    robot.camera.change = lambda seen: seen
    assert robot.move(3)[-1].found


def test_a_person_before_the_camera_is_not_the_robot(robot: Robot) -> None:
    frames = [
        frame for _, (_, frame) in zip(range(30), open_source(str(asset("samples/person.mp4"))), strict=False)
    ]
    for turned in (False, True):
        shown = iter([frame[:, ::-1] if turned else frame for frame in frames])
        robot.camera.change = lambda seen, shown=shown: TimedImage(  # type: ignore[misc]
            seen.time, np.ascontiguousarray(next(shown))
        )
        assert not any(reading.found for reading in robot.move(6))


DAYLIGHT: dict[str, Callable[[Picture], Picture]] = {
    "dimmer": lambda picture: (picture * 0.5).astype(np.uint8),
    "brighter": lambda picture: np.minimum(picture * 1.3, 255).astype(np.uint8),
    "warmer": lambda picture: (picture * (1.0, 0.95, 0.85)).astype(np.uint8),
    "nudged": lambda picture: np.roll(picture, (6, -8), (0, 1)),
}


@pytest.mark.parametrize("name", list(DAYLIGHT))
def test_the_robot_in_another_light_is_the_robot(robot: Robot, name: str) -> None:
    robot.camera.change = changed(DAYLIGHT[name])
    seen = robot.move(10, zygomaticus=0.5, jaw=0.3)
    assert np.mean([reading.found for reading in seen]) >= 0.9


def test_no_expression_and_no_pose_is_taken_for_a_stranger(robot: Robot) -> None:
    rng, told = np.random.default_rng(3), list[str]()
    for _ in range(5):
        command = rng.uniform(-1, 1, len(SPEC)).astype(np.float32)
        told += [fault for _ in range(8) for fault in robot.face.move(command).faults]
    assert not [fault for fault in told if "not the robot's" in fault or "frozen" in fault]


ODD: dict[str, Change] = {
    "grey": lambda seen: TimedImage(seen.time, seen.picture[:, :, 0]),
    "float": lambda seen: TimedImage(seen.time, seen.picture / 255),  # type: ignore[arg-type]
    "nothing": lambda seen: TimedImage(seen.time, None),  # type: ignore[arg-type]
    "empty": lambda seen: TimedImage(seen.time, seen.picture[:0]),
    "no time": lambda seen: TimedImage(float("nan"), seen.picture),
}


@pytest.mark.parametrize("name", list(ODD))
def test_an_odd_picture_costs_only_itself(robot: Robot, name: str) -> None:
    robot.camera.change = ODD[name]
    reading = robot.move(1)[0]
    assert not reading.found and any("no picture with a time" in fault for fault in reading.faults)
    robot.camera.change = lambda seen: seen
    assert robot.move(1)[0].found
