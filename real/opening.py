"""Opening a robot: the physical one, the virtual one, and the mock; `eva_sim.make_face` calls these."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eva_sim.clock import Clock, WallClock
from eva_sim.config import config_folder
from eva_sim.contract import Capabilities, FaceSpec, load_spec
from eva_sim.errors import MediaError, RobotError
from eva_sim.files import Closing
from eva_sim.real.boards.firmware import FirmwareBoard
from eva_sim.real.boards.interface import Board, BoardIdentity
from eva_sim.real.boards.registry import board_kind, board_opener
from eva_sim.real.calibration.model import Calibration, default_path
from eva_sim.real.robot import RobotFace
from eva_sim.real.safety.robot_memory import RobotMemory
from eva_sim.real.simulation.plant import Plant, PlantCamera
from eva_sim.real.vision.camera_source import CameraSource, DeviceCamera
from eva_sim.real.wire.link import BytePort, Link

#: Side of a hidden robot's picture [pixels].
CAMERA_SIZE = 320

GivenCalibration = Calibration | str | os.PathLike[str] | None


@dataclass(frozen=True)
class RobotConnection(Closing):
    """The parts that reach a robot; opening them moves nothing.

    Attributes:
        connect: opens the board.
        clock: clock of the board.
        camera: the camera before the face, or None.
        release: releases what the connection needs, after board and camera are closed.
        memory: what is known of the robot from before.
    """

    connect: Callable[[], Board]
    clock: Clock
    camera: CameraSource | None = None
    release: Callable[[], None] | None = None
    memory: RobotMemory | None = None

    def open_face(self, spec: FaceSpec, calibration: Callable[[BoardIdentity], Calibration]) -> RobotFace:
        """Opens the face; it then owns the connection, and nothing stays open if this fails.

        Args:
            spec: the face.
            calibration: returns the calibration for a board with this identity.
        """
        try:
            return RobotFace(
                spec, self.connect, self.clock, calibration, self.camera, self.release, self.memory
            )
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Closes the camera and releases the rest."""
        if self.camera is not None:
            self.camera.close()
        if self.release is not None:
            self.release()


def open_robot(
    port: str | Sequence[str] | None = None,
    camera: int | str | CameraSource | None = 0,
    calibration: GivenCalibration = None,
    connect: Callable[[], Board] | None = None,
    board: str = "firmware",
    robot_id: str | None = None,
    spec: FaceSpec | None = None,
) -> RobotFace:
    """Opens the physical robot. Moves nothing yet.

    Args:
        port: port of the board; of two Maestros both, `"FIRST,SECOND"` or a sequence; None or `"auto"` to
            search for it.
        camera: number or device of the camera before the face, or a camera source; None for none.
        calibration: the calibration or its file; by default the file of the robot that answers.
        connect: opens a board in any other way; then `board`, `port` and `robot_id` are ignored.
        board: its kind, `"firmware"`, `"maestro"`, `"feetech"` or `"dynamixel"`, see docs/boards.md.
        robot_id: name of the robot, if its board has no USB serial number.
        spec: the face; by default EVA.

    Raises:
        RobotError: no robot, several, another one than the calibration's, or a library is missing.
        DataError: no calibration, or a damaged one.
        MediaError: no camera.
    """
    spec = spec or load_spec()
    clock = WallClock()
    opener = connect or board_opener(spec, board, port, robot_id, clock)  # before a camera is opened
    source = _open_camera(camera, clock) if isinstance(camera, int | str) else camera
    finder = _calibration_finder(spec, calibration, _robots_own_calibration(spec))
    return RobotConnection(opener, clock, source, memory=_physical_memory(clock)).open_face(spec, finder)


def robot_capabilities(
    camera: int | str | CameraSource | None = 0,
    board: str = "firmware",
    connect: Callable[[], Board] | None = None,
    **_: Any,
) -> Capabilities:
    """Capabilities of `open_robot` with the same arguments; a board of one's own counts as not measuring."""
    measured = connect is None and board_kind(board).measures
    return Capabilities(measured, camera is not None, save=False, real_time=True)


def _physical_memory(clock: Clock) -> RobotMemory:
    return RobotMemory(clock, config_folder() / "servos")


def _open_camera(camera: int | str, clock: Clock) -> CameraSource:
    try:
        return DeviceCamera(camera, clock)
    except MediaError as error:
        raise MediaError(
            f"{error} A robot may also be opened without one: camera=None, or --camera -1."
        ) from error


def physical_connection(
    spec: FaceSpec, board: str, port: str, robot_id: str | None, camera: int | str | None
) -> RobotConnection:
    """Prepares the connection to a physical robot; without a usable camera it has none.

    Args:
        spec: the face.
        board: kind of the board.
        port: port of the board.
        robot_id: name of the robot, if its board has no USB serial number.
        camera: number or device of the camera; None for none.
    """
    clock = WallClock()
    opener = board_opener(spec, board, port, robot_id, clock)
    source = None
    with contextlib.suppress(MediaError):
        source = None if camera is None else DeviceCamera(camera, clock)
    return RobotConnection(opener, clock, source, memory=_physical_memory(clock))


def open_virtual(
    seed: int = 0,
    camera_size: int | None = CAMERA_SIZE,
    realtime: bool = False,
    calibration: GivenCalibration = None,
    spec: FaceSpec | None = None,
    style: str = "plain",
) -> RobotFace:
    """Opens the real firmware on a simulated microcontroller, which moves a hidden robot.

    Args:
        seed: seed of the hidden robot; 0 for one that matches the tables exactly.
        camera_size: side of the camera's picture [pixels]; None for no camera.
        realtime: whether its clock is the wall clock.
        calibration: the calibration or its file; by default the nominal one.
        spec: the face; by default EVA.
        style: of the camera's picture, see `eva_sim.twin.HeadCamera`.

    Raises:
        RobotError: the toolchain is missing.
    """
    spec = spec or load_spec()
    board = simulated_board(spec, "virtual", seed, realtime)
    return open_hidden(board, seed, camera_size, calibration, spec, style)


def open_mock(
    seed: int = 0,
    camera_size: int | None = CAMERA_SIZE,
    realtime: bool = False,
    calibration: GivenCalibration = None,
    spec: FaceSpec | None = None,
    style: str = "plain",
) -> RobotFace:
    """Opens the firmware's rules in Python, which move a hidden robot; arguments as in `open_virtual`."""
    spec = spec or load_spec()
    board = simulated_board(spec, "mock", seed, realtime)
    return open_hidden(board, seed, camera_size, calibration, spec, style)


def hidden_capabilities(
    camera_size: int | None = CAMERA_SIZE, realtime: bool = False, **_: Any
) -> Capabilities:
    """Capabilities of `open_virtual` and `open_mock` with the same arguments."""
    return Capabilities(
        measured_positions=False, camera=camera_size is not None, save=False, real_time=realtime
    )


def simulated_board(spec: FaceSpec, body: str, seed: int = 0, realtime: bool = False) -> Any:
    """Starts the board of a hidden robot alone: a `SimulatedBoard` or a `MockBoard`.

    Args:
        spec: the face.
        body: `"virtual"` or `"mock"`.
        seed: seed of the hidden robot.
        realtime: whether its clock is the wall clock.

    Raises:
        RobotError: the toolchain is missing, or the seed is negative.
    """
    _check_seed(seed)
    if body == "virtual":
        from eva_sim.real.simulation.virtual_board import SimulatedBoard

        return SimulatedBoard(spec, seed, realtime=realtime)
    from eva_sim.real.simulation.mock_board import MockBoard

    return MockBoard(spec, seed, realtime)


def open_hidden(
    board: Any,
    seed: int = 0,
    camera_size: int | None = CAMERA_SIZE,
    calibration: GivenCalibration = None,
    spec: FaceSpec | None = None,
    style: str = "plain",
) -> RobotFace:
    """Opens a face over a simulated board, whose pulses move a hidden robot.

    Args:
        board: a `MockBoard` or a `SimulatedBoard`; the face closes it.
        seed: seed of the hidden robot.
        camera_size: side of the camera's picture [pixels]; None for no camera.
        calibration: the calibration or its file; by default the nominal one.
        spec: the face; by default EVA.
        style: of the camera's picture.
    """
    spec = spec or load_spec()
    connection = hidden_connection(spec, board, seed, camera_size, style)
    try:
        finder = _calibration_finder(spec, calibration, _nominal_calibration(spec))
    except BaseException:
        connection.close()
        raise
    return connection.open_face(spec, finder)


def hidden_connection(
    spec: FaceSpec, board: Any, seed: int = 0, camera_size: int | None = CAMERA_SIZE, style: str = "plain"
) -> RobotConnection:
    """Connects a simulated board to a hidden robot; arguments as in `open_hidden`."""
    try:
        _check_seed(seed)
        camera = None
        if camera_size is not None:
            plant = Plant(spec, seed, camera_size, style)
            board.listen(plant.follow)
            camera = PlantCamera(plant, board)
            # The first picture takes a second or more; an armed board would take that for a lost host.
            camera.latest_image()
    except BaseException:
        board.close()
        raise
    return RobotConnection(
        lambda: FirmwareBoard(spec, Link(_SharedPort(board.port), board.clock)),
        board.clock,
        camera,
        board.close,
        RobotMemory(board.clock),
    )


class _SharedPort:
    """The port of a simulated board, which stays open for the next connection."""

    def __init__(self, port: BytePort) -> None:
        self.write, self.read = port.write, port.read

    def close(self) -> None:
        """Does nothing: the board closes its port."""


def _check_seed(seed: object) -> None:
    if not isinstance(seed, int) or seed < 0:
        raise RobotError(f"seed={seed!r}; hidden robots are numbered 0, 1, 2, ...")


def _calibration_finder(
    spec: FaceSpec, given: GivenCalibration, default: Callable[[BoardIdentity], Calibration]
) -> Callable[[BoardIdentity], Calibration]:
    """A function that returns the calibration of a board; a file is read anew at each call.

    Args:
        spec: the face.
        given: what the user gave; a wrong file is refused at once.
        default: returns the calibration if the user gave none.
    """
    if given is None:
        return default
    if isinstance(given, Calibration):
        return lambda identity: given
    path = Path(given).absolute()  # the program may go to another folder
    Calibration.load(path, spec)
    return lambda identity: Calibration.load(path, spec)


def _robots_own_calibration(spec: FaceSpec) -> Callable[[BoardIdentity], Calibration]:
    path = functools.cache(lambda robot_id: default_path(robot_id).absolute())
    return lambda identity: Calibration.load(path(identity.robot_id), spec)


def _nominal_calibration(spec: FaceSpec) -> Callable[[BoardIdentity], Calibration]:
    return lambda identity: Calibration.nominal(spec, identity.robot_id, identity.kind, identity.unit)
