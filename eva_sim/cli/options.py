"""Options that several subcommands share. `BodyChoice` takes those that name a face."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Body = Annotated[str, typer.Option(help="twin, robot, virtual or mock")]
RobotBody = Annotated[str, typer.Option(help="robot, virtual or mock")]
Board = Annotated[
    str,
    typer.Option(
        help="board of the physical robot: firmware (ours, with two PCA9685), maestro, feetech or dynamixel"
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
    str, typer.Option(help="of the picture: plain; fast or fine, in studio light with folds of the skin")
]
Material = Annotated[str, typer.Option(help="of the skin: blue; in studio light also grey or human")]

Calibration = Annotated[
    Path | None,
    typer.Option(help="calibration file; by default the robot's own, and nominal for virtual and mock"),
]
