"""Jacobians of the skin against finite differences of equilibria solved again."""

from __future__ import annotations

import numpy as np
import pytest

from eva_sim.actuators import Actuators
from eva_sim.contract import FaceSpec, Floats, load_spec
from eva_sim.horns import horn_lever
from eva_sim.skin import newton
from eva_sim.skin.anatomy import Anatomy, Drive, load_anatomy
from eva_sim.skin.sensitivity import Jacobian, command_jacobian, driven_actuators, skin_jacobian
from eva_sim.skin.solver import Skin

TIGHT = 1e-7  # N
JAW, LID, BROW, SMILE, SLACK = 0, 1, 3, 11, 6


def converged(anatomy: Anatomy, points: Floats, drive: Drive) -> Floats:
    start = points.copy()
    start[anatomy.fixed] = anatomy.kinematic_points(drive)[anatomy.fixed]
    return newton.solve_equilibrium(anatomy, start, anatomy.load(drive), TIGHT)[0]


@pytest.fixture(scope="module")
def smile() -> tuple[Anatomy, Drive, Floats, Jacobian]:
    """A smile with raised brow and open jaw, converged, and its Jacobian."""
    anatomy, take_up = load_anatomy(load_spec()), np.zeros(12)
    take_up[[0, 8, 9]] = 0.006, 0.008, 0.005
    drive = Drive(0.09, np.array([-0.1, 0.05]), take_up)
    skin = Skin(anatomy, "fine")
    skin.step(drive)
    points = converged(anatomy, skin.points, drive)
    return anatomy, drive, points, skin_jacobian(anatomy, points, drive)


@pytest.mark.parametrize(("column", "step"), [(JAW, 2e-4), (LID, 5e-4), (BROW, 1e-5), (SMILE, 1e-5)])
def test_implicit_jacobian_matches_finite_differences(
    smile: tuple[Anatomy, Drive, Floats, Jacobian], column: int, step: float
) -> None:
    anatomy, drive, points, jacobian = smile
    ends = []
    for sign in (1, -1):
        values = np.concatenate([[drive.jaw], drive.lids, drive.take_up])
        values[column] += sign * step
        moved = Drive(float(values[0]), values[1:3], values[3:])
        place = converged(anatomy, points, moved)
        ends.append((place, anatomy.tension(place, anatomy.load(moved))))
    for derivative, k in ((jacobian.points, 0), (jacobian.tension, 1)):
        measured = (ends[0][k] - ends[1][k]) / (2 * step)
        error = np.linalg.norm(derivative[..., column] - measured) / np.linalg.norm(measured)
        assert error < 1e-3


def test_slack_cable_moves_nothing(smile: tuple[Anatomy, Drive, Floats, Jacobian]) -> None:
    anatomy, _, _, jacobian = smile
    assert np.abs(jacobian.points[..., SLACK]).max() < 1e-9
    assert np.abs(jacobian.at_landmarks(anatomy.spec).points[..., SMILE]).max() > 0.1


def test_command_winds_what_the_chain_winds(
    spec: FaceSpec, smile: tuple[Anatomy, Drive, Floats, Jacobian]
) -> None:
    """A chain wound in slowly, on cables as stiff as this skin makes each of them alone."""
    cable, stiffness = 8, np.diag(np.diag(smile[3].tension[:, 3:]))
    chain, taken = Actuators(spec), []
    for gear in np.arange(0.0, 0.5, 0.02):
        command = spec.neutral
        command[spec.where("cable")[cable]] = gear
        for _ in range(20):
            chain.step(command, stiffness @ np.maximum(0.0, chain.take_up))
        taken.append(chain.take_up[cable])
    command[spec.where("cable")[cable]] -= 0.02  # in the middle of what is measured
    by_drive = Jacobian(np.eye(15)[:, None, :], np.hstack([np.zeros((12, 3)), stiffness]))
    wound = command_jacobian(spec, by_drive, command)
    measured = (taken[-1] - taken[-3]) / 0.04
    wanted = 1.1 * horn_lever(spec, spec.to_physical(command))[cable]  # 2.2 rad are a command of 2
    assert measured < 0.98 * wanted  # not all that is drawn in arrives
    assert wound.points[3 + cable, 0, 3 + cable] == pytest.approx(measured, rel=1e-3)
    assert driven_actuators(spec)[3 + cable] == spec.where("cable")[cable]
