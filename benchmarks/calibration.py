"""The results of `eva calibrate` on hidden robots, beside the true values.

    python -m benchmarks.calibration [--seed 1 2] [--body mock|virtual] [--hand 10] [--taut]
                                     [--no-see] [--out DIR] [--json FILE]

Both stages run in virtual time. In the first the operator knows the ends of travel, as a person who watches
the face does, and misses each by `--hand` [us, standard deviation]; with `--taut` the operator also takes in
cables that are slacker than the table's. The second is the camera alone. Then twin and robot follow the plan
of `eva transfer`, with the nominal calibration and with the measured one. It takes a quarter of an hour per
robot; a stopped run goes on with the content of `--out`.

One row per actuator; each pair is the true value, then the measured one:

- play: command between rising and falling [command units]. True: of its gears, over all the cable it draws.
- loop: largest gap between rising and falling, share of the response. delay: until a step shows [ms].
  points: number of landmarks that move most, and of those in both; where: the region of most of them.
  True: by the same sweep of the hidden robot's own landmarks instead of its pictures.
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
from eva_sim.files import write_json
from eva_sim.horns import cable_drawn_in
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
from eva_sim.workers.jobs import ThisProcess

#: Step of the pulses in the search for the ends of travel [us].
GRAIN = 0.25


def hidden_parameters(seed: int) -> Parameters:
    """Parameters of a hidden robot; only a benchmark may know them."""
    return draw_parameters(load_spec(), np.random.default_rng(seed), robot=True) if seed else {}


def operator_pulses(
    seed: int, limits: BoardLimits, hand: float, taut: bool = False
) -> dict[str, dict[str, float]]:
    """Pulses that an operator who watches the face would confirm [us].

    Args:
        seed: seed of the hidden robot.
        limits: limits that no servo may leave, (A,) [us].
        hand: error of the operator, standard deviation [us].
        taut: whether the operator takes in cables that are slacker than the table's, see `low_ends`.
    """
    spec, rng = load_spec(), np.random.default_rng([seed, 2])
    pulses = np.arange(limits.low.min(), limits.high.max() + GRAIN, GRAIN)
    angles = np.array(
        [PlantServos(spec, hidden_parameters(seed))(np.full(len(spec), pulse)) for pulse in pulses]
    )
    endpoints = {}
    for index, (a, low) in enumerate(zip(spec.actuators, low_ends(seed, taut), strict=True)):
        ends = {"low": low, "neutral": a.neutral, "high": a.high}
        found = {what: _nearest(pulses, angles[:, index], angle) for what, angle in ends.items()}
        missed = {what: pulse + rng.normal(0, hand) for what, pulse in found.items()}
        endpoints[a.name] = {
            what: float(np.clip(p, limits.low[index], limits.high[index])) for what, p in missed.items()
        }
    return endpoints


def low_ends(seed: int, taut: bool) -> Floats:
    """Low end of each servo, (A,) [rad, m]: the table's, or the one that leaves a cable the table's slack."""
    spec = load_spec()
    low = spec.column("low").copy()
    if taut:
        cables, middle = spec.where("cable"), (low + spec.column("high")) / 2
        looser = np.maximum(0.0, hidden_parameters(seed).get("slack", 0.0))
        across = np.sin((low - middle)[cables]) + looser / spec.cable["horn_radius"]
        low[cables] = middle[cables] + np.arcsin(across)
    return low


def _nearest(pulses: Floats, angles: Floats, angle: float) -> float:
    """The pulse at which a servo reaches an angle, before it is against its stop."""
    away = np.abs(angles - angle)
    there = np.flatnonzero(away <= away.min() + 1e-12)
    return float(min(pulses[there], key=lambda pulse: abs(pulse - 1500)))


def servo_stage(body: str, seed: int, path: Path, hand: float, taut: bool = False) -> CalibrationSession:
    """Finds the endpoints of all servos on the bare board."""
    machine = simulated_board(load_spec(), body, seed)
    try:
        board = FirmwareBoard(load_spec(), Link(machine.port, machine.clock))
        identity, limits = board.identity, widest_limits(load_spec(), board.identity.unit)
        session = CalibrationSession.open(load_spec(), path, identity.robot_id, identity.kind, identity.unit)
        wire, safety = robot_config(load_spec())["wire"], robot_config(load_spec())["safety"]
        bench = ServoBench(board, machine.clock, limits, wire["period"], safety["too_hot"])
        find_endpoints(session, bench, ScriptedOperator(operator_pulses(seed, limits, hand, taut)))
    finally:
        machine.close()
    return session


def camera_stage(body: str, seed: int, session: CalibrationSession) -> Calibration:
    """Runs the camera stage; returns the calibration of both stages."""
    with make_face(body, seed=seed, calibration=build_calibration(session)) as face:
        measure_by_camera(session, face)
    return build_calibration(session)


def true_responses(seed: int, path: Path) -> dict[str, ActuatorResponse]:
    """The same sweep of the hidden robot's own landmarks, without servos' errors, link and camera."""
    session = CalibrationSession.open(load_spec(), path, f"twin of robot {seed}", "none", "us")
    with open_twin(load_spec(), hidden_parameters(seed)) as twin:
        measure_by_camera(session, twin)
    return session.responses


def compare_responses(
    seed: int, name: str, true: ActuatorResponse, found: ActuatorResponse
) -> dict[str, Any]:
    """True and measured results of one actuator."""
    step = 1000 * load_spec().control_dt
    both = set(true.points) & set(found.points)
    return {
        "actuator": name,
        "play": [true_backlash(seed, name), found.backlash],
        "loop": [true.hysteresis, found.hysteresis],
        "delay_ms": [None if r.delay is None else step * r.delay for r in (true, found)],
        "points": [len(true.points), len(found.points), len(both)],
        "where": [main_region(true), main_region(found)],
        "farthest_mm": [max(true.moved), max(found.moved)],
        "sign": found.sign,
        "doubt": describe_doubt(name, found),
    }


def true_backlash(seed: int, name: str) -> float:
    """The backlash of an actuator's gears, over all the cable that it draws in [command units]."""
    spec = load_spec()
    cables = list(spec.where("cable"))
    if spec.index(name) not in cables:
        return 0.0  # only cables have play in this plant
    cable = cables.index(spec.index(name))
    play = actuator_parameters(spec, hidden_parameters(seed)).backlash[cable]
    return float(2 * play / cable_drawn_in(spec, spec.column("high"))[cable])


def main_region(response: ActuatorResponse) -> str:
    """The region with most of the landmarks that an actuator moves."""
    inside = {
        name: sum(POINTS.index(point) in rows for point in response.points) for name, rows in REGIONS.items()
    }
    return max(inside, key=lambda name: inside[name]) if any(inside.values()) else ""


def compare_with_twin(body: str, seed: int, made: Calibration, folder: Path) -> dict[str, Any]:
    """Difference of twin and robot with the nominal and with the measured calibration, by region [mm]."""
    limits = zlib.crc32(np.concatenate(astuple(made.limits)).tobytes())  # what pictures depend on
    faces: Mapping[str, Callable[[], Face]] = {
        "twin": lambda: open_twin(load_spec(), {}),
        f"{body}-{seed}-nominal": lambda: make_face(body, seed=seed, camera_size=SIZE),
        f"{body}-{seed}-{limits:08x}": lambda: make_face(body, seed=seed, camera_size=SIZE, calibration=made),
    }
    twin, *robots = observe_faces(folder, make_plan(load_spec(), 0), faces, ThisProcess()).values()
    return dict(
        zip(("nominal", "calibrated"), (by_region(motion_errors(twin, r)) for r in robots), strict=True)
    )


def measure_robot(body: str, seed: int, hand: float, taut: bool, see: bool, out: Path) -> dict[str, Any]:
    """Measures one robot; without `see` the camera stage is left out, and so are its rows."""
    session = servo_stage(body, seed, out / f"{body}-{seed}.part.json", hand, taut)
    made = camera_stage(body, seed, session) if see else build_calibration(session)
    made.save(out / f"{body}-{seed}.json")
    true = true_responses(seed, out / f"twin-{seed}.part.json") if see else {}
    names = [name for name in load_spec().names if name in true]
    rest = {"nominal": motion_at_rest(body, seed, None), "calibrated": motion_at_rest(body, seed, made)}
    return {
        "robot": seed,
        "body": body,
        "rows": [compare_responses(seed, name, true[name], session.responses[name]) for name in names],
        "apart_mm": compare_with_twin(body, seed, made, out),
        "rest_mm": rest,
    }


def motion_at_rest(body: str, seed: int, calibration: Calibration | None) -> float:
    """Motion of the landmarks that a resting robot reports, mean of all [mm]."""
    with make_face(body, seed=seed, calibration=calibration) as face:
        face.reset()
        away = np.array([face.move(face.spec.neutral).landmarks for _ in range(8)]) - face.neutral_landmarks
        return float(1000 * face.outer_eye * np.linalg.norm(away, axis=-1).mean())


def actuator_table(result: dict[str, Any]) -> Table:
    """The results by actuator, as a Markdown table for a page."""
    heads = ("actuator", "play", "loop", "delay", "points", "where", "doubt")
    out = Table(*heads, title=f"Robot {result['robot']}, {result['body']}", box=box.MARKDOWN)
    for row in result["rows"]:
        points = "{}, {} ({})".format(*row["points"])
        pairs = [_pair(row["play"], ".3f"), _pair(row["loop"], ".3f"), _pair(row["delay_ms"], ".0f")]
        out.add_row(row["actuator"], *pairs, points, ", ".join(dict.fromkeys(row["where"])), row["doubt"])
    return out


def _pair(numbers: list[float | None], shape: str) -> str:
    return ", ".join("none" if number is None else format(number, shape) for number in numbers)


def region_table(result: dict[str, Any]) -> Table:
    """Differences from the twin by region, as a Markdown table."""
    out = Table(
        "mm from the twin",
        *REGIONS,
        "at rest, as reported",
        title=f"Robot {result['robot']}",
        box=box.MARKDOWN,
    )
    for name, apart in result["apart_mm"].items():
        medians = [f"{apart[r]['median']:.2f} ({apart[r]['p90']:.2f})" for r in REGIONS]
        out.add_row(name, *medians, f"{result['rest_mm'][name]:.2f}")
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seed", type=int, nargs="+", default=[1, 2], help="seeds of the hidden robots")
    parser.add_argument("--body", choices=["virtual", "mock"], default="mock")
    parser.add_argument("--hand", type=float, default=10.0, help="error of the operator at each end [us]")
    parser.add_argument("--taut", action="store_true", help="the operator also takes in slack cables")
    parser.add_argument("--no-see", dest="see", action="store_false", help="the first stage only")
    parser.add_argument(
        "--out", type=Path, default=Path("out/calibration"), help="folder for the measurements"
    )
    parser.add_argument("--json", type=Path, help="file for the results")
    given = parser.parse_args()
    console = Console(width=None if sys.stdout.isatty() else 200)
    results = []
    for seed in given.seed:
        results.append(measure_robot(given.body, seed, given.hand, given.taut, given.see, given.out))
        console.print(*([actuator_table(results[-1])] if given.see else []), region_table(results[-1]))
    if given.json:
        write_json(given.json, {"hand_us": given.hand, "taut": given.taut, "robots": results})


if __name__ == "__main__":
    main()
