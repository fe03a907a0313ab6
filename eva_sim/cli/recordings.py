"""Subcommands of recordings: `record`, `replay`, `export`, `export-animation`."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from eva_sim.cli import options
from eva_sim.cli.output import as_json, print_result, remark, warn
from eva_sim.cli.preparation import explain_interruption, work_on
from eva_sim.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from eva_sim.recording.reader import Recording
    from eva_sim.recording.replay import ReplayResult


#: The task of an exported data set, unless another is named.
_TASK = "make a face"


def record(
    names: Annotated[
        list[str],
        typer.Argument(help="expressions, one after another", autocompletion=options.complete_expression),
    ],
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
    from eva_sim.contract import load_spec
    from eva_sim.recording.recorder import make_room_for_recording
    from eva_sim.recording.replay import play_and_record
    from eva_sim.recording.trajectories import expression_sequence

    choice = BodyChoice(body, board, port, camera, seed, robot_id, calibration)
    commands = expression_sequence(
        load_spec(), names, hold
    )  # misspelt names are refused before anything opens
    make_room_for_recording(out, len(commands))
    with (
        explain_interruption(f"{out} keeps what was recorded until then, if anything."),
        choice.open() as face,
    ):
        played = play_and_record(face, commands, out, {"body": choice.body, "expressions": names})
    _report_end(played, out)


def replay(
    recording: Annotated[
        Path, typer.Argument(help="folder that `eva record` filled, or .csv with curves of Live Link Face")
    ],
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

    Curves of ARKit's blend shapes are retargeted with the model that `eva mirror` takes by default.
    Ctrl-C eases the face out and ends.
    """
    from eva_sim.cli.body_choice import BodyChoice
    from eva_sim.recording.recorder import make_room_for_recording
    from eva_sim.recording.replay import play_and_record

    choice = BodyChoice(body, board, port, camera, seed, robot_id, calibration)
    if out is not None and out.resolve() == recording.resolve():
        raise DataError(f"{out} is the recording to be replayed; choose another folder for --out.")
    loaded = _load_curves(recording) if recording.suffix.lower() == ".csv" else _load(recording)
    if out is not None:
        make_room_for_recording(out, len(loaded))
    with explain_interruption("The face is at rest."), choice.open() as face:
        played = play_and_record(face, loaded, out, {"body": choice.body, "replay": str(recording)})
    _report_end(played, out)


def export(
    recordings: Annotated[list[Path], typer.Argument(help="folders that `eva record` filled")],
    out: Annotated[
        Path, typer.Option(help="folder to make for LeRobot; or a file that ends in .rrd, for Rerun")
    ] = Path("out/lerobot"),
    task: Annotated[str, typer.Option(help="the task of the face, in words")] = _TASK,
    image_size: Annotated[
        str | None,
        typer.Option(help="WIDTHxHEIGHT of all pictures [pixels]; by default that of the first one"),
    ] = None,
) -> None:
    """Writes recordings as a LeRobot data set, or one for Rerun."""
    from eva_sim.recording.rerun_export import EXTENSION

    if out.suffix.lower() == EXTENSION:
        if task != _TASK or image_size is not None:
            raise DataError(
                f"--task and --image-size are for LeRobot, and {out.name} is for Rerun; leave them out."
            )
        _export_to_rerun(recordings, out)
    else:
        _export_to_lerobot(recordings, out, task, image_size)


def _export_to_rerun(recordings: list[Path], out: Path) -> None:
    from eva_sim.recording.rerun_export import export_rerun

    if len(recordings) != 1:
        raise DataError(
            f"{out.name} takes one recording, and {len(recordings)} were given; export each on its own."
        )
    with work_on(out, f"{out} was not written."):
        info = export_rerun(_load(recordings[0]), out)
    print_result({"file": out, **info}, f"frames: {info['frames']}, pictures: {info['pictures']}, in {out}")


def _export_to_lerobot(recordings: list[Path], out: Path, task: str, image_size: str | None) -> None:
    from eva_sim.recording.export_pictures import PictureSize
    from eva_sim.recording.lerobot_export import check_export, export_lerobot

    size = PictureSize.parse(image_size) if image_size is not None else None
    check_export(out)
    with work_on(out, f"{out} was not made."):  # it is made beside its place, and appears when it is whole
        loaded = [_load(folder) for folder in recordings]
        info = export_lerobot(loaded, out, task, size, warn)
    told = f"episodes: {info['total_episodes']}, frames: {info['total_frames']}, in {out}"
    print_result({"folder": out, **info}, told)


def export_animation(
    recording: Annotated[
        Path, typer.Argument(help="folder that `eva record` filled, or .csv with curves of Live Link Face")
    ],
    out: Annotated[Path, typer.Option(help="file to write, .glb")] = Path("out/face.glb"),
) -> None:
    """Writes a recording as an animated head in glTF.

    The twin plays it, eased in and out. Blender, game engines and viewers in browsers read the file.
    """
    from eva_sim.recording.replay import replay_commands
    from eva_sim.twin.animation import AnimatedTwin

    if out.suffix.lower() != ".glb":
        raise DataError(f"{out} has no extension of a glTF file in one piece; name it .glb.")
    loaded = _load_curves(recording) if recording.suffix.lower() == ".csv" else _load(recording)
    with work_on(out, f"{out} was not written."), AnimatedTwin() as twin:
        played = replay_commands(twin, loaded).played
        written = twin.write_animation(out)
    frames = (
        f"{written.frames} frames ({played} of the recording, {written.frames - played} to ease in and out)"
    )
    fit = f"{written.targets} morph targets of the head, at most {1000 * written.error:.2f} mm from the twin"
    print_result({"file": out, **written._asdict(), "played": played}, f"{out}: {frames}, {fit}")


def _load_curves(file: Path) -> NDArray[np.float32]:
    """Reads curves of Live Link Face, and returns the commands that follow them, (T, A).

    Raises:
        DataError: they cannot be read, or there is no model.
    """
    from eva_sim.agents.mirroring.curves import curve_commands, read_curves
    from eva_sim.agents.models.routes import load_model
    from eva_sim.cli.model_choice import choose_model
    from eva_sim.contract import load_spec

    curves = read_curves(file)
    return curve_commands(curves, load_model(choose_model(None)), load_spec())


def _load(folder: Path) -> Recording:
    """Reads a recording, and says what it lacks.

    Raises:
        DataError: there is none, or no frame in it.
    """
    from eva_sim.recording.reader import load_recording

    recording = load_recording(folder)
    if not len(recording):
        raise DataError(f"{folder} holds no frames ({'; '.join(recording.cut)}); record again.")
    for lack in (*recording.cut, *recording.stops):
        warn(f"{folder}: {lack}")
    return recording


def _report_end(played: ReplayResult, folder: Path | None) -> None:
    """Prints the end of a motion, and where it is recorded.

    Raises:
        Exit: Ctrl-C ended it.
    """
    if as_json():
        print_result(
            {"folder": folder, "ended": played.ended, "played": played.played, "faults": played.faults}
        )
    say = warn if played.ended == "stopped" else remark
    say(f"{played.summary}: {folder}" if folder else played.summary)
    if played.ended == "stopped":
        raise typer.Exit(128 + signal.SIGINT)
