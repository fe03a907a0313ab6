"""Calibrating servo by servo: slow, one at a time, never beyond what is allowed, and resumable."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from eva_sim.clock import SimulatedClock, WallClock
from eva_sim.contract import Face, FaceSpec, Floats, load_spec
from eva_sim.errors import DataError, RobotError
from eva_sim.real.boards.interface import BoardLimits, BoardStatus
from eva_sim.real.calibration.actuator_sweep import ActuatorResponse
from eva_sim.real.calibration.endpoint_search import endpoint_meaning, find_endpoints
from eva_sim.real.calibration.model import Calibration
from eva_sim.real.calibration.operator_ui import (
    Confirm,
    MoveTo,
    OperatorAnswer,
    OperatorQuestion,
    ScriptedOperator,
    TerminalUI,
    heed_stop,
    may_arm_face,
)
from eva_sim.real.calibration.procedure import build_calibration, measure_by_camera
from eva_sim.real.calibration.servo_bench import BENCH_SPEED, GIVE_WAY, RELEASED, ServoBench
from eva_sim.real.calibration.session import (
    CalibrationSession,
    CalibrationStopped,
    ServoEndpoints,
    stoppable,
)
from eva_sim.testing.calibration_rig import PERIOD, RecordingBoard, Typist, careful_endpoints, session
from eva_sim.testing.fake_face import FakeFace
from eva_sim.thread_priority import AHEAD, run_ahead, run_as_usual


def test_all_servos_are_found_slowly_and_one_at_a_time(
    spec: FaceSpec, bus: RecordingBoard, bench: ServoBench, widest: BoardLimits, tmp_path: Path
) -> None:
    guide, mine = ScriptedOperator(careful_endpoints(spec)), session(tmp_path)
    find_endpoints(mine, bench, guide)
    for a in spec.actuators:
        wanted = careful_endpoints(spec)[a.name]
        neutral = wanted["low"] if a.kind in ("cable", "jaw") else wanted["neutral"]
        assert mine.endpoints[a.name] == ServoEndpoints(wanted["low"], neutral, wanted["high"])
    assert {len(armed) for armed in bus.history} == {1}
    sent = np.array(bus.sent)
    assert (sent >= widest.low).all() and (sent <= widest.high).all()
    steps = np.abs(np.diff(sent, axis=0)).max(1)
    same = np.array([a == b for a, b in zip(bus.history, bus.history[1:], strict=False)])
    assert steps[same].max() <= BENCH_SPEED * PERIOD * 1600 + 1e-9  # between servos all is limp
    others = sent[:, 0][np.array([0 not in armed for armed in bus.history])]
    assert (others == widest.rest[0]).all()
    assert bus.limits is not None and (bus.limits.slew <= BENCH_SPEED * PERIOD * 1600).all()
    assert not bus.armed


def test_a_wish_beyond_the_limits_is_cut(bus: RecordingBoard, bench: ServoBench, spec: FaceSpec) -> None:
    for wish, end in ((9999.0, 2300.0), (-5.0, 700.0)):
        with bench.armed(spec.index("jaw")):
            bench.go(wish)
            while not bench.arrived:
                bench.tick()
            assert bench.raw == end
    with pytest.raises(RobotError, match="no servo is armed"):
        bench.tick()


def test_it_is_stopped_and_resumed(
    spec: FaceSpec, bus: RecordingBoard, bench: ServoBench, tmp_path: Path
) -> None:
    with pytest.raises(CalibrationStopped):
        find_endpoints(
            session(tmp_path), bench, ScriptedOperator(careful_endpoints(spec), stop_at=spec.names[3])
        )
    assert not bus.armed
    mine = session(tmp_path)
    assert list(mine.endpoints) == sorted(spec.names[:3])
    guide = ScriptedOperator(careful_endpoints(spec, *spec.names[3:6]))
    find_endpoints(mine, bench, guide)
    assert {q.actuator for q in guide.questions} == set(spec.names[3:])  # the rest was skipped by the guide
    assert set(session(tmp_path).endpoints) == set(spec.names[:6])
    with pytest.raises(DataError, match="another robot"):
        CalibrationSession.open(spec, tmp_path / "part.json", "robot-8", "firmware", "us")


def test_marks_that_cannot_be_are_asked_again(spec: FaceSpec, bench: ServoBench, tmp_path: Path) -> None:
    class Learning(ScriptedOperator):
        """Says the same place twice, then neutral outside, then what is right."""

        tries = 0
        problems: ClassVar[list[str]] = []

        def tell(self, text: str) -> None:
            super().tell(text)
            if "once more" not in text:
                return
            self.problems.append(text)
            self.tries += 1
            marks["eye_left_yaw"] |= {"high": 2000.0} if self.tries == 1 else {"neutral": 1400.0}

    marks: dict[str, dict[str, float]] = {"eye_left_yaw": {"low": 1200.0, "neutral": 1100.0, "high": 1210.0}}
    guide, mine = Learning(marks), session(tmp_path)
    find_endpoints(mine, bench, guide)
    assert mine.endpoints["eye_left_yaw"] == ServoEndpoints(1200.0, 1400.0, 2000.0)
    assert "nearly the same place" in guide.problems[0] and "neutral is not between" in guide.problems[1]


def test_a_place_counts_once_the_servo_is_there(spec: FaceSpec, bench: ServoBench, tmp_path: Path) -> None:
    class Hasty(ScriptedOperator):
        """Says that it is there while the servo still moves."""

        def poll(self, question: OperatorQuestion, picture: Any) -> OperatorAnswer | None:
            answer = super().poll(question, picture)
            return Confirm() if isinstance(answer, MoveTo) and question.raw > 1320.0 else answer

    guide, mine = Hasty({"jaw": {"low": 1200.0, "high": 1800.0}}), session(tmp_path)
    find_endpoints(mine, bench, guide)
    assert any("still moving" in text for text in guide.texts)
    assert mine.endpoints["jaw"] == ServoEndpoints(1200.0, 1200.0, 1800.0)


def test_a_servo_that_turns_the_other_way_is_kept_and_told(
    spec: FaceSpec, bench: ServoBench, tmp_path: Path
) -> None:
    guide = ScriptedOperator({"jaw": {"low": 2000.0, "high": 1100.0}})
    mine = session(tmp_path)
    find_endpoints(mine, bench, guide)
    assert mine.endpoints["jaw"] == ServoEndpoints(2000.0, 2000.0, 1100.0)
    assert any("turns opposite" in text for text in guide.texts)


def test_trouble_lets_the_servo_go(
    spec: FaceSpec, bus: RecordingBoard, bench: ServoBench, tmp_path: Path
) -> None:
    mine = session(tmp_path)
    bus.fails_after = 60
    with pytest.raises(RobotError, match=r"the board is limp; the servo supply sagged\. Check the robot"):
        find_endpoints(mine, bench, ScriptedOperator(careful_endpoints(spec)))
    bus.fails_after = -1
    bus.temperature[5] = 75.0
    with pytest.raises(RobotError, match="too hot"):
        find_endpoints(mine, bench, ScriptedOperator(careful_endpoints(spec)))
    assert not bus.armed and set(mine.endpoints) == set(spec.names[:5])


def test_a_servo_that_pushes_gives_way(spec: FaceSpec, bus: RecordingBoard, bench: ServoBench) -> None:
    jaw = spec.index("jaw")
    with bench.armed(jaw):
        bench.go(1500.0)
        while bench.raw < 1200.0:
            bench.tick()
        bus.load[jaw] = 0.8
        bench.tick()
        met = bench.raw
        bus.load[jaw] = 0.1
        for _ in range(50):
            bench.tick()
        assert bench.arrived and met - 60.0 < bench.raw < met


class Spring(RecordingBoard):
    """A board whose jaw meets a spring at a position, whose load has either sign."""

    def __init__(self, met: float, way: float, sign: float) -> None:
        super().__init__()
        self.met, self.way, self.sign = met, way, sign

    def _send(self, raw: Floats, began: float) -> BoardStatus:
        beyond = max(0.0, self.way * (raw[JAW] - self.met))
        self.load[JAW] = self.sign * min(1.0, 0.02 * beyond)
        return super()._send(raw, began)


JAW = load_spec().index("jaw")


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("way", [1, -1])
def test_a_servo_at_a_stop_goes_back_and_stays(widest: BoardLimits, way: int, sign: int) -> None:
    stop = widest.rest[JAW] + way * 60.0
    board = Spring(stop, way, sign)
    bench = ServoBench(board, SimulatedClock(), widest, PERIOD, too_hot=70.0)
    with bench.armed(JAW):
        bench.go(widest.rest[JAW] + way * 190.0)
        loads = [abs(bench.tick().load[JAW]) for _ in range(500)]
    assert sum(load > GIVE_WAY for load in loads) < 5
    assert max(loads[100:]) <= RELEASED and len({*loads[100:]}) == 1  # it stays
    assert "met resistance at" in bench.notice and f"went back to {bench.raw:.0f}" in bench.notice


@pytest.mark.parametrize("load", [0.9, -0.9])
def test_a_servo_that_works_hard_everywhere_is_let_go(
    bus: RecordingBoard, bench: ServoBench, load: float
) -> None:
    def work(moves: bool) -> None:
        with bench.armed(JAW):
            if moves:
                bench.go(1500.0)
                bench.tick()
            bus.load[JAW] = load
            for _ in range(500):
                bench.tick()

    for moves in (False, True):
        with pytest.raises(RobotError, match="works hard at"):
            work(moves)
        bus.load[JAW] = 0.0
        assert not bus.armed


CABLES = [load_spec().names[i] for i in load_spec().where("cable")]


@pytest.mark.parametrize("name", [CABLES[1], CABLES[-2]])
@pytest.mark.parametrize("swapped", [True, False])
def test_a_cable_that_pulls_at_rest_is_refused(
    spec: FaceSpec, bench: ServoBench, tmp_path: Path, name: str, swapped: bool
) -> None:
    """Its ends are swapped, or its rest is near the far end of what is allowed."""
    mine, right = session(tmp_path), careful_endpoints(spec, name)[name]
    low, high = right["low"], right["high"]
    wrong = {"low": high, "high": low} if swapped else {"low": low + 0.6 * (high - low), "high": high}
    guide = ScriptedOperator({name: wrong})
    with pytest.raises(RobotError, match=rf"{name} was found wrong 3 times.*ends are swapped"):
        find_endpoints(mine, bench, guide)
    assert name not in mine.endpoints and sum("once more" in text for text in guide.texts) == 3
    mine.endpoints[name] = ServoEndpoints(wrong["low"], wrong["low"], wrong["high"])  # by another program
    with pytest.raises(DataError, match=rf"{name} pulls its cable by \d+% of its travel at rest.*--again"):
        build_calibration(mine, partial=True)


def nominal_endpoints(spec: FaceSpec, *names: str) -> dict[str, dict[str, float]]:
    limits = Calibration.nominal(spec).limits
    found = {}
    for name in names:
        i = spec.index(name)
        low, high = [limits.low[i], limits.high[i]][:: int(spec.actuators[i].direction)]
        found[name] = {"low": low, "neutral": limits.rest[i], "high": high}
    return found


@pytest.mark.parametrize("names", [("lid_left",), ("jaw", "levator_left")])
def test_what_the_camera_contradicts_is_not_saved(
    spec: FaceSpec, bench: ServoBench, tmp_path: Path, names: tuple[str, ...]
) -> None:
    mine, ends = session(tmp_path), nominal_endpoints(spec, *names)
    find_endpoints(mine, bench, ScriptedOperator(ends))
    for name in names:
        mine.responses[name] = ActuatorResponse((1.0,), (-1.0, 1.0), (0.0, 1.0), (0.0, 1.0), -1)
    with pytest.raises(DataError, match=rf"{', '.join(names)} move the face opposite.*--again {names[0]}"):
        build_calibration(mine, partial=True)
    find_endpoints(mine, bench, ScriptedOperator(ends), again=names)
    build_calibration(mine, partial=True)  # measured anew, so what the camera saw before counts no more


@pytest.mark.parametrize(
    ("typed", "armed"), [([""], True), (["skip"], False), (["800", "ok"], True)], ids=str
)
def test_the_whole_face_is_armed_by_an_answer_only(typed: list[str], armed: bool) -> None:
    operator = Typist(*(("All servos", f"...{line}") for line in typed))
    assert may_arm_face(operator, WallClock(), "moves") is armed
    assert "All servos are next. When armed, the face moves." in operator.shown[0]
    assert ("'800' is not accepted" in "".join(operator.shown)) == ("800" in typed)


def test_the_whole_face_is_not_armed_by_a_line_that_was_typed_before() -> None:
    operator = Typist(("All servos", ""), ("All servos", "...skip"))
    assert may_arm_face(operator, WallClock(), "moves") is False
    assert "'' was typed before a question could be read" in operator.shown[1]


@pytest.mark.parametrize("typed", ["", "stop\n"])
def test_without_an_answer_nothing_is_armed(typed: str) -> None:
    with pytest.raises(CalibrationStopped):
        may_arm_face(TerminalUI(lines=typed.splitlines(keepends=True)), WallClock(), "moves")


def test_the_camera_part_hears_a_stop_at_every_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line that is no stop changes nothing."""
    from eva_sim.real.calibration import procedure

    def sweep_for_ever(face: Face, actuator: int) -> ActuatorResponse:
        while True:
            face.move(face.spec.neutral)

    monkeypatch.setattr(procedure, "sweep_actuator", sweep_for_ever)
    monkeypatch.setattr(procedure, "resting_face", lambda face: face.neutral_landmarks)
    operator = TerminalUI(lines=["ok\n", "stop\n"])
    with pytest.raises(CalibrationStopped, match="everything found so far is kept"):
        measure_by_camera(session(tmp_path), FakeFace(), ["jaw"], lambda: heed_stop(operator, "move"))
    shown = capsys.readouterr().err
    assert "all servos move.\n  stop to end" in shown and "'ok' was typed before a question" in shown


def test_the_camera_part_is_resumed_and_doubts(
    spec: FaceSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from eva_sim.real.calibration import procedure

    swept = list[str]()

    def sweep(face: FakeFace, actuator: int) -> ActuatorResponse:
        swept.append(spec.names[actuator])
        sign = {"jaw": -1, "lid_left": None}.get(spec.names[actuator], 1)
        seen = None if spec.names[actuator] == "lid_right" else (0.0, 1.0)
        return ActuatorResponse((1.0,), (-1.0, 1.0), seen, seen, sign, 0.03, 0.02, 1, 0.001)

    monkeypatch.setattr(procedure, "sweep_actuator", sweep)
    monkeypatch.setattr(procedure, "resting_face", lambda face: FakeFace().neutral_landmarks)
    mine = session(tmp_path)
    assert measure_by_camera(mine, FakeFace(), ["jaw"]) == [
        "jaw moves the face opposite to the twin: are its ends swapped?"
    ]
    again = session(tmp_path)
    message = measure_by_camera(again, FakeFace(), ["jaw", "lid_left", "lid_right", "levator_left"])
    assert swept == ["jaw", "lid_left", "lid_right", "levator_left"]
    assert len(message) == 3 and "no landmark" in message[2] and "other parts" in message[1]
    back = session(tmp_path)
    assert back.responses == again.responses and back.neutral_landmarks is not None
    assert np.allclose(back.neutral_landmarks, FakeFace().neutral_landmarks)


def test_every_actuator_has_words(spec: FaceSpec) -> None:
    assert {endpoint_meaning(a, "low") for a in spec.actuators} != {
        endpoint_meaning(a, "high") for a in spec.actuators
    }
    assert endpoint_meaning(spec.actuators[spec.index("lid_left")], "low") == "the eye is shut"
    assert "slack" in endpoint_meaning(spec.actuators[0], "low")


def test_an_outer_eye_distance_is_one_of_a_face(spec: FaceSpec) -> None:
    for distance in (-0.003, 0.0, float("nan"), 92.5):
        with pytest.raises(DataError, match="a face has 30 to 200"):
            replace(Calibration.nominal(spec), outer_eye=distance)


def test_who_stops_is_told_what_is_kept(
    spec: FaceSpec, bench: ServoBench, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    path = tmp_path / "part.json"
    for error, status in ((KeyboardInterrupt(), 130), (CalibrationStopped("enough"), 0)):
        with pytest.raises(SystemExit) as ended, stoppable(spec, path):
            raise error
        assert ended.value.code == status and "nothing was found yet" in capsys.readouterr().err
    with pytest.raises(SystemExit), stoppable(spec, path):
        find_endpoints(
            session(tmp_path), bench, ScriptedOperator(careful_endpoints(spec), stop_at=spec.names[3])
        )
    message = capsys.readouterr().err
    assert f"{path} holds the endpoints of 3 of 25 servos" in message and "of 0 of 15 actuators" in message
    with pytest.raises(RobotError), stoppable(spec, path):
        raise RobotError("a fault is no wish")


def test_what_was_found_becomes_a_calibration(spec: FaceSpec, bench: ServoBench, tmp_path: Path) -> None:
    from eva_sim.real.calibration import model as module

    mine = session(tmp_path)
    find_endpoints(mine, bench, ScriptedOperator({"jaw": {"low": 1320.0, "high": 1800.0}, "lid_right":
                                        {"low": 1700.0, "neutral": 1300.0, "high": 1150.0}}))  # fmt: skip
    mine.responses["jaw"] = ActuatorResponse(
        (1.0,), (-1.0, 1.0), (0.0, 1.0), (0.0, 1.0), 1, 0.04, 0.02, 2, 0.001
    )
    mine.neutral_landmarks = FakeFace().neutral_landmarks.astype(float)
    with pytest.raises(DataError, match=r"23 servos have no endpoints yet .*brow_inner_left"):
        build_calibration(mine)
    made = build_calibration(mine, outer_eye=0.095, partial=True)
    assert module.Calibration.load(made.save(tmp_path / "robot.json"), spec).crc == made.crc
    raw = made.to_raw(spec.neutral)
    jaw, lid = spec.index("jaw"), spec.index("lid_right")
    assert (raw[jaw], raw[lid]) == pytest.approx((1320.0, 1300.0))
    assert made.to_raw(np.ones(25))[[jaw, lid]] == pytest.approx([1800.0, 1150.0])
    joint = made.actuators["jaw"]
    assert (joint.backlash, joint.delay, joint.drive_mode) == (0.04, 2, 0) and made.date != "nominal"
    assert made.actuators["lid_right"].drive_mode == 1 and made.outer_eye == 0.095


@pytest.mark.skipif(not hasattr(os, "sched_setscheduler"), reason="the system has no such calls")
def test_the_bench_runs_ahead_of_other_programs_while_a_servo_is_armed(widest: BoardLimits) -> None:
    def priority() -> int:
        return os.sched_getparam(0).sched_priority

    bench = ServoBench(RecordingBoard(), WallClock(), widest, PERIOD, too_hot=70.0)
    with bench.armed(JAW):
        armed = priority()
        bench.tick()
    assert priority() == 0
    if run_ahead():
        run_as_usual()
        assert armed == AHEAD
