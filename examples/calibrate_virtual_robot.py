"""Calibrates a robot in simulation: an operator finds the ends of each servo, and errors shrink.

    python examples/calibrate_virtual_robot.py                    # the firmware's rules in Python
    python examples/calibrate_virtual_robot.py --body virtual     # the real firmware on a simulated board

Each hidden robot has horns that sit a little askew. The operator here is a script that knows where a person
would stop, and misses by a few microseconds. On a physical robot, `eva calibrate` asks you. The script prints
how far the servos are from where they should be, before and after.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from eva_sim.contract import FaceSpec, Floats, load_spec
from eva_sim.errors import EvaError
from eva_sim.randomise import draw_parameters
from eva_sim.real.boards.firmware import FirmwareBoard
from eva_sim.real.calibration.endpoint_search import find_endpoints
from eva_sim.real.calibration.model import Calibration
from eva_sim.real.calibration.operator_ui import ScriptedOperator
from eva_sim.real.calibration.procedure import build_calibration
from eva_sim.real.calibration.servo_bench import ServoBench, widest_limits
from eva_sim.real.calibration.session import CalibrationSession
from eva_sim.real.opening import simulated_board
from eva_sim.real.simulation.plant import PlantServos
from eva_sim.real.wire.firmware_table import robot_config
from eva_sim.real.wire.link import Link

ENDS = ("low", "neutral", "high")


def hidden_servos(spec: FaceSpec, seed: int) -> PlantServos:
    """The servos of a hidden robot: pulses (25,) [us] to positions (25,) [rad, m]."""
    return PlantServos(spec, draw_parameters(spec, np.random.default_rng(seed), robot=True))


def find_by_eye(spec: FaceSpec, seed: int, hand: float) -> dict[str, dict[str, float]]:
    """Pulses [us] at which a person would say "here", for each servo and end, missed by `hand` [us]."""
    servos, rng = hidden_servos(spec, seed), np.random.default_rng(seed)
    limits = widest_limits(spec, "us")
    # From the middle outwards, since beyond its stop a servo goes no further.
    pulses = np.array(sorted(np.arange(limits.low.min(), limits.high.max()), key=lambda p: abs(p - 1500)))
    positions = np.array([servos(np.full(len(spec), pulse)) for pulse in pulses])
    found = {}
    for i, actuator in enumerate(spec.actuators):
        nearest = [np.abs(positions[:, i] - getattr(actuator, end)).round(9).argmin() for end in ENDS]
        stopped = np.clip(pulses[nearest] + rng.normal(0, hand, len(ENDS)), limits.low[i], limits.high[i])
        found[actuator.name] = dict(zip(ENDS, stopped.tolist(), strict=True))
    return found


def calibrate(spec: FaceSpec, body: str, seed: int, folder: Path, hand: float = 4.0) -> Calibration:
    """Runs the first stage of `eva calibrate` on the board of a hidden robot."""
    machine = simulated_board(spec, body, seed)
    try:
        board = FirmwareBoard(spec, Link(machine.port, machine.clock))
        robot, safety = board.identity, robot_config(spec)["safety"]
        session = CalibrationSession.open(
            spec, folder / "calibration.part.json", robot.robot_id, robot.kind, robot.unit
        )
        period = robot_config(spec)["wire"]["period"]
        bench = ServoBench(board, machine.clock, widest_limits(spec, robot.unit), period, safety["too_hot"])
        find_endpoints(session, bench, ScriptedOperator(find_by_eye(spec, seed, hand)))
    finally:
        machine.close()
    return build_calibration(session)


def errors(spec: FaceSpec, seed: int, calibration: Calibration) -> Floats:
    """Mean distance of each servo from where commands should bring it, (25,) [share of its travel]."""
    servos = hidden_servos(spec, seed)
    commands = np.linspace(-0.9, 0.9, 7)[:, None] * np.ones(len(spec))
    reached = np.array([spec.to_command(servos(calibration.to_raw(command))) for command in commands])
    away: Floats = np.abs(reached - commands).mean(0) / 2
    return away


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--body", default="mock", choices=("mock", "virtual"))
    parser.add_argument("--seed", type=int, default=1, help="of the hidden robot")
    parser.add_argument("--out", type=Path, default=Path("out/calibrate_virtual_robot"))
    given = parser.parse_args()
    spec = load_spec()
    given.out.mkdir(parents=True, exist_ok=True)
    made = calibrate(spec, given.body, given.seed, given.out)
    made.save(given.out / "calibration.json")
    nominal = Calibration.nominal(spec, made.robot_id, made.board, made.unit)
    for name, calibration in (("before", nominal), ("after", made)):
        away = errors(spec, given.seed, calibration)
        mean, most = 100 * away.mean(), 100 * away.max()
        print(f"{name}: servos are {mean:.1f} % of their travel off, at most {most:.1f} %")
    print(given.out / "calibration.json")


if __name__ == "__main__":
    try:
        main()
    except EvaError as error:
        raise SystemExit(f"calibrate_virtual_robot: {error}") from None
