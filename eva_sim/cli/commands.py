"""The `eva` command. Every subcommand is a thin door to one function of the package."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from eva_sim.contract import load_spec
from eva_sim.errors import EvaError

Body = Annotated[str, typer.Option(help="twin, robot, virtual or mock")]
# Where the physical robot is; each option is told by `eva_sim.cli.robot_commands.BodyChoice`.
BOARD = "the physical robot's: firmware, maestro, feetech or dynamixel"
PORT = "serial port of its board, or FIRST,SECOND of two Maestros; auto to look for it"
Board = Annotated[str, typer.Option(help=BOARD)]
Port = Annotated[str, typer.Option(help=PORT)]
Camera = Annotated[int, typer.Option(help="number of the camera before the physical robot; -1: none")]
Name = Annotated[
    str | None, typer.Option(help="of the physical robot, if its board has no USB serial number")
]
Calibration = Annotated[
    Path | None, typer.Option(help="file; by default the robot's own, and nominal for hidden heads")
]
Robot = Annotated[
    int, typer.Option(min=0, help="seed of the hidden robot of virtual and mock; 0 for the twin's own")
]
WORDS = "an expression, then actuator=value from -1 (low) to 1 (high); a name without its side sets both"
app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="EVA: a robot face in simulation.", rich_markup_mode=None
)  # as markup, units in brackets would vanish


@app.command()
def actuators() -> None:
    """Prints the 25 actuators: order, travel, where they rest, and which action units they make."""
    spec = load_spec()
    report_table = Table("#", "name", "low", "high", "rest", "unit", "rest as a command", "action units")
    report_table.columns[1].no_wrap = True
    for number, (a, rest) in enumerate(zip(spec.actuators, spec.neutral, strict=True)):
        travel = (f"{value:g}" for value in (a.low, a.high, a.neutral))
        units = " ".join(a.action_units[:2]) + (" .." if len(a.action_units) > 2 else "")
        report_table.add_row(str(number), a.name, *travel, a.unit, f"{rest:+.2f}", units)
    Console().print(report_table)
    Console().print("A command is -1 at low and +1 at high.")


@app.command()
def look(
    words: Annotated[list[str] | None, typer.Argument(help=WORDS)] = None,
    out: Annotated[Path, typer.Option(help="picture to write")] = Path("out/look.png"),
    size: Annotated[int, typer.Option(min=16, max=4096, help="side of the picture [pixels]")] = 640,
) -> None:
    """Renders the twin in an expression or command, e.g. `eva look joy jaw=0.2`."""
    from eva_sim.expressions import parse_command
    from eva_sim.twin import Twin
    from eva_sim.twin_pictures import write_still

    command = parse_command(load_spec(), words or [])
    with Twin() as twin:
        write_still(twin, command, out, size)
    Console().print(f"{out}")


@app.command()
def expressions(
    out: Annotated[Path, typer.Option(help="picture to write")] = Path("out/expressions.png"),
) -> None:
    """Renders a sheet of all named expressions."""
    from eva_sim.twin import Twin
    from eva_sim.twin_pictures import write_expression_sheet

    with Twin() as twin:
        write_expression_sheet(twin, out)
    Console().print(f"{out}")


@app.command()
def muscles(out: Annotated[Path, typer.Option(help="picture to write")] = Path("out/muscles.png")) -> None:
    """Renders each actuator at full pull, coloured by how far the skin moves."""
    from eva_sim.twin import Twin
    from eva_sim.twin_pictures import write_actuator_sheet as draw

    with Twin() as twin:
        draw(twin, out)
    Console().print(f"{out}")


@app.command()
def babble(
    out: Annotated[Path, typer.Option(help="folder to fill")] = Path("out/data"),
    samples: Annotated[int, typer.Option(help="number of expressions")] = 4000,
    seed: Annotated[int, typer.Option(help="of the random expressions")] = 0,
    workers: Annotated[int, typer.Option(help="processes")] = 2,
    resume: Annotated[bool, typer.Option(help="go on with what the folder holds")] = True,
) -> None:
    """Moves the muscles at random and records what the face does; can be stopped and resumed."""
    from eva_sim.agents.data.babbling import babble as record

    record(out, samples, seed, workers=workers, resume=resume)
    Console().print(f"{out}")


@app.command()
def train(
    data: Annotated[Path, typer.Argument(help="folder that babbling filled")],
    out: Annotated[Path, typer.Option(help="folder for the checkpoint and its report")] = Path("out/model"),
) -> None:
    """Learns which muscles make which face from a babbled data set."""
    from eva_sim.agents.data.dataset import load_dataset
    from eva_sim.agents.train import train_inverse_model

    train_inverse_model(load_dataset(data), out)
    Console().print(f"{out}", soft_wrap=True)


@app.command()
def mimic(
    source: Annotated[str, typer.Argument(help="clip, picture, or number of a camera")],
    model: Annotated[Path, typer.Option(help="folder or file that `eva train` wrote")] = Path("out/model"),
    out: Annotated[Path, typer.Option(help="folder for video, plot, metrics and traces")] = Path("out/mimic"),
    body: Body = "twin",
    board: Board = "firmware",
    port: Port = "auto",
    camera: Camera = 1,
    robot: Robot = 1,
    name: Name = None,
    calibration: Calibration = None,
) -> None:
    """Lets a face mirror a person; a camera live, until q or Ctrl-C."""
    from eva_sim import make_face
    from eva_sim.agents.mirroring.mirror import mirror
    from eva_sim.agents.models.inverse import MODEL_FILE, InverseModel
    from eva_sim.cli.robot_commands import BodyChoice
    from eva_sim.media.sources import open_source

    opened = open_source(source)
    learned = InverseModel.load(model / MODEL_FILE if model.is_dir() else model)
    choice = BodyChoice(body, board, port, camera, robot, name, calibration)
    options = {} if body == "twin" else choice.options  # the twin needs no pictures in its readings
    with make_face(body, **options) as face:
        metrics = mirror(opened, learned, face, out)
    Console().print_json(data=metrics)
    Console(stderr=True).print(f"{metrics['ended']}: the results until then are in {out}", soft_wrap=True)


@app.command()
def fit(
    target: Annotated[str, typer.Argument(help="expression, .npz with landmarks, or picture of a person")],
    out: Annotated[Path, typer.Option(help="folder for command, residual and picture")] = Path("out/fit"),
) -> None:
    """Finds the command whose face is nearest to a given one, through the reduced skin."""
    from eva_sim.agents.optimisation.solve_command import write_solution

    Console().print_json(data=write_solution(target, out))


@app.command()
def robot(
    body: Annotated[str | None, typer.Option(help="robot, virtual or mock")] = None,
    virtual: Annotated[bool, typer.Option("--virtual", help="the firmware on a simulated board")] = False,
    mock: Annotated[bool, typer.Option("--mock", help="the firmware's rules in Python")] = False,
    board: Annotated[str | None, typer.Option(help=BOARD)] = None,
    port: Annotated[str | None, typer.Option(help=PORT)] = None,
    camera: Camera = 0,
    robot: Robot = 1,
    name: Name = None,
    calibration: Calibration = None,
    out: Annotated[Path, typer.Option(help="folder for the pictures")] = Path("out/robot"),
) -> None:
    """Arms a robot, shows its state, and moves it through a few expressions. It ends limp."""
    from eva_sim.cli.robot_commands import HIDDEN, BodyChoice
    from eva_sim.cli.tour import describe_robot_face, run_tour

    said = {"robot": board or port or name, "virtual": virtual, "mock": mock, body: body}
    chosen = [which for which, on in said.items() if on]
    if len(chosen) != 1 or chosen[0] not in ("robot", *HIDDEN):
        raise EvaError("choose one robot: --port PATH (or --port auto, --board NAME), --virtual, or --mock.")
    choice = BodyChoice(chosen[0], board or "firmware", port or "auto", camera, robot, name, calibration)
    with choice.open() as face:
        for what, told in describe_robot_face(face).items():  # type: ignore[arg-type]
            Console(stderr=True).print(f"{what}: {told}", soft_wrap=True)
        figures = run_tour(face, out)  # type: ignore[arg-type]
    Console().print_json(data=figures)
    Console(stderr=True).print(f"The pictures are in {out}", soft_wrap=True)
    if figures["faults"]:
        raise typer.Exit(2)


@app.command()
def demo(out: Annotated[Path, typer.Option(help="folder for everything")] = Path("out/demo")) -> None:
    """The whole path: babble, train, mirror the sample clip. Running it again is quick."""
    from eva_sim.agents.demo import demo as run_demo

    run_demo(out)


@app.command()
def record(
    names: Annotated[list[str], typer.Argument(help="expressions to go through")],
    out: Annotated[Path, typer.Option(help="folder for the recording")] = Path("out/session"),
    hold: Annotated[float, typer.Option(help="how long each is held [s]")] = 2.0,
    body: Body = "twin",
    board: Board = "firmware",
    port: Port = "auto",
    camera: Camera = 0,
    robot: Robot = 1,
    name: Name = None,
    calibration: Calibration = None,
) -> None:
    """Lets a face go through expressions and records everything; Ctrl-C ends it gently."""
    from eva_sim.cli import robot_commands

    course = robot_commands.expression_sequence(names, hold)
    with robot_commands.BodyChoice(body, board, port, camera, robot, name, calibration).open() as face:
        played = robot_commands.play_and_record(face, course, out, {"body": body, "expressions": names})
    Console(stderr=True).print(f"{played.told}: {out}", soft_wrap=True)


@app.command()
def replay(
    recording: Annotated[Path, typer.Argument(help="folder that `eva record` filled")],
    out: Annotated[Path | None, typer.Option(help="folder to record what happens")] = None,
    body: Body = "twin",
    board: Board = "firmware",
    port: Port = "auto",
    camera: Camera = 0,
    robot: Robot = 1,
    name: Name = None,
    calibration: Calibration = None,
) -> None:
    """Plays a recording again on any face, eased in and out; Ctrl-C ends it gently."""
    from eva_sim.cli import robot_commands

    with robot_commands.BodyChoice(body, board, port, camera, robot, name, calibration).open() as face:
        played = robot_commands.play_and_record(
            face, recording, out, {"body": body, "replay": str(recording)}
        )
    Console(stderr=True).print(played.told, soft_wrap=True)


@app.command()
def export(
    recordings: Annotated[list[Path], typer.Argument(help="folders that `eva record` filled")],
    out: Annotated[Path, typer.Option(help="folder to make")] = Path("out/lerobot"),
    task: Annotated[str, typer.Option(help="what the face did, in words")] = "make a face",
) -> None:
    """Writes recordings as a LeRobot data set (v3.0)."""
    from eva_sim.recording.lerobot_export import export_lerobot as write
    from eva_sim.recording.reader import load_recording

    told = [load_recording(folder) for folder in recordings]
    for folder, recording in zip(recordings, told, strict=True):
        for cut in recording.cut:
            Console(stderr=True).print(f"{folder}: {cut}", style="yellow", markup=False, soft_wrap=True)
    info = write(told, out, task)
    Console().print(
        f"episodes: {info['total_episodes']}, frames: {info['total_frames']}, in {out}", soft_wrap=True
    )


@app.command()
def transfer(
    body: Body = "mock",
    robots: Annotated[int, typer.Option(min=1, help="how many hidden robots, seeds 1, 2, ...")] = 5,
    out: Annotated[Path, typer.Option(help="folder for table, picture and what was seen")] = Path(
        "out/transfer"
    ),
    seed: Annotated[int, typer.Option(help="of the commands")] = 0,
    resume: Annotated[bool, typer.Option(help="go on with what the folder holds")] = True,
    board: Board = "firmware",
    port: Port = "auto",
    camera: Camera = 0,
    name: Name = None,
) -> None:
    """Tells twin and robots the same, and reports how far apart their faces are, by region, in mm."""
    from eva_sim.cli.robot_commands import BodyChoice
    from eva_sim.real.transfer.report import robot_opener, run_transfer
    from eva_sim.real.transfer.report_page import report_table

    real, choice = body == "robot", BodyChoice(body, board, port, camera, name=name)
    told = choice.options if real else {}
    report = run_transfer(
        out, robot_opener(body, **told), 1 if real else robots, seed=seed, own=not real, resume=resume
    )
    Console().print(report_table(report))
    Console(stderr=True).print(f"{out}", soft_wrap=True)


@app.command()
def calibrate(
    out: Annotated[Path, typer.Option(help="file for what was found so far")] = Path(
        "out/calibration.part.json"
    ),
    window: Annotated[bool, typer.Option(help="a window with a slider instead of typed lines")] = False,
    see: Annotated[bool, typer.Option(help="let the camera find play, delay and the resting face")] = True,
    outer_eye: Annotated[
        float | None, typer.Option(min=30, max=200, help="outer corners of the eyes apart [mm]")
    ] = None,
    resume: Annotated[bool, typer.Option(help="go on with what the file holds")] = True,
    again: Annotated[list[str] | None, typer.Option(help="actuator to do anew; may be repeated")] = None,
    partial: Annotated[bool, typer.Option(help="the table's ends for servos that were skipped")] = False,
    body: Body = "robot",
    board: Board = "firmware",
    port: Port = "auto",
    camera: Camera = 0,
    robot: Robot = 1,
    name: Name = None,
) -> None:
    """Finds a robot's ends of travel, servo by servo, then by camera how it answers; can be resumed."""
    from eva_sim.cli import robot_commands
    from eva_sim.real.calibration.operator_ui import TerminalUI, WindowUI
    from eva_sim.real.calibration.procedure import build_calibration, stoppable

    choice = robot_commands.BodyChoice(body, board, port, camera, robot, name)
    with stoppable(out):
        guide = WindowUI() if window else TerminalUI(out.with_suffix(".png"))
        session = robot_commands.calibrate_servos(choice, guide, out, resume, again or ())
        eye, doubts = None if outer_eye is None else outer_eye / 1000, list[str]()
        # A robot whose camera fails later is calibrated nevertheless.
        where = build_calibration(session, eye, partial).save()
        if see and camera >= 0:
            where, doubts = robot_commands.calibrate_camera(choice, session, eye, partial)
    guessed = len(load_spec()) - len(session.marks)
    doubts += [f"of {guessed} servos the ends are the table's, not found."] if guessed else []
    for doubt in doubts:
        Console(stderr=True).print(doubt, style="yellow", markup=False, soft_wrap=True)
    Console().print(f"{where}", soft_wrap=True)


def main() -> None:
    """Runs the command line; a user's mistake ends in one line, not in a traceback."""
    try:
        app()
    except (EvaError, OSError) as error:  # OSError: a folder that cannot be written, a full disk
        Console(stderr=True).print(f"eva: {error}", style="red", markup=False, soft_wrap=True)
        raise SystemExit(1) from error
