"""What the `eva` command does with a robot: opening bodies by name, and ending when asked to."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import eva_sim
from eva_sim.contract import Face, load_spec
from eva_sim.errors import DataError, EvaError
from eva_sim.expressions import expression
from eva_sim.real import recorded
from eva_sim.real.recording import record
from eva_sim.real.replay import Played, ease, replay

if TYPE_CHECKING:
    from eva_sim.real.boards.base import Board
    from eva_sim.real.calibrate import Session
    from eva_sim.real.clock import Clock
    from eva_sim.real.guides import Guide, Picture

#: Side of the twin's pictures in a recording [pixels].
PICTURE = 320
#: How often a picture is looked at while calibrating [s].
_GLANCE = 0.4


def options(body: str, port: str = "auto", camera: int = 0, robot: int = 1) -> dict[str, Any]:
    """What `eva_sim.make_face` is told of a body, from what the command line knows."""
    if body == "twin":
        return {"camera": PICTURE}
    return {"port": port, "camera": camera} if body == "robot" else {"robot": robot}


def open_body(body: str, port: str = "auto", camera: int = 0, robot: int = 1) -> Face:
    """Opens a body by name.

    Args:
        body: see `eva_sim.make_face`.
        port: of the physical robot.
        camera: number of the camera before the physical robot.
        robot: seed of a hidden robot.
    """
    return eva_sim.make_face(body, **options(body, port, camera, robot))


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


def poses(names: Sequence[str], hold: float) -> NDArray[np.float32]:
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
    held = np.array([expression(name) for name in names])
    steps = max(1, round(hold / spec.control_dt))
    parts = [np.repeat(held[:1], steps, axis=0)]
    for start, end in pairwise(held):
        parts += [ease(start, end, spec), np.repeat(end[None], steps, axis=0)]
    return np.concatenate(parts)


def play(
    face: Face, source: Path | NDArray[np.float32], out: Path | None, about: dict[str, Any] | None = None
) -> Played:
    """Plays a recording's folder or commands on a face, recorded to `out` if given; Ctrl-C eases out."""
    commands = recorded.load(source) if isinstance(source, Path) else source
    with ExitStack() as stack:
        stopped = stack.enter_context(interruptible())
        if out is not None:
            face = stack.enter_context(record(face, out, about=about))
        return replay(face, commands, stopped=stopped)


@contextmanager
def open_board(
    body: str, port: str = "auto", camera: int = 0, robot: int = 1
) -> Iterator[tuple[Board, Clock, Callable[[], Picture | None]]]:
    """The bare board of a body, its clock, and what its camera shows; for calibrating.

    Raises:
        EvaError: the body has no board.
        RobotError: no robot answers.
    """
    from eva_sim.real.boards.firmware import FirmwareBoard
    from eva_sim.real.link import Link

    with ExitStack() as closing:
        if body == "robot":
            eye, clock, wire = _open_robot(port, camera, closing)
        elif body in ("virtual", "mock"):
            eye, clock, wire = _open_hidden(body, robot, closing)
        else:
            raise EvaError(f"body={body!r} has no servos to calibrate; choose 'robot', 'virtual' or 'mock'.")
        board = FirmwareBoard(Link(wire, clock))
        closing.callback(board.close)
        yield board, clock, _look(eye, clock)


def _open_robot(port: str, camera: int, closing: ExitStack) -> tuple[Any, Clock, Any]:
    from eva_sim.errors import MediaError
    from eva_sim.real.camera import DeviceCamera
    from eva_sim.real.clock import WallClock
    from eva_sim.real.ports import find_robot, open_serial

    clock = WallClock()
    try:
        eye = DeviceCamera(camera, clock)
        closing.callback(eye.close)
    except MediaError:
        eye = None  # servos are calibrated by eye then
    return eye, clock, open_serial(find_robot() if port == "auto" else port)


def _open_hidden(body: str, robot: int, closing: ExitStack) -> tuple[Any, Clock, Any]:
    from eva_sim.real.plant import Plant, PlantEye

    machine: Any
    if body == "virtual":
        from eva_sim.real.virtual import Machine

        machine = Machine(robot, realtime=True)  # a person waits for it
    else:
        from eva_sim.real.mock import Mock

        machine = Mock(robot, realtime=True)
    closing.callback(machine.close)
    plant = Plant(robot)
    machine.listen(plant.follow)
    eye = PlantEye(plant, machine)
    eye.look()  # the first picture takes a second or more, which an armed board would take for silence
    return eye, machine.clock, machine.port


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
    body: str, port: str, camera: int, robot: int, guide: Guide, work: Path, resume: bool
) -> Session:
    """Finds the servos' ends with a guide; what was found is in `work`, whatever happens."""
    from eva_sim.real.bench import Bench, widest_limits
    from eva_sim.real.calibrate import Session, guide_servos
    from eva_sim.real.firmware_table import figures

    with open_board(body, port, camera, robot) as (board, clock, look), guide:
        who, table = board.identity, figures()
        session = Session.open(work, who.robot, who.kind, who.unit, resume)
        bench = Bench(
            board, clock, widest_limits(who.unit), table["wire"]["period"], table["safety"]["too_hot"]
        )
        guide_servos(session, bench, guide, look)
        return session


def calibrate_camera(
    body: str,
    port: str,
    camera: int,
    robot: int,
    session: Session,
    outer_eye: float | None,
    partial: bool = False,
) -> tuple[Path, list[str]]:
    """Finds by camera what there is to be found; where the calibration went, and what to look at."""
    from eva_sim.real.calibrate import finish, watch

    told = options(body, port, camera, robot) | {"calibration": finish(session, outer_eye, partial)}
    with eva_sim.make_face(body, **told) as face:
        doubts = watch(session, face)
    return finish(session, outer_eye, partial).save(), doubts
