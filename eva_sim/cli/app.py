"""The `eva` command: its subcommands, and errors in one line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer
from rich.console import Console

from eva_sim import __version__
from eva_sim.cli import calibration, learning, mirroring, pictures, recordings, robot, transfer
from eva_sim.errors import EvaError
from eva_sim.streams import replace_missing_streams

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="EVA: a robot face in simulation.", rich_markup_mode=None
)  # without markup, which would hide units in brackets

#: Every subcommand by name, in the order of `eva --help`.
COMMANDS: dict[str, Callable[..., None]] = {
    "actuators": pictures.print_actuators,
    "look": pictures.render_expression,
    "expressions": pictures.render_expressions,
    "muscles": pictures.render_actuators,
    "babble": learning.babble,
    "train": learning.train,
    "demo": learning.demo,
    "fit": learning.solve_command,
    "mirror": mirroring.mirror,
    "robot": robot.tour,
    "record": recordings.record,
    "replay": recordings.replay,
    "export": recordings.export,
    "transfer": transfer.transfer,
    "calibrate": calibration.calibrate,
}
for _name, _function in COMMANDS.items():
    app.command(_name)(_function)
app.command("mimic", hidden=True)(mirroring.mirror)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="print the version")
    ] = False,
) -> None:
    """EVA: a robot face in simulation."""


def main() -> None:
    """Runs the command line; an error of the user ends in one line, without a traceback."""
    replace_missing_streams()
    try:
        app()
    except (EvaError, OSError) as error:  # OSError: a folder that cannot be written, a full disk
        Console(stderr=True).print(f"eva: {error}", style="red", markup=False, soft_wrap=True)
        raise SystemExit(1) from error
