"""The calibration benchmark: its guide on hidden robots, and its table; what the camera does is long."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import calibration as bench
from eva_sim.contract import FaceSpec, Floats, load_spec
from eva_sim.horns import cable_drawn_in
from eva_sim.landmarks import REGIONS
from eva_sim.real.calibration.actuator_sweep import ActuatorResponse
from eva_sim.real.calibration.model import Calibration
from eva_sim.real.calibration.procedure import build_calibration
from eva_sim.real.simulation.plant import PlantServos


def missed(spec: FaceSpec, robot: int, calibration: Calibration) -> Floats:
    """How far this robot's servos are from where commands mean them to be, shares of travel, (K, 25)."""
    servos = PlantServos(spec, bench.hidden_parameters(robot))
    places = np.linspace(-1, 1, 9)[:, None] * np.ones(len(spec))
    angles = np.array([servos(calibration.to_raw(place)) for place in places])
    meant = np.array([spec.to_physical(place) for place in places])
    away: Floats = np.abs(angles - meant) / (spec.column("high") - spec.column("low"))
    return away


@pytest.mark.parametrize("robot", [1, 2])
def test_the_servo_stage_undoes_what_is_wrong_with_a_robot(
    spec: FaceSpec, tmp_path: Path, robot: int
) -> None:
    session = bench.servo_stage("mock", robot, tmp_path / "part.json", hand=0.0)
    assert set(session.endpoints) == set(spec.names)
    before = missed(spec, robot, Calibration.nominal(load_spec()))
    after = missed(spec, robot, build_calibration(session))
    assert before.max() > 0.05 and after.max() < 0.002


def test_a_hand_misses_by_what_it_is_told(tmp_path: Path, spec: FaceSpec) -> None:
    exact = bench.servo_stage("mock", 1, tmp_path / "exact.json", 0.0)
    rough = bench.servo_stage("mock", 1, tmp_path / "rough.json", 10.0)
    off = np.array([rough.endpoints[name].high - exact.endpoints[name].high for name in spec.names])
    assert 5 < off.std() < 15


def test_a_taut_guide_leaves_each_cable_the_slack_of_the_table(spec: FaceSpec) -> None:
    loose = bench.hidden_parameters(1)["slack"].clip(0.0)
    drawn = cable_drawn_in(spec, bench.low_ends(1, True))
    assert loose.max() > 0.001 and np.allclose(drawn, loose, atol=1e-9)
    assert np.array_equal(bench.low_ends(1, False), spec.column("low"))


def test_a_row_holds_truth_and_finding_apart() -> None:
    moved = np.zeros(150)
    moved[REGIONS["mouth"]] = 3.0
    true = ActuatorResponse(tuple(moved), (-1.0, 1.0), (0.0, 1.0), (0.0, 1.0), 1, 0.04, 0.02, 1, 0.0)
    found = ActuatorResponse(tuple(moved), (-1.0, 1.0), (0.0, 1.0), (0.0, 1.0), -1, 0.05, 0.03, 2, 0.0)
    row = bench.compare_responses(0, "zygomaticus_left", true, found)
    assert row["play"] == [pytest.approx(2 * 0.0003 / 0.0176, rel=0.01), 0.05]
    assert row["delay_ms"] == [40.0, 80.0] and row["where"] == ["mouth", "mouth"]
    assert row["points"] == [40, 40, 40] and "opposite" in row["doubt"]
    message = {"robot": 0, "body": "mock", "rows": [row]}
    assert bench.actuator_table(message).row_count == 1
