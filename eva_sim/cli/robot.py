"""The subcommand `robot`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from eva_sim.cli import options
from eva_sim.cli.output import print_result, remark
from eva_sim.cli.preparation import work_in
from eva_sim.errors import EvaError


def tour(
    body: Annotated[str | None, typer.Option(help="robot, virtual or mock; must be given")] = None,
    board: options.Board = "firmware",
    port: options.Port = "auto",
    camera: options.Camera = "0",
    seed: options.Seed = 1,
    robot_id: options.RobotId = None,
    calibration: options.Calibration = None,
    out: Annotated[Path, typer.Option(help="folder for the pictures")] = Path("out/robot"),
) -> None:
    """Arms a robot and tours a few expressions.

    It shows the robot's state first, and ends limp.
    """
    from eva_sim.cli.body_choice import HIDDEN_BODIES, BodyChoice, check_robot
    from eva_sim.cli.tour import describe_robot_face, run_tour
    from eva_sim.real.robot import RobotFace

    if body is None:  # no default, since the command arms what it finds
        raise EvaError("choose a robot: --body robot, --body virtual or --body mock.")
    check_robot(body)
    choice = BodyChoice(body, board, port, camera, seed, robot_id, calibration)
    look = {"style": "fast"} if choice.body in HIDDEN_BODIES else {}  # a physical one is as it looks
    with work_in(out, f"The robot is limp, and nothing was written to {out}."), choice.open(**look) as face:
        assert isinstance(face, RobotFace)
        for name, description in describe_robot_face(face).items():
            remark(f"{name}: {description}")
        results = run_tour(face, out)
    print_result(results)
    remark(f"The results are in {out}")
    if results["faults"]:
        raise typer.Exit(1)
