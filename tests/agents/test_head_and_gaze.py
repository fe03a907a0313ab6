"""Head and gaze of a person on the robot's neck and eyes."""

from __future__ import annotations

import numpy as np
import pytest

from eva_sim.agents.mirroring.head_and_gaze import (
    MAX_VERGENCE,
    HeadAndGaze,
    NeckAndEyes,
    conjugate_gaze,
)
from eva_sim.contract import load_spec
from eva_sim.detector import BLEND_SHAPES, canonical_face, mirror_order
from eva_sim.landmarks import landmark_rows
from eva_sim.limits.command_limits import CommandLimits
from eva_sim.limits.neck_poses import load_neck_rules, pose_load
from tests.agents.detected_faces import detected

SPEC = load_spec()
BODY = NeckAndEyes(SPEC)


def made(turn: tuple[float, float, float], gaze: tuple[float, float]) -> HeadAndGaze:
    """What the robot makes of a turn and of a gaze of both eyes [degrees]."""
    asked = HeadAndGaze(np.radians(turn), np.radians([gaze, gaze]))
    return BODY.read(BODY.set_command(SPEC.neutral, asked))


@pytest.mark.parametrize("turn", [(8, 0, 0), (0, -15, 0), (0, 0, 8), (4, 10, -5), (-6, -8, 3)])
@pytest.mark.parametrize("gaze", [(0, 0), (20, -8), (-11, 15)])
def test_what_is_in_reach_is_made_exactly(
    turn: tuple[float, float, float], gaze: tuple[float, float]
) -> None:
    robot = made(turn, gaze)
    np.testing.assert_allclose(np.degrees(robot.turn), turn, atol=1e-3)
    np.testing.assert_allclose(np.degrees(robot.gaze), [gaze, gaze], atol=1e-3)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("sign", [-1, 1])
def test_beyond_reach_the_neck_goes_as_far_as_it_can_and_eyes_go_on(axis: int, sign: int) -> None:
    turn = np.zeros(3)
    turn[axis] = sign * 30
    robot = made((turn[0], turn[1], turn[2]), (0, 0))
    reached = np.degrees(robot.turn)
    assert 10 < sign * reached[axis] < 29
    np.testing.assert_allclose(np.delete(reached, axis), 0, atol=1e-3)
    left_over = turn - reached
    looks = np.clip([left_over[1], -left_over[0]], -25, 25)
    np.testing.assert_allclose(np.degrees(robot.gaze), [looks, looks], atol=0.3)


@pytest.mark.parametrize("turn", [(10, 18, 0), (-9, -14, 9), (6, 20, -8), (0, 12, 16)])
def test_turns_about_several_axes_stay_within_the_limits_of_the_neck(
    turn: tuple[float, float, float],
) -> None:
    """Legs that all reach may still lean the head further than it may."""
    asked = HeadAndGaze(np.radians(turn), np.zeros((2, 2)))
    command = BODY.set_command(SPEC.neutral, asked)
    assert pose_load(command.astype(float), load_neck_rules(SPEC)) <= 1 + 1e-5
    np.testing.assert_allclose(CommandLimits(SPEC).within(command.astype(float)), command, atol=1e-5)
    robot = BODY.read(command)
    share = robot.turn @ asked.turn / (asked.turn @ asked.turn)
    assert 0.3 < share < 0.99
    np.testing.assert_allclose(robot.turn, share * asked.turn, atol=1e-6)
    left_over = asked.turn - robot.turn
    np.testing.assert_allclose(robot.gaze, np.tile([left_over[1], -left_over[0]], (2, 1)), atol=1e-6)


def test_nothing_but_neck_and_eyes_is_set() -> None:
    before = SPEC.command(jaw=0.4, lid=-0.3, zygomaticus=0.2)
    after = BODY.set_command(before, HeadAndGaze(np.array([0.1, -0.1, 0.05]), np.full((2, 2), 0.2)))
    changed = np.flatnonzero(after != before)
    assert set(changed) == {*SPEC.where("eye"), *SPEC.where("leg")}
    assert (np.abs(after) <= 1).all()


def test_at_rest_the_command_rests() -> None:
    np.testing.assert_allclose(BODY.set_command(SPEC.neutral, HeadAndGaze.at_rest()), SPEC.neutral, atol=1e-6)


def test_eyes_pitch_alike_and_never_diverge() -> None:
    looks = conjugate_gaze(
        np.array([[0.2, 0.1], [-0.1, 0.3]])
    )  # left eye to the left, right eye to the right
    np.testing.assert_allclose(looks, [[0.05, 0.2], [0.05, 0.2]])
    crossed = conjugate_gaze(np.array([[-0.3, 0.0], [0.3, 0.0]]))
    assert 0.1 < crossed[1, 0] - crossed[0, 0] < 0.6
    far_too_much = conjugate_gaze(np.array([[-1.0, 0.0], [1.0, 0.0]]))
    assert far_too_much[1, 0] - far_too_much[0, 0] == pytest.approx(MAX_VERGENCE)


def test_the_mirror_image_of_a_mirror_image_is_the_face() -> None:
    rows, shapes = mirror_order()
    np.testing.assert_array_equal(rows[rows], np.arange(len(rows)))
    np.testing.assert_array_equal(shapes[shapes], np.arange(len(BLEND_SHAPES)))
    assert rows[landmark_rows(33)] == landmark_rows(263) and rows[landmark_rows(13)] == landmark_rows(13)
    face = detected(canonical_face(), gaze=(0.02, 0.01))
    for before, after in zip(face, face.mirrored(300).mirrored(300), strict=True):
        np.testing.assert_allclose(after, before, atol=1e-9)
