"""A whole robot on every board: `body="robot"` and the `eva` command, over fakes at pseudo-terminals.

Time is moved by hand: a wait takes none, so that a busy machine is no silence.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from typer.testing import CliRunner

from eva_sim import clock, make_face
from eva_sim.cli import tour
from eva_sim.cli.app import app
from eva_sim.clock import Clock, SimulatedClock
from eva_sim.contract import Face, FaceSpec, Floats, Reading, load_spec
from eva_sim.errors import DataError, LinkError, RobotError
from eva_sim.expressions import expression_command
from eva_sim.real import opening
from eva_sim.real.boards.registry import board_opener
from eva_sim.real.boards.servo_bus import default_bus_ids
from eva_sim.real.calibration import operator_ui, procedure
from eva_sim.real.calibration.model import ActuatorCalibration, Calibration, default_path, designed_face
from eva_sim.real.calibration.operator_ui import ScriptedOperator
from eva_sim.real.calibration.servo_bench import BENCH_SPEED, widest_limits
from eva_sim.real.calibration.session import CalibrationSession, ServoEndpoints
from eva_sim.real.robot import RobotFace
from eva_sim.real.simulation import fake_bus
from eva_sim.real.simulation.fake_bus import FakeDynamixel, FakeFeetech, ServoBus
from eva_sim.real.simulation.fake_line import FakeDevice, FakeLine, PtyLine
from eva_sim.real.simulation.fake_maestro import FakeMaestro
from eva_sim.real.vision import camera_source
from eva_sim.real.vision.camera_source import CameraSource, TimedImage
from eva_sim.real.wire import bus_port, serial_ports
from eva_sim.real.wire.known_ports import UsbDevice, remember_devices
from eva_sim.recording.reader import load_recording
from eva_sim.testing.board_rigs import BUSES, KINDS, LIBRARIES, RULES, SPEC, Listed, held_positions
from eva_sim.testing.calibration_rig import Typist

pytest.importorskip("serial", reason="needs eva-sim[real]")
UNIT = {"maestro": "us", "feetech": "ticks", "dynamixel": "ticks"}
NAME = "desk"


def fakes(kind: str) -> list[FakeDevice]:
    """What a face of this kind has: two Maestros at ports of their own, or one bus."""
    if kind == "maestro":
        return [FakeMaestro([12]), FakeMaestro([12], channels=6)]
    ids = default_bus_ids(SPEC)
    return [FakeFeetech(ids) if kind == "feetech" else FakeDynamixel(ids)]


@dataclass
class Desk:
    """A robot on the desk.

    Attributes:
        kind: of its board.
        port: of the board, as users say it.
        devices: what is at the far ends.
    """

    kind: str
    port: str
    devices: list[FakeDevice]

    def held_positions(self) -> Floats:
        return held_positions(*self.devices)

    def lie(self, raw: Floats) -> None:
        """Somebody turns the limp servos, (25,) [raw]; hobby servos tell nobody."""
        bus = self.devices[0]
        if isinstance(bus, ServoBus):
            for number, place in zip(default_bus_ids(SPEC), raw.round().astype(int).tolist(), strict=True):
                bus.put(number, bus.POSITION, place, bus.GOAL_SIZE)

    def face(self, **more: Any) -> Face:
        return make_face("robot", board=self.kind, port=self.port, robot_id=NAME, camera=None, **more)

    def eva(self, words: str, *more: str) -> Any:
        """The `eva` command, told where the robot is."""
        where = ["--board", self.kind, "--port", self.port, "--robot-id", NAME, "--camera", "-1"]
        return CliRunner().invoke(app, [*words.split(), *where, *more])


@pytest.fixture(params=KINDS)
def desk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Desk]:
    kind = request.param
    if kind in LIBRARIES:
        pytest.importorskip(LIBRARIES[kind], reason=f"needs eva-sim[{kind}]")
    for patience in ("LATENCY", "WRITE_TIMEOUT"):  # a fake's thread may be slow on a busy machine
        monkeypatch.setattr(bus_port, patience, 5.0)
    monkeypatch.setattr(fake_bus, "PAUSE", 5.0)
    monkeypatch.setattr(opening, "WallClock", SimulatedClock)
    monkeypatch.setattr(clock, "WallClock", SimulatedClock)
    monkeypatch.setenv("EVA_CONFIG", str(tmp_path / "config"))
    with ExitStack() as stack:
        devices = fakes(kind)
        ends = [stack.enter_context(PtyLine(FakeLine(device))) for device in devices]
        yield Desk(kind, ",".join(end.name for end in ends), devices)


def odd(kind: str) -> Calibration:
    """No servo like the next: other ends, rest and slew; every third without cable turns the other way."""
    nominal, joints = (
        Calibration.nominal(load_spec(), NAME, kind, UNIT[kind]),
        dict[str, ActuatorCalibration](),
    )
    for n, (name, joint) in enumerate(nominal.actuators.items()):
        way, cable = joint.range_max - joint.range_min, SPEC.actuators[SPEC.index(name)].kind == "cable"
        turned = bool(joint.drive_mode) ^ (n % 3 == 0 and not cable)
        low, high = joint.range_min + (n % 7) / 40 * way, joint.range_max - (n % 5) / 40 * way
        slack = high if turned else low
        rest = slack if SPEC.neutral[SPEC.index(name)] == -1 else low + (0.4 + n / 100) * (high - low)
        joints[name] = replace(
            joint,
            drive_mode=int(turned),
            range_min=low,
            range_max=high,
            homing_offset=rest - (low + high) / 2,
            slew=(0.7 + n / 100) * joint.slew,
        )
    return replace(nominal, actuators=joints, date="odd")


def test_each_actuator_has_its_order_sign_and_range(desk: Desk, spec: FaceSpec) -> None:
    calibration = odd(desk.kind)
    grid, joints = (0.25 if desk.kind == "maestro" else 1.0), calibration.actuators
    with desk.face(calibration=calibration) as face:
        assert np.isnan(desk.held_positions()).all()  # opening moves nothing
        face.reset()
        rest = desk.held_positions()
        assert rest == pytest.approx(calibration.limits.rest, abs=grid)
        for index, name in enumerate(spec.names):
            joint = joints[name]
            ends = (joint.range_min, joint.range_max)[:: -1 if joint.drive_mode else 1]
            for end, raw in zip((-1.0, 1.0), ends, strict=True):
                command = spec.neutral
                command[index] = end
                for _ in range(20):
                    reading = face.move(command)
                assert desk.held_positions()[index] == pytest.approx(raw, abs=grid), name
                assert np.delete(desk.held_positions(), index) == pytest.approx(
                    np.delete(rest, index), abs=grid
                ), name
                assert reading.position == pytest.approx(command, abs=0.01), name
                assert reading.faults == () and reading.measured == (desk.kind in BUSES)
            face.reset()
    assert np.isnan(desk.held_positions()).all()  # and closing leaves it limp


def test_arming_starts_another_guard_process_when_the_first_one_was_killed(desk: Desk) -> None:
    with desk.face(calibration=Calibration.nominal(SPEC, NAME, desk.kind, UNIT[desk.kind])) as face:
        assert isinstance(face, RobotFace)
        face.reset()
        guard = face._board._lines.guard._process  # type: ignore[attr-defined]
        guard.kill()
        guard.wait()
        assert "guards the line has ended" in "; ".join(face.move(face.spec.neutral).faults)
        assert np.isnan(desk.held_positions()).all()
        face.arm()
        face.move(face.spec.neutral)
        assert not np.isnan(desk.held_positions()).any()


def test_an_environment_on_any_board(desk: Desk, spec: FaceSpec) -> None:
    with pytest.raises(DataError, match=rf"{NAME}\.json; make a new one with `eva calibrate`"):
        desk.face()
    odd(desk.kind).save()
    env = gym.make("EVA/Mimic-v0", body="robot", board=desk.kind, port=desk.port, robot_id=NAME, camera=None)
    env.reset(seed=1)
    for _ in range(20):
        observation, *_, info = env.step(spec.command(jaw=1.0))
    assert observation["position"][spec.index("jaw")] == pytest.approx(1.0, abs=0.01)
    assert info.get("faults") in (None, ("no camera",))
    env.close()


def test_the_tour(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calibration = odd(desk.kind)
    calibration.save()
    rest, went, move = calibration.limits.rest, np.zeros(25), RobotFace.move

    def watched(face: RobotFace, command: Any) -> Reading:
        reading = move(face, command)
        went[:] = np.maximum(went, np.abs(desk.held_positions() - rest))
        return reading

    monkeypatch.setattr(RobotFace, "move", watched)
    run = desk.eva(f"robot --body robot --out {tmp_path}")
    assert run.exit_code == 0, run.output
    report = json.loads((tmp_path / "tour.json").read_text())
    assert report["board"].startswith(desk.kind) and report["robot"] == NAME and report["faults"] == []
    asked = np.max(
        [
            np.abs(calibration.to_raw(expression_command(load_spec(), name)) - rest)
            for name in tour.EXPRESSIONS
        ],
        axis=0,
    )
    assert (went >= 0.5 * asked - 1).all() and (went <= asked + 1).all() and (asked > 100).sum() > 12
    assert np.isnan(desk.held_positions()).all()


def test_recording_and_replaying(desk: Desk, tmp_path: Path) -> None:
    odd(desk.kind).save()
    for words in ("record joy --hold 0.2 --body robot --out first", "replay first --body robot --out again"):
        run = desk.eva(words.replace("first", f"{tmp_path}/first").replace("again", f"{tmp_path}/again"))
        assert run.exit_code == 0, run.exception
    first, again = load_recording(tmp_path / "first"), load_recording(tmp_path / "again")
    assert first.cut == again.cut == () and np.isnan(desk.held_positions()).all()
    joy = np.abs(first.asked - expression_command(load_spec(), "joy")).max(1) < 1e-6
    assert joy.sum() >= 5 and len(again) > len(first)


def careful(kind: str) -> dict[str, dict[str, float]]:
    """What a person finds: ends near where each servo is armed, and one horn the other way round."""
    widest, found = widest_limits(load_spec(), UNIT[kind]), dict[str, dict[str, float]]()
    for i, a in enumerate(SPEC.actuators):
        rest, travel = widest.rest[i], (widest.high[i] - widest.low[i]) * (1 if a.direction > 0 else -1)
        way = -travel if a.name == "eye_left_yaw" else travel
        if SPEC.neutral[i] == -1:
            share = 0.75 if a.name == "jaw" else 0.2 + 0.005 * i  # the jaw goes farther than the table's
            found[a.name] = {"low": rest + 0.01 * way, "high": rest + share * way}
        else:
            shares = {"low": -0.1, "neutral": 0.02, "high": 0.08 + 0.003 * i}
            found[a.name] = {what: rest + share * way for what, share in shares.items()}
    return found


@pytest.mark.wall_clock
def test_calibrating_servo_by_servo(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    marks, widest = careful(desk.kind), widest_limits(load_spec(), UNIT[desk.kind])
    lies = widest.rest.copy()
    lies[[0, 24]] = widest.high[0], widest.low[24]  # as far from rest as a limp servo may be found
    desk.lie(lies)
    monkeypatch.setattr(operator_ui, "TerminalUI", lambda picture: ScriptedOperator(marks))
    run = desk.eva(f"calibrate --out {tmp_path}/part.json --outer-eye 95")
    assert run.exit_code == 0, run.exception
    assert np.isnan(desk.held_positions()).all()
    assert str(default_path(NAME)) in run.output.replace("\n", "")
    made = Calibration.load(default_path(NAME), load_spec())
    assert (made.board, made.unit, made.outer_eye) == (desk.kind, UNIT[desk.kind], 0.095)
    for what, command in (("low", -np.ones(25)), ("high", np.ones(25))):
        assert made.to_raw(command) == pytest.approx([marks[name][what] for name in SPEC.names])
    neutral = [marks[name].get("neutral", marks[name]["low"]) for name in SPEC.names]
    assert made.to_raw(SPEC.neutral) == pytest.approx(neutral)
    travel = np.array([abs(m["high"] - m["low"]) for m in (marks[name] for name in SPEC.names)])
    nominal = Calibration.nominal(load_spec(), NAME, desk.kind, UNIT[desk.kind]).limits
    shares = np.minimum(1, travel / (nominal.high - nominal.low))
    assert made.limits.slew == pytest.approx(shares * nominal.slew) and shares.max() == 1
    assert_slow(desk)
    with desk.face() as face:
        face.reset()
        for _ in range(20):
            face.move(SPEC.command(jaw=1.0))
        assert desk.held_positions()[SPEC.index("jaw")] == pytest.approx(marks["jaw"]["high"], abs=1.0)


def assert_slow(desk: Desk) -> None:
    """No servo was ever commanded to go faster than a careful hand, nor beyond what robot.toml allows."""
    widest, scale = widest_limits(SPEC, UNIT[desk.kind]), 4 if desk.kind == "maestro" else 1
    step = BENCH_SPEED * RULES.period * (widest.high - widest.low)
    places = dict[int, list[float]]()
    for n, device in enumerate(desk.devices):
        for number, raw in device.driven:
            channel = number - 1 if isinstance(device, ServoBus) else number + 24 * n
            places.setdefault(channel, []).append(raw / scale or np.nan)
    for i, a in enumerate(SPEC.actuators):
        gone = np.array(places[a.channel])
        assert np.nanmin(gone) >= widest.low[i] - 1e-6 and np.nanmax(gone) <= widest.high[i] + 1e-6, a.name
        assert np.nanmax(np.abs(np.diff(gone))) <= step[i] + 1 and len(gone) > 30, a.name


def test_a_servo_nobody_moved(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table can say what a pulse does, but not how a bus servo's horn was put on."""
    monkeypatch.setattr(operator_ui, "TerminalUI", lambda picture: ScriptedOperator({}))
    run = desk.eva(f"calibrate --partial --out {tmp_path}/part.json")
    assert default_path(NAME).exists() == (desk.kind == "maestro")
    if desk.kind == "maestro":
        assert run.exit_code == 0
        assert Calibration.load(default_path(NAME), load_spec()).limits.high[0] == 2200.0
    else:
        assert isinstance(run.exception, DataError) and "25 servos have no endpoints yet" in str(
            run.exception
        )
        assert "--partial" not in str(run.exception)


class Dark(CameraSource):
    """A camera in a dark room."""

    def __init__(self, device: int, by: Clock) -> None:
        self._clock = by

    def latest_image(self) -> TimedImage:
        return TimedImage(self._clock.now(), np.zeros((64, 64, 3), np.uint8))


def test_calibrating_goes_on_by_camera(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the same board and with the ends just found; what a camera finds is tested in test_sweep.py."""
    marks, part = careful(desk.kind), tmp_path / "part.json"
    session = CalibrationSession.open(load_spec(), part, NAME, desk.kind, UNIT[desk.kind])
    session.endpoints = {
        name: ServoEndpoints(m["low"], m.get("neutral", m["low"]), m["high"]) for name, m in marks.items()
    }
    session.save()

    def watched(found: CalibrationSession, face: RobotFace, attend: Callable[[], None]) -> list[str]:
        attend()
        face.arm()
        assert face.identity.kind == desk.kind and not np.isnan(desk.held_positions()).any()
        high = [marks[name]["high"] for name in SPEC.names]
        assert face.calibration.to_raw(np.ones(25)) == pytest.approx(high)
        found.neutral_landmarks = designed_face(load_spec()).neutral
        return ["look at the jaw"]

    monkeypatch.setattr(procedure, "measure_by_camera", watched)
    for module in (camera_source, opening):
        monkeypatch.setattr(module, "DeviceCamera", Dark)
    monkeypatch.setattr(operator_ui, "TerminalUI", lambda picture: Typist(("All servos", "...")))
    run = desk.eva(f"calibrate --out {part}", "--camera", "3")
    assert run.exit_code == 0, run.exception
    assert "look at the jaw" in run.output and np.isnan(desk.held_positions()).all()
    assert Calibration.load(default_path(NAME), SPEC).neutral_landmarks is not None


# Error messages.


@pytest.mark.parametrize(
    ("board", "more", "message"),
    [
        ("arduino", {}, "no board called 'arduino'; there are firmware, maestro, feetech, dyn"),
        ("maestro", {"port": "/dev/none"}, "no port /dev/none; is the board plugged in"),
        ("maestro", {"port": ["/dev/null", "/dev/none"]}, "no port /dev/none"),
        ("maestro", {"port": "a, b, c"}, "2 ports at most, not a, b, c"),
        ("feetech", {"port": "a,b"}, "1 port at most, not a, b"),
        ("firmware", {"robot_id": "desk"}, "id of its own; leave robot_id out"),
        ("maestro", {"robot_id": "../desk"}, "is used as a file name"),
        ("maestro", {"robot_id": 3}, "is used as a file name"),
    ],
)
def test_mistakes_are_reported_before_anything_is_opened(
    board: str, more: dict[str, Any], message: str
) -> None:
    with pytest.raises(RobotError, match=message):
        make_face("robot", board=board, camera=77, **more)


@pytest.mark.parametrize(
    ("board", "module", "message"),
    [
        ("firmware", "serial", r"pip install 'eva-sim\[real\]'"),
        ("maestro", "serial", r"pip install 'eva-sim\[real\]'"),
        ("feetech", "scservo_sdk", r"scservo_sdk is missing.*pip install 'eva-sim\[feetech\]'"),
        ("dynamixel", "dynamixel_sdk", r"dynamixel_sdk is missing.*pip install 'eva-sim\[dynamixel\]'"),
    ],
)
def test_a_missing_library_is_named(
    board: str, module: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == module]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(RobotError, match=message):
        make_face("robot", board=board, camera=None)


def test_auto_asks_who_answers(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """By USB id first; where several ports have it, only who answers as this board counts."""
    monkeypatch.setattr(bus_port, "LATENCY", 0.3)
    vid, pid = sorted(serial_ports.USB_IDS[desk.kind])[0]
    listed = [Listed("/dev/ttyS0")]
    monkeypatch.setattr("serial.tools.list_ports.comports", lambda: listed)
    with pytest.raises(LinkError, match=rf"no {desk.kind} board answers \(no port has its USB id\)"):
        board_opener(SPEC, desk.kind)
    whole = fakes(desk.kind)[0] if desk.kind != "maestro" else FakeMaestro([12, 13])
    other = FakeFeetech([77]) if desk.kind != "feetech" else FakeDynamixel([77])
    with (
        PtyLine(FakeLine(other)) as foreign,
        PtyLine(FakeLine(whole)) as one,
        PtyLine(FakeLine(fakes(desk.kind)[0])) as two,
    ):
        ports = [Listed(pty.name, vid, pid, f"{desk.kind} {n}") for n, pty in enumerate((foreign, one, two))]
        remember_devices(desk.kind, map(UsbDevice.of, ports))
        listed += ports[:2]
        board = board_opener(SPEC, desk.kind, "auto", NAME)()
        assert (board.identity.kind, board.identity.robot_id) == (desk.kind, NAME)
        board.close()
        assert not other.driven
        listed.append(ports[2])
        if desk.kind == "maestro":  # half a face does not answer as a whole one
            listed.remove(ports[1])
            with pytest.raises(LinkError, match=r"no maestro board answers .*--port FIRST,SECOND"):
                board_opener(SPEC, desk.kind)
        else:
            with pytest.raises(LinkError, match=rf"several {desk.kind} boards answer .*--port PATH"):
                board_opener(SPEC, desk.kind)


def test_an_adapter_without_a_number_asks_for_a_name(desk: Desk) -> None:
    with pytest.raises(LinkError, match=r"no USB serial number .*--robot-id NAME \(robot_id="):
        make_face("robot", board=desk.kind, port=desk.port, camera=None)
