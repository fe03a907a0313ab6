"""Options that several subcommands share. `BodyChoice` takes those that name a face."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from eva_sim.faces import BODIES


def one_of(names: Sequence[str]) -> Callable[[str], list[str]]:
    """Returns a completion for the shell: the names that begin as the word does, upper case aside."""
    return lambda incomplete: [name for name in names if name.startswith(incomplete.lower())]


def complete_pose(incomplete: str) -> list[str]:
    """Completes an expression, or the actuator of `actuator=value`, for the shell."""
    from eva_sim.contract import load_spec

    actuators = [f"{actuator.name}=" for actuator in load_spec().actuators]
    return complete_expression(incomplete) + one_of(actuators)(incomplete)


def complete_expression(incomplete: str) -> list[str]:
    """Completes the name of an expression for the shell."""
    from eva_sim.contract import load_spec
    from eva_sim.expressions import load_expressions

    return one_of(list(load_expressions(load_spec())))(incomplete)


Workers = Annotated[int, typer.Option(help="number of workers: processes, or actors of a Ray cluster")]
Ray = Annotated[
    str | None,
    typer.Option(
        help="work on a Ray cluster: local starts one on this computer, HOST:PORT is the head of one that "
        "runs. Needs the extra ray",
        autocompletion=one_of(["local"]),
    ),
]

BOARD_NAMES = ("firmware", "maestro", "feetech", "dynamixel")

Body = Annotated[str, typer.Option(help="twin, robot, virtual or mock", autocompletion=one_of(list(BODIES)))]
RobotBody = Annotated[
    str,
    typer.Option(help="robot, virtual or mock", autocompletion=one_of(["robot", "virtual", "mock"])),
]
Board = Annotated[
    str,
    typer.Option(
        help="board of the physical robot: firmware (ours, with two PCA9685), maestro, feetech or dynamixel",
        autocompletion=one_of(BOARD_NAMES),
    ),
]
Port = Annotated[
    str,
    typer.Option(help="serial port of the robot's board, or FIRST,SECOND of two Maestros; auto: search"),
]
Camera = Annotated[
    str,
    typer.Option(
        help="camera before the physical robot: its number, or its device such as /dev/v4l/by-id/NAME; "
        "-1: no pictures"
    ),
]
Seed = Annotated[
    int, typer.Option(min=0, help="seed of the hidden robot of virtual and mock; 0: exactly like the twin")
]
RobotId = Annotated[
    str | None, typer.Option(help="name of the physical robot, if its board has no USB serial number")
]
Style = Annotated[
    str,
    typer.Option(
        help="of the picture: plain; fast or fine, in studio light with folds of the skin",
        autocompletion=one_of(["plain", "fast", "fine"]),
    ),
]
Material = Annotated[
    str,
    typer.Option(
        help="of the skin: blue; in studio light also grey or human",
        autocompletion=one_of(["blue", "grey", "human"]),
    ),
]

Calibration = Annotated[
    Path | None,
    typer.Option(help="calibration file; by default the robot's own, and nominal for virtual and mock"),
]
