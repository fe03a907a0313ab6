"""Recordings of a face with other actuators: another number, other names, another order, another rate."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from eva_sim.contract import FaceSpec, parse_spec
from eva_sim.errors import DataError
from eva_sim.recording.lerobot_export import export_lerobot
from eva_sim.recording.reader import load_recording
from eva_sim.recording.recorder import record_face
from eva_sim.recording.replay import replay_commands
from eva_sim.testing.fake_face import FakeFace

TABLE = """
[face]
control_dt = 0.05
physics_dt = 0.005

[cable]
horn_radius = 0.008
slack = 0.0

[kind.jaw]
unit = "rad"
low = 0.0
high = 0.4
neutral = 0.0
rate = 4.0
dead_band = 0.0
delay = 1
moves = "jaw"

[kind.cable]
unit = "rad"
low = -1.0
high = 1.0
neutral = -1.0
rate = 6.0
dead_band = 0.0
delay = 1
moves = "skin"

[kind.eye]
unit = "rad"
low = -0.5
high = 0.5
neutral = 0.0
rate = 8.0
dead_band = 0.0
delay = 1
moves = "eye_yaw"

[[actuators]]
name = "chin"
kind = "jaw"
side = "middle"
action_units = ["AU26"]
channel = 2
direction = 1

[[actuators]]
name = "gaze"
kind = "eye"
side = "middle"
action_units = []
channel = 0
direction = 1

[[actuators]]
name = "smile"
kind = "cable"
side = "middle"
action_units = ["AU12"]
channel = 1
direction = -1
"""


@pytest.fixture(scope="module")
def other() -> FaceSpec:
    """A face with three actuators, cables last, at 20 Hz."""
    return parse_spec(TABLE)


def commands_of(spec: FaceSpec) -> np.ndarray:
    rng = np.random.default_rng(1)
    return rng.uniform(-1, 1, (12, len(spec))).astype(np.float32)


def record(spec: FaceSpec, folder: Path) -> np.ndarray:
    commands = commands_of(spec)
    with record_face(FakeFace(spec=spec), folder) as face:
        face.reset()
        for command in commands:
            face.move(command)
    return commands


def test_a_face_with_other_actuators_is_recorded_and_read_back(other: FaceSpec, tmp_path: Path) -> None:
    commands = record(other, tmp_path / "first")
    recording = load_recording(tmp_path / "first")
    assert recording.info.actuators == ("chin", "gaze", "smile") and recording.info.digest == other.digest
    assert recording.info.control_dt == 0.05 and recording.cut == ()
    assert recording.asked.shape == (13, 3) and np.array_equal(recording.asked[1:], commands)
    assert recording.position.shape == (13, 3)


def test_it_is_replayed_on_the_same_face_only(other: FaceSpec, spec: FaceSpec, tmp_path: Path) -> None:
    commands = record(other, tmp_path / "first")
    recording = load_recording(tmp_path / "first")
    played = replay_commands(FakeFace(spec=other), recording)
    assert played.ended == "finished"
    assert np.array_equal(played.asked[played.part == "play"][1:], commands)
    assert np.array_equal(played.asked[-1], other.neutral)
    with pytest.raises(DataError, match="does not fit this face"):
        replay_commands(FakeFace(spec=spec), recording)


def test_it_is_exported_with_its_own_names_and_rate(other: FaceSpec, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    record(other, tmp_path / "first")
    info = export_lerobot([load_recording(tmp_path / "first")], tmp_path / "set")
    assert info["fps"] == 20 and info["features"]["action"]["names"] == ["chin", "gaze", "smile"]
    assert info["total_frames"] == 12
