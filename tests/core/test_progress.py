"""Progress where no terminal is: a line now and then, and nothing of what is short."""

from __future__ import annotations

import contextvars
import sys

import pytest

from eva_sim import progress_bars as module
from eva_sim.progress import is_quiet, progress, report, set_quiet
from eva_sim.progress_bars import ProgressLines


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


def test_work_whose_end_is_not_known_tells_no_time_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(module, "EVERY", 0.0)
    for _ in progress(iter(range(3)), "cut", unit="pieces"):
        pass
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1] == "cut: 3 pieces, 00:00 gone"


def test_what_is_short_says_nothing(capsys: pytest.CaptureFixture) -> None:
    assert list(progress(range(1000), "quick")) == list(range(1000))
    assert capsys.readouterr().err == ""


def test_a_terminal_has_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with progress(range(1), "sweep") as bar:
        assert not isinstance(bar, ProgressLines)


@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("before", [0, 500])
def test_time_left_does_not_count_the_start(
    monkeypatch: pytest.MonkeyPatch, workers: int, before: int
) -> None:
    """Workers compile for 30 s, then each does a part of 50 in 10 s; `before` were done in another call."""
    clock = [0.0]
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    bar = progress(does="babble", total=1000 + before, unit="faces", workers=workers)
    monkeypatch.setattr(bar, "_time", lambda: clock[0])
    bar.start_t = 0.0
    bar.skip(before)
    for done in range(3):
        clock[0] = 40.0 + 10 * done
        for _ in range(workers):
            bar.update(50)
        left = (1000 - 50 * workers * (done + 1)) / (5 * workers)
        shown = str(bar).partition("<")[2].partition(",")[0]
        assert shown == ("?" if done == 0 else bar.format_interval(left))
    bar.close()


def test_quiet_work_says_nothing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr(module, "EVERY", 0.0)

    def work() -> None:
        set_quiet(True)
        assert list(progress(range(3), "sweep")) == [0, 1, 2]
        with progress(does="sweep", total=2, workers=2) as bar:
            bar.skip(1)
            bar.update(1)
        report("The robot is armed.")

    contextvars.copy_context().run(work)
    assert capsys.readouterr().err == "" and not is_quiet()
