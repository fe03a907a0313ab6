"""What `eva calibrate` finds of hidden robots, all of it, beside what is true of them.

    python -m benchmarks.calibration [--robot 1 2] [--body mock|virtual] [--hand 10] [--taut]
                                     [--no-see] [--out DIR] [--json FILE]

Both stages in virtual time. For the first the guide knows where the ends of travel are, as somebody does
who looks at the face, and misses each by `--hand` [us, standard deviation]; `--taut` also takes in what a
cable is slacker than the table's. The second is the camera alone. Then twin and robot follow the plan of
`eva transfer`, with the nominal calibration and with the file that was made. It takes a quarter of an hour a
robot; a stopped run goes on with what `--out` holds.

One row an actuator; each pair of figures is what is true, then what the camera found:

- play: command between rising and falling [command units]. True: of its gears, over all the cable it draws.
- loop: widest gap between rising and falling, share of the way. delay: until a step shows [ms]. points:
  landmarks that move most, then how many of them both name; where: the region most of them are in.
  True: by the same sweep of the hidden twin's own landmarks instead of its pictures.
"""

from __future__ import annotations

import argparse
import sys
import zlib
from collections.abc import Callable, Mapping
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from eva_sim import make_face
from eva_sim.contract import Face, Floats, load_spec
from eva_sim.detector import Detector
from eva_sim.files import write_json
from eva_sim.landmarks import POINTS, REGIONS
from eva_sim.randomise import Parameters, actuator_parameters, draw_parameters
from eva_sim.real.boards.firmware import FirmwareBoard
from eva_sim.real.boards.interface import BoardLimits
from eva_sim.real.calibration.actuator_sweep import ActuatorResponse
from eva_sim.real.calibration.endpoint_search import find_endpoints
from eva_sim.real.calibration.model import Calibration
from eva_sim.real.calibration.operator_ui import ScriptedOperator
from eva_sim.real.calibration.procedure import build_calibration, describe_doubt, measure_by_camera
from eva_sim.real.calibration.servo_bench import ServoBench, widest_limits
from eva_sim.real.calibration.session import CalibrationSession
from eva_sim.real.opening import simulated_board
from eva_sim.real.simulation.plant import PlantServos
from eva_sim.real.transfer.plan import make_plan
from eva_sim.real.transfer.report import SIZE, by_region, motion_errors, observe_faces, open_twin
from eva_sim.real.wire.firmware_table import robot_config
from eva_sim.real.wire.link import Link

#: Steps of the pulses among which the ends of travel are looked for [us].
GRAIN = 0.25


def parameters_of(robot: int) -> Parameters:
    """What a hidden robot is; only a benchmark may know."""
    return draw_parameters(load_spec(), np.random.default_rng(robot), robot=True) if robot else {}


def marks_of(robot: int, limits: BoardLimits, hand: float, taut: bool = False) -> dict[str, dict[str, float]]:
    """Pulses at which somebody who looks at the face says "here" [us].

    Args:
        robot: seed of the hidden robot.
        limits: what no servo may leave, (25,) [us].
        hand: by how much each is missed, standard deviation [us].
        taut: whether cables that are slacker than the table's are taken in, see `lows`.
    """
    spec, rng = load_spec(), np.random.default_rng([robot, 2])
    pulses = np.arange(limits.low.min(), limits.high.max() + GRAIN, GRAIN)
    angles = np.array(
        [PlantServos(spec, parameters_of(robot))(np.full(len(spec), pulse)) for pulse in pulses]
    )
    marks = {}
    for index, (a, low) in enumerate(zip(spec.actuators, lows(robot, taut), strict=True)):
        ends = {"low": low, "neutral": a.neutral, "high": a.high}
        found = {what: _nearest(pulses, angles[:, index], angle) for what, angle in ends.items()}
        missed = {what: pulse + rng.normal(0, hand) for what, pulse in found.items()}
        marks[a.name] = {
            what: float(np.clip(p, limits.low[index], limits.high[index])) for what, p in missed.items()
        }
    return marks


def lows(robot: int, taut: bool) -> Floats:
    """Low end of each servo, (25,) [rad, m]: the table's, or where a cable is as slack as the table's."""
    spec = load_spec()
    low = spec.column("low").copy()
    if taut:
        cables, middle = spec.where("cable"), (low + spec.column("high")) / 2
        looser = np.maximum(0.0, parameters_of(robot).get("slack", 0.0))
        across = np.sin((low - middle)[cables]) + looser / spec.cable["horn_radius"]
        low[cables] = middle[cables] + np.arcsin(across)
    return low


def _nearest(pulses: Floats, angles: Floats, angle: float) -> float:
    """The pulse at which a servo comes to an angle, where it does not stand against its stop already."""
    away = np.abs(angles - angle)
    there = np.flatnonzero(away <= away.min() + 1e-12)
    return float(min(pulses[there], key=lambda pulse: abs(pulse - 1500)))


def servo_stage(body: str, robot: int, path: Path, hand: float, taut: bool = False) -> CalibrationSession:
    """All servos' marks, found on the bare board."""
    machine = simulated_board(body, robot)
    try:
        board = FirmwareBoard(Link(machine.port, machine.clock))
        who, limits = board.identity, widest_limits(load_spec(), board.identity.unit)
        session = CalibrationSession.open(load_spec(), path, who.robot, who.kind, who.unit)
        wire, safety = robot_config()["wire"], robot_config()["safety"]
        bench = ServoBench(board, machine.clock, limits, wire["period"], safety["too_hot"])
        find_endpoints(session, bench, ScriptedOperator(marks_of(robot, limits, hand, taut)))
    finally:
        machine.close()
    return session


def camera_stage(body: str, robot: int, session: CalibrationSession) -> Calibration:
    """What pictures tell, and the calibration that comes of both stages."""
    with make_face(body, seed=robot, calibration=build_calibration(session)) as face:
        measure_by_camera(session, face)
    return build_calibration(session)


def true_responses(robot: int, path: Path) -> dict[str, ActuatorResponse]:
    """The same sweep of the hidden twin's own landmarks, without servos' errors, link and camera."""
    session = CalibrationSession.open(load_spec(), path, f"twin of robot {robot}", "none", "us")
    with open_twin(load_spec(), parameters_of(robot)) as twin:
        measure_by_camera(session, twin)
    return session.responses


def row_of(robot: int, name: str, true: ActuatorResponse, found: ActuatorResponse) -> dict[str, Any]:
    """One actuator, true and found."""
    step = 1000 * load_spec().control_dt
    both = set(true.points) & set(found.points)
    return {
        "actuator": name,
        "play": [play_of(robot, name), found.backlash],
        "loop": [true.hysteresis, found.hysteresis],
        "delay_ms": [None if r.delay is None else step * r.delay for r in (true, found)],
        "points": [len(true.points), len(found.points), len(both)],
        "where": [where(true), where(found)],
        "farthest_mm": [max(true.moved), max(found.moved)],
        "sign": found.sign,
        "doubt": describe_doubt(name, found),
    }


def play_of(robot: int, name: str) -> float:
    """The play of an actuator's gears, over all the cable that it draws in [command units]."""
    spec = load_spec()
    cables = list(spec.where("cable"))
    if spec.index(name) not in cables:
        return 0.0  # only cables have play in this plant
    cable = cables.index(spec.index(name))
    play = actuator_parameters(spec, parameters_of(robot)).backlash[cable]
    return float(2 * play / spec.drawn_in(spec.column("high"))[cable])


def where(response: ActuatorResponse) -> str:
    """The region in which most of the landmarks are that move most."""
    inside = {
        name: sum(POINTS.index(point) in rows for point in response.points) for name, rows in REGIONS.items()
    }
    return max(inside, key=lambda name: inside[name]) if any(inside.values()) else ""


def better(body: str, robot: int, made: Calibration, folder: Path) -> dict[str, Any]:
    """How far twin and robot are apart with the nominal calibration and with the one made, by region [mm]."""
    limits = zlib.crc32(np.concatenate(astuple(made.limits)).tobytes())  # what pictures depend on
    faces: Mapping[str, Callable[[], Face]] = {
        "twin": lambda: open_twin(load_spec(), {}),
        f"{body}-{robot}-nominal": lambda: make_face(body, seed=robot, size=SIZE),
        f"{body}-{robot}-{limits:08x}": lambda: make_face(body, seed=robot, size=SIZE, calibration=made),
    }
    with Detector() as detector:
        twin, *robots = observe_faces(folder, make_plan(load_spec(), 0), detector, faces).values()
    return dict(
        zip(("nominal", "calibrated"), (by_region(motion_errors(twin, r)) for r in robots), strict=True)
    )


def measure(body: str, robot: int, hand: float, taut: bool, see: bool, out: Path) -> dict[str, Any]:
    """All of one robot; without `see` the camera's stage is left out, and so are its rows."""
    session = servo_stage(body, robot, out / f"{body}-{robot}.part.json", hand, taut)
    made = camera_stage(body, robot, session) if see else build_calibration(session)
    made.save(out / f"{body}-{robot}.json")
    true = true_responses(robot, out / f"twin-{robot}.part.json") if see else {}
    names = [name for name in load_spec().names if name in true]
    rest = {"nominal": at_rest(body, robot, None), "calibrated": at_rest(body, robot, made)}
    return {
        "robot": robot,
        "body": body,
        "rows": [row_of(robot, name, true[name], session.responses[name]) for name in names],
        "apart_mm": better(body, robot, made, out),
        "rest_mm": rest,
    }


def at_rest(body: str, robot: int, calibration: Calibration | None) -> float:
    """How far a resting robot says that its landmarks have moved, mean of all [mm]."""
    with make_face(body, seed=robot, calibration=calibration) as face:
        face.reset()
        away = np.array([face.move(face.spec.neutral).landmarks for _ in range(8)]) - face.neutral_landmarks
        return float(1000 * face.outer_eye * np.linalg.norm(away, axis=-1).mean())


def actuators(told: dict[str, Any]) -> Table:
    """In the form of Markdown, so that it can be put into a page."""
    heads = ("actuator", "play", "loop", "delay", "points", "where", "doubt")
    out = Table(*heads, title=f"Robot {told['robot']}, {told['body']}", box=box.MARKDOWN)
    for row in told["rows"]:
        points = "{}, {} ({})".format(*row["points"])
        pairs = [_pair(row["play"], ".3f"), _pair(row["loop"], ".3f"), _pair(row["delay_ms"], ".0f")]
        out.add_row(row["actuator"], *pairs, points, ", ".join(dict.fromkeys(row["where"])), row["doubt"])
    return out


def _pair(numbers: list[float | None], shape: str) -> str:
    return ", ".join("none" if number is None else format(number, shape) for number in numbers)


def regions(told: dict[str, Any]) -> Table:
    """How far from the twin, in the form of Markdown."""
    out = Table(
        "mm from the twin", *REGIONS, "at rest, as told", title=f"Robot {told['robot']}", box=box.MARKDOWN
    )
    for name, apart in told["apart_mm"].items():
        medians = [f"{apart[r]['median']:.2f} ({apart[r]['p90']:.2f})" for r in REGIONS]
        out.add_row(name, *medians, f"{told['rest_mm'][name]:.2f}")
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--robot", type=int, nargs="+", default=[1, 2], help="seeds of the hidden robots")
    parser.add_argument("--body", choices=["virtual", "mock"], default="mock")
    parser.add_argument("--hand", type=float, default=10.0, help="by how much the guide misses an end [us]")
    parser.add_argument("--taut", action="store_true", help="the guide also takes in what cables are slacker")
    parser.add_argument("--no-see", dest="see", action="store_false", help="the first stage only")
    parser.add_argument("--out", type=Path, default=Path("out/calibration"), help="folder for what was found")
    parser.add_argument("--json", type=Path, help="file for the figures")
    given = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 200)
    results = []
    for robot in given.robot:
        results.append(measure(given.body, robot, given.hand, given.taut, given.see, given.out))
        console.print(*([actuators(results[-1])] if given.see else []), regions(results[-1]))
    if given.json:
        write_json(given.json, {"hand_us": given.hand, "taut": given.taut, "robots": results})


if __name__ == "__main__":
    main()
