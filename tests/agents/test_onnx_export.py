"""The exported inverse model: it gives the same commands, and its contract says what they mean."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn
from typer.testing import CliRunner

from eva_sim import __version__
from eva_sim.agents.data import babbling
from eva_sim.agents.data.dataset import load_dataset
from eva_sim.agents.models import onnx_export
from eva_sim.agents.models.inverse import InverseModel
from eva_sim.agents.models.onnx_export import export_onnx
from eva_sim.cli.app import app
from eva_sim.contract import load_spec
from eva_sim.errors import EvaError
from eva_sim.files import read_json
from eva_sim.landmarks import POINTS
from tests.agents.test_learning_another_face import open_nine


@pytest.fixture(scope="module")
def nine(tmp_path_factory: pytest.TempPathFactory) -> InverseModel:
    """An untrained model of another face: nine actuators in another order, at another rate."""
    folder = tmp_path_factory.mktemp("nine")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(babbling, "SHARD_SIZE", 20)
        babbling.babble(folder, 40, 3, body="nine", workers=1, image_size=None, open_face=open_nine)
    return InverseModel.untrained(load_dataset(folder), 1e-3)


@pytest.fixture(params=["eva", "nine"])
def chosen(request: pytest.FixtureRequest, model: InverseModel, nine: InverseModel) -> InverseModel:
    return {"eva": model, "nine": nine}[request.param]


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The library that runs exported models; its usage reports stay off."""
    monkeypatch.setenv("ORT_DISABLE_TELEMETRY", "1")
    for library in ("onnx", "onnxruntime"):
        pytest.importorskip(library, reason=f"{library} is not installed: pip install '.[onnx]'")
    return sys.modules["onnxruntime"]


def _faces(model: InverseModel, count: int) -> np.ndarray:
    drawn = np.random.default_rng(8).normal(0, 0.03, (count, *model.neutral.shape))
    return (model.neutral + drawn).astype(np.float32)


def test_it_gives_the_commands_of_the_model(runtime: Any, chosen: InverseModel, tmp_path: Path) -> None:
    export_onnx(chosen, tmp_path)
    session = runtime.InferenceSession(tmp_path / "inverse.onnx")
    rest = np.setdiff1d(np.arange(len(chosen.spec)), chosen.spec.expressive)
    for faces, rounding in (
        (_faces(chosen, 1), 1e-5),
        (_faces(chosen, 9), 1e-5),
        (40 * _faces(chosen, 5), 4e-4),
    ):
        commands = session.run(["commands"], {"landmarks": faces})[0]
        np.testing.assert_allclose(commands, chosen.predict(faces), atol=rounding)
        assert commands.dtype == np.float32 and np.abs(commands).max() <= 1
        assert np.array_equal(commands[:, rest], np.tile(chosen.spec.neutral[rest], (len(faces), 1)))
    assert (np.abs(commands) == 1).any()  # of the last faces, which are far out


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_face_that_is_not_finite_spoils_its_own_command_only(
    runtime: Any, model: InverseModel, tmp_path: Path, wrong: float
) -> None:
    export_onnx(model, tmp_path)
    faces = _faces(model, 3)
    faces[1, 7] = [wrong, 0, -wrong]
    commands = runtime.InferenceSession(tmp_path / "inverse.onnx").run(None, {"landmarks": faces})[0]
    assert np.isnan(commands[1]).all()
    np.testing.assert_allclose(commands[[0, 2]], model.predict(faces[[0, 2]]), atol=1e-5)


def test_the_contract_says_what_the_numbers_mean(runtime: Any, chosen: InverseModel, tmp_path: Path) -> None:
    told, spec = export_onnx(chosen, tmp_path), chosen.spec
    assert told == read_json(tmp_path / "inverse.json")
    content = (tmp_path / "inverse.onnx").read_bytes()
    assert told["model_sha256"] == hashlib.sha256(content).hexdigest()
    assert told["spec_digest"] == spec.digest and told["made_by"] == f"eva-sim {__version__}"
    assert told["control_rate_hz"] == pytest.approx(1 / spec.control_dt)
    session = runtime.InferenceSession(content)
    for side, (there,) in (("input", session.get_inputs()), ("output", session.get_outputs())):
        assert (there.name, there.shape, there.type) == (
            told[side]["name"], told[side]["shape"], "tensor(float)",
        )  # fmt: skip
    assert told["input"]["points"] == list(POINTS)
    np.testing.assert_allclose(told["input"]["neutral"], chosen.neutral, atol=1e-6)
    actuators = told["output"]["actuators"]
    assert tuple(each["name"] for each in actuators) == spec.names
    assert [row for row, each in enumerate(actuators) if each["predicted"]] == spec.expressive.tolist()
    copied = ("kind", "side", "unit", "low", "high", "neutral")
    for each, actuator in zip(actuators, spec.actuators, strict=True):
        assert all(each[name] == getattr(actuator, name) for name in copied)
        physical = each["low"] + (each["neutral_command"] + 1) / 2 * (each["high"] - each["low"])
        assert physical == pytest.approx(each["neutral"], abs=1e-5)


def test_the_same_model_gives_the_same_file(runtime: Any, model: InverseModel, tmp_path: Path) -> None:
    for name in "ab":
        export_onnx(model, tmp_path / name)
    first, second = (tmp_path / name / "inverse.onnx" for name in "ab")
    assert first.read_bytes() == second.read_bytes()


def test_a_graph_that_gives_other_commands_is_refused(
    runtime: Any, chosen: InverseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_export, "OVERSHOOT", 1.01)
    with pytest.raises(EvaError, match=r"differs from this one by up to .*; nothing was written"):
        export_onnx(chosen, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_unknown_layer_is_refused(
    runtime: Any, model: InverseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model, "network", nn.Sequential(nn.Linear(model.neutral.size, 15), nn.ReLU()))
    with pytest.raises(EvaError, match="a layer ReLU cannot be exported"):
        export_onnx(model, tmp_path / "out")


@pytest.mark.parametrize("library", ["onnx", "onnxruntime"])
def test_a_missing_library_is_named_and_nothing_is_written(
    model: InverseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    for each in ("onnx", "onnxruntime"):
        monkeypatch.setitem(sys.modules, each, None if each == library else np)
    with pytest.raises(EvaError, match=rf"module {library} is missing; .*eva-sim\[onnx\]"):
        export_onnx(model, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_command_exports_the_model_that_is_named(
    runtime: Any, model: InverseModel, tmp_path: Path
) -> None:
    model.save(tmp_path / "good.pt")
    words = ["export-model", str(tmp_path / "good.pt"), "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert read_json(tmp_path / "out" / "inverse.json")["spec_digest"] == load_spec().digest
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["inverse.json", "inverse.onnx"]
