"""The examples, at small size: each does what its text says."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

from eva_sim.agents.models.inverse import SHIPPED_MODEL, InverseModel
from eva_sim.agents.models.model_file import MODEL_FILE
from eva_sim.contract import load_spec
from eva_sim.errors import DataError
from eva_sim.files import asset
from eva_sim.landmarks import face_measurements
from eva_sim.real.calibration.model import Calibration
from eva_sim.settling import reset_and_hold
from eva_sim.twin import Twin
from examples import calibrate_virtual_robot, custom_reward, mirror_target, own_mesh, train_in_40_lines

ROOT = Path(__file__).resolve().parents[2]


def test_a_network_copies_faces_that_it_never_saw() -> None:
    error, at_rest = train_in_40_lines.main(faces=384, passes=30)
    assert error < at_rest / 3


def test_forty_lines_are_forty() -> None:
    lines = (ROOT / "examples/train_in_40_lines.py").read_text().splitlines()
    assert sum(bool(line.strip()) for line in lines) <= 40


def test_the_search_finds_a_closed_smile() -> None:
    middle, rewards = custom_reward.search(rounds=5)
    assert rewards[-1] > rewards[0] + 0.1
    with Twin() as twin:
        wide = face_measurements(reset_and_hold(twin, twin.spec.neutral).landmarks)
        pulls = np.where(middle > 0, middle, 0)
        smile = twin.spec.command(zygomaticus=2 * pulls[twin.spec.index("zygomaticus_left")] - 1)
        found = face_measurements(reset_and_hold(twin, smile).landmarks)
    assert found["mouth_width"] > wide["mouth_width"] + 0.05
    assert middle[twin.spec.index("jaw")] < 0.3


@pytest.mark.parametrize("seed", [1, 4])
def test_a_calibrated_robot_obeys_better(seed: int, tmp_path: Path) -> None:
    spec = load_spec()
    made = calibrate_virtual_robot.calibrate(spec, "mock", seed, tmp_path)
    nominal = Calibration.nominal(spec, made.robot_id, made.board, made.unit)
    before, after = (calibrate_virtual_robot.errors(spec, seed, each) for each in (nominal, made))
    assert after.mean() < before.mean() / 3 and after.max() < before.max() / 3


def test_a_head_with_other_cheeks_smiles(tmp_path: Path) -> None:
    folder = own_mesh.make_head(tmp_path / "head", by=0.004)
    with pytest.raises(DataError, match="name another with --out"):
        own_mesh.make_head(folder)
    with Twin() as eva, Twin(spec=load_spec(folder)) as own:
        moved = np.linalg.norm(own.skin.anatomy.points - eva.skin.anatomy.points, axis=1)
        assert 0.003 < moved.max() <= 0.004 and np.median(moved) < 0.0005
        for twin in (eva, own):
            rest = face_measurements(twin.neutral_landmarks)["mouth_width"]
            smile = reset_and_hold(twin, twin.spec.command(zygomaticus=0.8)).landmarks
            assert face_measurements(smile)["mouth_width"] > rest + 0.05


def test_a_model_mirrors_a_target() -> None:
    model = InverseModel.load(asset(SHIPPED_MODEL) / MODEL_FILE)
    env = gym.make("EVA/Mimic-v0", body="twin", max_episode_steps=30, render_mode="rgb_array")
    episode = mirror_target.run_episode(env, model, "surprise", seed=1)
    env.close()
    assert len(episode.errors) == 30 and len(episode.pictures) == mirror_target.PICTURES
    assert np.mean(episode.errors[10:]) < np.mean(episode.rest_errors[10:]) / 2


@pytest.mark.parametrize(
    ("name", "library"),
    [("train_sb3", "stable_baselines3"), ("train_torchrl", "tensordict"), ("train_lerobot", "lerobot")],
)
def test_an_example_names_the_library_that_it_lacks(
    name: str, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.delitem(sys.modules, f"examples.{name}", raising=False)
    with pytest.raises(SystemExit, match=f"^{name}: .* is missing; .*pip install"):
        importlib.import_module(f"examples.{name}")
