"""What makes an environment easy to learn: features, modes of actions, fresh targets, staggered episodes."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import SyncVectorEnv

from eva_sim.atlas import load_atlas
from eva_sim.contract import load_spec
from eva_sim.envs.action_modes import ACTION_MODES, RELATIVE_STEP, ActionMap
from eva_sim.envs.face_features import FaceFeatures, load_face_features
from eva_sim.envs.target_faces import BabbledCommands
from eva_sim.errors import ArgumentError, ArgumentValueError, CommandError, EvaError
from eva_sim.limits.command_limits import CommandLimits
from eva_sim.registration import IDS
from eva_sim.settling import settling_steps
from eva_sim.testing.fake_face import FakeFace, FakeRobotFace
from eva_sim.twin import Twin
from tests.envs.vector_comparison import COPIES, SINGLE, OneOfTwins, assert_all_same, make, walk

SPEC = load_spec()
FAST: dict[str, Any] = {"skin": "reduced"}


def single(name: str, **options: Any) -> Any:
    return SINGLE[name](**FAST, **options)


# Features


def test_features_of_the_atlas_are_standardised_and_hold_nearly_all_of_it() -> None:
    landmarks, features = load_atlas(SPEC).landmarks, load_face_features(SPEC)
    found = features(landmarks)
    assert found.shape == (len(landmarks), len(SPEC.expressive)) and found.dtype == np.float32
    np.testing.assert_allclose(found.mean(0), 0, atol=1e-3)
    np.testing.assert_allclose(found.std(0), 1, atol=1e-3)
    np.testing.assert_allclose(features.parts @ features.parts.T, np.eye(len(features)), atol=1e-5)
    again = (found * features.deviations) @ features.parts + features.mean
    left = landmarks.reshape(len(landmarks), -1) - again
    assert np.square(left).sum() < 0.005 * np.square(landmarks - landmarks.mean(0)).sum()


@pytest.mark.parametrize("rows", [3, 8])
def test_features_of_few_faces_do_not_divide_by_nothing(rows: int) -> None:
    faces = np.repeat(load_atlas(SPEC).landmarks[:2], rows, axis=0)
    found = FaceFeatures.of(faces, 5)(faces)
    assert np.isfinite(found).all() and np.abs(found[:, 2:]).max() < 0.1


@pytest.mark.parametrize("name", IDS)
def test_an_environment_observes_features_of_what_it_observes_otherwise(name: str) -> None:
    plain, short = single(name, randomise=True), single(name, randomise=True, observe="features")
    one, two = plain.reset(seed=3)[0], short.reset(seed=3)[0]
    features = load_face_features(SPEC)
    for action in walk(6, copies=1)[:, 0]:
        assert two in short.observation_space and sum(value.size for value in two.values()) == 55
        np.testing.assert_array_equal(one["position"], two["position"])
        np.testing.assert_allclose(features(one["landmarks"]), two["landmark_features"], atol=1e-4)
        np.testing.assert_allclose(features(one["target"]), two["target_features"], atol=1e-4)
        one, two = plain.step(action)[0], short.step(action)[0]


@pytest.mark.parametrize("given", [False, True])
def test_a_face_without_an_atlas_shows_no_features_and_is_closed(
    given: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    face = FakeFace()
    monkeypatch.setattr("eva_sim.make_face", lambda body, **options: face)
    monkeypatch.setattr("eva_sim.envs.observations.load_face_features", _no_atlas)
    with pytest.raises(EvaError, match="no atlas"):
        SINGLE["EVA/Pose-v0"](observe="features", face=face if given else None)
    assert face.closed == (not given)  # whoever opened a face closes it


def test_a_robot_that_cannot_be_randomised_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    face = FakeRobotFace()
    monkeypatch.setattr("eva_sim.make_face", lambda body, **options: face)
    with pytest.raises(EvaError, match="needs the twin"):
        SINGLE["EVA/Mimic-v0"](randomise=True)
    assert face.closed


def _no_atlas(spec: object) -> None:
    raise EvaError("no atlas")


# Modes of actions


def test_from_rest_zero_rests_and_the_ends_are_the_ends_of_travel() -> None:
    command = ActionMap("from_rest", SPEC)
    sent = np.zeros((5, 25), np.float32)
    actions = np.linspace(-1, 1, 5, dtype=np.float32)[:, None] * np.ones(25, np.float32)
    found = command(actions, sent)
    np.testing.assert_array_equal(found[2], SPEC.neutral)
    np.testing.assert_array_equal(found[[0, 4]], [[-1.0] * 25, [1.0] * 25])
    np.testing.assert_allclose(found[1], (SPEC.neutral - 1) / 2, atol=1e-6)
    np.testing.assert_allclose(found[3], (SPEC.neutral + 1) / 2, atol=1e-6)


def test_relative_actions_add_up_and_stay_within_the_travel() -> None:
    command = ActionMap("relative", SPEC)
    sent = SPEC.neutral[None]
    for _ in range(3):
        sent = command(np.full((1, 25), 0.4, np.float32), sent)
    np.testing.assert_allclose(sent[0], np.minimum(SPEC.neutral + 1.2 * RELATIVE_STEP, 1), atol=1e-6)
    for _ in range(12):
        sent = command(np.ones((1, 25), np.float32), sent)
    assert (sent == 1).all()
    assert (command(np.zeros((1, 25), np.float32), sent) == sent).all()


@pytest.mark.parametrize("mode", ACTION_MODES)
@pytest.mark.parametrize("name", IDS)
def test_copies_are_single_environments_in_every_mode(name: str, mode: str) -> None:
    """Also over ends of episodes, at which a relative action starts from rest again."""
    options: Any = {"max_episode_steps": 12, "action_mode": mode, "observe": "features"}
    envs = make(name, **options)
    alone = SyncVectorEnv([lambda: SINGLE[name](face=OneOfTwins(), **options) for _ in range(COPIES)])
    assert_all_same(envs.reset(seed=7), alone.reset(seed=7))
    rng = np.random.default_rng(2)
    for _ in range(30):
        actions = rng.uniform(-0.3, 0.3, (COPIES, 25)).astype(np.float32)
        assert_all_same(envs.step(actions), alone.step(actions))
    envs.close()
    alone.close()


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize("mode", ["from_rest", "relative"])
def test_doing_nothing_rests(mode: str, native: bool) -> None:
    env = (
        make("EVA/Pose-v0", 1, action_mode=mode, **FAST)
        if native
        else single("EVA/Pose-v0", action_mode=mode)
    )
    start = env.reset(seed=0)[0]
    for _ in range(4):
        seen = env.step(np.zeros(env.action_space.shape, np.float32))[0]
    np.testing.assert_array_equal(seen["position"], start["position"])
    np.testing.assert_allclose(seen["landmarks"], start["landmarks"], atol=1e-6)
    env.close()


@pytest.mark.parametrize("mode", ACTION_MODES)
def test_actions_out_of_range_are_refused_in_every_mode(mode: str) -> None:
    for env in (single("EVA/Pose-v0", action_mode=mode), make("EVA/Pose-v0", 1, action_mode=mode, **FAST)):
        env.reset(seed=0)
        with pytest.raises(CommandError, match="ClipAction"):
            env.step(np.full(env.action_space.shape, 1.5, np.float32))
        env.close()


# Targets drawn by babbling


@pytest.mark.parametrize("randomise", [False, True])
@pytest.mark.parametrize("name", IDS)
def test_copies_draw_the_targets_of_single_environments(name: str, randomise: bool) -> None:
    options: Any = {"max_episode_steps": 5, "targets": "babbling", "randomise": randomise}
    envs = make(name, **options)
    alone = SyncVectorEnv([lambda: SINGLE[name](face=OneOfTwins(), **options) for _ in range(COPIES)])
    assert_all_same(envs.reset(seed=7), alone.reset(seed=7))
    for actions in walk(14):
        assert_all_same(envs.step(actions), alone.step(actions))
    envs.close()
    alone.close()


@pytest.mark.parametrize("name", IDS)
def test_drawn_targets_are_new_in_each_episode_and_repeat_with_the_seed(name: str) -> None:
    env = single(name, targets="babbling", max_episode_steps=40)

    def targets() -> np.ndarray:
        """Commands of the targets of two episodes."""
        found = []
        for seed in (4, None):
            env.reset(seed=seed)
            found.append([env.step(SPEC.neutral)[4]["target_command"] for _ in range(40)])
        return np.array(found)

    first = targets()
    assert np.array_equal(first, targets())
    assert np.abs(first[0] - first[1]).max() > 0.1
    apart = np.abs(first[:, -1, None] - load_atlas(SPEC).commands).max(-1)
    assert (apart > 0.01).all()


@pytest.mark.parametrize("seed", [0, 1])
def test_a_drawn_target_is_the_face_that_the_nominal_body_makes(seed: int) -> None:
    env = single("EVA/Pose-v0", targets="babbling", randomise=True)
    seen, info = env.reset(seed=seed)
    with Twin(**FAST) as twin:
        for _ in range(settling_steps(SPEC)):
            face = twin.move(info["target_command"])
    np.testing.assert_allclose(seen["target"], face.landmarks, atol=1e-6)
    drawn = {f"parameter_{name}": value for name, value in env._parameters.items()}
    assert drawn and all(np.array_equal(info[name], value) for name, value in drawn.items())


@pytest.mark.parametrize("pulls", [{"jaw": 1.0, "levator": 1.0}, {"brow_inner": 0.9, "corrugator": 0.8}])
def test_a_target_beyond_the_limits_tells_the_command_that_the_limits_leave(pulls: dict[str, float]) -> None:
    asked, allowed = SPEC.command(**pulls), CommandLimits(SPEC).within(SPEC.command(**pulls).astype(float))
    assert np.abs(allowed - asked).max() > 0.1
    _, info = single("EVA/Pose-v0").reset(seed=0, options={"command": asked, "start": asked})
    np.testing.assert_allclose(info["target_command"], allowed, atol=1e-6)
    assert info["landmark_error_mm"] < 1e-3
    envs = make("EVA/Pose-v0", 2, **FAST)
    told = envs.reset(seed=0, options={"copies": [{"command": asked}, {}]})[1]["target_command"]
    np.testing.assert_allclose(told[0], allowed, atol=1e-6)
    envs.close()


@pytest.mark.parametrize("name", IDS)
def test_drawn_targets_are_within_the_limits(name: str) -> None:
    envs, limits = make(name, 3, targets="babbling", **FAST), CommandLimits(SPEC)
    for seed in range(8):
        info = envs.reset(seed=10 * seed)[1]
        for _ in range(12):
            told = info["target_command"].astype(float)
            np.testing.assert_allclose(limits.within(told), told, atol=1e-6)
            info = envs.step(np.tile(SPEC.neutral, (3, 1)))[4]
    envs.close()


def test_a_restored_environment_draws_the_same_targets_again() -> None:
    env = single("EVA/Pose-v0", targets="babbling")
    env.reset(seed=2)
    state = env.save()
    first = [env.reset()[0]["target"] for _ in range(2)]
    env.restore(state)
    assert np.array_equal(first, [env.reset()[0]["target"] for _ in range(2)])


def test_babbled_commands_are_a_sequence_that_may_be_taken_in_parts() -> None:
    whole, rest = BabbledCommands(5).take(SPEC, 3)
    one, left = BabbledCommands(5).take(SPEC, 1)
    two, after = left.take(SPEC, 2)
    np.testing.assert_array_equal(whole, np.concatenate([one, two]))
    assert rest == after and len(np.unique(whole[:, 0])) > 1


def test_targets_of_the_user_are_not_drawn() -> None:
    env = make("EVA/Pose-v0", 2, targets="babbling", **FAST)
    wanted = load_atlas(SPEC).landmarks[5]
    seen, info = env.reset(seed=0, options={"target": wanted})
    assert (seen["target"] == wanted).all() and "target_command" not in info
    assert env._faces._babbled == [None, None]
    env.close()


# Staggered episodes, options of each copy, weight of changes


def ends(envs: Any, steps: int) -> list[list[int]]:
    """Steps after which each copy's episodes end."""
    rest = np.tile(SPEC.neutral, (envs.num_envs, 1))
    over = np.array([envs.step(rest)[3] for _ in range(steps)])
    return [(np.flatnonzero(row) + 1).tolist() for row in over.T]


def test_staggered_copies_end_one_after_the_other() -> None:
    envs = make("EVA/Pose-v0", 3, stagger=True, max_episode_steps=6, autoreset_mode="SameStep", **FAST)
    envs.reset(seed=0)
    assert ends(envs, 14) == [[2, 8, 14], [4, 10], [6, 12]]
    envs.reset(seed=0, options={"reset_mask": np.array([True, False, False])})
    assert ends(envs, 9) == [[2, 8], [2, 8], [4]]
    envs.close()


def test_episodes_are_not_staggered_without_being_asked() -> None:
    envs = make("EVA/Mimic-v0", 3, max_episode_steps=4, autoreset_mode="SameStep", **FAST)
    envs.reset(seed=0)
    assert ends(envs, 9) == [[4, 8]] * 3
    envs.close()


def test_each_copy_takes_options_of_its_own() -> None:
    envs = make("EVA/Pose-v0", 3, **FAST)
    jaw = SPEC.command(jaw=0.5)
    own = [{"expression": "joy"}, {"command": jaw, "start": jaw}, {}]
    seen, info = envs.reset(seed=4, options={"copies": own})
    for copy, options in enumerate(own):
        alone = make("EVA/Pose-v0", 1, **FAST)
        want, message = alone.reset(seed=4 + copy, options=options)
        for key in want:
            np.testing.assert_allclose(seen[key][copy], want[key][0], atol=1e-6)
        np.testing.assert_array_equal(info["target_command"][copy], message["target_command"][0])
        alone.close()
    envs.close()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"copies": [{}]}, ArgumentValueError, "one dict of options for each of 2 copies, not 1"),
        ({"copies": [{}, {}], "expression": "joy"}, ArgumentValueError, "beside expression"),
        ({"copies": [{}, 3]}, ArgumentError, "a dict such as"),
        ({"copies": "both"}, ArgumentError, "a list of 2 dicts"),
        ({"copies": [{}, {"taget": 1}]}, ArgumentValueError, "no option 'taget'; did you mean target"),
        ({"copies": [{}, {"start": [0.0]}]}, CommandError, "shape"),
    ],
)
def test_bad_options_of_copies_are_told(options: Any, error: type, message: str) -> None:
    envs = make("EVA/Pose-v0", 2, **FAST)
    with pytest.raises(error, match=message):
        envs.reset(options=options)
    envs.close()


@pytest.mark.parametrize("name", IDS)
def test_the_weight_of_changes_is_that_of_the_reward(name: str) -> None:
    action = SPEC.command(jaw=0.5)
    change = np.square(action - SPEC.neutral).mean()
    for weight in (0.0, 3.0):
        for env in (single(name, change_weight=weight), make(name, 1, change_weight=weight, **FAST)):
            env.reset(seed=0)
            info = env.step(action if env.action_space.shape == (25,) else action[None])[4]
            assert float(np.squeeze(info["reward_change"])) == pytest.approx(-weight * change, rel=1e-5)
            env.close()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"action_mode": "relativ"}, "no action_mode called 'relativ'; did you mean relative"),
        ({"targets": "babling"}, "no targets called 'babling'; did you mean babbling"),
        ({"action_mode": None}, "no action_mode called None; there are absolute"),
        ({"targets": None}, "no targets called None; there are atlas"),
        ({"style": None}, "no style called None; there are plain"),
        ({"material": 3}, "no material called 3; there are blue"),
        ({"randomise": "no"}, "randomise is True or False, not 'no'"),
        ({"change_weight": -1}, "change_weight=-1; choose a number from 0 on"),
        ({"change_weight": "high"}, "change_weight='high'"),
        ({"change_weight": float("nan")}, "change_weight=nan"),
        ({"observe": "feature"}, "choose 'landmarks', 'image', 'both' or 'features'"),
    ],
)
@pytest.mark.parametrize("native", [False, True])
def test_arguments_without_a_meaning_are_told(arguments: Any, message: str, native: bool) -> None:
    with pytest.raises(ArgumentValueError, match=message):
        (make if native else gym.make)("EVA/Mimic-v0", **arguments)


def test_episodes_without_end_are_not_staggered() -> None:
    with pytest.raises(ArgumentValueError, match="max_episode_steps"):
        make("EVA/Pose-v0", 2, stagger=True, max_episode_steps=-1, **FAST)
