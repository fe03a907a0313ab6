"""The subcommand `calibrate`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from eva_sim.cli import options
from eva_sim.cli.output import print_result, warn
from eva_sim.cli.preparation import work_on
from eva_sim.errors import DataError
from eva_sim.files import check_output_file
from eva_sim.progress import report

if TYPE_CHECKING:
    from eva_sim.cli.body_choice import BodyChoice
    from eva_sim.contract import FaceSpec
    from eva_sim.real.calibration.model import Calibration
    from eva_sim.real.calibration.operator_ui import OperatorUI
    from eva_sim.real.calibration.session import CalibrationSession
    from eva_sim.real.opening import RobotConnection


def calibrate(
    out: Annotated[Path, typer.Option(help="file for the measurements so far")] = Path(
        "out/calibration.part.json"
    ),
    window: Annotated[bool, typer.Option(help="a window with a slider instead of typed lines")] = False,
    see: Annotated[bool, typer.Option(help="measure backlash, delay and the resting face by camera")] = True,
    outer_eye: Annotated[
        float | None, typer.Option(min=30, max=200, help="distance of the outer eye corners [mm]")
    ] = None,
    resume: Annotated[bool, typer.Option(help="continue with the content of the file")] = True,
    again: Annotated[list[str] | None, typer.Option(help="actuator to repeat; may be given often")] = None,
    partial: Annotated[bool, typer.Option(help="nominal ends for servos that were skipped")] = False,
    body: options.RobotBody = "robot",
    board: options.Board = "firmware",
    port: options.Port = "auto",
    camera: options.Camera = "0",
    seed: options.Seed = 1,
    robot_id: options.RobotId = None,
) -> None:
    """Calibrates a robot, servo by servo, then by camera.

    It finds the ends of travel with an operator, then play and delay by camera. It stops and resumes.
    """
    from eva_sim.cli.body_choice import BodyChoice, check_robot
    from eva_sim.contract import load_spec
    from eva_sim.real.calibration.operator_ui import TerminalUI, WindowUI
    from eva_sim.real.calibration.procedure import build_calibration
    from eva_sim.real.calibration.session import stoppable

    check_robot(body)
    spec, choice = load_spec(), BodyChoice(body, board, port, camera, seed, robot_id)
    for name in again or ():
        spec.index(name)
    doubts = list[str]()
    with work_on(out, f"{out} keeps the measurements.", goes_on=True), stoppable(spec, out):
        distance = None if outer_eye is None else outer_eye / 1000
        with WindowUI() if window else TerminalUI(out.with_suffix(".png")) as operator:
            session = calibrate_servos(spec, choice, operator, out, resume, again or ())
            if see and choice.camera_device is not None:
                doubts = calibrate_camera(choice, session, operator, distance, partial)
        # Only now, since the camera may contradict the ends.
        calibration = build_calibration(session, distance, partial)
        check_rest(spec, calibration)
        path = calibration.save()
    guessed = len(spec) - len(session.endpoints)
    doubts += (
        [f"{guessed} servos have the nominal endpoints of the table; theirs were not measured."]
        if guessed
        else []
    )
    for doubt in doubts:
        warn(doubt)
    print_result({"file": path, "doubts": doubts}, f"{path}")


def check_rest(spec: FaceSpec, calibration: Calibration) -> None:
    """Refuses a calibration in which cables pull against each other at rest, before it is saved.

    Raises:
        DataError: two cables fight, by the twin and the nominal angles of the horns.
    """
    from eva_sim.real.calibration.model import Calibration
    from eva_sim.twin.taut_cables import taut_cables

    nominal = Calibration.nominal(spec, calibration.robot_id, calibration.board, calibration.unit)
    taut = taut_cables(spec, nominal.to_command(calibration.limits.rest))
    if fights := [cable for cable in taut if cable.against]:
        pairs = "; ".join(f"{c.name} ({c.tension:.1f} N) against {', '.join(c.against)}" for c in fights)
        again = " ".join(f"--again {cable.name}" for cable in fights)
        raise DataError(
            f"cables pull against each other at rest: {pairs}. No calibration was written; put these horns "
            f"on so that their cables are slack at rest, and repeat them: `eva calibrate {again}`."
        )


def calibrate_servos(
    spec: FaceSpec,
    choice: BodyChoice,
    operator: OperatorUI,
    path: Path,
    resume: bool,
    again: Sequence[str] = (),
) -> CalibrationSession:
    """Finds the ends of all servos with an operator; the session's file keeps them in any case.

    Args:
        spec: the face.
        choice: the robot.
        operator: user interface of the operator.
        path: file of the session.
        resume: whether to continue with the content of the file.
        again: actuators to repeat although the file holds them.

    Raises:
        CommandError: no such actuator.
    """
    from eva_sim.real.calibration.endpoint_search import find_endpoints
    from eva_sim.real.calibration.model import default_path
    from eva_sim.real.calibration.servo_bench import ServoBench, widest_limits
    from eva_sim.real.calibration.session import CalibrationSession
    from eva_sim.real.vision.camera_source import throttled_view
    from eva_sim.real.wire.firmware_table import robot_config

    with ExitStack() as stack:
        connection = stack.enter_context(connect_robot(spec, choice))
        board = connection.connect()
        stack.callback(board.close)
        identity, config = board.identity, robot_config(spec)
        check_output_file(default_path(identity.robot_id))  # where the calibration goes in the end
        session = CalibrationSession.open(spec, path, identity.robot_id, identity.kind, identity.unit, resume)
        if session.endpoints:
            report(f"{path} holds the endpoints of {len(session.endpoints)} of {len(spec)} servos; going on.")
        limits = widest_limits(spec, identity.unit)
        period, too_hot = config["wire"]["period"], config["safety"]["too_hot"]
        bench = ServoBench(board, connection.clock, limits, period, too_hot)
        find_endpoints(session, bench, operator, throttled_view(connection.camera, connection.clock), again)
    return session


def connect_robot(spec: FaceSpec, choice: BodyChoice) -> RobotConnection:
    """Connects a robot for calibration.

    Raises:
        RobotError: no robot answers.
    """
    from eva_sim.real.opening import hidden_connection, physical_connection, simulated_board

    if choice.body == "robot":
        return physical_connection(spec, choice.board, choice.port, choice.robot_id, choice.camera_device)
    board = simulated_board(spec, choice.body, choice.seed, realtime=True)  # an operator uses it
    return hidden_connection(spec, board, choice.seed)


def calibrate_camera(
    choice: BodyChoice,
    session: CalibrationSession,
    operator: OperatorUI,
    outer_eye: float | None,
    partial: bool = False,
) -> list[str]:
    """Measures by camera, if the operator lets the whole face be armed.

    Returns:
        Findings that a person should check, in words.

    Raises:
        CalibrationStopped: the operator wants to end.
    """
    from eva_sim.clock import WallClock
    from eva_sim.real.calibration.operator_ui import heed_stop, may_arm_face
    from eva_sim.real.calibration.procedure import build_calibration, measure_by_camera

    nominal = build_calibration(session, outer_eye, partial)
    with replace(choice, calibration=nominal).open() as face:
        if not may_arm_face(operator, WallClock(), "moves by itself for minutes, before the camera"):
            return ["The camera measured nothing: the calibration has no backlash, delay and resting face."]
        return measure_by_camera(
            session, face, attend=lambda: heed_stop(operator, "move by themselves, before the camera")
        )
