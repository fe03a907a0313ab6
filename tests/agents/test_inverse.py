"""The inverse model: training, baselines, replay, and refusing files that are not a model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from eva_sim.agents.data import babbling as babble_module
from eva_sim.agents.data.babbling import babble
from eva_sim.agents.data.dataset import Dataset, load_dataset
from eva_sim.agents.evaluation.scores import print_scores, replay_errors, score_predictors
from eva_sim.agents.models.baselines import NearestNeighbourBaseline, NeutralBaseline, RandomCommandBaseline
from eva_sim.agents.models.inverse import InverseModel, TrainingConfig, fit_inverse_model
from eva_sim.agents.train import train_inverse_model
from eva_sim.contract import load_spec
from eva_sim.errors import DataError
from eva_sim.landmarks import POINTS
from eva_sim.testing.fake_face import FakeFace, open_fake

SPEC = load_spec()
MOVING = SPEC.where("cable", "jaw", "lid")
QUICK = TrainingConfig(epochs=40)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("babble")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(babble_module, "SHARD_SIZE", 50)
        babble(folder, 1200, 3, body="fake", workers=1, image_size=None, open_face=open_fake)
    return load_dataset(folder)


@pytest.fixture(scope="module")
def trained(data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> tuple[InverseModel, Path]:
    out = tmp_path_factory.mktemp("trained")
    return train_inverse_model(data, out, QUICK), out


def test_beats_every_baseline_on_held_out_faces(trained: tuple[InverseModel, Path]) -> None:
    report = json.loads((trained[1] / "training.json").read_text())
    overall = report["mae"]["overall"]
    assert overall["model"] <= 0.06
    assert overall["model"] < overall["nearest"] < overall["random"]
    assert set(report["mae"]) == {"overall", *(SPEC.names[i] for i in MOVING)}
    rows = [report["mae"][SPEC.names[i]]["model"] for i in MOVING]
    assert overall["model"] == pytest.approx(np.mean(rows))
    assert report["digest"] == SPEC.digest
    assert (trained[1] / "training.png").read_bytes().startswith(b"\x89PNG")


def test_replayed_predictions_make_the_face(data: Dataset, trained: tuple[InverseModel, Path]) -> None:
    wanted = data.split()[1].landmarks[:40]
    settle = data.manifest.settle
    with FakeFace() as face:
        made = replay_errors(face, trained[0], wanted, settle)
        rest = replay_errors(face, NeutralBaseline(SPEC), wanted, settle)
    assert made["mean"] < 0.25 * rest["mean"]
    assert made["median"] <= made["p95"]


def test_replay_of_the_true_commands_is_exact(data: Dataset) -> None:
    class Oracle:
        def predict(self, landmarks: np.ndarray) -> np.ndarray:
            return data.commands[:10]

    error = replay_errors(FakeFace(), Oracle(), data.landmarks[:10], data.manifest.settle)
    assert error["p95"] < 1e-3


def test_predicts_one_face_and_many(trained: tuple[InverseModel, Path], data: Dataset) -> None:
    model = trained[0]
    many = model.predict(data.landmarks[:7])
    one = model.predict(data.landmarks[2])
    assert (many.shape, one.shape) == ((7, 25), (25,))
    assert one.dtype == many.dtype == np.float32
    np.testing.assert_allclose(one, many[2], atol=1e-5)
    rest = np.setdiff1d(np.arange(25), MOVING)
    assert np.array_equal(many[:, rest], np.tile(SPEC.neutral[rest], (7, 1)))
    far = model.predict(5 * data.landmarks[:7])
    assert np.abs(far).max() <= 1
    assert model.predict(data.landmarks[:0]).shape == (0, 25)


def test_bad_landmarks_are_refused(trained: tuple[InverseModel, Path], data: Dataset) -> None:
    with pytest.raises(DataError, match="shape"):
        trained[0].predict(data.landmarks[0, :5])
    with pytest.raises(DataError, match="finite"):
        trained[0].predict(np.full((len(POINTS), 3), np.nan))


def test_training_repeats_with_its_seed_and_leaves_torch_alone(data: Dataset) -> None:
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    first, history = fit_inverse_model(data, TrainingConfig(epochs=2, seed=7))
    assert torch.equal(torch.rand(1), expected)
    second, again = fit_inverse_model(data, TrainingConfig(epochs=2, seed=7))
    other, _ = fit_inverse_model(data, TrainingConfig(epochs=2, seed=8))
    assert history == again
    probe = data.landmarks[:20]
    assert np.array_equal(first.predict(probe), second.predict(probe))
    assert not np.array_equal(first.predict(probe), other.predict(probe))


def test_stops_early_and_keeps_the_best(data: Dataset) -> None:
    config = TrainingConfig(epochs=30, patience=2, rate=0.05)
    model, history = fit_inverse_model(data, config)
    assert len(history) < 30
    _, validation = data.split(config.validation, config.seed)
    best = score_predictors({"model": model}, validation)["overall"]["model"]
    assert best == pytest.approx(min(history), abs=1e-5)


def test_saves_and_loads_bit_by_bit(trained: tuple[InverseModel, Path], data: Dataset) -> None:
    loaded = InverseModel.load(trained[1] / "inverse.pt")
    probe = data.landmarks[:20]
    assert np.array_equal(loaded.predict(probe), trained[0].predict(probe))
    assert np.array_equal(loaded.neutral, data.neutral)
    assert loaded.spec.text == SPEC.text and loaded.spec.digest == SPEC.digest
    pull = np.linspace(0, 1, len(MOVING))
    np.testing.assert_allclose(loaded.forward_model(pull), trained[0].forward_model(pull), atol=1e-5)
    training = data.split()[0].landmarks
    assert (loaded.range_low <= loaded.range_high).all()
    inside = (training >= loaded.range_low) & (training <= loaded.range_high)
    assert 0.95 < inside.mean() < 1


@pytest.mark.parametrize("hidden", [(), (24,), (30, 20, 10)])
def test_a_model_keeps_its_hidden_layers(data: Dataset, tmp_path: Path, hidden: tuple[int, ...]) -> None:
    model, _ = fit_inverse_model(data, TrainingConfig(epochs=1, hidden=hidden))
    model.save(tmp_path / "m.pt")
    loaded = InverseModel.load(tmp_path / "m.pt")
    linear = [layer for layer in loaded.network if isinstance(layer, torch.nn.Linear)]
    assert tuple(layer.out_features for layer in linear) == (*hidden, len(MOVING))
    assert np.array_equal(loaded.predict(data.landmarks[:9]), model.predict(data.landmarks[:9]))


def _changed(source: Path, path: Path, **changes: Any) -> Path:
    content = torch.load(source / "inverse.pt", weights_only=True)
    torch.save({**content, **changes}, path)
    return path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 3}, "was trained by an earlier version; train it again with `eva train`"),
        ({"format": None}, "was trained by an earlier version; train it again with `eva train`"),
        ({"digest": "0" * 64}, "its actuator table has another digest"),
        ({"spec": "actuators = []"}, r"face\.toml is no actuator table"),
        ({"points": [1, 2, 3]}, "another set of landmarks"),
        ({"network": {}}, "damaged or not a model"),
        ({"neutral": None}, "damaged or not a model"),
        ({"products": None}, "damaged or not a model"),
    ],
)
def test_foreign_models_are_refused(
    trained: tuple[InverseModel, Path], tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        InverseModel.load(_changed(trained[1], tmp_path / "m.pt", **changes))


def test_damaged_models_are_refused(trained: tuple[InverseModel, Path], tmp_path: Path) -> None:
    path = tmp_path / "m.pt"
    with pytest.raises(DataError, match="does not exist"):
        InverseModel.load(path)
    whole = (trained[1] / "inverse.pt").read_bytes()
    for content in (b"", b"hello", whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(DataError, match="damaged"):
            InverseModel.load(path)
    hurt = bytearray(whole)
    hurt[len(hurt) // 2] ^= 0xFF
    path.write_bytes(hurt)
    with pytest.raises(DataError, match="damaged"):
        InverseModel.load(path)


def test_a_model_that_would_run_code_is_refused(tmp_path: Path) -> None:
    path, trace = tmp_path / "m.pt", tmp_path / "trace"

    class Evil:
        def __reduce__(self) -> Any:
            return Path.touch, (trace,)

    torch.save({"digest": Evil()}, path)
    with pytest.raises(DataError, match="damaged"):
        InverseModel.load(path)
    assert not trace.exists()


def test_baselines_answer_as_they_are_named(data: Dataset) -> None:
    nearest = NearestNeighbourBaseline(data.commands, data.landmarks)
    one, many = nearest.predict(data.landmarks[5]), nearest.predict(data.landmarks[:6])
    assert np.array_equal(one[MOVING], data.commands[5, MOVING])
    assert np.array_equal(many[:, MOVING], data.commands[:6, MOVING])
    assert np.array_equal(NeutralBaseline(SPEC).predict(data.landmarks[:3]), np.tile(SPEC.neutral, (3, 1)))
    drawn = RandomCommandBaseline(data.commands, 1).predict(data.landmarks[:50])
    assert np.array_equal(drawn, RandomCommandBaseline(data.commands, 1).predict(data.landmarks[:50]))
    known = {row.tobytes() for row in data.commands}
    assert all(row.tobytes() in known for row in drawn)
    assert RandomCommandBaseline(data.commands).predict(data.landmarks[0]).shape == (25,)


def test_scores_print_as_a_table(trained: tuple[InverseModel, Path], capsys: Any) -> None:
    scores = json.loads((trained[1] / "training.json").read_text())["mae"]
    print_scores(scores)
    text = capsys.readouterr().out
    assert "overall" in text and "zygomaticus_left" in text and "nearest" in text
