"""The model that comes with the package belongs to this head, and its commands make the faces asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from eva_sim.agents.evaluation.scores import replay_errors
from eva_sim.agents.models.inverse import SHIPPED_MODEL, InverseModel
from eva_sim.agents.models.model_file import MODEL_FILE
from eva_sim.atlas import load_atlas
from eva_sim.cli.model_choice import default_model
from eva_sim.contract import load_spec
from eva_sim.files import asset
from eva_sim.settling import settling_steps
from eva_sim.twin import Twin


def test_it_makes_faces_of_the_atlas_again() -> None:
    """A model of another head would be millimetres off. The atlas is not in its training data."""
    spec = load_spec()
    model = InverseModel.load(asset(SHIPPED_MODEL) / MODEL_FILE)
    assert model.spec.digest == spec.digest
    with Twin() as twin:
        errors = replay_errors(twin, model, load_atlas(spec).landmarks[1:21], settling_steps(spec))
    assert errors["mean"] < 0.3


def test_its_card_tells_of_this_head() -> None:
    assert load_spec().digest in (asset(SHIPPED_MODEL) / "README.md").read_text()


def test_models_of_the_user_come_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert default_model() == asset(SHIPPED_MODEL)
    assert "comes with the package" in capsys.readouterr().err
    for folder in ("out/demo/model", "out/model"):
        (tmp_path / folder).mkdir(parents=True)
        assert default_model() != Path(folder)  # an interrupted training left no model
        capsys.readouterr()
        (tmp_path / folder / "inverse.pt").touch()
        assert default_model() == Path(folder)
        assert folder in capsys.readouterr().err
