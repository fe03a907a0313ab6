"""The demo: a stage that was cut is done again, and one that is finished is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from eva_sim.agents import demo as module
from eva_sim.agents.demo import demo
from eva_sim.errors import EvaError
from eva_sim.files import read_json, write_json

CURVES = {"jaw_opening": 0.9}


class Stages:
    """Stands in for the work of the three stages, which takes minutes, and counts it.

    Attributes:
        done: names of the stages that worked, in order.
        steps: steps of the clip that are mirrored; the clip has 1,337.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.done, self.steps = list[str](), 1337
        self.digest = "a face"
        monkeypatch.setattr(module, "babble", self.babble)
        monkeypatch.setattr(module, "train_inverse_model", self.train)
        monkeypatch.setattr(module, "mirror", self.mirror)
        monkeypatch.setattr(module, "replay_errors", lambda *given: {"mean": 0.5})
        monkeypatch.setattr("eva_sim.agents.data.dataset.load_dataset", lambda folder: FakeData())
        monkeypatch.setattr("eva_sim.agents.models.inverse.InverseModel.load", lambda path: "the model")
        monkeypatch.setattr(module, "describe_measurement", lambda name, metrics: "")

    def babble(self, folder: Path, samples: int) -> Any:
        self.done.append("babble")
        return FakeData().manifest

    def train(self, data: Any, out: Path) -> str:
        self.done.append("train")
        out.mkdir(parents=True, exist_ok=True)
        (out / "inverse.pt").touch()
        return "the model"

    def mirror(self, source: Any, model: Any, face: Any, out: Path) -> dict[str, Any]:
        self.done.append("mirror")
        metrics = {
            "correlation": CURVES, "steps": self.steps, "expected_steps": 1337,
            "complete": self.steps == 1337, "ended": "stopped by Ctrl-C",
        }  # fmt: skip
        for name in ("mirror.mp4", "mirror.png"):
            out.mkdir(parents=True, exist_ok=True)
            (out / name).touch()
        write_json(out / "metrics.json", metrics)
        return metrics


class FakeData:
    """A data set, as far as the demo looks into it."""

    class manifest:
        digest = "a face"
        settle = 3

    landmarks = ()

    def split(self) -> tuple[Any, Any]:
        return self, self


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch) -> Stages:
    return Stages(monkeypatch)


def test_a_finished_demo_is_not_done_again(stages: Stages, tmp_path: Path) -> None:
    first = demo(tmp_path)
    assert stages.done == ["babble", "train", "mirror"]
    assert demo(tmp_path) == first
    assert stages.done == ["babble", "train", "mirror", "babble"]  # which only looks whether all is there


def test_a_clip_that_was_cut_is_mirrored_again_and_named(
    stages: Stages, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    stages.steps = 102
    with pytest.raises(EvaError, match=r"102 of 1,337 steps .*stopped by Ctrl-C.*again"):
        demo(tmp_path)
    assert not (tmp_path / "mirror" / "demo.json").exists()
    stages.steps = 1337
    assert demo(tmp_path)["steps"] == 1337
    assert stages.done.count("mirror") == 2 and stages.done.count("train") == 1
    said = capsys.readouterr().err
    assert "mirror does not hold the whole clip" in said and "model is done already" in said


def test_a_cut_clip_that_an_earlier_version_took_for_finished_is_mirrored_again(
    stages: Stages, tmp_path: Path
) -> None:
    demo(tmp_path)
    metrics = read_json(tmp_path / "mirror" / "metrics.json")
    del metrics["complete"], metrics["expected_steps"]
    write_json(tmp_path / "mirror" / "metrics.json", {**metrics, "steps": 102})
    assert demo(tmp_path)["steps"] == 1337


@pytest.mark.parametrize("result", ["mirror/mirror.mp4", "mirror/metrics.json", "model/inverse.pt"])
def test_a_stage_whose_result_is_gone_is_done_again(stages: Stages, tmp_path: Path, result: str) -> None:
    demo(tmp_path)
    (tmp_path / result).unlink()
    demo(tmp_path)
    stage = {"mirror": "mirror", "model": "train"}[result.partition("/")[0]]
    assert stages.done.count(stage) == 2


def test_ctrl_c_in_training_leaves_no_stamp_of_an_earlier_run(
    stages: Stages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    demo(tmp_path)

    def interrupted(*given: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "train_inverse_model", interrupted)
    with pytest.raises(KeyboardInterrupt):
        demo(tmp_path, samples=9000)
    monkeypatch.setattr(module, "train_inverse_model", stages.train)
    demo(tmp_path)
    assert stages.done.count("train") == 2  # the model of the first run may be gone


def test_what_the_last_stage_needs_is_checked_before_the_first(stages: Stages, tmp_path: Path) -> None:
    (tmp_path / "mirror").write_text("in the way")
    with pytest.raises(EvaError, match="mirror is not a folder"):
        demo(tmp_path)
    assert stages.done == []
