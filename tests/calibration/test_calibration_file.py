"""The calibration of a robot: its file, its arithmetic, and whom it refuses."""

from __future__ import annotations

import json
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eva_sim.contract import FaceSpec, load_spec, parse_spec
from eva_sim.errors import DataError, RobotError
from eva_sim.landmarks import POINTS
from eva_sim.real.boards.interface import BoardIdentity
from eva_sim.real.calibration.model import ActuatorCalibration, Calibration, default_path, designed_face
from eva_sim.testing.pulse_watcher import ROBOT

NOMINAL = Calibration.nominal(load_spec(), "0123456789abcdef")
IDENTITY = BoardIdentity("firmware", "0123456789abcdef", "0.0", None, "us", False, "board")


def changed(name: str, **fields: Any) -> dict[str, ActuatorCalibration]:
    joints = dict(NOMINAL.actuators)
    joints[name] = replace(joints[name], **fields)
    return joints


def test_nominal_ends_are_those_of_the_table(spec: FaceSpec) -> None:
    low, high = NOMINAL.to_raw(-np.ones(25)), NOMINAL.to_raw(np.ones(25))
    for i, a in enumerate(spec.actuators):
        ends = ROBOT["pulse"][a.kind][:: a.direction]
        assert (low[i], high[i]) == pytest.approx(ends, abs=0.6), a.name
    assert NOMINAL.to_raw(spec.neutral) == pytest.approx(NOMINAL.limits.rest, abs=1e-3)


def test_commands_come_back(spec: FaceSpec) -> None:
    commands = np.random.default_rng(1).uniform(-1, 1, (50, 25))
    for command in commands:
        assert NOMINAL.to_command(NOMINAL.to_raw(command)) == pytest.approx(command, abs=1e-9)
    limp = NOMINAL.to_raw(commands[0])
    limp[4] = np.nan
    assert np.flatnonzero(np.isnan(NOMINAL.to_command(limp))).tolist() == [4]


def test_a_measured_joint_is_linear_on_either_side_of_its_rest(spec: FaceSpec) -> None:
    joints = changed("eye_left_yaw", range_min=1250.0, range_max=1850.0, homing_offset=-100.0)
    i, measured = spec.index("eye_left_yaw"), replace(NOMINAL, actuators=joints)
    at = [measured.to_raw(np.full(25, c))[i] for c in (-1, -0.5, 0, 0.5, 1)]
    assert at == pytest.approx([1250, 1350, 1450, 1650, 1850])


def test_a_turned_joint_falls_as_the_command_rises(spec: FaceSpec) -> None:
    i, joints = spec.index("jaw"), changed("jaw", drive_mode=1, homing_offset=300.0)
    turned = replace(NOMINAL, actuators=joints)
    assert [turned.to_raw(np.full(25, c))[i] for c in (-1, 0, 1)] == pytest.approx([1900, 1600, 1300])


def test_the_file_holds_everything(tmp_path: Path) -> None:
    seen = designed_face(load_spec()).neutral
    joints = changed("jaw", backlash=0.02, hysteresis=0.1, delay=1.5)
    whole = replace(NOMINAL, actuators=joints).with_neutral(100 * seen + 3)
    path = whole.save(tmp_path / "robot.json")
    back = Calibration.load(path, load_spec())
    assert back.crc == whole.crc != NOMINAL.crc
    assert back.actuators == joints
    assert back.neutral_landmarks == pytest.approx(seen, abs=1e-9)
    assert list(tmp_path.iterdir()) == [path]
    row = json.loads(path.read_text())["actuators"]["jaw"]
    assert {"id", "drive_mode", "homing_offset", "range_min", "range_max"} < set(row)


def test_the_nominal_one_is_always_the_same() -> None:
    assert Calibration.nominal(load_spec(), "feed").crc == Calibration.nominal(load_spec(), "feed").crc
    assert Calibration.nominal(load_spec(), "feed").crc != NOMINAL.crc
    assert Calibration.nominal(load_spec(), "feed").date == "nominal"


def test_the_default_place_is_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EVA_CONFIG", str(tmp_path))
    assert NOMINAL.save() == tmp_path / "0123456789abcdef.json" == default_path(NOMINAL.robot_id)
    monkeypatch.delenv("EVA_CONFIG")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    assert default_path("a") == tmp_path / "config/eva-sim/a.json"


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="eva calibrate"):
        Calibration.load(tmp_path / "none.json", load_spec())


def test_no_truncated_file_is_taken(tmp_path: Path) -> None:
    whole = NOMINAL.save(tmp_path / "whole.json").read_bytes()
    for length in range(0, len(whole) - 2, 97):
        (tmp_path / "cut.json").write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"cut\.json"):
            Calibration.load(tmp_path / "cut.json", load_spec())


def test_no_changed_number_is_taken(tmp_path: Path) -> None:
    path = NOMINAL.save(tmp_path / "robot.json")
    text = path.read_text()
    for before, after in (('"range_max": 2200.0', '"range_max": 2300.0'), (NOMINAL.robot_id, "feed")):
        path.write_text(text.replace(before, after, 1))
        with pytest.raises(DataError, match="CRC"):
            Calibration.load(path, load_spec())


@pytest.mark.parametrize(
    "content", ["[]", "{}", '{"version": 2}', '{"version": 1, "crc": 1}', '"text"', "null"]
)
def test_what_is_no_calibration_is_told(tmp_path: Path, content: str) -> None:
    (tmp_path / "other.json").write_text(content)
    with pytest.raises(DataError, match="eva calibrate"):
        Calibration.load(tmp_path / "other.json", load_spec())


def test_a_whole_file_without_what_it_needs_is_told(tmp_path: Path) -> None:
    from eva_sim.real.calibration.model import _crc

    content: dict[str, Any] = {"version": 1, "actuators": {"jaw": {"id": 12}}}
    (tmp_path / "odd.json").write_text(json.dumps({**content, "crc": _crc(content)}))
    with pytest.raises(DataError, match="not a whole calibration"):
        Calibration.load(tmp_path / "odd.json", load_spec())


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"range_max": 2351.0}, "leaves"),
        ({"range_min": 640.0}, "leaves"),
        ({"slew": 500.0}, "leaves"),
        ({"slew": 0.0}, "no travel"),
        ({"range_min": 2200.0}, "no travel"),
        ({"homing_offset": float("nan")}, "no travel"),
        ({"homing_offset": -800.0}, "rests outside"),
        ({"id": 5}, "channel 5"),
        ({"drive_mode": 2}, "drive mode 2"),
        ({"slew": "15"}, "no number"),
        ({"range_max": None}, "no number"),
        ({"range_min": True}, "no number"),
        ({"backlash": [0.1]}, "no number"),
        ({"backlash": float("nan")}, "negative or infinite"),
        ({"delay": -1.0}, "negative or infinite"),
        ({"hysteresis": float("inf")}, "negative or infinite"),
    ],
)
def test_what_a_servo_must_not_do_is_no_calibration(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=f"brow_inner_left .*{message}"):
        replace(NOMINAL, actuators=changed("brow_inner_left", **fields))


def test_ticks_and_microseconds_are_the_same_angles() -> None:
    """A quarter turn: 1,000 us of a hobby servo, 1,024 of a bus servo's 4,096 ticks a turn."""
    ticks, us = Calibration.nominal(load_spec(), unit="ticks").limits, NOMINAL.limits
    for ours, theirs in ((us.low, ticks.low), (us.rest, ticks.rest), (us.high, ticks.high)):
        assert (theirs - 2048) / 4096 * 360 == pytest.approx((ours - 1500) / 1000 * 90)
    assert ticks.slew / 4096 * 360 == pytest.approx(us.slew / 1000 * 90)


@pytest.mark.parametrize("fields", [{"range_max": 2920.0}, {"range_min": 1170.0}, {"slew": 105.0}])
def test_what_a_bus_servo_must_not_do_is_no_calibration(fields: dict[str, Any]) -> None:
    ticks = Calibration.nominal(load_spec(), unit="ticks")
    joints = {**ticks.actuators, "brow_inner_left": replace(ticks.actuators["brow_inner_left"], **fields)}
    with pytest.raises(DataError, match=r"brow_inner_left leaves .* ticks"):
        replace(ticks, actuators=joints)


def test_another_unit_is_told() -> None:
    with pytest.raises(DataError, match="counts in 'mm', not us or ticks"):
        replace(NOMINAL, unit="mm")


def test_another_table_is_told(spec: FaceSpec, tmp_path: Path) -> None:
    path = NOMINAL.save(tmp_path / "robot.json")
    with pytest.raises(DataError, match="another actuator table"):
        Calibration.load(path, parse_spec(spec.text + "\n", spec.folder))
    with pytest.raises(DataError, match="another actuator table"):
        replace(NOMINAL, actuators={"jaw": NOMINAL.actuators["jaw"]})
    with pytest.raises(DataError, match="other landmarks"):
        replace(NOMINAL, neutral_landmarks=np.zeros((len(POINTS) - 1, 3)))


@pytest.mark.parametrize("value", [np.nan, -np.inf, 1e30])
@pytest.mark.parametrize("place", [(0, 0), (17, 2)])
def test_landmarks_that_are_no_face_are_refused(value: float, place: tuple[int, int]) -> None:
    landmarks = designed_face(load_spec()).neutral.copy()
    assert replace(NOMINAL, neutral_landmarks=landmarks.copy()).neutral_landmarks is not None
    landmarks[place] = value
    with pytest.raises(DataError, match="no face"):
        replace(NOMINAL, neutral_landmarks=landmarks)
    with pytest.raises(DataError, match="no face"):
        replace(NOMINAL, neutral_landmarks=np.full_like(landmarks, 0.5))


@pytest.mark.parametrize("field", ["robot", "board", "unit", "outer_eye", "date", "spec", "actuators"])
@pytest.mark.parametrize("value", [None, 7, [], {}, "x", 1e308])
def test_a_file_with_a_value_of_another_type_gives_one_line(tmp_path: Path, field: str, value: Any) -> None:
    content = {**NOMINAL.to_json(), field: value}
    path = tmp_path / "c.json"
    path.write_text(json.dumps({**content, "crc": zlib.crc32(json.dumps(content, sort_keys=True).encode())}))
    if isinstance(value, str) and field in ("robot", "board", "date"):
        assert Calibration.load(path, load_spec()).to_json() == content
        return
    with pytest.raises(DataError) as caught:
        Calibration.load(path, load_spec())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "other, message",
    [({"robot_id": "feed"}, "robot"), ({"kind": "maestro"}, "kind"), ({"unit": "ticks"}, "unit")],
)
def test_another_robot_is_refused(other: dict[str, Any], message: str) -> None:
    NOMINAL.check(IDENTITY)
    with pytest.raises(RobotError, match=f"for {message} "):
        NOMINAL.check(replace(IDENTITY, **other))


def test_the_designed_face_is_the_twins() -> None:
    from eva_sim.twin import Twin

    with Twin() as twin:
        face = designed_face(load_spec())
        assert face.neutral == pytest.approx(twin.neutral_landmarks, abs=1e-5)
        assert face.outer_eye == pytest.approx(twin.outer_eye, rel=1e-6)
