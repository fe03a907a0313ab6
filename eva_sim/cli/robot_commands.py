"""What the `eva` command does with a robot: opening bodies by name, and ending when asked to."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import eva_sim
from eva_sim.contract import Face, load_spec
from eva_sim.errors import DataError, EvaError
from eva_sim.expressions import expression_command
from eva_sim.recording import reader
from eva_sim.recording.recorder import record_face
from eva_sim.recording.replay import ReplayResult, eased_commands, replay_commands

if TYPE_CHECKING:
    from eva_sim.clock import Clock
    from eva_sim.real.boards.interface import Board
    from eva_sim.real.calibration.operator_ui import OperatorUI, Picture
    from eva_sim.real.calibration.procedure import CalibrationSession

#: Bodies whose head is simulated behind a board's rules.
HIDDEN = ("virtual", "mock")
#: Side of the twin's pictures in a recording [pixels].
PICTURE = 320
#: How often a picture is looked at while calibrating [s].
_GLANCE = 0.4


@dataclass(frozen=True)
class BodyChoice:
    """A face, as the command line names it.

    Attributes:
        body: see `eva_sim.make_face`.
        board: of the physical robot.
        port: of that board.
        camera: number of the camera before the physical robot; -1 for none.
        robot: seed of a hidden robot.
        name: of the physical robot, if its board has no number of its own.
        calibration: file of the robot, physical or hidden; None for the one that is its own.

    Raises:
        EvaError: the body does not have what is named.
    """

    body: str = "twin"
    board: str = "firmware"
    port: str = "auto"
    camera: int = 0
    robot: int = 1
    name: str | None = None
    calibration: Path | None = None

    def __post_init__(self) -> None:
        if self.body != "robot" and (self.board, self.port, self.name) != ("firmware", "auto", None):
            raise EvaError(
                f"--board, --port and --name are the physical robot's, but the body is {self.body}; "
                "add --body robot, or leave them out."
            )
        if self.body == "twin" and self.calibration is not None:
            raise EvaError("the twin has no servos to calibrate; leave --calibration out.")

    @property
    def options(self) -> dict[str, Any]:
        """What `eva_sim.make_face` is told beside the body."""
        if self.body == "twin":
            return {"camera": PICTURE}
        if self.body != "robot":
            return {"robot": self.robot, "calibration": self.calibration}
        eye = None if self.camera < 0 else self.camera
        where = {"board": self.board, "port": self.port, "camera": eye, "robot": self.name}
        return {**where, "calibration": self.calibration}

    def open(self, **more: Any) -> Face:
        """Opens the face, with more options, or with others."""
        return eva_sim.make_face(self.body, **{**self.options, **more})


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Turns the first Ctrl-C into a wish to end; yields whether there is one. A second one ends at once."""
    wished = threading.Event()
    if threading.current_thread() is not threading.main_thread():  # the only one that may ask
        yield wished.is_set
        return
    before = signal.getsignal(signal.SIGINT)

    def wish(*_: object) -> None:
        wished.set()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, wish)
    try:
        yield wished.is_set
    finally:
        signal.signal(signal.SIGINT, before)


def expression_sequence(names: Sequence[str], hold: float) -> NDArray[np.float32]:
    """Commands, (T, 25), that go from one named expression to the next and hold each for a while.

    Args:
        names: of expressions.
        hold: how long each is held [s].

    Raises:
        CommandError: no such expression.
        DataError: no names.
    """
    spec = load_spec()
    if not names:
        raise DataError("name an expression or more, e.g. `eva record joy sadness`.")
    if not hold > 0:
        raise DataError(f"expressions are held for more than 0 s, not {hold:g}.")
    held = np.array([expression_command(spec, name) for name in names])
    steps = max(1, round(hold / spec.control_dt))
    parts = [np.repeat(held[:1], steps, axis=0)]
    for start, end in pairwise(held):
        parts += [eased_commands(start, end, spec), np.repeat(end[None], steps, axis=0)]
    return np.concatenate(parts)


def play_and_record(
    face: Face, source: Path | NDArray[np.float32], out: Path | None, about: dict[str, Any] | None = None
) -> ReplayResult:
    """Plays a recording's folder or commands on a face, recorded to `out` if given; Ctrl-C eases out."""
    commands = reader.load_recording(source) if isinstance(source, Path) else source
    with ExitStack() as stack:
        stopped = stack.enter_context(interruptible())
        if out is not None:
            face = stack.enter_context(record_face(face, out, about=about))
        return replay_commands(face, commands, stopped=stopped)


@contextmanager
def open_board(choice: BodyChoice) -> Iterator[tuple[Board, Clock, Callable[[], Picture | None]]]:
    """The bare board of a body, its clock, and what its camera shows; for calibrating.

    Raises:
        EvaError: the body has no board.
        RobotError: no robot answers.
    """
    with ExitStack() as closing:
        if choice.body == "robot":
            eye, clock, board = _open_robot(choice, closing)
        elif choice.body in HIDDEN:
            eye, clock, board = _open_hidden(choice.body, choice.robot, closing)
        else:
            raise EvaError(
                f"body={choice.body!r} has no servos to calibrate; choose 'robot', 'virtual' or 'mock'."
            )
        closing.callback(board.close)
        yield board, clock, _look(eye, clock)


def _open_robot(choice: BodyChoice, closing: ExitStack) -> tuple[Any, Clock, Board]:
    from eva_sim.clock import WallClock
    from eva_sim.errors import MediaError
    from eva_sim.real.boards.registry import board_opener
    from eva_sim.real.vision.camera_source import DeviceCamera

    clock, eye = WallClock(), None
    connect = board_opener(load_spec(), choice.board, choice.port, choice.name, clock)
    with suppress(MediaError):  # servos are calibrated by eye then
        if choice.camera >= 0:
            eye = DeviceCamera(choice.camera, clock)
            closing.callback(eye.close)
    return eye, clock, connect()


def _open_hidden(body: str, robot: int, closing: ExitStack) -> tuple[Any, Clock, Board]:
    from eva_sim.real.boards.firmware import FirmwareBoard
    from eva_sim.real.simulation.plant import Plant, PlantCamera
    from eva_sim.real.wire.link import Link

    machine: Any
    if body == "virtual":
        from eva_sim.real.simulation.virtual_board import SimulatedBoard

        machine = SimulatedBoard(load_spec(), robot, realtime=True)  # a person waits for it
    else:
        from eva_sim.real.simulation.mock_board import MockBoard

        machine = MockBoard(load_spec(), robot, realtime=True)
    closing.callback(machine.close)
    plant = Plant(load_spec(), robot)
    machine.listen(plant.follow)
    eye = PlantCamera(plant, machine)
    eye.look()  # the first picture takes a second or more, which an armed board would take for silence
    return eye, machine.clock, FirmwareBoard(load_spec(), Link(machine.port, machine.clock))


def _look(eye: Any, clock: Clock) -> Callable[[], Picture | None]:
    """The newest picture, a few times a second, or None while the camera has none.

    Not for every tick: a hidden robot's is drawn when it is asked for, and the board waits for targets.
    """
    from eva_sim.errors import MediaError

    shown: Picture | None = None
    due = clock.now()

    def look() -> Picture | None:
        nonlocal shown, due
        if eye is not None and clock.now() >= due:
            try:
                shown = eye.look().picture
            except MediaError:
                shown = None
            due = clock.now() + _GLANCE
        return shown

    return look


def calibrate_servos(
    choice: BodyChoice, guide: OperatorUI, work: Path, resume: bool, again: Sequence[str] = ()
) -> CalibrationSession:
    """Finds the servos' ends with a guide; what was found is in `work`, whatever happens.

    Args:
        choice: the robot.
        guide: who decides.
        work: file that keeps what is found.
        resume: whether to go on with what it holds.
        again: actuators to do anew, though it holds them.

    Raises:
        CommandError: no such actuator.
    """
    from eva_sim.real.calibration.procedure import CalibrationSession, guide_servos
    from eva_sim.real.calibration.servo_bench import ServoBench, widest_limits
    from eva_sim.real.wire.firmware_table import robot_config

    with open_board(choice) as (board, clock, look), guide:
        who, table = board.identity, robot_config(load_spec())
        session = CalibrationSession.open(work, who.robot_id, who.kind, who.unit, resume)
        bench = ServoBench(
            board, clock, widest_limits(who.unit), table["wire"]["period"], table["safety"]["too_hot"]
        )
        guide_servos(session, bench, guide, look, again)
        return session


def calibrate_camera(
    choice: BodyChoice, session: CalibrationSession, outer_eye: float | None, partial: bool = False
) -> tuple[Path, list[str]]:
    """Finds by camera what there is to be found; where the calibration went, and what to look at."""
    from eva_sim.real.calibration.procedure import build_calibration, measure_by_camera

    with choice.open(calibration=build_calibration(session, outer_eye, partial)) as face:
        doubts = measure_by_camera(session, face)
    return build_calibration(session, outer_eye, partial).save(), doubts
