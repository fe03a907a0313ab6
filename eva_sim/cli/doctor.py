"""The subcommand `doctor`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict
from typing import Annotated

import typer
from rich.text import Text

from eva_sim.cli.findings import Finding, guard
from eva_sim.cli.options import BOARD_NAMES, one_of
from eva_sim.cli.output import as_json, print_result, print_text, remark
from eva_sim.errors import EvaError

#: Widths of the columns of states and of names [characters].
_STATE, _NAME = 8, 18
_COLOURS = {"works": "green", "missing": "yellow", "fails": "red"}


def doctor(
    camera: Annotated[
        str | None, typer.Option(help="camera to take one picture with: its number or device")
    ] = None,
    board: Annotated[
        str | None,
        typer.Option(
            help="board to ask: firmware, maestro, feetech or dynamixel", autocompletion=one_of(BOARD_NAMES)
        ),
    ] = None,
    port: Annotated[
        str | None,
        typer.Option(help="serial port of the board to ask, or auto; the board's servos become limp"),
    ] = None,
    robot_id: Annotated[
        str | None, typer.Option(help="name of the robot, if its board has no USB serial number")
    ] = None,
) -> None:
    """Checks this machine: what works, what does not, and what to install.

    Without options no camera and no port is opened. The exit code is 1 if something fails that every
    installation needs, or that an option names.
    """
    findings = []
    for finding in _examine(camera, board, port, robot_id):
        findings.append(finding)
        if not as_json():
            print_text(
                _in_words(finding)
            )  # at once: the first check of a new machine compiles for half a minute
    failing = [finding.name for finding in findings if finding.state == "fails"]
    if as_json():
        print_result({"ok": not failing, "findings": [asdict(finding) for finding in findings]})
    if failing:
        raise EvaError(f"these fail: {', '.join(failing)}. The lines after the arrows say what to do.")
    remark("Everything that every installation needs works.")


def _examine(
    camera: str | None, board: str | None, port: str | None, robot_id: str | None
) -> Iterator[Finding]:
    """Yields all findings; the checks that load native libraries run at the same time."""
    from eva_sim.cli import check_machine, check_robot
    from eva_sim.cli.check_native import NativeCheck

    with ExitStack() as stack:
        names = ["simulation", "pictures", "detector"]
        native = [stack.enter_context(NativeCheck(name)) for name in names]
        if camera is not None:
            native.append(stack.enter_context(NativeCheck("camera", camera, limit=20.0)))
        yield from guard("python", check_machine.check_python)
        yield from guard("libraries", check_machine.check_libraries)
        yield from guard("files", check_machine.check_files)
        yield from guard("disk", check_machine.check_disk)
        yield from guard("memory", check_machine.check_memory)
        for check in native:
            yield check.finding()
        yield from guard("display", check_machine.check_display)
        yield from guard("cameras", check_robot.check_cameras)
        yield from guard("serial ports", check_robot.check_ports)
        yield from guard("real-time priority", check_robot.check_priority)
        yield from guard("virtual robot", check_robot.check_toolchain)
        yield from guard("extras", check_machine.check_extras)
        if board is not None or port is not None:
            yield from guard(
                "board",
                lambda: check_robot.check_board((board or "firmware").lower(), port or "auto", robot_id),
            )


def _in_words(finding: Finding) -> Text:
    """A line for a finding, and one for what to do about it."""
    words = Text(f"{finding.state:<{_STATE}}", _COLOURS[finding.state])
    words.append(f"{finding.name:<{_NAME}} {finding.found}", "default")
    if finding.remedy:
        words.append(f"\n{'':>{_STATE + _NAME}} -> {finding.remedy}", "default")
    return words
