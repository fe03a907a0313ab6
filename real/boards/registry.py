"""Boards by name: how each is looked for and opened. Nothing is imported before its board is asked for."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from eva_sim.clock import Clock, WallClock
from eva_sim.errors import EvaError, LinkError, RobotError
from eva_sim.real.boards.interface import Board

if TYPE_CHECKING:
    from eva_sim.real.boards.servo_bus import BusBoard

#: Opens the board at these ports, as the robot of this name, by this clock.
Open = Callable[[Sequence[str], str | None, Clock], Board]


@dataclass(frozen=True)
class BoardKind:
    """How boards of one kind are reached.

    Attributes:
        open: connects, see `Open`.
        find: the port of the one that is there.
        most: how many ports it may have.
        nameless: whether it has an id of its own, so that its robot is not given a name.
        library: Python module it needs beyond pyserial, and the extra that brings it.
    """

    open: Open
    find: Callable[[], str]
    most: int = 1
    nameless: bool = False
    library: tuple[str, str] | None = None


def board_opener(
    board: str = "firmware",
    port: str | Sequence[str] | None = None,
    robot: str | None = None,
    clock: Clock | None = None,
) -> Callable[[], Board]:
    """Looks at everything that can be known before a board is opened; what opens it, also again.

    Args:
        board: one of `BOARDS`.
        port: its serial port; of two Maestros both, `"FIRST,SECOND"` or a sequence; None or `"auto"` to look.
        robot: name of the robot, where no USB serial number tells it from others.
        clock: by which the board lives; the wall's if None.

    Raises:
        RobotError: no such board, a port too many, a bad name, or its library is missing; when opening:
            it refuses.
        LinkError: there is no such port, or not one such board; when opening: it does not answer.
    """
    kind = _kind(board)
    _check_name(board, kind, robot)
    _import_library(kind)
    paths = _paths(port) or [kind.find()]
    if len(paths) > kind.most:
        most = "1 port" if kind.most == 1 else f"{kind.most} ports"
        raise RobotError(f"board={board!r} has {most} at most, not {', '.join(paths)}.")
    for path in paths:
        if path.startswith("/") and not os.path.exists(path):
            raise LinkError(f'there is no port {path}; is the board plugged in? "auto" looks for it.')
    return lambda: kind.open(paths, robot, clock or WallClock())


def _kind(board: str) -> BoardKind:
    if board not in BOARDS:
        known = ", ".join(repr(name) for name in BOARDS)
        raise RobotError(f"no board called {board!r}; choose one of {known}, or connect= in Python.")
    return BOARDS[board]


def _check_name(board: str, kind: BoardKind, robot: str | None) -> None:
    if robot is None:
        return
    if kind.nameless:
        raise RobotError(f"a robot with board={board!r} has an id of its own; leave its name out.")
    if not (isinstance(robot, str) and re.fullmatch(r"[\w.+-]+", robot)):
        raise RobotError(f"robot_id={robot!r}; name it by letters, digits, '_' and '-': a file is called so.")


def _import_library(kind: BoardKind) -> None:
    if kind.library:
        from eva_sim.real.boards.servo_bus import import_vendor_library

        import_vendor_library(*kind.library)


def _paths(port: str | Sequence[str] | None) -> list[str]:
    """Ports by name; none to look for them."""
    named = port.split(",") if isinstance(port, str) else list(port or ())
    paths = [str(name).strip() for name in named if str(name).strip()]
    return [] if paths == ["auto"] else paths


def _find_firmware() -> str:
    from eva_sim.real.wire.serial_ports import find_firmware_port

    return find_firmware_port()


def _open_firmware(paths: Sequence[str], robot: str | None, clock: Clock) -> Board:
    from eva_sim.real.boards.firmware import FirmwareBoard
    from eva_sim.real.wire.link import Link
    from eva_sim.real.wire.serial_ports import open_serial

    link = Link(open_serial(paths[0]), clock)
    try:
        return FirmwareBoard(link)
    except BaseException:
        link.close()
        raise


def _open_maestro(paths: Sequence[str], robot: str | None, clock: Clock) -> Board:
    from eva_sim.real.boards.maestro import open_maestro

    return open_maestro(paths, robot=robot, clock=clock)


def _feetech() -> type[BusBoard]:
    from eva_sim.real.boards.feetech import Feetech

    return Feetech


def _dynamixel() -> type[BusBoard]:
    from eva_sim.real.boards.dynamixel import Dynamixel

    return Dynamixel


def _on_bus(driver: Callable[[], type[BusBoard]]) -> Open:
    return lambda paths, robot, clock: driver().open(paths[0], robot, clock=clock)


def _finder(board: str) -> Callable[[], str]:
    """Looks for a board by USB id and, where several ports have it, by asking who answers.

    Asking makes servos limp, so ports with another USB id are not touched.
    """

    def find() -> str:
        from eva_sim.real.wire.bus_port import likely_ports

        likely = likely_ports(board)
        if len(likely) == 1:
            return likely[0]  # opening it will ask
        told = {path: _ask(board, path) for path in likely}
        answering = [path for path, problem in told.items() if not problem]
        if len(answering) == 1:
            return answering[0]
        listed = "; ".join(f"{path}: {problem or 'answers'}" for path, problem in told.items())
        count = f"several {board} boards answer" if answering else f"no {board} board answers"
        hint = ", or both of two: --port FIRST,SECOND" if BOARDS[board].most > 1 else ""
        raise LinkError(
            f"{count} ({listed or 'no port has its USB id'}). Plug it in, or name its port, "
            f"as in --port PATH{hint}."
        )

    return find


def _ask(board: str, path: str) -> str:
    """Why no such board is there, in words; empty if it is."""
    try:
        BOARDS[board].open([path], "asked", WallClock()).close()
    except EvaError as error:
        return str(error)
    return ""


#: All boards that have a name, by it.
BOARDS: Mapping[str, BoardKind] = {
    "firmware": BoardKind(_open_firmware, _find_firmware, nameless=True),
    "maestro": BoardKind(_open_maestro, _finder("maestro"), most=2),
    "feetech": BoardKind(_on_bus(_feetech), _finder("feetech"), library=("scservo_sdk", "feetech")),
    "dynamixel": BoardKind(_on_bus(_dynamixel), _finder("dynamixel"), library=("dynamixel_sdk", "dynamixel")),
}
