"""Subcommands that print or render the twin: `actuators`, `look`, `expressions`, `muscles`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from eva_sim.cli import options
from eva_sim.cli.preparation import work_on
from eva_sim.contract import load_spec
from eva_sim.optional import import_optional

WORDS = "an expression, then actuator=value from -1 (low) to 1 (high); a name without its side sets both"


@contextmanager
def _picture(out: Path) -> Iterator[None]:
    """Checks the path of a picture before the block makes it."""
    from eva_sim.contact_sheet import check_picture_name

    check_picture_name(out)
    with work_on(out, f"{out} was not written."):
        yield


def print_actuators() -> None:
    """Prints the table of actuators.

    It shows order, travel, rest, and the action units that each one makes.
    """
    spec = load_spec()
    table = Table("#", "name", "low", "high", "rest", "unit", "rest as a command", "action units")
    table.columns[1].no_wrap = True
    for number, (a, rest) in enumerate(zip(spec.actuators, spec.neutral, strict=True)):
        travel = (f"{value:g}" for value in (a.low, a.high, a.neutral))
        units = " ".join(a.action_units[:2]) + (" .." if len(a.action_units) > 2 else "")
        table.add_row(str(number), a.name, *travel, a.unit, f"{rest:+.2f}", units)
    Console().print(table)
    Console().print("A command is -1 at low and +1 at high.")


def render_expression(
    words: Annotated[list[str] | None, typer.Argument(help=WORDS)] = None,
    out: Annotated[Path, typer.Option(help="picture to write")] = Path("out/look.png"),
    size: Annotated[int, typer.Option(min=16, max=4096, help="side of the picture [pixels]")] = 640,
    style: options.Style = "fine",
    material: options.Material = "blue",
) -> None:
    """Renders the twin in an expression or command.

    For example: `eva look joy jaw=0.2`.
    """
    from eva_sim.expressions import parse_command
    from eva_sim.twin import Twin
    from eva_sim.twin.pictures import write_still

    command = parse_command(load_spec(), words or [])
    with _picture(out), Twin(style=style.lower(), material=material.lower()) as twin:
        write_still(twin, command, out, size)
    Console().print(f"{out}")


def render_expressions(
    out: Annotated[Path, typer.Option(help="picture to write")] = Path("out/expressions.png"),
    style: options.Style = "fine",
    material: options.Material = "blue",
) -> None:
    """Renders a sheet of all named expressions."""
    from eva_sim.twin import Twin
    from eva_sim.twin.pictures import write_expression_sheet

    with _picture(out), Twin(style=style.lower(), material=material.lower()) as twin:
        write_expression_sheet(twin, out)
    Console().print(f"{out}")


def render_actuators(
    out: Annotated[Path, typer.Option(help="picture to write")] = Path("out/muscles.png"),
) -> None:
    """Renders a sheet of every actuator at full pull.

    Colours show the displacement of the skin.
    """
    from eva_sim.twin import Twin
    from eva_sim.twin.pictures import write_actuator_sheet

    import_optional("matplotlib", "train")  # for the colours
    with _picture(out), Twin() as twin:
        write_actuator_sheet(twin, out)
    Console().print(f"{out}")
