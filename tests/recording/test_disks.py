"""Disks that are full, slow or gone, and pictures that are odd: each costs only itself, and is told."""

from __future__ import annotations

import errno
import io
import resource
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from eva_sim.clock import WallClock
from eva_sim.contract import Reading
from eva_sim.errors import DataError
from eva_sim.recording import chunk_writer, frame_writer
from eva_sim.recording.reader import Recording, load_recording
from eva_sim.recording.recorder import RecordedFace, record_face
from eva_sim.testing.fake_face import FakeFace

STEPS = 60


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Limits the size of files that this process may write, as a full disk does [bytes]."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


class RealTime(FakeFace):
    """A fake that lives by the wall clock, ten times as fast as a robot."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = WallClock()

    def move(self, command: Any) -> Reading:
        time.sleep(0.004)
        return super().move(command)


def record(folder: Path, at: dict[int, Callable[[], object]], face: FakeFace | None = None) -> list[Reading]:
    """Records `STEPS` moves, with something done before some of them; returns the readings."""
    readings = []
    with record_face(face or FakeFace(), folder) as recorded:
        recorded.reset()
        for step in range(STEPS):
            at.get(step, lambda: None)()
            readings.append(recorded.move(recorded.spec.neutral))
    return readings


def told(readings: list[Reading]) -> str:
    return "; ".join(dict.fromkeys(fault for reading in readings for fault in reading.faults))


class BrokenDisk:
    """What every write of a record meets, instead of the disk.

    Attributes:
        error: number of the error; 0 for none.
        answers: writes wait while it is clear.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.error, self.answers, self._append = 0, threading.Event(), chunk_writer._append
        self.answers.set()
        monkeypatch.setattr(chunk_writer, "_append", self._write)

    def _write(self, file: io.FileIO, data: bytes) -> None:
        self.answers.wait(60)
        if self.error:
            self._append(file, data[: len(data) // 2])  # the disk takes a part, as a full one does
            raise OSError(self.error, "this disk is broken")
        self._append(file, data)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EROFS])
def test_a_disk_that_fails_for_a_while_costs_those_frames_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    disk, readings = BrokenDisk(monkeypatch), list[Reading]()

    def fail(error: int) -> Callable[[], None]:
        return lambda: setattr(disk, "error", error)

    with pytest.raises(DataError, match="10 frames are missing; this disk is broken"):
        readings += record(tmp_path, {20: fail(number), 30: fail(0)})
    back = load_recording(tmp_path)
    assert back.number.tolist() == [*range(21), *range(31, 61)]
    assert any("frames 21 to 30 are missing" in text for text in back.cut)
    assert any("this disk is broken" in text for text in back.cut)
    assert not any("damaged" in text for text in back.cut)  # no half records are left


def test_what_is_wrong_is_told_while_it_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk, faults = BrokenDisk(monkeypatch), list[tuple[str, ...]]()

    def go_through(face: RecordedFace) -> None:
        face.reset()
        for error in (0, errno.ENOSPC, errno.ENOSPC, 0, 0):
            disk.error = error
            faults.append(face.move(face.spec.neutral).faults)

    with pytest.raises(DataError, match="2 frames"), record_face(FakeFace(), tmp_path) as face:
        go_through(face)
    full = ("recording: this disk is broken; frames are left out until it is well again",)
    assert faults == [(), full, full, ("recording: it goes on, without 2 frames",), ()]


def test_a_disk_that_stays_full_does_not_stop_the_face(tmp_path: Path) -> None:
    def go_through(face: RecordedFace, readings: list[Reading]) -> None:
        readings.append(face.reset())
        with largest_file(20_000):
            readings += [face.move(face.spec.neutral) for _ in range(STEPS)]

    readings = list[Reading]()
    with pytest.raises(DataError, match="File too large"), record_face(FakeFace(), tmp_path) as face:
        go_through(face, readings)
    assert len(readings) == STEPS + 1 and "File too large" in told(readings)
    back = load_recording(tmp_path)
    assert 0 < len(back) < STEPS and np.array_equal(back.number, np.arange(len(back)))


def _remove(folder: Path) -> None:
    shutil.rmtree(folder)


def _rename(folder: Path) -> None:
    folder.rename(folder.with_name("elsewhere"))


def _remove_frames(folder: Path) -> None:
    for path in folder.glob("frames-*"):
        path.unlink()


@pytest.mark.parametrize("lose", [_remove, _rename, _remove_frames])
def test_a_folder_that_is_gone_costs_what_was_in_it(tmp_path: Path, lose: Callable[[Path], None]) -> None:
    folder, readings = tmp_path / "session", list[Reading]()
    with pytest.raises(DataError, match=r"is not whole: .*(is made anew|another one is begun)"):
        readings += record(folder, {20: lambda: lose(folder)})
    back = load_recording(folder)
    assert back.number.tolist() == list(range(21, 61)) and "frames 0 to 20 are missing" in back.cut
    if lose is _rename:
        assert len(load_recording(tmp_path / "elsewhere")) == 21


def test_a_disk_that_comes_back_is_known_by_what_is_on_it(tmp_path: Path) -> None:
    """The folder around it changes too, as when a stick is pulled; another stick is not written to."""
    stick, away = tmp_path / "stick", tmp_path / "away"
    stick.mkdir()

    def pull() -> None:
        stick.rename(away)

    def other() -> None:
        (stick / "session").mkdir(parents=True)

    def put_back() -> None:
        assert not list((stick / "session").iterdir())  # the other stick was left alone
        shutil.rmtree(stick)
        away.rename(stick)

    with pytest.raises(DataError, match="20 frames are missing; the disk of the recording is gone"):
        record(stick / "session", {10: pull, 20: other, 30: put_back})
    back = load_recording(stick / "session")
    assert back.number.tolist() == [*range(11), *range(31, 61)]


def test_a_slow_disk_does_not_hold_a_body_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk answers only after the last move; nothing is lost."""
    disk = BrokenDisk(monkeypatch)
    with record_face(RealTime(), tmp_path) as face:
        face.reset()
        disk.answers.clear()
        assert told([face.move(face.spec.neutral) for _ in range(STEPS)]) == ""
        disk.answers.set()
    back = load_recording(tmp_path)
    assert back.cut == () and len(back) == STEPS + 1


def test_frames_that_find_too_many_before_them_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frame_writer, "WAITING", 8)
    disk = BrokenDisk(monkeypatch)
    readings = list[Reading]()
    with pytest.raises(DataError, match="the disk is too slow"):
        readings += record(tmp_path, {20: disk.answers.clear, 40: disk.answers.set}, RealTime())
    back = load_recording(tmp_path)
    assert STEPS - 20 <= len(back) < STEPS and any("too slow" in text for text in back.cut)


def test_a_disk_that_hangs_does_not_hang_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame_writer, "PATIENCE", 0.3)
    disk = BrokenDisk(monkeypatch)
    with pytest.raises(DataError, match=r"did not take the last \d+ records in 0.3 s"):
        record(tmp_path, {50: disk.answers.clear}, RealTime())
    disk.answers.set()
    for thread in threading.enumerate():
        if thread.name.startswith("recording"):
            thread.join(30)


ODD: dict[str, Any] = {
    "float": np.zeros((8, 8, 3)),
    "four colours": np.zeros((8, 8, 4), np.uint8),
    "grey": np.zeros((8, 8), np.uint8),
    "empty": np.zeros((0, 8, 3), np.uint8),
    "no array": "picture",
    "too wide": np.zeros((1, 70_000, 3), np.uint8),
}


class OddEyes(FakeFace):
    """A fake whose fourth reading has another picture than a picture."""

    def __init__(self, odd: Any) -> None:
        super().__init__()
        self._odd = odd

    def _reading(self, sent: NDArray[np.float32]) -> Reading:
        image = self._odd if self._steps == 4 else self.render(16)
        return replace(super()._reading(sent), image=image)


@pytest.mark.parametrize("odd", list(ODD))
def test_an_odd_picture_costs_only_itself(tmp_path: Path, odd: str) -> None:
    readings = list[Reading]()
    with pytest.raises(DataError, match="a picture is left out, since it is"):
        readings += record(tmp_path, {}, OddEyes(ODD[odd]))
    back: Recording = load_recording(tmp_path)
    assert back.cut == () and len(back) == STEPS + 1
    assert [n for n in range(len(back)) if back.picture(n) is None] == [4]


def test_a_picture_may_be_drawn_into_after_it_was_recorded(tmp_path: Path) -> None:
    class Drawing(RealTime):
        canvas = np.zeros((32, 32, 3), np.uint8)

        def _reading(self, sent: NDArray[np.float32]) -> Reading:
            self.canvas[:] = self._steps
            return replace(super()._reading(sent), image=self.canvas)

    record(tmp_path, {}, Drawing())
    back = load_recording(tmp_path)
    seen = [np.mean(picture) for n in range(len(back)) if (picture := back.picture(n)) is not None]
    assert np.allclose(seen, np.arange(STEPS + 1), atol=2)
