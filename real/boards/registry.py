"""Boards by name: each is found and opened here. A board's modules are imported only when it is opened."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from eva_sim.clock import Clock, WallClock
from eva_sim.contract import FaceSpec
from eva_sim.errors import SEE_DOCTOR, EvaError, LinkError, RobotError, known_names
from eva_sim.optional import import_optional
from eva_sim.real.boards.interface import Board
from eva_sim.real.wire.known_ports import remember_devices
from eva_sim.real.wire.port_lookup import PortLookup

if TYPE_CHECKING:
    from eva_sim.real.boards.servo_bus import BusBoard

#: Opens the board of a face at some ports, with the id of the robot and a clock.
OpenBoard = Callable[[FaceSpec, Sequence[str], str | None, Clock], Board]


@dataclass(frozen=True)
class BoardKind:
    """A kind of boards.

    Attributes:
        open: connects to a board, see `OpenBoard`.
        find: finds the port of the only board of this kind, for a face.
        max_ports: greatest number of ports that it may have.
        has_id: whether it has an id of its own, so that the user gives its robot none.
        measures: whether its positions are measured rather than only commanded.
        library: Python module that it needs beyond pyserial, and the extra that installs it.
    """

    open: OpenBoard
    find: Callable[[FaceSpec], str]
    max_ports: int = 1
    has_id: bool = False
    measures: bool = False
    library: tuple[str, str] | None = None


@dataclass(frozen=True)
class BoardOpener:
    """Opens one board, again and again.

    Attributes:
        open: opens it, wherever it is then.
        plugged: paths of its ports if it is plugged in now, found by identity; nothing is opened.
    """

    open: Callable[[], Board]
    plugged: Callable[[], list[str]]

    def __call__(self) -> Board:
        return self.open()


def describe_plugged(connect: Callable[[], Board]) -> tuple[str, ...]:
    """Tells where a lost board is plugged in again, if its connection knows that; only arming connects."""
    ports = connect.plugged() if isinstance(connect, BoardOpener) else []
    return (f"the board is plugged in again, at {', '.join(ports)}: arm() connects",) if ports else ()


def board_opener(
    spec: FaceSpec,
    board: str = "firmware",
    port: str | Sequence[str] | None = None,
    robot_id: str | None = None,
    clock: Clock | None = None,
) -> BoardOpener:
    """Checks the choice of a board before anything is opened.

    Args:
        spec: the face.
        board: kind of board, one of `BOARDS`.
        port: its serial port; for two Maestros both, `"FIRST,SECOND"` or a sequence; None or `"auto"`
            searches for it.
        robot_id: id of the robot, needed where it has no USB serial number.
        clock: clock of the board; the wall clock if None.

    Returns:
        What opens the board. It may be called again after the board was closed, and then looks up the port
        anew, see `PortLookup`.

    Raises:
        RobotError: no such board, too many ports, a bad id, or its library is missing; when opening:
            the board refuses.
        LinkError: there is no such port, or not exactly one such board; when opening: it does not answer.
    """
    kind = board_kind(board)
    _check_robot_id(board, kind, robot_id)
    if kind.library:
        import_optional(*kind.library, RobotError)
    named = _paths(port)
    if len(named) > kind.max_ports:
        most = "1 port" if kind.max_ports == 1 else f"{kind.max_ports} ports"
        raise RobotError(f"board={board!r} has {most} at most, not {', '.join(named)}.")
    ports = PortLookup(named, lambda: kind.find(spec), not kind.has_id)

    def open_board() -> Board:
        opened = kind.open(spec, ports.paths(), robot_id, clock or WallClock())
        remember_devices(board, ports.named_devices)
        return opened

    return BoardOpener(open_board, ports.plugged)


def board_kind(board: str) -> BoardKind:
    """Returns how boards of this kind are reached.

    Raises:
        RobotError: no such kind.
    """
    if board not in BOARDS:
        known = known_names(str(board), list(BOARDS))
        raise RobotError(f"no board called {board!r}; {known}, or connect= in Python.")
    return BOARDS[board]


def _check_robot_id(board: str, kind: BoardKind, robot_id: str | None) -> None:
    if robot_id is None:
        return
    if kind.has_id:
        raise RobotError(f"a robot with board={board!r} has an id of its own; leave robot_id out.")
    if not (isinstance(robot_id, str) and re.fullmatch(r"[\w.+-]+", robot_id)):
        raise RobotError(
            f"robot_id={robot_id!r} is used as a file name: only letters, digits and _ - . + are allowed."
        )


def _paths(port: str | Sequence[str] | None) -> list[str]:
    """Paths of the named ports; an empty list if they are to be searched for."""
    named = port.split(",") if isinstance(port, str) else list(port or ())
    paths = [str(name).strip() for name in named if str(name).strip()]
    return [] if paths == ["auto"] else paths


def _find_firmware(spec: FaceSpec) -> str:
    from eva_sim.real.wire.firmware_table import robot_config
    from eva_sim.real.wire.serial_ports import find_firmware_port

    return find_firmware_port(robot_config(spec)["wire"]["baud"])


def _open_firmware(spec: FaceSpec, paths: Sequence[str], robot_id: str | None, clock: Clock) -> Board:
    from eva_sim.real.boards.firmware import FirmwareBoard
    from eva_sim.real.wire.firmware_table import robot_config
    from eva_sim.real.wire.link import Link
    from eva_sim.real.wire.serial_ports import open_serial

    link = Link(open_serial(paths[0], robot_config(spec)["wire"]["baud"]), clock)
    try:
        return FirmwareBoard(spec, link)
    except BaseException:
        link.close()
        raise


def _open_maestro(spec: FaceSpec, paths: Sequence[str], robot_id: str | None, clock: Clock) -> Board:
    from eva_sim.real.boards.maestro import open_maestro

    return open_maestro(spec, paths, robot_id=robot_id, clock=clock)


def _feetech() -> type[BusBoard]:
    from eva_sim.real.boards.feetech import Feetech

    return Feetech


def _dynamixel() -> type[BusBoard]:
    from eva_sim.real.boards.dynamixel import Dynamixel

    return Dynamixel


def _on_bus(driver: Callable[[], type[BusBoard]]) -> OpenBoard:
    return lambda spec, paths, robot_id, clock: driver().open(spec, paths[0], robot_id, clock=clock)


def _finder(board: str) -> Callable[[FaceSpec], str]:
    """A function that finds the port of a board by USB id; if several ports have it, by the answers.

    Asking makes servos limp, so ports with another USB id are not opened, nor adapters that may be anything.
    """

    def find(spec: FaceSpec) -> str:
        from eva_sim.real.wire.serial_ports import describe_unasked, likely_ports

        likely = likely_ports(board)
        if len(likely) == 1:
            return likely[0]  # opening it checks who answers
        problems = {path: _problem(spec, board, path) for path in likely}
        answering = [path for path, problem in problems.items() if not problem]
        if len(answering) == 1:
            return answering[0]
        listed = "; ".join(f"{path}: {problem or 'answers'}" for path, problem in problems.items())
        listed = (listed or "no port has its USB id") + describe_unasked(board)
        count = f"several {board} boards answer" if answering else f"no {board} board answers"
        hint = ", or both of two: --port FIRST,SECOND" if BOARDS[board].max_ports > 1 else ""
        raise LinkError(
            f"{count} ({listed}). Plug it in, or name its port, as in --port PATH{hint}. {SEE_DOCTOR}"
        )

    return find


def _problem(spec: FaceSpec, board: str, path: str) -> str:
    """Reason why no such board answers at a port, in words; empty if one answers."""
    try:
        BOARDS[board].open(spec, [path], "asked", WallClock()).close()
    except EvaError as error:
        return str(error).removesuffix(f" {SEE_DOCTOR}")  # the list ends with that
    return ""


#: All kinds of boards, by name.
BOARDS: Mapping[str, BoardKind] = {
    "firmware": BoardKind(_open_firmware, _find_firmware, has_id=True),
    "maestro": BoardKind(_open_maestro, _finder("maestro"), max_ports=2),
    "feetech": BoardKind(
        _on_bus(_feetech), _finder("feetech"), measures=True, library=("scservo_sdk", "feetech")
    ),
    "dynamixel": BoardKind(
        _on_bus(_dynamixel), _finder("dynamixel"), measures=True, library=("dynamixel_sdk", "dynamixel")
    ),
}
