"""The subcommand `conform`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from eva_sim.cli.output import print_result, remark
from eva_sim.errors import RobotError


def conform(
    port: Annotated[
        str, typer.Option(help="serial port of the board to try, or mock or virtual for the simulated ones")
    ],
    servos_unplugged: Annotated[
        bool, typer.Option("--servos-unplugged", help="says that no servo is plugged in; a port needs it")
    ] = False,
    full: Annotated[bool, typer.Option("--full", help="all cases of each fault, some minutes")] = False,
    only: Annotated[str, typer.Option(help="rows whose name has these words")] = "",
) -> None:
    """Tries the table of faults on any firmware of docs/protocol.md.

    A board at a port is armed and moved from end to end again and again, and its calibration is replaced by
    the nominal one. So the servos must be unplugged; their supply stays on. What needs hands (plug, power,
    supply, bus) is listed and not tried. The exit status is 1 if a row is not ok.
    """
    from eva_sim.testing.conformance.rows import ROWS, narrow_table, try_all

    rows = tuple(row for row in ROWS if only in f"{row.fault}, {row.side}")
    if not rows:
        raise RobotError(f"no row of the table of faults has the words {only!r}; docs/faults.md lists them.")
    body, opener = _choose(port, servos_unplugged)
    identity = _identity(opener(body))
    remark(identity)
    results = try_all(rows, body, not full, opener=opener)
    shown = narrow_table(results, f"Faults, {port}")
    print_result({"port": port, "full": full, "board": identity, "rows": results}, shown)
    if not all(result.get("ok", "skipped" in result) for result in results):
        raise RobotError(f"the board at {port} does not conform; the table has the rows.")


def _choose(port: str, servos_unplugged: bool) -> tuple[str, Any]:
    """The kind of board, and what opens it."""
    from eva_sim.testing.conformance.bench import open_machine

    if port in ("mock", "virtual"):
        return port, open_machine
    if not servos_unplugged:
        raise RobotError(
            "the table of faults moves every channel from end to end for minutes; unplug all servos, "
            "then add --servos-unplugged."
        )
    from eva_sim.contract import load_spec
    from eva_sim.testing.conformance.port_board import PortBoard

    spec = load_spec()
    return "port", lambda body, **options: PortBoard(spec, port)


def _identity(machine: Any) -> str:
    """One line about the firmware that answers.

    Raises:
        LinkError: no board answers.
        RobotError: a board of another version, or of other tables.
    """
    from eva_sim.real.boards.firmware import FirmwareBoard
    from eva_sim.real.wire.link import Link

    try:
        identity = FirmwareBoard(machine.spec, Link(machine.port, machine.clock)).identity
        return f"robot {identity.robot_id}, firmware {identity.version}"
    finally:
        machine.close()
