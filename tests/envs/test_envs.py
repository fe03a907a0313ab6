"""The environments, over the fake face and over the twin."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import load_env_creator
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env

import eva_sim
from eva_sim.agents.data.motion import minimum_jerk
from eva_sim.contract import load_spec
from eva_sim.envs import mimic, observations, pose, target_faces
from eva_sim.envs.face_features import FaceFeatures
from eva_sim.envs.observations import OBSERVE
from eva_sim.envs.reset_options import check_points
from eva_sim.errors import ArgumentValueError, CommandError, DataError, EvaError, RenderError
from eva_sim.expressions import expression_command, load_expressions
from eva_sim.landmarks import POINTS, RIGID, face_measurements, landmark_rows
from eva_sim.registration import IDS
from eva_sim.settling import settling_steps
from eva_sim.testing.fake_face import OUTER_EYE, FakeFace, fake_atlas, open_fake, settled

MODES = OBSERVE
FAKE = fake_atlas()


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every face that is opened is a fake, with an atlas of its own."""
    monkeypatch.setattr(eva_sim, "make_face", open_fake)
    monkeypatch.setattr(target_faces, "load_atlas", lambda spec: FAKE)
    monkeypatch.setattr(observations, "load_face_features", lambda spec: FaceFeatures.of(FAKE.landmarks, 15))


@pytest.fixture(params=["fake", "twin"])
def body(request: pytest.FixtureRequest) -> str:
    """Environments over each body in turn."""
    if request.param == "fake":
        request.getfixturevalue("fake")
    return str(request.param)


@pytest.fixture
def pose_env(fake: None) -> Iterator[Any]:
    with pose.PoseEnv(max_episode_steps=30) as env:
        yield env


def _actions(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (count, 25)).astype(np.float32)


def _targets(env: Any, count: int) -> np.ndarray:
    """The targets of an episode from its start, (count, N, 3)."""
    return np.stack([env._plan.target(step) for step in range(count)])


def _same(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("observe", MODES)
@pytest.mark.parametrize("name", IDS)
def test_gymnasium_has_no_complaint(name: str, observe: str, body: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = gym.make(name, observe=observe, image_size=64)
        check_env(env.unwrapped)
        env.close()


@pytest.mark.parametrize("name", IDS)
def test_gymnasium_has_no_complaint_about_random_bodies(name: str) -> None:
    with warnings.catch_warnings(), gym.make(name, randomise=True) as env:
        warnings.simplefilter("error")
        check_env(env.unwrapped)


@pytest.mark.parametrize("name", IDS)
def test_two_seeded_copies_are_bit_identical(name: str, body: str) -> None:
    one, two = (gym.make(name, max_episode_steps=120) for _ in range(2))
    first, second = one.reset(seed=5)[0], two.reset(seed=5)[0]
    for action in _actions(200):
        assert _same(first, second)
        first, reward, _, over, _ = one.step(action)
        second, same_reward, _, same_over, _ = two.step(action)
        assert (reward, over) == (same_reward, same_over)
        if over:
            first, second = one.reset()[0], two.reset()[0]
    assert _same(first, second)
    one.close()
    two.close()


@pytest.mark.parametrize("name", IDS)
def test_restore_repeats_the_rest_of_the_episode_and_the_next(name: str, body: str) -> None:
    env: Any = load_env_creator(IDS[name].entry_point)(max_episode_steps=16)
    env.reset(seed=2)
    actions = _actions(24)

    def play() -> list[Any]:
        seen = [env.step(action)[:4] for action in actions[8:16]]
        assert seen[-1][3]
        return [*seen, env.reset(), *(env.step(action)[:4] for action in actions[16:20])]

    for action in actions[:8]:
        env.step(action)
    state = env.save()
    first = play()
    env.restore(state)
    for one, two in zip(first, play(), strict=True):
        assert _same(one[0], two[0])
        assert len(one) == 2 or one[1:] == two[1:]
    env.close()


@pytest.mark.parametrize("name", IDS)
def test_observations_vary_and_share_no_memory(name: str, body: str) -> None:
    env = gym.make(name, max_episode_steps=12, observe="both", image_size=32)
    seen = [env.reset(seed=0)[0]]
    for action in _actions(10):
        seen.append(env.step(action)[0])
    assert all(o in env.observation_space for o in seen)
    for key in ("landmarks", "position", "image"):
        assert not any(np.shares_memory(a[key], b[key]) for a in seen for b in seen if a is not b)
    seen += [env.reset()[0] for _ in range(6)]
    bone = landmark_rows(*RIGID)
    for key in ("landmarks", "target") if name == "EVA/Pose-v0" else ("landmarks",):
        varies = np.ptp([o[key] for o in seen], axis=0) > 0
        assert np.delete(varies, bone, axis=0).all()
    assert (np.ptp([o["position"] for o in seen], axis=0) > 0).all()
    env.close()


def test_holding_the_target_command_reaches_the_target(body: str) -> None:
    env: Any = gym.make("EVA/Pose-v0", max_episode_steps=15).unwrapped
    observation, info = env.reset(options={"command": load_spec().command(zygomaticus=0.5, jaw=0.0)})
    start = info["landmark_error_mm"]
    for _ in range(settling_steps(load_spec())):
        observation, reward, _, _, info = env.step(info["target_command"])
    assert start > 1.0
    assert info["landmark_error_mm"] < 1e-3
    distance = np.linalg.norm(observation["landmarks"] - observation["target"], axis=1).mean()
    assert info["landmark_error_mm"] == pytest.approx(1000 * env.face.outer_eye * distance, abs=1e-4)
    assert reward == pytest.approx(0, abs=1e-3)
    env.close()


@pytest.mark.parametrize("name", list(load_expressions(load_spec())))
def test_a_named_expression_is_what_the_face_settles_in(pose_env: Any, name: str) -> None:
    observation, info = pose_env.reset(options={"expression": name})
    assert np.array_equal(info["target_command"], expression_command(load_spec(), name))
    np.testing.assert_allclose(
        observation["target"], settled(FakeFace(), expression_command(load_spec(), name)), atol=1e-6
    )


def test_the_twin_reaches_a_named_expression() -> None:
    with gym.make("EVA/Pose-v0") as env:
        observation, info = env.reset(options={"expression": "surprise"})
        raised, calm = (face_measurements(observation[name]) for name in ("target", "landmarks"))
        assert raised["brow_height"] > calm["brow_height"] + 0.02
        assert raised["jaw_opening"] > calm["jaw_opening"] + 0.1
        for _ in range(settling_steps(load_spec())):
            info = env.step(info["target_command"])[4]
        assert info["landmark_error_mm"] < 1e-3


def test_mimic_comes_and_goes_between_neutral_and_a_named_expression(fake: None) -> None:
    env: Any = gym.make("EVA/Mimic-v0").unwrapped
    observation, _ = env.reset(seed=1, options={"expression": "joy"})
    ends = observation["target"], settled(FakeFace(), expression_command(load_spec(), "joy"))
    assert np.array_equal(ends[0], env.face.neutral_landmarks)
    away = np.linalg.norm(_targets(env, 251) - ends[0], axis=2).mean(1)
    far = np.linalg.norm(ends[1] - ends[0], axis=1).mean()
    assert away.max() == pytest.approx(far, rel=1e-5)
    arrived = np.flatnonzero(away > 0.999 * far)
    assert (away[arrived[0] : arrived[-1]] < 0.1 * far).any()  # and back, and there again
    with pytest.raises(EvaError, match="not both"):
        env.reset(options={"expression": "joy", "targets": FAKE.landmarks})


def test_atlas_targets_are_what_the_twin_does() -> None:
    env: Any = gym.make("EVA/Pose-v0").unwrapped
    errors = []
    for seed in range(4):
        info = env.reset(seed=seed)[1]
        for _ in range(settling_steps(load_spec())):
            info = env.step(info["target_command"])[4]
        errors.append(info["landmark_error_mm"])
    assert max(errors) < 0.05
    env.close()


def test_nothing_moves_or_is_saved_before_an_episode_begins() -> None:
    face = FakeFace()
    env = pose.PoseEnv(face=face)
    with pytest.raises(ResetNeeded, match="reset before step"):
        env.step(face.spec.neutral)
    with pytest.raises(ResetNeeded, match="reset before save"):
        env.save()
    assert face.move(face.spec.neutral).time == face.spec.control_dt  # the first move of all
    env.reset(seed=0)
    state = env.save()
    another = pose.PoseEnv(face=FakeFace())
    another.restore(state)
    np.testing.assert_array_equal(
        another.step(face.spec.neutral)[0]["landmarks"], env.step(face.spec.neutral)[0]["landmarks"]
    )


def test_reward_is_the_sum_of_its_terms(pose_env: Any) -> None:
    observation, _ = pose_env.reset(seed=0)
    action = load_spec().command(jaw=1.0)
    observation, reward, terminated, _, info = pose_env.step(action)
    error = np.linalg.norm(observation["landmarks"] - observation["target"], axis=1).mean()
    change = np.square(action - load_spec().neutral).mean()
    assert info["reward_error"] == pytest.approx(-20 * error)
    assert info["reward_change"] == pytest.approx(-0.05 * change)
    assert reward == info["reward_error"] + info["reward_change"]
    assert not terminated
    assert info["landmark_error_mm"] == pytest.approx(1000 * OUTER_EYE * error)
    assert info["time"] == pytest.approx(0.04)


def test_pose_truncates_after_its_steps_and_never_terminates(pose_env: Any) -> None:
    pose_env.reset(seed=0)
    ends = [pose_env.step(action)[2:4] for action in _actions(30)]
    assert ends == [(False, False)] * 29 + [(False, True)]


def test_pose_takes_a_target_a_command_and_a_start(pose_env: Any) -> None:
    wanted = FAKE.landmarks[3]
    observation, info = pose_env.reset(options={"target": wanted})
    assert np.array_equal(observation["target"], wanted)
    assert "target_command" not in info
    command = FAKE.commands[4]
    observation, info = pose_env.reset(options={"command": command, "start": command})
    assert np.array_equal(info["target_command"], command)
    assert info["landmark_error_mm"] == 0
    assert info["time"] == 0


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"taget": 1}, ArgumentValueError, "no option 'taget'; did you mean target"),
        ({"target": np.zeros((3, 3))}, DataError, "shape"),
        ({"target": np.full((len(POINTS), 3), np.nan)}, DataError, "not finite"),
        ({"target": "smile"}, DataError, "numbers"),
        ({"command": [0.0] * 24}, CommandError, "shape"),
        ({"start": [np.nan] * 25}, CommandError, "numbers in"),
        ({"target": FAKE.landmarks[0], "command": FAKE.commands[0]}, EvaError, "not both"),
        ({"expression": "joy", "command": FAKE.commands[0]}, EvaError, "not both"),
        ({"expression": "bliss"}, CommandError, "here are neutral, joy"),
        ({"expression": ["joy"]}, CommandError, "here are neutral, joy"),
    ],
)
def test_bad_options_are_told(pose_env: Any, options: Any, error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        pose_env.reset(options=options)


@pytest.mark.parametrize(
    "arguments",
    [{"observe": "smell"}, {"image_size": 3}, {"randomize": True}],
)
def test_bad_arguments_are_told(fake: None, arguments: dict[str, Any]) -> None:
    with pytest.raises(EvaError, match=next(iter(arguments))):
        gym.make("EVA/Mimic-v0", **arguments)


def test_a_malformed_action_changes_nothing(pose_env: Any) -> None:
    pose_env.reset(seed=0)
    state = pose_env.save()
    with pytest.raises(CommandError):
        pose_env.step(np.full(25, np.nan, np.float32))
    action = _actions(1)[0]
    after = pose_env.step(action)[0]
    pose_env.restore(state)
    assert _same(after, pose_env.step(action)[0])


def test_mimic_follows_the_users_targets_to_their_end(fake: None) -> None:
    env = gym.make("EVA/Mimic-v0")
    targets = FAKE.landmarks[:6]
    seen = [env.reset(options={"targets": targets})[0]["target"]]
    over = False
    while not over:
        observation, _, _, over, info = env.step(FAKE.commands[0])
        seen.append(observation["target"])
    assert np.array_equal(seen, targets)
    assert "target_command" not in info
    with pytest.raises(DataError, match="T >= 2"):
        env.reset(options={"targets": targets[:1]})


def test_mimic_targets_start_at_neutral_and_move_smoothly(fake: None) -> None:
    env: Any = gym.make("EVA/Mimic-v0").unwrapped
    env.reset(seed=3)
    targets = _targets(env, 251)
    assert targets.dtype == np.float32
    assert np.array_equal(targets[0], FAKE.landmarks[0])
    between = np.abs(FAKE.landmarks[:, None] - FAKE.landmarks[None]).max()
    steps = np.abs(np.diff(targets, axis=0)).max(axis=(1, 2))
    fewest = round(mimic.BLEND[0] / load_spec().control_dt)
    assert 0 < steps.max() < 1.9 * between / (fewest - 1)
    reached = [min(np.abs(FAKE.landmarks - t).max(axis=(1, 2))) < 1e-6 for t in targets]
    assert 5 < sum(reached) < 200


def test_minimum_jerk_starts_and_ends_at_rest() -> None:
    u = np.linspace(0, 1, 1001)
    s = minimum_jerk(u)
    assert (s[0], s[-1]) == (0, 1)
    assert np.gradient(s, u)[[0, -1]] == pytest.approx([0, 0], abs=1e-4)
    assert np.gradient(s, u).max() == pytest.approx(1.875, abs=1e-4)


def test_lost_landmarks_keep_the_last_ones_and_are_told(fake: None) -> None:
    face = FakeFace()
    env = gym.make("EVA/Pose-v0", face=face)
    env.reset(seed=0)
    seen = env.step(FAKE.commands[1])[0]["landmarks"]
    face.found = False
    observation, _, _, _, info = env.step(FAKE.commands[2])
    assert np.array_equal(observation["landmarks"], seen)
    assert info["faults"]


def test_a_given_face_stays_open_and_an_own_one_is_closed(fake: None) -> None:
    face = FakeFace()
    gym.make("EVA/Pose-v0", face=face).close()
    assert not face.closed
    env = gym.make("EVA/Pose-v0")
    env.close()
    assert env.unwrapped.face.closed  # type: ignore[attr-defined]


def test_a_window_needs_a_display(fake: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eva_sim.display.display_available", lambda: False)
    with pytest.raises(RenderError, match="rgb_array"):
        gym.make("EVA/Pose-v0", render_mode="human")


def test_human_mode_shows_every_step(fake: None, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[tuple[int, ...]] = []

    class FakeWindow:
        def show(self, picture: np.ndarray) -> bool:
            shown.append(picture.shape)
            return True

        def close(self) -> None: ...

    monkeypatch.setattr("eva_sim.display.DisplayWindow", FakeWindow)
    with gym.make("EVA/Pose-v0", render_mode="human") as env:
        env.reset(seed=0)
        env.step(FAKE.commands[1])
    assert shown == [(480, 480, 3)] * 2


def test_vector_environments_of_both(fake: None) -> None:
    for name in IDS:
        envs = gym.make_vec(name, num_envs=2, vectorization_mode="sync", vector_kwargs={})
        observation, _ = envs.reset(seed=1)
        observation, reward, _, _, info = envs.step(_actions(2))
        assert observation["landmarks"].shape == (2, len(POINTS), 3)
        assert reward.shape == info["landmark_error_mm"].shape == (2,)
        envs.close()


def test_points_are_checked_as_float32() -> None:
    assert check_points(FAKE.landmarks.astype(float).tolist(), frames=True).dtype == np.float32
