"""Progress where no terminal is: a line now and then, and nothing of what is short."""

from __future__ import annotations

import sys

import pytest

from eva_sim import progress as module
from eva_sim.progress import ProgressLines, progress


def test_lines_come_now_and_then_and_stay(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(module, "EVERY", 0.0)
    assert list(progress(range(2), "sweep", unit="actuators")) == [0, 1]
    message = capsys.readouterr().err
    assert "sweep: 1 of 2 actuators" in message and "sweep: 2 of 2 actuators" in message
    assert "\r" not in message and all(line.strip() for line in message.splitlines())


def test_it_is_counted_by_hand(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr(module, "EVERY", 0.0)
    with progress(does="transfer", total=4, unit="steps") as bar:
        bar.set_postfix_str("robot-1", refresh=False)
        bar.update(3)
    assert "transfer: 3 of 4 steps" in (message := capsys.readouterr().err) and "robot-1" in message


def test_what_is_short_says_nothing(capsys: pytest.CaptureFixture) -> None:
    assert list(progress(range(1000), "quick")) == list(range(1000))
    assert capsys.readouterr().err == ""


def test_a_terminal_has_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with progress(range(1), "sweep") as bar:
        assert not isinstance(bar, ProgressLines)
