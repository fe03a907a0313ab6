"""The subcommand `mirror`, also called `mimic`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from eva_sim.cli import options
from eva_sim.cli.model_choice import ModelOption, choose_model
from eva_sim.cli.output import as_json, print_result, print_text, remark, warn
from eva_sim.cli.preparation import work_in


def mirror(
    source: Annotated[str, typer.Argument(help="clip, picture, or camera (its number or device)")],
    model: ModelOption = None,
    out: Annotated[Path, typer.Option(help="folder for video, plot, metrics and traces")] = Path(
        "out/mirror"
    ),
    mirror_image: Annotated[
        bool,
        typer.Option(
            help="the robot's right side does what your left side does, as in a mirror before you; "
            "the person's picture is shown as it is"
        ),
    ] = False,
    body: options.Body = "twin",
    board: options.Board = "firmware",
    port: options.Port = "auto",
    camera: Annotated[
        str,
        typer.Option(
            help="camera before a physical robot: its number or device; -1: none. "
            "The person's camera is SOURCE, usually 0"
        ),
    ] = "1",
    seed: options.Seed = 1,
    robot_id: options.RobotId = None,
    calibration: options.Calibration = None,
) -> None:
    """Lets a face mirror a clip, a picture or a camera.

    It follows expression, head and gaze. A camera is mirrored live, until q or Ctrl-C.
    `eva mimic` is the same command.
    """
    from eva_sim.cli.body_choice import BodyChoice
    from eva_sim.media.sources import open_source

    choice = BodyChoice(body, board, port, camera, seed, robot_id, calibration)
    with work_in(out, f"Nothing was written to {out}."):
        opened = open_source(source)
        # These take seconds; a source that does not exist is told before.
        from eva_sim import make_face
        from eva_sim.agents.mirroring.mirror import mirror as mirror_source
        from eva_sim.agents.models.routes import load_model

        learned = load_model(choose_model(model))
        # The twin's own pictures are not needed; live, there is no time for the finer ones.
        twin_options = {"style": "fast" if opened.live else "fine"}
        face_options = twin_options if choice.body == "twin" else choice.options
        with make_face(choice.body, **face_options) as face:
            metrics = mirror_source(opened, learned, face, out, mirror_image)
    _report(metrics, out, opened.live)
    if not metrics["complete"]:
        raise typer.Exit(1)


def _report(metrics: dict[str, Any], out: Path, live: bool) -> None:
    """Prints what was assumed, the table of results, the times of a live run, and where the results are."""
    from eva_sim.agents.mirroring.metrics import tabulate_metrics, tabulate_stages

    if metrics["assumed"]:
        warn(f"assumed: {'; '.join(metrics['assumed'])}")
    print_result({"folder": out, **metrics}, _table(tabulate_metrics(metrics)))
    if live and not as_json():
        print_text(_table(tabulate_stages(metrics["stages"])))
    if metrics["complete"]:
        told = f"Done: mirror.mp4, mirror.png (a plot), metrics.json and traces.npz are in {out}."
    else:
        told = (
            f"Ended early ({metrics['ended']}): what was mirrored until then is in {out}. "
            "Run the same command to mirror the whole."
        )
    remark(told)


def _table(rows: Sequence[tuple[str, ...]]) -> Table:
    """Returns a table of rows of text, of which the first has the headings."""
    table = Table(*rows[0])
    for row in rows[1:]:
        table.add_row(*row)
    return table
