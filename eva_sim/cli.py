"""The `eva` command. Every subcommand is a thin door to one function of the package."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from eva_sim.contract import load_spec
from eva_sim.errors import EvaError

app = typer.Typer(no_args_is_help=True, add_completion=False, help="EVA: one face, two bodies.")


@app.command()
def actuators() -> None:
    """Prints the 25 actuators: order, travel, neutral and what each moves."""
    table = Table("#", "name", "kind", "moves", "action units", "low", "high", "neutral", "unit")
    for number, a in enumerate(load_spec().actuators):
        travel = (f"{value:g}" for value in (a.low, a.high, a.neutral))
        table.add_row(str(number), a.name, a.kind, a.moves, " ".join(a.action_units), *travel, a.unit)
    Console().print(table)


@app.command()
def train(
    data: Annotated[Path, typer.Argument(help="folder that babbling filled")],
    out: Annotated[Path, typer.Option(help="folder for the checkpoint and its report")] = Path("out/model"),
) -> None:
    """Learns which muscles make which face from a babbled data set."""
    from eva_sim.agents import dataset, inverse

    inverse.train(dataset.load(data), out)


def main() -> None:
    """Runs the command line; a user's mistake ends in one line, not in a traceback."""
    try:
        app()
    except EvaError as error:
        Console(stderr=True).print(f"eva: {error}", style="red", markup=False)
        raise SystemExit(1) from error
