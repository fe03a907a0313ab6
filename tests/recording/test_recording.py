"""Recordings: whole ones come back to the bit, hurt ones as far as they are whole."""

from __future__ import annotations

import copy
import os
import pickle
import re
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

from eva_sim.clock import Clock
from eva_sim.contract import FaceSpec, Reading
from eva_sim.errors import CommandError, CopyError, DataError
from eva_sim.recording import chunk_writer, file_format, frame_writer
from eva_sim.recording.reader import load_recording
from eva_sim.recording.recorder import RecordedFace, make_room_for_recording, record_face
from eva_sim.testing.fake_face import FakeFace
from eva_sim.testing.fault_injection import kill_recorder


class Seeing(FakeFace):
    """A fake with a camera and something wrong in every seventh reading."""

    def _reading(self, sent: NDArray[np.float32]) -> Reading:
        reading = super()._reading(sent)
        faults = ("zygomaticus_left is hot (61 °C)", "supply 4.4 V") if self._steps % 7 == 6 else ()
        return replace(reading, image=self.render(16), faults=faults)


class StepClock(Clock):
    """Each question takes a fortieth of a second."""

    def __init__(self) -> None:
        self._now = 100.0

    def now(self) -> float:
        self._now += 0.025
        return self._now

    def sleep(self, duration: float) -> None:
        self._now += duration


def commands(spec: FaceSpec, steps: int) -> NDArray[np.float32]:
    return np.random.default_rng(1).uniform(-1, 1, (steps, len(spec))).astype(np.float32)


def recorded(folder: Path, steps: int = 30) -> list[Reading]:
    """Records two episodes of `steps` moves each, and returns what the face said."""
    said = []
    with Seeing() as body, record_face(body, folder, about={"body": "fake"}, clock=StepClock()) as face:
        for seed in (5, 6):
            said.append(face.reset(seed))
            said += [face.move(command) for command in commands(face.spec, steps)]
    return said


def test_what_was_said_comes_back_to_the_bit(tmp_path: Path, spec: FaceSpec) -> None:
    said = recorded(tmp_path)
    back = load_recording(tmp_path)
    assert back.cut == () and len(back) == len(said) == 62
    for name in ("sent", "position", "landmarks", "found", "measured", "time"):
        assert np.array_equal(getattr(back, name), [getattr(r, name) for r in said]), name
    assert back.faults == tuple(r.faults for r in said) and any(back.faults)
    assert np.array_equal(back.asked[1:31], commands(spec, 30))
    assert np.allclose(np.diff(back.wall), 0.025)
    assert np.flatnonzero(back.start).tolist() == [0, 31] and back.runs() == [range(31), range(31, 62)]
    assert [n["seed"] for n in back.notes if n["what"] == "reset"] == [5, 6]
    session = back.info
    assert session.digest == spec.digest and session.about == {"body": "fake"}
    assert np.array_equal(session.neutral, FakeFace().neutral_landmarks)
    for index in (0, 40):
        picture, image = back.picture(index), said[index].image
        assert picture is not None and image is not None and picture.shape == image.shape
        assert abs(picture.astype(int) - image).mean() < 40  # stripes one pixel wide, as JPEG


def test_a_killed_process_loses_less_than_a_second(tmp_path: Path) -> None:
    opening = "from tests.recording.test_recording import Seeing\nface = Seeing()"
    promised, late, back = kill_recorder(tmp_path / "session", opening, 400)
    assert back.number[-1] >= promised >= 400
    assert late < 1.0
    assert np.array_equal(back.number, np.arange(len(back)))
    assert any("not ended" in text for text in back.cut)


def test_what_the_disk_had_when_the_power_went_is_a_whole_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk has what was there at the last `fsync`: that is copied aside here."""
    live, disk = tmp_path / "live", tmp_path / "disk"
    synced, real = threading.Event(), os.fsync

    def fsync(file: int) -> None:
        real(file)
        if threading.current_thread().name == "recording":
            shutil.copytree(live, disk, dirs_exist_ok=True)
            synced.set()

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(frame_writer, "SYNC", 0.01)
    with record_face(Seeing(), live) as face:
        face.reset()
        for _ in range(20):
            face.move(face.spec.neutral)
        for _ in range(2):  # the first may have begun before the last step
            synced.clear()
            assert synced.wait(30)  # nobody but the recorder's own thread asks the disk
        back = load_recording(disk)
    assert len(back) == 21 and np.array_equal(back.landmarks, load_recording(live).landmarks[:21])


def test_every_truncation_loads_what_is_whole(tmp_path: Path) -> None:
    recorded(tmp_path, steps=3)
    path = file_format.chunk_path(tmp_path, 0)
    whole, all_frames = path.read_bytes(), load_recording(tmp_path)
    ends = [
        r.end
        for r in file_format.scan_records(whole)
        if isinstance(r, file_format.RawRecord) and r.kind == file_format.FRAME
    ]
    for size in sorted({*range(0, len(whole), 37), *ends, *(end - 1 for end in ends)}):
        path.write_bytes(whole[:size])
        back = load_recording(tmp_path)
        expected = sum(end <= size for end in ends)
        assert len(back) == expected and back.cut
        assert np.array_equal(back.landmarks, all_frames.landmarks[:expected])


def test_a_flipped_bit_costs_one_record_and_is_told(tmp_path: Path) -> None:
    recorded(tmp_path, steps=3)
    path = file_format.chunk_path(tmp_path, 0)
    whole, all_frames = path.read_bytes(), load_recording(tmp_path)
    rng = np.random.default_rng(0)
    for position in rng.integers(len(file_format.MAGIC), len(whole), 300):
        hurt = bytearray(whole)
        hurt[position] ^= 1 << rng.integers(8)
        path.write_bytes(bytes(hurt))
        back = load_recording(tmp_path)
        assert len(back) >= len(all_frames) - 1 and back.cut
        assert np.array_equal(back.landmarks, all_frames.landmarks[back.number])


def test_a_lost_frame_breaks_a_run(tmp_path: Path) -> None:
    recorded(tmp_path, steps=6)
    path = file_format.chunk_path(tmp_path, 0)
    data = bytearray(path.read_bytes())
    third = [
        r
        for r in file_format.scan_records(bytes(data))
        if isinstance(r, file_format.RawRecord) and r.kind == file_format.FRAME
    ][3]
    data[third.end - 1] ^= 1
    path.write_bytes(bytes(data))
    back = load_recording(tmp_path)
    assert back.runs() == [range(3), range(3, 6), range(6, 13)]
    assert any("frames 3 to 3 are missing" in text for text in back.cut)


def test_long_recordings_go_over_several_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunk_writer, "CHUNK", 20_000)
    said = recorded(tmp_path)
    assert len(list(tmp_path.glob("frames-*.evr"))) > 3
    back = load_recording(tmp_path)
    assert back.cut == () and np.array_equal(back.sent, [r.sent for r in said])
    assert back.picture(61) is not None
    file_format.chunk_path(tmp_path, 1).unlink()
    hurt = load_recording(tmp_path)
    assert "frames-0001.evr is missing" in hurt.cut and len(hurt) < len(back)


def test_a_refused_command_is_a_note_not_a_frame(tmp_path: Path) -> None:
    def move(face: RecordedFace, command: ArrayLike) -> None:
        with pytest.raises(CommandError):
            face.move(command)

    with record_face(FakeFace(), tmp_path) as face:
        face.reset()
        move(face, np.full(25, np.nan))
    back = load_recording(tmp_path)
    assert len(back) == 1 and back.cut == ()
    assert [n["kind"] for n in back.notes if n["what"] == "error"] == ["CommandError"]


def test_a_folder_takes_one_recording(tmp_path: Path) -> None:
    recorded(tmp_path / "a", steps=2)
    with pytest.raises(DataError, match="choose another folder"), record_face(FakeFace(), tmp_path / "a"):
        pass
    assert load_recording(tmp_path / "a").cut == ()
    with pytest.raises(DataError, match="holds no recording"):
        load_recording(tmp_path / "b")
    (tmp_path / "a" / "session.json").write_text('{"format": 99}')
    with pytest.raises(DataError, match="no format 2 or older"):
        load_recording(tmp_path / "a")


def test_an_unfinished_recording_is_kept_beside_the_new_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that was cut off within a record, one that was cut between two, and one that the user stopped."""
    folder = tmp_path / "a"
    for number, lost in enumerate((7, len(file_format.pack_note({"what": "end", "frame": 6}))), 1):
        recorded(folder, steps=2)
        chunk = folder / "frames-0000.evr"
        chunk.write_bytes(chunk.read_bytes()[:-lost])
        before = chunk.read_bytes()
        make_room_for_recording(folder)
        kept = tmp_path / f"a-unfinished-{number}"
        assert re.search(
            rf"after 6 frames.*\n.*now {re.escape(str(kept))}; .* starts over", capsys.readouterr().err
        )
        assert (kept / chunk.name).read_bytes() == before and not folder.exists()
    with record_face(FakeFace(), folder) as face:
        face.reset()
        face.recorder.note("stopped", played=1, of=9)
    make_room_for_recording(folder)
    assert load_recording(tmp_path / "a-unfinished-3").stops


def test_a_recording_that_goes_on_is_left_alone(tmp_path: Path) -> None:
    with record_face(FakeFace(), tmp_path / "a") as face:
        face.reset()
        with pytest.raises(DataError, match="being recorded by another process"):
            make_room_for_recording(tmp_path / "a")
        face.move(face.spec.neutral)
    assert len(load_recording(tmp_path / "a")) == 2


def test_a_robot_is_known_and_its_clock_is_used(tmp_path: Path) -> None:
    """Two runs in virtual time are the same bytes, but for the date."""

    class Robot(FakeFace):
        def describe(self) -> dict[str, Any]:
            return {"kind": "firmware", "robot": "e5a1", "version": "1.0", "calibration": 77}

        def __init__(self) -> None:
            super().__init__()
            self.clock = StepClock()

    for run in ("a", "b"):
        with record_face(Robot(), tmp_path / run) as face:
            face.reset()
            face.move(face.spec.neutral)
    assert load_recording(tmp_path / "a").info.about == {
        "kind": "firmware", "robot": "e5a1", "version": "1.0", "calibration": 77,
    }  # fmt: skip
    first, second = (file_format.chunk_path(tmp_path / run, 0).read_bytes() for run in ("a", "b"))
    assert first == second and load_recording(tmp_path / "a").wall[0] == pytest.approx(100.025)


def test_a_recorded_face_is_still_the_face(tmp_path: Path) -> None:
    with record_face(FakeFace(), tmp_path, pictures=False) as face:
        face.reset()
        state = face.save()
        first = face.move(face.spec.command(jaw=1.0))
        face.restore(state)
        assert np.array_equal(face.move(face.spec.command(jaw=1.0)).landmarks, first.landmarks)
        assert face.skin == "full"  # an attribute of the body
        assert face.render(8).shape == (8, 8, 3)
    assert [n["what"] for n in load_recording(tmp_path).notes] == ["reset", "restore", "end"]


@pytest.mark.parametrize("copier", [copy.deepcopy, pickle.dumps])
def test_a_recorded_face_is_not_copied_without_its_recording(
    tmp_path: Path, copier: Callable[[Any], Any]
) -> None:
    with record_face(FakeFace(), tmp_path, pictures=False) as face:
        with pytest.raises(CopyError, match=r"copy the face itself, recorded\.face"):
            copier(face)
        copier(face.face)
