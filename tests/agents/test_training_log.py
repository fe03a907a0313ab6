"""Losses of a training as TensorBoard events, with a stand-in for the package that few have."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from eva_sim.agents.models.descent import Descent, descend
from eva_sim.agents.models.training_log import log_loss, log_to_tensorboard
from eva_sim.agents.models.training_state import TrainingState
from eva_sim.errors import EvaError


class Writer:
    """What `torch.utils.tensorboard.SummaryWriter` is asked for."""

    made: list[Writer]

    def __init__(self, folder: str) -> None:
        self.folder, self.closed = folder, False
        self.values: list[tuple[str, float, int]] = []
        self.made.append(self)

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self.values.append((name, value, step))

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def writers(monkeypatch: pytest.MonkeyPatch) -> list[Writer]:
    """The writers that are made from now on."""
    module: Any = ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = Writer
    monkeypatch.setattr(Writer, "made", [], raising=False)
    monkeypatch.setitem(sys.modules, "tensorboard", ModuleType("tensorboard"))
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    return Writer.made


def train(steps: int, state: TrainingState) -> list[float]:
    network = nn.Linear(2, 1)

    def loss(generator: torch.Generator) -> Tensor:
        return network(torch.randn(8, 2, generator=generator)).square().mean()

    return descend(network, loss, Descent(steps, 0.01, 0.0, 0), state, does="test", logged_as="test/loss")


def test_the_events_are_the_losses_that_the_report_has(writers: list[Writer], tmp_path: Path) -> None:
    with log_to_tensorboard(tmp_path / "events"):
        losses = train(250, TrainingState(None, {}))
    (writer,) = writers
    assert writer.folder == str(tmp_path / "events") and writer.closed
    steps = (100, 200, 250)
    assert writer.values == [("test/loss", value, step) for value, step in zip(losses, steps, strict=True)]


def test_a_training_that_goes_on_writes_what_is_new(writers: list[Writer], tmp_path: Path) -> None:
    def state() -> TrainingState:
        return TrainingState(tmp_path / "test-state.pt", {})

    train(200, state())
    with log_to_tensorboard(tmp_path):
        train(400, state())
    assert [step for _, _, step in writers[0].values] == [300, 400]


def test_nothing_is_written_unless_asked(writers: list[Writer], tmp_path: Path) -> None:
    with log_to_tensorboard(tmp_path):
        pass
    log_loss("test/loss", 1.0, 1)
    assert writers[0].values == [] and writers[0].closed


def test_an_interrupted_training_closes_its_file(writers: list[Writer], tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), log_to_tensorboard(tmp_path):
        raise KeyboardInterrupt
    assert writers[0].closed


def test_the_missing_package_is_named_before_the_work(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(EvaError, match=r"\[tensorboard\]"), log_to_tensorboard(tmp_path):
        pass
