"""Subcommands of recordings: `record`, `replay`, `export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from eva_sim.cli import options
from eva_sim.contract import load_spec


def record(
    names: Annotated[list[str], typer.Argument(help="expressions, one after another")],
    out: Annotated[Path, typer.Option(help="folder for the recording")] = Path("out/session"),
    hold: Annotated[float, typer.Option(help="duration of each expression [s]")] = 2.0,
    body: options.Body = "twin",
    board: options.Board = "firmware",
    port: options.Port = "auto",
    camera: options.Camera = "0",
    seed: options.Seed = 1,
    robot_id: options.RobotId = None,
    calibration: options.Calibration = None,
) -> None:
    """Records a face that goes through expressions.

    Ctrl-C eases the face out and ends.
    """
    from eva_sim.cli.body_choice import BodyChoice
    from eva_sim.recording.replay import play_and_record
    from eva_sim.recording.trajectories import expression_sequence

    commands = expression_sequence(
        load_spec(), names, hold
    )  # misspelt names are refused before anything opens
    with BodyChoice(body, board, port, camera, seed, robot_id, calibration).open() as face:
        played = play_and_record(face, commands, out, {"body": body, "expressions": names})
    Console(stderr=True).print(f"{played.summary}: {out}", soft_wrap=True)


def replay(
    recording: Annotated[Path, typer.Argument(help="folder that `eva record` filled")],
    out: Annotated[Path | None, typer.Option(help="folder for a recording of the replay")] = None,
    body: options.Body = "twin",
    board: options.Board = "firmware",
    port: options.Port = "auto",
    camera: options.Camera = "0",
    seed: options.Seed = 1,
    robot_id: options.RobotId = None,
    calibration: options.Calibration = None,
) -> None:
    """Plays a recording on any face, eased in and out.

    Ctrl-C eases the face out and ends.
    """
    from eva_sim.cli.body_choice import BodyChoice
    from eva_sim.recording.replay import play_and_record

    with BodyChoice(body, board, port, camera, seed, robot_id, calibration).open() as face:
        played = play_and_record(face, recording, out, {"body": body, "replay": str(recording)})
    Console(stderr=True).print(played.summary, soft_wrap=True)


def export(
    recordings: Annotated[list[Path], typer.Argument(help="folders that `eva record` filled")],
    out: Annotated[Path, typer.Option(help="folder to make")] = Path("out/lerobot"),
    task: Annotated[str, typer.Option(help="the task of the face, in words")] = "make a face",
    image_size: Annotated[
        str | None,
        typer.Option(help="WIDTHxHEIGHT of all pictures [pixels]; by default that of the first one"),
    ] = None,
) -> None:
    """Writes recordings as a LeRobot data set (v3.0)."""
    from eva_sim.recording.export_pictures import PictureSize
    from eva_sim.recording.lerobot_export import export_lerobot
    from eva_sim.recording.reader import load_recording

    size = PictureSize.parse(image_size) if image_size is not None else None
    loaded = [load_recording(folder) for folder in recordings]
    for folder, recording in zip(recordings, loaded, strict=True):
        for damage in recording.cut:
            Console(stderr=True).print(f"{folder}: {damage}", style="yellow", markup=False, soft_wrap=True)
    info = export_lerobot(
        loaded,
        out,
        task,
        size,
        lambda line: Console(stderr=True).print(line, style="yellow", markup=False, soft_wrap=True),
    )
    Console().print(
        f"episodes: {info['total_episodes']}, frames: {info['total_frames']}, in {out}", soft_wrap=True
    )
