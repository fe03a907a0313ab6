"""Playing commands again: gentle at both ends, faithful in between, and never half-checked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from eva_sim.contract import FaceSpec
from eva_sim.errors import CommandError, DataError
from eva_sim.recording.reader import load_recording
from eva_sim.recording.recorder import record_face
from eva_sim.recording.replay import replay_commands
from eva_sim.recording.trajectories import EASING_SPEED, eased_commands
from eva_sim.testing.fake_face import FakeFace


def wave(spec: FaceSpec, steps: int = 40) -> np.ndarray:
    """A smooth motion of all actuators that begins and ends far from neutral."""
    phase = np.linspace(0.4, 2.0, steps)[:, None] + np.arange(len(spec)) / 9
    return np.sin(phase).astype(np.float32)


def test_it_eases_in_and_out_and_plays_what_was_given(spec: FaceSpec) -> None:
    commands = wave(spec)
    played = replay_commands(FakeFace(), commands)
    assert played.ended == "finished" and played.faults == ()
    assert np.array_equal(played.asked[played.part == "play"], commands)
    path = np.concatenate([spec.neutral[None], played.asked])
    longest = np.abs(np.diff(path, axis=0)).max(1)
    gentle = np.isin(played.part, ["in", "out"])
    assert longest[gentle].max() <= EASING_SPEED * spec.control_dt * 1.01
    own = np.abs(np.diff(commands, axis=0)).max()
    assert longest[~gentle].max() <= max(own, 1e-6)  # the first is where easing ended
    assert np.array_equal(played.asked[-1], spec.neutral)
    assert [r.sent.tolist() for r in played.readings] == played.asked.tolist()


@pytest.mark.parametrize("distance", [0.0, 0.05, 0.7, 2.0])
def test_easing_begins_and_ends_at_rest(spec: FaceSpec, distance: float) -> None:
    start = np.full(len(spec), -1.0)
    path = np.concatenate([start[None], eased_commands(start, start + distance, spec)])
    steps = np.abs(np.diff(path, axis=0)).max(1)
    assert path[-1] == pytest.approx(start + distance)
    assert steps.max() <= EASING_SPEED * spec.control_dt * 1.001
    assert max(steps[0], steps[-1]) <= 0.25 * steps.max() + 1e-6


def test_it_starts_where_the_face_is(spec: FaceSpec) -> None:
    face = FakeFace()
    face.reset()
    for _ in range(20):
        here = face.move(spec.command(jaw=1.0))
    played = replay_commands(face, wave(spec), start=here)
    assert played.readings[0].time == pytest.approx(here.time + spec.control_dt)  # no reset between
    assert abs(played.asked[0] - here.sent).max() <= EASING_SPEED * spec.control_dt


def test_a_recording_is_asked_again(tmp_path: Path, spec: FaceSpec) -> None:
    with record_face(FakeFace(), tmp_path) as face:
        for seed in (1, 2):
            face.reset(seed)
            for command in wave(spec, 20) * (0.5 * seed):
                face.move(command)
    recording = load_recording(tmp_path)
    played = replay_commands(FakeFace(), recording)
    assert np.array_equal(played.asked[played.part == "play"], recording.asked)
    path = np.concatenate([spec.neutral[None], played.asked])
    longest = np.abs(np.diff(path, axis=0)).max(1)
    assert longest[played.part != "play"].max() <= EASING_SPEED * spec.control_dt * 1.01
    joins = np.flatnonzero((played.part[1:] == "play") & (played.part[:-1] != "play")) + 1
    assert len(joins) == 2 and longest[joins].max() < 1e-6


def test_another_rate_is_interpolated(tmp_path: Path, spec: FaceSpec) -> None:
    with record_face(FakeFace(), tmp_path) as face:
        for command in wave(spec, 21):
            face.move(command)
    recording = load_recording(tmp_path)
    slow = replace(recording, info=replace(recording.info, control_dt=2 * spec.control_dt))
    played = replay_commands(FakeFace(), slow)
    twice = played.asked[played.part == "play"]
    assert len(twice) == 41 and np.allclose(twice[::2], recording.asked, atol=1e-6)
    assert np.allclose(twice[1::2], (recording.asked[1:] + recording.asked[:-1]) / 2, atol=1e-6)


@pytest.mark.parametrize("after", [0, 3, 30])
def test_stopping_eases_out(spec: FaceSpec, after: int) -> None:
    left = iter([False] * after)
    face = FakeFace()
    played = replay_commands(face, wave(spec), stopped=lambda: next(left, True))
    assert played.ended == "stopped" and (played.part != "out").sum() == after
    path = np.concatenate([spec.neutral[None], played.asked])
    assert np.abs(np.diff(path, axis=0)).max() <= EASING_SPEED * spec.control_dt * 1.01
    assert np.array_equal(played.asked[-1], spec.neutral)


def test_faults_are_told(spec: FaceSpec) -> None:
    played = replay_commands(FakeFace(found=False), wave(spec, 5))
    assert played.faults == ("no face in the picture",)
    easing = len(played.part) - 5
    assert f"finished: 5 commands played, {easing} steps to ease in and out" in played.summary
    assert "no face in the picture" in played.summary


def test_nothing_moves_before_all_is_checked(tmp_path: Path, spec: FaceSpec) -> None:
    bad = wave(spec)
    bad[-1, 3] = 1.5
    mistakes = [(bad, CommandError), (wave(spec)[:, :24], CommandError), (bad[:0], DataError)]
    for commands, kind in mistakes:
        with pytest.raises(kind):
            replay_commands(FakeFace(fail_after=0), commands)
    with record_face(FakeFace(), tmp_path) as face:
        face.reset()
    recording = load_recording(tmp_path)
    other = replace(recording, info=replace(recording.info, digest="0" * 64))
    with pytest.raises(DataError, match="another assets"):
        replay_commands(FakeFace(fail_after=0), other)
