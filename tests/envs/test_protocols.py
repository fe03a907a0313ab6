"""What Gymnasium, pickle and libraries expect of an environment beyond `step` and `reset`."""

from __future__ import annotations

import copy
import importlib
import pickle
import sys
from collections.abc import Callable
from typing import Any

import cloudpickle  # type: ignore[import-untyped]
import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ClosedEnvironmentError, ResetNeeded
from gymnasium.wrappers import ClipAction, TimeLimit

import eva_sim
from eva_sim.contract import load_spec
from eva_sim.envs import mimic, observations, pose, target_faces
from eva_sim.envs.face_features import FaceFeatures
from eva_sim.errors import ArgumentError, ArgumentValueError, CommandError, EvaError
from eva_sim.registration import IDS
from eva_sim.testing.fake_face import FakeFace, fake_atlas, open_fake
from tests.envs.vector_comparison import make, walk

FAKE = fake_atlas()
JAW = load_spec().command(jaw=0.2)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every face that is opened is a fake, with an atlas of its own."""
    monkeypatch.setattr(eva_sim, "make_face", open_fake)
    monkeypatch.setattr(target_faces, "load_atlas", lambda spec: FAKE)
    monkeypatch.setattr(observations, "load_face_features", lambda spec: FaceFeatures.of(FAKE.landmarks, 15))


def sync(name: str, **options: Any) -> Any:
    return gym.make_vec(name, num_envs=2, vectorization_mode="sync", **options)


CALLS: dict[str, Callable[..., Any]] = {
    "gym.make": gym.make,
    "native": make,
    "sync": sync,
    "make_face": lambda name, **options: eva_sim.make_face("twin", **options),
    "capabilities": lambda name, **options: eva_sim.face_capabilities("mock", **options),
    "given face": lambda name, **options: gym.make(name, face=FakeFace(), **options),
}


@pytest.mark.parametrize("keyword", ["frameskip", "continuous"])
@pytest.mark.parametrize("call", CALLS)
def test_an_unknown_keyword_is_a_type_error_in_pythons_words(call: str, keyword: str) -> None:
    with pytest.raises(TypeError, match=f"got an unexpected keyword argument '{keyword}'") as error:
        CALLS[call]("EVA/Mimic-v0", **{keyword: 1})
    assert isinstance(error.value, EvaError)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("call", "keyword", "meant"),
    [
        ("gym.make", "randomize", "randomise"),
        ("gym.make", "episode_steps", "max_episode_steps"),
        ("native", "autoreset", "autoreset_mode"),
        ("make_face", "camera_sise", "camera_size"),
    ],
)
def test_a_misspelt_keyword_is_told_what_is_meant(call: str, keyword: str, meant: str) -> None:
    with pytest.raises(ArgumentError, match=rf"did you mean {meant}\?"):
        CALLS[call]("EVA/Pose-v0", **{keyword: 1})


@pytest.mark.parametrize(
    ("call", "options", "error"),
    [
        ("gym.make", {"face": "twin"}, ArgumentError),
        ("gym.make", {"image_size": "96"}, ArgumentValueError),
        ("gym.make", {"spec": "assets"}, ArgumentError),
        ("native", {"spec": "assets"}, ArgumentError),
        ("native", {"copies": 0}, ArgumentValueError),
        ("native", {"copies": 2.5}, ArgumentValueError),
        ("make_face", {"spec": "assets"}, ArgumentError),
    ],
)
def test_an_argument_of_the_wrong_type_is_told(
    call: str, options: dict[str, Any], error: type[EvaError]
) -> None:
    name = "num_envs" if "copies" in options else next(iter(options))
    with pytest.raises(error, match=name):
        CALLS[call]("EVA/Pose-v0", **options)


@pytest.mark.parametrize("options", [3, ["expression"], "joy"])
@pytest.mark.parametrize("native", [False, True])
def test_reset_options_that_are_no_dict_are_told(native: bool, options: Any) -> None:
    env: Any = make("EVA/Pose-v0", 2, skin="reduced") if native else pose.PoseEnv(face=FakeFace())
    with pytest.raises(TypeError, match="options of reset are a dict"):
        env.reset(options=options)


@pytest.mark.parametrize("name", IDS)
def test_the_limit_of_an_episode_is_in_the_spec_and_may_be_changed(name: str, fake: None) -> None:
    default = IDS[name].max_episode_steps
    assert gym.spec(name).max_episode_steps == default
    for wanted in (3, default, default + 7):
        env: Any = gym.make(name, max_episode_steps=wanted) if wanted != default else gym.make(name)
        assert env.spec.max_episode_steps == wanted
        env.reset(seed=0)
        ends = [env.step(JAW)[2:4] for _ in range(wanted)]
        assert ends == [(False, False)] * (wanted - 1) + [(False, True)]


def test_native_copies_have_the_limit_of_the_id_and_may_have_another() -> None:
    for options, last in (({}, 100), ({"max_episode_steps": 3}, 3)):
        envs = make("EVA/Pose-v0", 2, skin="reduced", **options)
        envs.reset(seed=0)
        rest = np.tile(load_spec().neutral, (2, 1))
        ends = [envs.step(rest)[3].all() for _ in range(last)]
        assert ends == [False] * (last - 1) + [True]
        envs.close()


@pytest.mark.parametrize("limit", [None, -1])
def test_an_environment_without_a_limit_goes_on(limit: int | None, fake: None) -> None:
    env = mimic.MimicEnv(max_episode_steps=limit)
    env.reset(seed=0)
    assert not any(env.step(JAW)[3] for _ in range(600))
    made = gym.make("EVA/Pose-v0", max_episode_steps=-1)
    made.reset(seed=0)
    assert not any(made.step(JAW)[3] for _ in range(150))


@pytest.mark.parametrize("limit", [0, -2, 2.5, "many"])
def test_a_limit_without_meaning_is_told(limit: Any) -> None:
    for build in (pose.PoseEnv, pose.PoseVectorEnv):
        with pytest.raises(ArgumentValueError, match=f"max_episode_steps={limit!r}"):
            build(max_episode_steps=limit)


ENDED: dict[str, Callable[[Any], Any]] = {
    "registered": lambda face: gym.make("EVA/Pose-v0", face=face, max_episode_steps=4),
    "wrapped": lambda face: TimeLimit(pose.PoseEnv(face=face), 4),
    "wrapped twice": lambda face: ClipAction(TimeLimit(TimeLimit(mimic.MimicEnv(face=face), 9), 4)),
    "own": lambda face: mimic.MimicEnv(face=face, max_episode_steps=4),
    "targets": lambda face: mimic.MimicEnv(face=face),
}


@pytest.mark.parametrize("ended", ENDED)
def test_a_step_after_the_end_is_refused_before_the_body_moves(ended: str, fake: None) -> None:
    face = FakeFace()
    env = ENDED[ended](face)
    options = {"targets": FAKE.landmarks[:5]} if ended == "targets" else None
    for _ in range(2):  # episodes
        env.reset(seed=0, options=options)
        assert [env.step(JAW)[3] for _ in range(4)] == [False] * 3 + [True]
        before = face.save()
        with pytest.raises(ResetNeeded, match="the episode has ended"):
            env.step(JAW)
        assert all(np.array_equal(one, two) for one, two in zip(face.save(), before, strict=True))


def test_an_environment_around_another_does_not_lend_its_limit(fake: None) -> None:
    """A reset within the reset of another environment, as a planner's may be."""
    inner = pose.PoseEnv()

    class Outer(pose.PoseEnv):
        def reset(self, **given: Any) -> Any:
            inner.reset(seed=1)
            return super().reset(**given)

    TimeLimit(Outer(), 2).reset(seed=0)
    assert not any(inner.step(JAW)[3] for _ in range(5))


@pytest.mark.parametrize("name", IDS)
def test_an_info_is_made_of_numpy_numbers(name: str, fake: None) -> None:
    env = gym.make(name)
    infos = [env.reset(seed=0)[1], env.step(JAW)[4]]
    for info in infos:
        assert "faults" not in info
        assert all(isinstance(value, np.ndarray | np.number) for value in info.values())


def play(env: Any, steps: int) -> list[Any]:
    """Observations and rewards of the next steps, as one list of arrays."""
    seen = []
    for actions in walk(steps, 2, seed=4):
        observation, reward, *_ = env.step(actions[0] if env.action_space.shape == (25,) else actions)
        seen += [*observation.values(), reward]
    return seen


COPIERS: dict[str, Callable[[Any], Any]] = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda env: pickle.loads(pickle.dumps(env)),
    "cloudpickle": lambda env: pickle.loads(cloudpickle.dumps(env)),
}
BUILDERS: dict[str, Callable[[], Any]] = {
    "reduced": lambda: gym.make("EVA/Mimic-v0", skin="reduced"),
    "full": lambda: gym.make("EVA/Mimic-v0", randomise=True),
    "legs": lambda: gym.make("EVA/Pose-v0", skin="reduced", neck="legs"),
    "given face": lambda: gym.make("EVA/Pose-v0", face=eva_sim.make_face("twin", skin="reduced")),
    "native": lambda: make("EVA/Mimic-v0", 2, randomise=True, max_episode_steps=4),
    "native reduced": lambda: make("EVA/Pose-v0", 2, skin="reduced", max_episode_steps=4),
}


@pytest.mark.parametrize("build", BUILDERS)
@pytest.mark.parametrize("copier", COPIERS)
def test_a_copy_in_the_middle_of_an_episode_goes_on_bit_by_bit(build: str, copier: str) -> None:
    env = BUILDERS[build]()
    env.reset(seed=2)
    play(env, 2)
    twin_of_it = COPIERS[copier](env)
    for one, two in zip(play(env, 5), play(twin_of_it, 5), strict=True):
        assert np.array_equal(one, two)
    env.close()
    assert len(play(twin_of_it, 1)) == 4 or build.startswith("native")  # has a face of its own
    twin_of_it.close()


@pytest.mark.parametrize("build", ["reduced", "native reduced"])
def test_a_copy_before_the_first_reset_still_needs_one(build: str) -> None:
    env = copy.deepcopy(BUILDERS[build]())
    with pytest.raises(ResetNeeded):
        play(env, 1)
    env.reset(seed=0)
    play(env, 1)
    env.close()


@pytest.mark.parametrize("native", [False, True])
def test_an_action_out_of_range_names_the_wrapper_that_clips(native: bool) -> None:
    env: Any = make("EVA/Pose-v0", 2, skin="reduced") if native else gym.make("EVA/Pose-v0", skin="reduced")
    env.reset(seed=0)
    wide = np.full(env.action_space.shape, 1.5, np.float32)
    wrapper = "gymnasium.wrappers.vector.ClipAction" if native else "gymnasium.wrappers.ClipAction"
    with pytest.raises(CommandError, match=f"{wrapper} clips"):
        env.step(wide)
    for other in (np.full_like(wide, np.nan), wide[..., :3] / 2):
        with pytest.raises(CommandError) as error:
            env.step(other)
        assert "Clip" not in str(error.value)
    env.close()


@pytest.mark.parametrize("missing", ["stable_baselines3", "stable_baselines3.common"])
def test_a_missing_library_is_told_in_one_traceback(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    monkeypatch.delitem(sys.modules, "eva_sim.envs.stable_baselines3", raising=False)
    with pytest.raises(EvaError, match="needs Stable-Baselines3; install it with: pip install") as error:
        importlib.import_module("eva_sim.envs.stable_baselines3")
    assert error.value.__suppress_context__


@pytest.mark.parametrize("call", ["reset", "step", "render"])
def test_a_closed_vector_environment_says_so(call: str) -> None:
    envs = make("EVA/Pose-v0", 2, render_mode="rgb_array")
    envs.reset(seed=0)
    envs.close()
    arguments = (walk(1, 2)[0],) if call == "step" else ()
    with pytest.raises(ClosedEnvironmentError):
        getattr(envs, call)(*arguments)


@pytest.mark.parametrize("call", ["reset", "step", "render", "save", "restore"])
@pytest.mark.parametrize("given", [False, True], ids=["own face", "given face"])
@pytest.mark.parametrize("name", IDS)
def test_a_closed_environment_says_so_and_nothing_moves(
    name: str, given: bool, call: str, fake: None
) -> None:
    face = FakeFace()
    options: dict[str, Any] = {"face": face} if given else {}
    env: Any = gym.make(name, render_mode="rgb_array", **options)
    env.reset(seed=0)
    state = env.unwrapped.save()
    env.close()
    env.close()
    arguments = {"step": (JAW,), "restore": (state,)}.get(call, ())
    with pytest.raises(ClosedEnvironmentError, match="the environment is closed; make a new one"):
        getattr(env.unwrapped, call)(*arguments)
    assert face.closed is False or not given  # its owner may go on with it
    assert not given or face.move(JAW).time == pytest.approx(face.spec.control_dt)


@pytest.mark.parametrize("skin", ["full", "reduced"])
def test_native_copies_are_drawn_as_single_ones(skin: str) -> None:
    envs = make("EVA/Pose-v0", 2, skin=skin, render_mode="rgb_array")
    alone = gym.make("EVA/Pose-v0", skin=skin, render_mode="rgb_array")
    envs.reset(seed=0)
    alone.reset(seed=1)
    for actions in walk(3, 2):
        envs.step(actions)
        alone.step(actions[1])
    pictures, picture = envs.render(), np.asarray(alone.render(), int)
    assert [each.shape for each in pictures] == [(480, 480, 3)] * 2
    assert np.abs(pictures[1] - picture).mean() < 0.1 < np.abs(pictures[0] - picture).mean()
    assert make("EVA/Pose-v0", 2, skin="reduced").render() is None
    envs.close()
    alone.close()
