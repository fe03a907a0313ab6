"""The subcommand `transfer`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from eva_sim.cli import options
from eva_sim.cli.output import print_result, remark
from eva_sim.cli.preparation import work_in


def transfer(
    body: options.Body = "mock",
    robots: Annotated[
        int, typer.Option(min=1, max=1000, help="number of hidden robots, with successive seeds")
    ] = 5,
    out: Annotated[Path, typer.Option(help="folder for table, picture and observations")] = Path(
        "out/transfer"
    ),
    plan_seed: Annotated[int, typer.Option(min=0, help="seed of the commands")] = 0,
    resume: Annotated[bool, typer.Option(help="continue with the content of the folder")] = True,
    board: options.Board = "firmware",
    port: options.Port = "auto",
    camera: options.Camera = "0",
    seed: Annotated[int, typer.Option(min=1, help="seed of the first hidden robot of virtual and mock")] = 1,
    robot_id: options.RobotId = None,
    workers: options.Workers = 1,
    ray: options.Ray = None,
) -> None:
    """Measures how far robots are from the twin, in mm.

    All are sent the same commands; the report is by region of the face.
    """
    from eva_sim.cli.body_choice import BodyChoice
    from eva_sim.contract import load_spec
    from eva_sim.errors import RobotError
    from eva_sim.real.transfer.report import count_observed_faces, robot_opener, run_transfer
    from eva_sim.real.transfer.report_page import report_table
    from eva_sim.workers.choice import choose_workers

    choice = BodyChoice(body, board, port, camera, seed, robot_id)
    spec, physical = load_spec(), choice.body == "robot"
    if physical and (workers != 1 or ray is not None):
        raise RobotError("one process moves the physical robot; leave --workers and --ray out.")
    open_robot = robot_opener(spec, choice.body, **(choice.options if physical else {}))
    seeds = range(seed, seed + 1 if physical else seed + robots)

    def describe_kept() -> str:
        faces = count_observed_faces(out)
        return f"{out} keeps the finished faces: {faces}." if faces else f"{out} holds no finished face yet."

    with work_in(out, describe_kept, goes_on=True):
        report = run_transfer(
            spec, out, open_robot, seeds, plan_seed=plan_seed, own=not physical, resume=resume,
            workers=choose_workers(workers, out, ray),
        )  # fmt: skip
    print_result({"folder": out, **report}, report_table(report))
    remark(f"{out}")
