"""Checks with Stable-Baselines3: single environments as they are, native ones by `make_sb3_vec_env`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from stable_baselines3 import A2C, PPO, SAC, TD3
from stable_baselines3.common.callbacks import EvalCallback
from stable_baselines3.common.env_checker import check_env
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import (
    SubprocVecEnv,
    VecCheckNan,
    VecFrameStack,
    VecMonitor,
    VecNormalize,
)

from eva_sim.contract import load_spec
from eva_sim.envs.residual_actions import MODEL_CHANGE, ResidualActions
from eva_sim.envs.stable_baselines3 import ImprovementVecEnv, ResidualVecEnv, make_sb3_vec_env
from eva_sim.registration import IDS

ID = "EVA/Pose-v0"
EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "train_sb3.py"
FAST: dict[str, Any] = {"skin": "reduced"}
SHORT: dict[str, Any] = {**FAST, "max_episode_steps": 20}


@pytest.mark.parametrize("observe", ["landmarks", "both"])
@pytest.mark.parametrize("name", IDS)
def test_its_checker_has_no_complaint(name: str, observe: str) -> None:
    check_env(gym.make(name, observe=observe, image_size=64, render_mode="rgb_array", **FAST))


@pytest.mark.parametrize("algorithm", [PPO, A2C, SAC, TD3])
def test_an_algorithm_learns_on_one_environment(algorithm: Any) -> None:
    more = {"buffer_size": 2000, "learning_starts": 50} if algorithm in (SAC, TD3) else {"n_steps": 32}
    algorithm("MultiInputPolicy", gym.make(ID, **SHORT), seed=0, **more).learn(128)


def test_pictures_and_flat_observations() -> None:
    PPO("MultiInputPolicy", gym.make(ID, observe="both", image_size=64, **FAST), n_steps=32).learn(32)
    PPO("MlpPolicy", gym.wrappers.FlattenObservation(gym.make(ID, **FAST)), n_steps=32).learn(32)


def test_evaluation_and_monitor_read_the_infos(tmp_path: Path) -> None:
    keys = ("landmark_error_mm", "reward_error")
    env = Monitor(gym.make(ID, **SHORT), str(tmp_path / "log"), info_keywords=keys)
    check = EvalCallback(env, eval_freq=32, n_eval_episodes=1, verbose=0)
    PPO("MultiInputPolicy", gym.make(ID, **SHORT), n_steps=32).learn(64, callback=check)
    assert check.last_mean_reward < 0
    assert "landmark_error_mm" in (tmp_path / "log.monitor.csv").read_text()


@pytest.mark.parametrize("processes", [False, True])
def test_its_own_vector_environments(processes: bool) -> None:
    kind = {"vec_env_cls": SubprocVecEnv} if processes else {}
    envs = make_vec_env(f"eva_sim:{ID}", 2, env_kwargs=FAST, **kind)
    PPO("MultiInputPolicy", envs, n_steps=32, batch_size=32).learn(64)
    envs.close()


@pytest.mark.parametrize("algorithm", [PPO, SAC])
def test_an_algorithm_learns_on_native_environments(algorithm: Any) -> None:
    more = {"buffer_size": 5000, "learning_starts": 50} if algorithm is SAC else {"n_steps": 32}
    envs = make_sb3_vec_env(ID, num_envs=8, **SHORT)
    model = algorithm(
        "MultiInputPolicy", VecMonitor(envs, info_keywords=("landmark_error_mm",)), seed=0, **more
    )
    model.learn(512)
    assert {episode["l"] for episode in model.ep_info_buffer} == {20}
    envs.close()


def test_the_end_of_a_native_episode_is_where_it_expects_it() -> None:
    envs = make_sb3_vec_env(ID, num_envs=2, skin="reduced", max_episode_steps=3)
    envs.seed(4)
    start = envs.reset()
    alone = gym.make(ID, skin="reduced", max_episode_steps=3)
    alone.reset(seed=5)
    action = np.full(25, 0.3, np.float32)
    for _ in range(3):
        seen, rewards, done, infos = envs.step(np.tile(action, (2, 1)))
        wanted, reward, _, truncated, info = alone.step(action)
    assert done.all() and truncated
    assert infos[1]["TimeLimit.truncated"] is True
    assert rewards[1] == pytest.approx(reward, abs=1e-4)
    assert infos[1]["landmark_error_mm"] == pytest.approx(info["landmark_error_mm"], abs=1e-3)
    np.testing.assert_allclose(infos[1]["terminal_observation"]["landmarks"], wanted["landmarks"], atol=1e-4)
    np.testing.assert_allclose(seen["landmarks"], start["landmarks"], atol=1e-5)
    assert set(envs.reset_infos[0]) == {"landmark_error_mm", "time", "target_command"}
    envs.close()


def test_native_environments_take_its_wrappers_options_and_pictures() -> None:
    envs = make_sb3_vec_env(ID, num_envs=2, render_mode="rgb_array", **SHORT)
    stacked = VecCheckNan(VecFrameStack(VecNormalize(envs), 2))
    envs.set_options({"expression": "joy"})
    seen = stacked.reset()
    assert seen["position"].shape == (2, 50)
    assert np.array_equal(envs.reset_infos[0]["target_command"], envs.reset_infos[1]["target_command"])
    picture = envs.render()
    assert picture is not None and picture.size == 2 * 480 * 480 * 3  # tiles
    envs.set_options([{"expression": "joy"}, {"expression": "anger"}])
    envs.reset()
    joy, anger = (info["target_command"] for info in envs.reset_infos)
    assert not np.array_equal(joy, anger)
    envs.close()


def train(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Runs the example for a few steps."""
    small = ["--copies=16", "--rollout=8", "--batch=64", "--report-every=256", "--test-copies=4"]
    command = [sys.executable, str(EXAMPLE), "--out", str(folder), "--test-skin=reduced", *small, *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=600)


def scores_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "scores.json").read_text())
    return found


@pytest.mark.parametrize(
    "words",
    [
        ("--env-id=EVA/Mimic-v0", "--randomise", "--history=3"),
        ("--env-id=EVA/Mimic-v0", "--randomise", "--residual"),
        ("--action-mode=from_rest",),
    ],
)
def test_the_example_trains_goes_on_and_tests(words: tuple[str, ...], tmp_path: Path) -> None:
    done = train(tmp_path, "--steps=512", *words)
    assert done.returncode == 0, done.stderr
    first = scores_of(tmp_path)
    assert first["steps"] == 512 and {"PPO", "neutral", "inverse model"} <= set(first["scores"])
    assert ("PPO, untrained" in first["scores"]) == ("--residual" in words)
    assert (tmp_path / "curve.png").stat().st_size > 1000
    again = train(tmp_path, "--minutes=0", "--resume")
    assert again.returncode == 0, again.stderr
    assert scores_of(tmp_path)["scores"] == first["scores"]  # with the options of the checkpoint
    more = train(tmp_path, "--steps=1024", "--resume")
    assert more.returncode == 0, more.stderr
    points = json.loads((tmp_path / "curve.json").read_text())["points"]
    steps = [point["steps"] for point in points]
    assert scores_of(tmp_path)["steps"] == 1024 and steps == sorted(steps)

    before = (tmp_path / "model.zip").read_bytes()
    anew = train(tmp_path, "--steps=1024")
    assert anew.returncode == 1 and "holds a run; go on with --resume" in anew.stderr
    assert (tmp_path / "model.zip").read_bytes() == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--resume",), "holds no checkpoint; train there first"),
        (("--batch=512",), "--batch is at most --copies times --rollout"),
        (("--action-mode=relativ",), "did you mean relative"),
        (("--env-id=EVA/Pose-v9",), "there are EVA/Pose-v0, EVA/Mimic-v0"),
    ],
)
def test_mistakes_of_the_example_are_told_in_a_line(
    words: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    done = train(tmp_path, *words)
    assert done.returncode == 1 and done.stderr.startswith("train_sb3: ") and message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_corrections_of_a_model_are_learned() -> None:
    spec = load_spec()

    def predict(landmarks: Any) -> Any:
        return np.tile(spec.neutral, (len(landmarks), 1)) + 0.1 * landmarks[:, 0, :1]

    plain = make_sb3_vec_env("EVA/Mimic-v0", 4, observe="features", randomise=True, **SHORT)
    envs = VecNormalize(ResidualVecEnv(plain, ResidualActions(spec, predict, 0.2, 2)))
    assert envs.action_space.shape == (len(spec.expressive),)
    PPO("MultiInputPolicy", envs, n_steps=32, batch_size=32).learn(256)
    envs.reset()
    for _ in range(20):
        _, _, done, infos = envs.step(np.zeros((4, len(spec.expressive))))
    assert done.all() and all(MODEL_CHANGE in info["terminal_observation"] for info in infos)
    envs.close()


def test_the_reward_is_what_actions_improve() -> None:
    """Other bodies and targets in each episode change nothing: actions of 0 always gain 0."""
    options = {**SHORT, "action_mode": "relative", "randomise": True, "stagger": True}
    envs = ImprovementVecEnv(
        *(make_sb3_vec_env("EVA/Mimic-v0", 4, observe="features", **options) for _ in "ab")
    )
    still = np.zeros(envs.action_space.shape)
    for seed in (0, 0, 1):
        envs.seed(seed)
        envs.reset()
        rewards, ends = zip(*(envs.step([still] * 4)[1:3] for _ in range(30)), strict=True)
        assert not np.any(rewards) and np.any(ends)
    moved = [envs.step([still, still, still + 0.3, still])[1] for _ in range(5)]
    assert np.all(np.array(moved)[:, [0, 1, 3]] == 0) and np.all(np.array(moved)[1:, 2])
    envs.close()
