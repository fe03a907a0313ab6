"""Residual actions: what a model says among the observations, and corrections of its commands."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from numpy.typing import NDArray

from eva_sim.contract import Floats, load_spec
from eva_sim.envs.face_features import load_face_features
from eva_sim.envs.residual_actions import (
    EXPECTED_MISTAKE,
    MODEL_CHANGE,
    MODEL_COMMAND,
    MODEL_MISTAKE,
    UNDER_WAY,
    ResidualActions,
)
from eva_sim.registration import IDS

SPEC = load_spec()
MOVING = SPEC.expressive
REACH, AHEAD = 0.25, 2.0


def predict(landmarks: Floats) -> NDArray[np.float32]:
    """A model whose answer is the mean height of some landmarks, in every actuator that moves them."""
    commands = np.tile(SPEC.neutral, (len(landmarks), 1))
    commands[:, MOVING] = 5 * landmarks[:, : len(MOVING), 1]
    return commands.clip(-1, 1)


@pytest.fixture
def residual() -> ResidualActions:
    return ResidualActions(SPEC, predict, REACH, AHEAD)


@pytest.fixture
def envs() -> Any:
    made: Any = gym.make_vec(
        "EVA/Mimic-v0", 3, vectorization_mode="vector_entry_point", skin="reduced", observe="features"
    )
    yield made
    made.close()


def answers(features: Floats) -> Floats:
    return predict(load_face_features(SPEC).landmarks(features))


@pytest.mark.parametrize("name", IDS)
def test_observations_are_in_their_space(residual: ResidualActions, name: str) -> None:
    env: Any = gym.make(name, skin="reduced", observe="features")
    space = residual.observation_space(env.observation_space)
    seen, _ = env.reset(seed=1)
    for _ in range(5):
        whole = residual.observe({key: value[None] for key, value in seen.items()})
        row = {key: value[0] for key, value in whole.items()}
        assert space.contains(row)
        seen = env.step(residual.command(residual.action_space.sample()[None])[0])[0]
    env.close()


def test_the_model_is_asked_for_target_and_face(residual: ResidualActions, envs: Any) -> None:
    seen, _ = envs.reset(seed=2)
    last = residual.observe(seen, begins=True)
    assert not last[MODEL_CHANGE].any()
    for _ in range(4):
        seen = envs.step(residual.command(np.zeros((3, len(MOVING)))))[0]
        now = residual.observe(seen)
        np.testing.assert_array_equal(now[MODEL_COMMAND], answers(seen["target_features"])[:, MOVING])
        np.testing.assert_array_equal(now[MODEL_CHANGE], now[MODEL_COMMAND] - last[MODEL_COMMAND])
        mistake = (answers(seen["landmark_features"]) - seen["position"])[:, MOVING]
        np.testing.assert_array_equal(now[MODEL_MISTAKE], mistake)
        last = now
    assert np.abs(last[MODEL_CHANGE]).max() > 0


def test_an_action_corrects_the_command_within_the_travel(residual: ResidualActions, envs: Any) -> None:
    seen, _ = envs.reset(seed=3)
    for _ in range(4):
        whole = residual.observe(seen, begins=not envs.sent.any())
        seen = envs.step(residual.command(np.zeros((3, len(MOVING)))))[0]
    ahead = whole[MODEL_COMMAND] + AHEAD * whole[MODEL_CHANGE]
    middle = ahead.clip(-1, 1) - whole[EXPECTED_MISTAKE]
    assert np.abs(whole[MODEL_CHANGE]).max() > 0 and np.abs(whole[EXPECTED_MISTAKE]).max() > 0
    others = np.setdiff1d(np.arange(len(SPEC)), MOVING)
    for action in (0, 1):
        command = residual.command(np.full((3, len(MOVING)), action))
        np.testing.assert_allclose(command[:, MOVING], (middle + REACH * action).clip(-1, 1), atol=1e-6)
        np.testing.assert_array_equal(command[:, others], np.tile(SPEC.neutral[others], (3, 1)))


def test_a_mistake_is_expected_where_it_was_seen(residual: ResidualActions, envs: Any) -> None:
    """The face is what it should be, but its actuators have gone 0.1 less far than the model expects."""
    seen, _ = envs.reset(seed=6)
    position = answers(seen["target_features"]) - 0.1
    seen = {**seen, "landmark_features": seen["target_features"], "position": position}
    residual.observe(seen, begins=True)
    for _ in range(200):
        expected = residual.observe(seen)[EXPECTED_MISTAKE]
    inside = position[:, MOVING] > -1
    np.testing.assert_allclose(expected[inside], 0.1, atol=0.02)
    begun = residual.observe(seen, begins=[True, False, False])[EXPECTED_MISTAKE]
    np.testing.assert_allclose(begun[1:][inside[1:]], 0.1, atol=0.02)
    assert np.abs(begun[0]).max() < 0.08  # of one reading


def test_commands_under_way_are_seen(residual: ResidualActions, envs: Any) -> None:
    seen, _ = envs.reset(seed=7)
    residual.observe(seen, begins=True)
    sent = residual.command(np.full((3, len(MOVING)), 0.5))
    seen = envs.step(sent)[0]
    under_way = residual.observe(seen)[UNDER_WAY]
    np.testing.assert_array_equal(under_way, (sent - seen["position"])[:, MOVING])
    assert np.abs(under_way).max() > 0.05
    rest = residual.observe(envs.reset(seed=8)[0], begins=True)
    np.testing.assert_allclose(rest[UNDER_WAY], 0, atol=1e-6)


@pytest.mark.parametrize("begins", [[True, False, False], [False, True, True], [True, True, True]])
def test_an_episode_that_begins_has_no_change(
    residual: ResidualActions, envs: Any, begins: list[bool]
) -> None:
    first = residual.observe(envs.reset(seed=4)[0], begins=True)
    second = residual.observe(envs.reset(seed=40)[0], begins=begins)
    change = second[MODEL_COMMAND] - first[MODEL_COMMAND]
    np.testing.assert_array_equal(second[MODEL_CHANGE], np.where(np.array(begins)[:, None], 0, change))


def test_the_last_observation_of_an_episode_is_not_remembered(residual: ResidualActions, envs: Any) -> None:
    first = residual.observe(envs.reset(seed=5)[0], begins=True)
    end = {key: value[1:2] for key, value in envs.reset(seed=50)[0].items()}
    whole, before = residual.complete(end, np.array([1])), residual.command(np.zeros((3, len(MOVING))))
    change = answers(end["target_features"])[:, MOVING] - first[MODEL_COMMAND][1:2]
    np.testing.assert_array_equal(whole[MODEL_CHANGE], change)
    np.testing.assert_array_equal(residual.command(np.zeros((3, len(MOVING)))), before)


def test_features_give_back_the_landmarks_that_they_hold() -> None:
    features = load_face_features(SPEC)
    wanted = np.random.default_rng(0).normal(size=(4, len(features))).astype(np.float32)
    np.testing.assert_allclose(features(features.landmarks(wanted)), wanted, atol=1e-4)
    assert features.landmarks(wanted[0]).shape == features.landmarks(wanted).shape[1:]
