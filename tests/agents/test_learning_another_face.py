"""Another face: babble, train and mirror with other actuators, names, number and order."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eva_sim.agents.data import babbling
from eva_sim.agents.data.babbling import babble, sample_command
from eva_sim.agents.data.dataset import Dataset, load_dataset
from eva_sim.agents.evaluation.scores import replay_errors
from eva_sim.agents.mirroring.mirror import mirror
from eva_sim.agents.models.inverse import InverseModel, TrainingConfig
from eva_sim.agents.train import train_inverse_model
from eva_sim.contract import parse_spec
from eva_sim.errors import DataError
from eva_sim.files import asset, read_json
from eva_sim.media.encoding import write_video
from eva_sim.media.sources import open_source
from eva_sim.testing.fake_face import FakeFace

TEXT = """
actuators = [
    { name = "shutter_b", kind = "lid", side = "right", moves = "shutter", action_units = [], channel = 8, direction = -1 },
    { name = "tilt", kind = "leg", side = "middle", moves = "neck", action_units = [], channel = 0, direction = 1 },
    { name = "smile_b", kind = "cable", side = "right", moves = "smile", action_units = [], channel = 3, direction = -1 },
    { name = "mouth", kind = "jaw", side = "middle", moves = "mouth", action_units = [], channel = 4, direction = 1 },
    { name = "frown_a", kind = "cable", side = "left", moves = "frown", action_units = [], channel = 1, direction = 1 },
    { name = "smile_a", kind = "cable", side = "left", moves = "smile", action_units = [], channel = 2, direction = 1 },
    { name = "gaze", kind = "eye", side = "middle", moves = "pan", action_units = [], channel = 6, direction = 1 },
    { name = "shutter_a", kind = "lid", side = "left", moves = "shutter", action_units = [], channel = 7, direction = 1 },
    { name = "frown_b", kind = "cable", side = "right", moves = "frown", action_units = [], channel = 5, direction = -1 },
]

[face]
name = "NINE"
control_dt = 0.05
physics_dt = 0.005

[kind]
cable = { unit = "rad", low = 0.0, high = 1.5, neutral = 0.0, rate = 6.0, dead_band = 0.004, delay = 1 }
jaw = { unit = "rad", low = 0.0, high = 0.3, neutral = 0.0, rate = 3.0, dead_band = 0.002, delay = 1 }
eye = { unit = "rad", low = -0.4, high = 0.4, neutral = 0.0, rate = 9.0, dead_band = 0.002, delay = 1 }
lid = { unit = "rad", low = -0.5, high = 0.2, neutral = 0.0, rate = 9.0, dead_band = 0.002, delay = 1 }
leg = { unit = "m", low = -0.01, high = 0.01, neutral = 0.0, rate = 0.08, dead_band = 0.0001, delay = 1 }

[cable]
horn_radius = 0.009
slack = 0.0005
stiffness = 2500.0
backlash = 0.0003
friction = 0.12
wrap_angle = 1.57
bowden_stiffness = 20000.0
"""  # noqa: E501
SPEC = parse_spec(TEXT)
MOVING = [0, 2, 3, 4, 5, 7, 8]  # without the neck's leg and the gaze


def open_nine(body: str = "nine", **options: Any) -> FakeFace:
    return FakeFace(spec=SPEC, **options)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("nine")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(babbling, "SHARD_SIZE", 40)
        babble(folder, 400, 3, body="nine", workers=1, image_size=None, open_face=open_nine)
    return load_dataset(folder)


@pytest.fixture(scope="module")
def trained(data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[InverseModel, Path]:
    out = tmp_path_factory.mktemp("trained")
    train_inverse_model(data, out, TrainingConfig(epochs=40))
    return InverseModel.load(out / "inverse.pt"), out


def test_random_commands_need_no_names_of_eva() -> None:
    rng = np.random.default_rng(0)
    drawn = np.stack([sample_command(SPEC, rng) for _ in range(1000)])
    assert drawn.shape == (1000, 9)
    for command in drawn[:20]:
        SPEC.check(command)
    assert (drawn[:, MOVING].max(0) > 0.99).all()
    free = drawn[:, SPEC.where("eye", "leg")].std(0)
    assert (free > 0.1).all() and (free < 0.4).all()
    left, right = drawn[:, 5], drawn[:, 2]
    assert np.corrcoef(left, right)[0, 1] > 0.5


def test_a_face_without_eyes_and_legs_babbles_too() -> None:
    lines = [line for line in TEXT.splitlines() if '"eye"' not in line and '"leg"' not in line]
    spec = parse_spec("\n".join(lines))
    assert len(spec) == 7
    spec.check(sample_command(spec, np.random.default_rng(0)))


def test_the_data_set_knows_its_face(data: Dataset) -> None:
    assert data.commands.shape == (400, 9)
    assert data.spec.names == SPEC.names and data.manifest.digest == SPEC.digest
    assert data.spec.expressive.tolist() == MOVING


def test_the_model_learns_its_actuators(data: Dataset, trained: tuple[InverseModel, Path]) -> None:
    model, out = trained
    report = read_json(out / "training.json")
    assert set(report["mae"]) == {"overall", *(SPEC.names[i] for i in MOVING)}
    assert report["mae"]["overall"]["model"] < 0.5 * report["mae"]["overall"]["neutral"]
    assert model.spec.names == SPEC.names
    commands = model.predict(data.landmarks[:3])
    assert commands.shape == (3, 9)
    rest = SPEC.where("eye", "leg")
    assert np.array_equal(commands[:, rest], np.tile(SPEC.neutral[rest], (3, 1)))
    errors = replay_errors(FakeFace(spec=SPEC), model, data.landmarks[:5], data.manifest.settle)
    assert np.isfinite(errors["mean"])


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "brows.mp4"
    with write_video(path, 25) as add_frame:
        for _, picture in islice(open_source(asset("samples/person.mp4")), 50, 80):
            add_frame(picture)
    return path


def test_it_mirrors_at_its_own_rate(trained: tuple[InverseModel, Path], clip: Path, tmp_path: Path) -> None:
    metrics = mirror(open_source(clip), trained[0], FakeFace(spec=SPEC), tmp_path)
    traces = np.load(tmp_path / "traces.npz")
    np.testing.assert_allclose(np.diff(traces["time"]), SPEC.control_dt)
    assert traces["commands"].shape == (metrics["steps"], 9)
    assert metrics["spec"] == SPEC.digest


def test_a_model_of_another_face_is_refused(
    trained: tuple[InverseModel, Path], model: InverseModel, clip: Path, tmp_path: Path
) -> None:
    for wrong, face in ((trained[0], FakeFace()), (model, FakeFace(spec=SPEC))):
        with pytest.raises(DataError, match=r"another face\.toml"):
            mirror(open_source(clip), wrong, face, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_of_another_face_is_refused(data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    def open_eva(body: str, **options: Any) -> FakeFace:
        return FakeFace(**options)

    monkeypatch.setattr(babbling, "SHARD_SIZE", 40)
    with pytest.raises(DataError, match=r"another face\.toml"):
        babble(data.folder, 400, 3, body="nine", workers=1, image_size=None, open_face=open_eva)
    assert load_dataset(data.folder).spec.digest == SPEC.digest
