"""Opening a robot: the physical one, the virtual one, and the mock; `eva_sim.make_face` by its parts."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from eva_sim.clock import Clock, WallClock
from eva_sim.contract import load_spec
from eva_sim.errors import MediaError, RobotError
from eva_sim.real.boards.firmware import FirmwareBoard
from eva_sim.real.boards.interface import Board, BoardIdentity
from eva_sim.real.boards.registry import board_opener
from eva_sim.real.calibration.model import Calibration, default_path
from eva_sim.real.robot import RobotFace
from eva_sim.real.simulation.plant import Plant, PlantCamera
from eva_sim.real.vision.camera_source import CameraSource, DeviceCamera
from eva_sim.real.wire.link import BytePort, Link

#: Side of a hidden robot's picture [pixels].
SIZE = 320

Given = Calibration | str | os.PathLike[str] | None


def open_robot(
    port: str | Sequence[str] | None = None,
    camera: int | str | CameraSource | None = 0,
    calibration: Given = None,
    connect: Callable[[], Board] | None = None,
    board: str = "firmware",
    robot: str | None = None,
) -> RobotFace:
    """Opens the physical robot. Moves nothing yet.

    Args:
        port: of the board; of two Maestros both, `"FIRST,SECOND"` or a sequence; None or `"auto"` to look
            for it.
        camera: number or device of the camera before the face, or an eye; None for none.
        calibration: or its file; by default the file of the robot that answers.
        connect: opens a board in any other way; then `board`, `port` and `robot` are not looked at.
        board: its kind, `"firmware"`, `"maestro"`, `"feetech"` or `"dynamixel"`, see docs/boards.md.
        robot: name of the robot, where no USB serial number tells it from others.

    Raises:
        RobotError: no robot, several, another one than the calibration's, or a library is missing.
        DataError: no calibration, or a damaged one.
        MediaError: no camera.
    """
    clock = WallClock()
    opened = connect or board_opener(load_spec(), board, port, robot, clock)  # before a camera is opened
    eye = _camera(camera, clock) if isinstance(camera, int | str) else camera
    return _open(opened, clock, _finder(calibration, _load), eye)


def _camera(camera: int | str, clock: Clock) -> CameraSource:
    try:
        return DeviceCamera(camera, clock)
    except MediaError as error:
        raise MediaError(
            f"{error} A robot may also be opened without one: camera=None, or --camera -1."
        ) from error


def open_virtual(
    robot: int = 0, size: int | None = SIZE, realtime: bool = False, calibration: Given = None
) -> RobotFace:
    """Opens the real firmware on a simulated microcontroller, before a hidden robot.

    Args:
        robot: seed of the hidden robot; 0 for one that is exactly as the tables say.
        size: side of the camera's picture [pixels]; None for no camera.
        realtime: whether its time is the wall's.
        calibration: or its file; by default the nominal one.

    Raises:
        RobotError: the toolchain is missing.
    """
    from eva_sim.real.simulation.virtual_board import SimulatedBoard

    return open_hidden(SimulatedBoard(load_spec(), robot, realtime=realtime), robot, size, calibration)


def open_mock(
    robot: int = 0, size: int | None = SIZE, realtime: bool = False, calibration: Given = None
) -> RobotFace:
    """Opens the firmware's rules in Python, before a hidden robot; arguments as in `open_virtual`."""
    from eva_sim.real.simulation.mock_board import MockBoard

    return open_hidden(MockBoard(load_spec(), robot, realtime), robot, size, calibration)


def open_hidden(
    machine: Any, robot: int = 0, size: int | None = SIZE, calibration: Given = None
) -> RobotFace:
    """Opens a face over a machine, whose pulses move a hidden robot.

    Args:
        machine: a `MockBoard` or a `SimulatedBoard`; the face closes it.
        robot: seed of the hidden robot.
        size: side of the camera's picture [pixels]; None for no camera.
        calibration: or its file; by default the nominal one.
    """
    if not isinstance(robot, int) or robot < 0:
        machine.close()
        raise RobotError(f"robot={robot!r}; hidden robots are numbered 0, 1, 2, ...")
    eye = None
    if size is not None:
        plant = Plant(load_spec(), robot, size)
        machine.listen(plant.follow)
        eye = PlantCamera(plant, machine)
        eye.look()  # the first picture takes a second or more, which an armed robot would take for silence

    def connect() -> Board:
        return FirmwareBoard(load_spec(), Link(_Shared(machine.port), machine.clock))

    try:
        return _open(connect, machine.clock, _finder(calibration, _nominal), eye, machine.close)
    except BaseException:
        machine.close()
        raise


class _Shared:
    """A machine's port, which stays open for the next connection."""

    def __init__(self, port: BytePort) -> None:
        self.write, self.read = port.write, port.read

    def close(self) -> None:
        """Leaves it to the machine."""


def _open(
    connect: Callable[[], Board],
    clock: Clock,
    find: Callable[[BoardIdentity], Calibration],
    eye: CameraSource | None,
    release: Callable[[], None] | None = None,
) -> RobotFace:
    try:
        return RobotFace(connect, clock, find, eye, release)
    except BaseException:
        if eye is not None:
            eye.close()
        raise


def _finder(
    given: Given, default: Callable[[BoardIdentity], Calibration]
) -> Callable[[BoardIdentity], Calibration]:
    if given is None:
        return default
    known = given if isinstance(given, Calibration) else Calibration.load(given)
    return lambda identity: known


def _load(identity: BoardIdentity) -> Calibration:
    return Calibration.load(default_path(identity.robot_id))


def _nominal(identity: BoardIdentity) -> Calibration:
    return Calibration.nominal(identity.robot_id, identity.kind, identity.unit)
