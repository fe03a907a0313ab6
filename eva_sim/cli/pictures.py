"""Subcommands that print or render the twin: `actuators`, `look`, `expressions`, `muscles`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from eva_sim.cli import options
from eva_sim.cli.output import print_result, remark
from eva_sim.cli.preparation import work_on
from eva_sim.errors import DataError
from eva_sim.optional import import_optional
from eva_sim.progress import progress

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from eva_sim.twin import Twin

WORDS = (
    "an expression, e.g. joy or joy:0.5, then actuator=value from -1 (low) to 1 (high); a name without its "
    "side sets both"
)
SheetSize = Annotated[int, typer.Option(min=64, max=1024, help="side of each picture [pixels]")]


@contextmanager
def _picture(out: Path, video: bool = False) -> Iterator[None]:
    """Checks the path of a picture or video before the block makes it.

    Raises:
        DataError: the name does not end like that of one.
    """
    from eva_sim.contact_sheet import check_picture_name

    if not video:
        check_picture_name(out)
    elif out.suffix.lower() != ".mp4":
        raise DataError(f"{out} has no extension of a video; name it .mp4.")
    with work_on(out, f"{out} was not written."):
        yield


def print_actuators() -> None:
    """Prints the table of actuators.

    It shows order, travel, rest, and the action units that each one makes.
    """
    from eva_sim.contract import load_spec

    spec = load_spec()
    table = Table("#", "name", "low", "high", "rest", "unit", "command", "motion")
    for column in table.columns[:-1]:
        column.no_wrap = True
    for number, (a, rest) in enumerate(zip(spec.actuators, spec.neutral, strict=True)):
        travel = (f"{value:g}" for value in (a.low, a.high, a.neutral))
        units = " ".join(a.action_units[:2]) + ("…" if len(a.action_units) > 2 else "")
        table.add_row(str(number), a.name, *travel, a.unit, f"{rest:+.2f}", units)
    print_result({"actuators": [asdict(actuator) for actuator in spec.actuators]}, table)
    remark("Command is that of rest: -1 is low, +1 is high. Motion is in action units (AU).")


def render_expression(
    words: Annotated[
        list[str] | None, typer.Argument(help=WORDS, autocompletion=options.complete_pose)
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="picture to write; out/look.png, or out/look.mp4 with --alive")
    ] = None,
    size: Annotated[int, typer.Option(min=16, max=4096, help="side of the picture [pixels]")] = 640,
    style: options.Style = "fine",
    material: options.Material = "blue",
    view: Annotated[
        str,
        typer.Option(
            help="front, side (the robot's left), other-side or half-side",
            autocompletion=options.one_of(["front", "side", "other-side", "half-side"]),
        ),
    ] = "front",
    alive: Annotated[
        bool,
        typer.Option("--alive", help="write a video: the face blinks, glances about and breathes"),
    ] = False,
    seconds: Annotated[float, typer.Option(min=0.04, max=600, help="length of that video [s]")] = 10.0,
    seed: Annotated[int, typer.Option(min=0, help="seed of that motion")] = 0,
) -> None:
    """Renders the twin in an expression or command.

    For example: `eva look joy jaw=0.2`, or `eva look neutral --alive`.
    """
    from eva_sim.contract import load_spec
    from eva_sim.expressions import parse_command
    from eva_sim.twin import Twin
    from eva_sim.twin.pictures import set_view, write_still

    command = parse_command(load_spec(), words or [])
    out = out or Path("out/look.mp4" if alive else "out/look.png")
    with _picture(out, alive), Twin(style=style.lower(), material=material.lower()) as twin:
        if view.lower() != "front":
            set_view(twin, view.lower())
        if alive:
            _film(twin, command, out, size, seconds, seed)
        else:
            write_still(twin, command, out, size)
    print_result({"file": out}, f"{out}")


def _film(twin: Twin, command: NDArray[np.float32], out: Path, size: int, seconds: float, seed: int) -> None:
    """Writes a video of the twin that holds a command, with idle motion."""
    from eva_sim.idle import IdleMotion
    from eva_sim.media.encoding import write_video
    from eva_sim.settling import reset_and_hold

    motion, period = IdleMotion(twin.spec, seed), twin.spec.control_dt
    reset_and_hold(twin, command)
    with write_video(out, 1 / period) as add:
        for _ in progress(range(max(1, round(seconds / period))), "film", unit="pictures"):
            twin.move(motion(command))
            add(twin.render(size))


def render_expressions(
    out: Annotated[Path, typer.Option(help="picture to write")] = Path("out/expressions.png"),
    intensity: Annotated[float, typer.Option(min=0, max=1, help="of all expressions, from 0 to 1")] = 1.0,
    size: SheetSize = 320,
    style: options.Style = "fine",
    material: options.Material = "blue",
) -> None:
    """Renders a sheet of all named expressions."""
    from eva_sim.twin import Twin
    from eva_sim.twin.pictures import write_expression_sheet

    with _picture(out), Twin(style=style.lower(), material=material.lower()) as twin:
        write_expression_sheet(twin, out, size, intensity)
    print_result({"file": out}, f"{out}")


def render_actuators(
    out: Annotated[Path, typer.Option(help="picture to write")] = Path("out/muscles.png"),
    size: SheetSize = 240,
) -> None:
    """Renders a sheet of every actuator at full pull.

    Colours show the displacement of the skin.
    """
    from eva_sim.twin import Twin
    from eva_sim.twin.pictures import write_actuator_sheet

    import_optional("matplotlib", "train")  # for the colours
    with _picture(out), Twin() as twin:
        write_actuator_sheet(twin, out, size)
    print_result({"file": out}, f"{out}")
