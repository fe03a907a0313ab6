"""Who guides a calibration: typed lines, a window, and nothing before its person says so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from eva_sim.contract import FaceSpec, load_spec
from eva_sim.display import WindowReply
from eva_sim.errors import RobotError
from eva_sim.real.calibration.endpoint_search import find_endpoints
from eva_sim.real.calibration.operator_ui import (
    Confirm,
    MoveTo,
    OperatorAnswer,
    OperatorQuestion,
    ScriptedOperator,
    SkipServo,
    StopCalibration,
    Subject,
    TerminalUI,
    WindowUI,
    parse_answer,
)
from eva_sim.real.calibration.servo_bench import ServoBench
from eva_sim.real.calibration.session import CalibrationStopped, ServoEndpoints
from eva_sim.testing.calibration_rig import RecordingBoard, Typist, careful_endpoints, session

QUESTION = OperatorQuestion("jaw", "high", "the mouth is open", 1000.0, 1000.0, 700.0, 2300.0, "us")


@pytest.mark.parametrize(
    ("line", "answer"),
    [("1500", MoveTo(1500.0)), ("+20", MoveTo(1020.0)), ("-15.5", MoveTo(984.5)), ("ok", Confirm()),
     ("skip", SkipServo()),
     ("q", StopCalibration()), ("", None), ("nan", None), ("1e999", None), ("up", None)],
)  # fmt: skip
def test_typed_lines_mean_what_they_say(line: str, answer: object) -> None:
    assert parse_answer(line, 1000.0) == answer


def test_a_terminal_never_waits_and_shows_the_picture(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    go, typed = iter([True]), list[Any]()

    def lines() -> Iterator[str]:
        yield "what\n"
        yield "+100\n"
        yield "ok\n"

    guide = TerminalUI(tmp_path / "look.png", lines())
    picture = np.zeros((20, 30, 3), np.uint8)
    while not any(isinstance(answer, StopCalibration) for answer in typed):
        typed.append(guide.poll(QUESTION, picture))
    assert [a for a in typed if a is not None] == [MoveTo(1100.0), Confirm(), StopCalibration()]
    message = capsys.readouterr().err
    assert "jaw: find high, where the mouth is open (now 1000 of 700..2300 us)" in message
    assert "'what' is not understood" in message and (tmp_path / "look.png").exists() and next(go)


def test_a_relative_wish_counts_from_the_last_one(bench: ServoBench, tmp_path: Path) -> None:
    """Typed faster than the servo moves, two wishes add up."""

    class Hasty(ScriptedOperator):
        lines: ClassVar[list[str]] = ["+300", "+300", "-100"]

        def poll(self, question: OperatorQuestion, picture: Any) -> OperatorAnswer | None:
            if question.actuator != "brow_inner_left":
                return SkipServo()
            if question.subject == "wait":
                return None
            if question.subject in ("arm", "low"):
                return Confirm()
            if not self.lines and question.raw != question.goal:
                return MoveTo(question.goal)
            message = parse_answer(self.lines.pop(0) if self.lines else "ok", question.goal)
            assert message is not None
            return message

    mine = session(tmp_path)
    find_endpoints(mine, bench, Hasty({}))
    assert mine.endpoints == {"brow_inner_left": ServoEndpoints(900.0, 900.0, 1400.0)}


def test_nothing_is_armed_before_its_person_says_so(
    bus: RecordingBoard, bench: ServoBench, tmp_path: Path
) -> None:
    """A number moves nothing yet; one that is out of range never does; Enter arms."""
    operator = Typist(
        ("left is next", "...1500"), ("not accepted", "skip"), ("right is next", "..."),
        ("find low", "9999"), ("outside", "stop"),
    )  # fmt: skip
    with pytest.raises(CalibrationStopped):
        find_endpoints(session(tmp_path), bench, operator)
    message = "".join(operator.shown)
    assert (
        "brow_inner_left is next" in message and "'1500' is not accepted before the servo is armed" in message
    )
    assert "brow_inner_right: find low" in message and "brow_inner_left: find" not in message
    assert "9999 is outside" in message and bench.raw == bench.goal == 2100.0


def test_what_was_typed_ahead_arms_no_servo(bus: RecordingBoard, bench: ServoBench, tmp_path: Path) -> None:
    """Enter pressed once more while a servo is parked, and again as the next question appears."""
    operator = Typist(
        ("left is next", "..."), ("find low", "ok"), ("low is at", "2200"), ("to 2200", "...ok"),
        ("high is at", ""), ("right is next", ""), ("right is next", "...stop"),
    )  # fmt: skip
    with pytest.raises(CalibrationStopped):
        find_endpoints(session(tmp_path), bench, operator)
    assert {*bus.history} == {frozenset({0})}
    assert sum("'' was typed before a question could be read" in text for text in operator.shown) == 2
    assert list(session(tmp_path).endpoints) == ["brow_inner_left"]


@pytest.mark.parametrize("subject", ["wait", "arm"])
def test_a_stop_that_was_typed_ahead_is_obeyed(subject: Subject) -> None:
    operator = TerminalUI(lines=["\n", "1500\n", " Stop \n"])
    answers = [operator.poll(replace(QUESTION, subject=subject), None)]
    while answers[-1] is None:
        answers.append(operator.poll(replace(QUESTION, subject=subject), None))
    assert answers[-1] == StopCalibration() and {*answers[:-1]} <= {None}


class Stopper(ScriptedOperator):
    """Stops the first servo as soon as it does something by itself: while it is armed, or parked."""

    def __init__(self, meaning: str) -> None:
        super().__init__(careful_endpoints(load_spec()))
        self._meaning = meaning

    def poll(self, question: OperatorQuestion, picture: Any) -> OperatorAnswer | None:
        if question.subject == "wait" and question.meaning == self._meaning:
            return StopCalibration()
        return super().poll(question, picture)


@pytest.mark.parametrize(("meaning", "place"), [("is being armed", "rest"), ("goes back to rest", "high")])
def test_a_servo_that_moves_by_itself_is_stopped(
    bus: RecordingBoard, bench: ServoBench, spec: FaceSpec, tmp_path: Path, meaning: str, place: str
) -> None:
    """It stays where it was when its person stopped it, and is limp."""
    places = {**careful_endpoints(spec)[spec.names[0]], "rest": bench.widest.rest[0]}
    with pytest.raises(CalibrationStopped):
        find_endpoints(session(tmp_path), bench, Stopper(meaning))
    assert not bus.armed
    assert abs(bus.sent[-1][0] - places[place]) <= bench.widest.slew[0] * 1.001
    assert len(bus.sent) == 1 or place == "high"


def test_a_window_needs_a_display(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eva_sim.display.display_available", lambda: False)
    with pytest.raises(RobotError, match="terminal guide"):
        WindowUI()


def test_a_window_has_a_slider(monkeypatch: pytest.MonkeyPatch) -> None:
    replies = iter([(-1, 188), (-1, 500), (-1, 500), (13, 500), (ord("s"), 500), (ord("q"), 500)])
    shown, closed = list[tuple[Any, int | None]](), []

    class FakeWindow:
        def __init__(self, title: str, slider_steps: int) -> None:
            assert slider_steps == 1000

        def exchange(self, picture: Any, position: int | None = None) -> WindowReply:
            shown.append((picture, position))
            key, place = next(replies)
            return WindowReply(key, True, place)

        def close(self) -> None:
            closed.append(True)

    monkeypatch.setattr("eva_sim.real.calibration.operator_ui.DisplayWindow", FakeWindow)
    with WindowUI() as guide:
        assert guide.poll(QUESTION, None) is None  # the slider is put at the servo's position
        assert guide.poll(QUESTION, np.zeros((9, 9, 3), np.uint8)) == MoveTo(1500.0)
        assert guide.poll(replace(QUESTION, raw=1100.0), None) is None  # the servo is on its way
        assert [guide.poll(QUESTION, None) for _ in range(3)] == [Confirm(), SkipServo(), StopCalibration()]
    assert [position for _, position in shown] == [round(1000 * 300 / 1600), *[None] * 5]
    assert shown[0][0].shape == (480, 640, 3) and closed == [True]


def test_a_key_pressed_before_the_question_arms_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class HeldDown:
        """A window before which Enter is held down."""

        def __init__(self, *_: Any) -> None: ...

        def exchange(self, *_: Any) -> WindowReply:
            return WindowReply(13, True, 0)

    monkeypatch.setattr("eva_sim.real.calibration.operator_ui.DisplayWindow", HeldDown)
    window = WindowUI()
    assert window.poll(replace(QUESTION, subject="wait"), None) is None
    assert window.poll(replace(QUESTION, subject="arm"), None) is None
    assert window.poll(QUESTION, None) == Confirm()


def test_a_closed_window_stops_the_calibration(monkeypatch: pytest.MonkeyPatch) -> None:
    class ClosedWindow:
        def __init__(self, *_: Any) -> None: ...

        def exchange(self, *_: Any) -> WindowReply:
            return WindowReply(-1, False, 0)

    monkeypatch.setattr("eva_sim.real.calibration.operator_ui.DisplayWindow", ClosedWindow)
    assert WindowUI().poll(QUESTION, None) == StopCalibration()
