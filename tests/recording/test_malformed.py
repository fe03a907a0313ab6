"""Files that are whole but wrong: one line each, and nothing else of the recording is lost."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eva_sim.contract import FaceSpec, Reading
from eva_sim.errors import EvaError
from eva_sim.recording import file_format
from eva_sim.recording.reader import load_recording
from eva_sim.recording.recorder import record_face
from eva_sim.recording.replay import describe_differences, replay_commands
from eva_sim.telemetry import Telemetry
from eva_sim.testing.fake_face import FakeFace

FRAMES = 6


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with record_face(FakeFace(), tmp_path) as face:
        face.reset()
        for level in np.linspace(0, 1, FRAMES - 1):
            face.move(face.spec.command(jaw=level))
    return tmp_path


VALUES: tuple[Any, ...] = (None, 5, -1.0, "x", [], [1, "a"], {}, [[1, 2]], True, float("nan"), 1e308, "\x00")


@pytest.mark.parametrize("field", ["format", "digest", "actuators", "points", "control_dt", "outer_eye",
                                   "neutral", "started", "about"])  # fmt: skip
def test_a_wrong_description_gives_one_line(folder: Path, field: str, spec: FaceSpec) -> None:
    """A value of the right type may be wrong, too; then the replay says so, or the frames do not fit."""
    path = folder / "session.json"
    whole = json.loads(path.read_text())
    for value in VALUES:
        path.write_text(json.dumps({**whole, field: value}))
        said = error_of(lambda: replay_commands(FakeFace(), load_recording(folder)))
        if said is None:
            assert isinstance(value, str | int | float | dict) and type(value) is not bool, value
        else:
            assert "\n" not in said and (str(folder) in said or "face.toml" in said)
    for content in ("", "{", "[]", "7", json.dumps({**whole, "more": 1}), "[" * 100_000):
        path.write_text(content)
        assert "\n" not in (error_of(lambda: load_recording(folder)) or "\n")


def error_of(action: Callable[[], object]) -> str | None:
    """The message of an error of this package; None if there was none."""
    try:
        action()
    except EvaError as error:
        return str(error)
    return None


def _whole_frame(commands: int = 25, points: int = 0) -> bytes:
    return struct.pack("<IBdd", 6, 0, 0.0, 0.0) + bytes(4 * (3 * commands + 3 * points))


WRONG_RECORDS: dict[str, tuple[int, Callable[[bytes], bytes]]] = {
    "empty frame": (file_format.FRAME, lambda good: b""),
    "half a frame": (file_format.FRAME, lambda good: good[: len(good) // 2]),
    "frame of another face": (file_format.FRAME, lambda good: _whole_frame(3)),
    "telemetry that is not there": (file_format.FRAME, lambda good: good[:4] + b"\x08" + good[5:]),
    "faults that are no list": (file_format.FRAME, lambda good: good[:-6] + struct.pack("<I", 2) + b"{}"),
    "faults that are numbers": (file_format.FRAME, lambda good: good[:-6] + struct.pack("<I", 3) + b"[7]"),
    "faults that are longer": (file_format.FRAME, lambda good: good[:-6] + struct.pack("<I", 900) + b"[]"),
    "empty note": (file_format.NOTE, lambda good: b""),
    "note that is no object": (file_format.NOTE, lambda good: b'[["what", 1]]'),
    "note of nothing": (file_format.NOTE, lambda good: b"{}"),
    "note of another type": (file_format.NOTE, lambda good: b'{"what": "end", "frame": "six"}'),
    "note without a place": (file_format.NOTE, lambda good: b'{"what": "end"}'),
    "half a stop": (file_format.NOTE, lambda good: b'{"what": "stopped", "frame": 6}'),
    "deep note": (file_format.NOTE, lambda good: b"[" * 100_000),
    "note that is no text": (file_format.NOTE, lambda good: b"\xff\xfe"),
}


@pytest.mark.parametrize("name", list(WRONG_RECORDS))
def test_a_wrong_record_costs_only_itself(folder: Path, name: str) -> None:
    """Its CRC is right, so a wrong program wrote it."""
    path = file_format.chunk_path(folder, 0)
    frames = [
        piece.body
        for piece in file_format.scan_records(path.read_bytes())
        if isinstance(piece, file_format.RawRecord) and piece.kind == file_format.FRAME
    ]
    kind, change = WRONG_RECORDS[name]
    with path.open("ab") as file:
        file.write(file_format.pack_record(kind, change(frames[-1])))
    back = load_recording(folder)
    assert len(back) == FRAMES and len(back.cut) == 1 and "\n" not in back.cut[0]
    assert back.went_to_its_end


@pytest.mark.parametrize(
    "name", ["frames-x.evr", "frames-99999999.evr", "frames-0001.evr/", "frames-١٢٣٤.evr"]
)
def test_other_files_are_left_alone(folder: Path, name: str) -> None:
    (folder / name).mkdir() if name.endswith("/") else (folder / name).write_bytes(b"x")
    assert len(load_recording(folder)) == FRAMES and load_recording(folder).cut == ()


def test_a_far_number_does_not_make_a_long_list(folder: Path) -> None:
    (folder / "frames-0900.evr").write_bytes(file_format.MAGIC)
    assert "frames-0001.evr to frames-0899.evr are missing" in load_recording(folder).cut


class Robot(FakeFace):
    """A fake that knows what it is, and measures."""

    robot, calibration = "e5a1", 7

    def describe(self) -> dict[str, Any]:
        return {
            "robot": self.robot,
            "calibration": self.calibration,
            "calibration_file": {"robot": self.robot},
        }

    def _reading(self, sent: np.ndarray) -> Reading:
        row = np.arange(len(self.spec), dtype=np.float32)
        known = Telemetry(1500 + row, 1501 + row, 30 + row, -row, 5.1, 12.5, 3.25)
        return replace(super()._reading(sent), telemetry=known)


def test_what_identification_needs_comes_back(tmp_path: Path) -> None:
    with record_face(Robot(), tmp_path) as face:
        face.reset()
        reading = face.move(face.spec.command(jaw=0.5))
    back = load_recording(tmp_path)
    assert reading.telemetry is not None and back.info.about["calibration_file"] == {"robot": "e5a1"}
    for name in ("target", "output", "temperature", "load"):
        assert np.array_equal(getattr(back, name)[1], getattr(reading.telemetry, name)), name
    assert back.supply[1] == pytest.approx(5.1) and back.board_time[1] == 12.5
    assert back.picture_time[1] == 3.25


def test_a_body_without_telemetry_has_none(folder: Path) -> None:
    back = load_recording(folder)
    assert np.isnan(back.target).all() and np.isnan(back.supply).all() and back.output.shape == (FRAMES, 25)


def test_an_old_recording_is_read(folder: Path) -> None:
    path = folder / "session.json"
    path.write_text(path.read_text().replace('"format": 2', '"format": 1'))
    assert len(load_recording(folder)) == FRAMES


@pytest.mark.parametrize(
    ("robot", "calibration", "said"),
    [("e5a1", 7, None), ("b0b0", 7, "robot b0b0 plays it"), ("e5a1", 8, "calibrated anew"),
     (None, None, "a body in simulation plays it")],
)  # fmt: skip
def test_another_robot_or_calibration_is_told(
    tmp_path: Path, robot: str | None, calibration: int | None, said: str | None,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    with record_face(Robot(), tmp_path) as face:
        face.reset()
    back, player = load_recording(tmp_path), Robot()
    player.robot, player.calibration = robot, calibration  # type: ignore[assignment]
    replay_commands(player, back)
    heard = capsys.readouterr().err
    assert (said in heard) if said else heard == ""


def test_another_rate_is_told(folder: Path) -> None:
    back = load_recording(folder)
    slow = replace(back, info=replace(back.info, control_dt=0.1))
    assert any("every 100 ms" in line for line in describe_differences(slow, FakeFace()))
    assert describe_differences(back, FakeFace()) == []
