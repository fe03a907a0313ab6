"""The export as pyarrow and PyAV read it; `test_lerobot_client.py` runs LeRobot itself."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from eva_sim.cli.app import app
from eva_sim.contract import FaceSpec, Reading
from eva_sim.errors import DataError, EvaError
from eva_sim.recording import lerobot_files
from eva_sim.recording.export_pictures import PictureSize, fit_picture
from eva_sim.recording.lerobot_export import LANDMARKS, PICTURE, export_lerobot
from eva_sim.recording.reader import Recording, load_recording
from eva_sim.recording.recorder import record_face
from eva_sim.testing.fake_face import FakeFace

STEPS, EPISODES = 12, 3


class Seeing(FakeFace):
    """A fake with a camera: a shade that brightens downwards and with time."""

    size = PictureSize(64, 49)

    def _reading(self, sent: NDArray[np.float32]) -> Reading:
        reading = super()._reading(sent)
        width, height = self.size
        ramp = np.linspace(0, 100, height)[:, None, None] + 10 * self._steps + np.zeros((1, width, 3))
        return replace(reading, image=ramp.astype(np.uint8))


class Resized(Seeing):
    """A fake whose camera has another size and other proportions."""

    size = PictureSize(120, 40)


class Growing(Seeing):
    """A fake whose camera changes its size in the middle of an episode."""

    def _reading(self, sent: NDArray[np.float32]) -> Reading:
        self.size = PictureSize(32, 32) if self._steps < STEPS // 2 else PictureSize(65, 65)
        return super()._reading(sent)


class Unseen(Seeing):
    """A fake whose landmarks are never found, as those of a robot in the dark."""

    def _reading(self, sent: NDArray[np.float32]) -> Reading:
        reading = super()._reading(sent)
        return replace(reading, found=False, landmarks=np.zeros_like(reading.landmarks))


def make(folder: Path, body: FakeFace, pictures: bool = True) -> Recording:
    rng = np.random.default_rng(4)
    with record_face(body, folder, pictures=pictures) as face:
        for _ in range(EPISODES):
            face.reset()
            for _ in range(STEPS):
                face.move(rng.uniform(-1, 1, 25).astype(np.float32))
    return load_recording(folder)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    return make(tmp_path_factory.mktemp("session"), Seeing())


@pytest.fixture(scope="module")
def dataset(recording: Recording, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("pyarrow", reason="pyarrow is not installed: pip install 'eva-sim[lerobot]'")
    out = tmp_path_factory.mktemp("export") / "set"
    export_lerobot([recording, recording], out, "smile")
    return out


def read(path: Path) -> dict[str, Any]:
    import pyarrow.parquet as pq

    return dict(pq.read_table(path).to_pydict())


def pairs(recording: Recording) -> list[int]:
    """Frames that were seen before a command, over both copies."""
    return [i for run in recording.runs() for i in run[:-1]] * 2


def test_a_row_is_what_was_seen_and_what_was_done_next(recording: Recording, dataset: Path) -> None:
    rows, seen = read(dataset / "data/chunk-000/file-000.parquet"), np.array(pairs(recording))
    assert len(seen) == 2 * EPISODES * STEPS
    for name, expected in {
        "action": recording.sent[seen + 1],
        "asked_action": recording.asked[seen + 1],
        "observation.state": recording.position[seen],
        LANDMARKS: recording.landmarks[seen].reshape(len(seen), -1),
        "landmarks_found": recording.found[seen],
        "reading_time": recording.time[seen].astype(np.float32),
        "index": np.arange(len(seen)),
        "frame_index": np.tile(np.arange(STEPS), 2 * EPISODES),
        "episode_index": np.repeat(np.arange(2 * EPISODES), STEPS),
        "timestamp": np.tile(np.arange(STEPS) / 25, 2 * EPISODES).astype(np.float32),
    }.items():
        assert np.array_equal(np.array(rows[name]), expected), name


def test_episodes_and_info_agree_with_the_rows(dataset: Path, spec: FaceSpec) -> None:
    info = json.loads((dataset / "meta/info.json").read_text())
    assert info["codebase_version"] == "v3.0" and info["fps"] == 25
    assert (info["total_episodes"], info["total_frames"]) == (2 * EPISODES, 2 * EPISODES * STEPS)
    assert info["features"]["action"]["names"] == list(spec.names)
    rows, message = (
        read(dataset / "data/chunk-000/file-000.parquet"),
        read(dataset / "meta/episodes/chunk-000/file-000.parquet"),
    )
    numbers = {name for name, f in info["features"].items() if f["dtype"] != "video"}
    assert set(rows) == numbers and np.array(rows["action"]).shape[1:] == (25,)
    for k in range(2 * EPISODES):
        span = slice(message["dataset_from_index"][k], message["dataset_to_index"][k])
        assert set(rows["episode_index"][span]) == {k} and message["length"][k] == STEPS
        assert message["tasks"][k] == ["smile"]
        assert np.allclose(message["stats/action/mean"][k], np.mean(rows["action"][span], axis=0))
    stats = json.loads((dataset / "meta/stats.json").read_text())
    assert np.allclose(stats["observation.state"]["std"], np.std(rows["observation.state"], axis=0))
    assert np.allclose(stats["action"]["q50"], np.median(rows["action"], axis=0))
    assert np.shape(stats[PICTURE]["mean"]) == (3, 1, 1) and 0 < stats[PICTURE]["mean"][0][0][0] < 1


def test_pictures_lie_where_the_episodes_say(recording: Recording, dataset: Path) -> None:
    import av

    message = read(dataset / "meta/episodes/chunk-000/file-000.parquet")
    path = dataset / f"videos/{PICTURE}/chunk-000/file-000.mp4"
    with av.open(str(path)) as film:
        frames = {round(25 * float(f.time or 0)): f.to_ndarray(format="rgb24") for f in film.decode(video=0)}
    seen = pairs(recording)
    for k in range(2 * EPISODES):
        first = message[f"videos/{PICTURE}/from_timestamp"][k] * 25
        for i in range(STEPS):
            picture = recording.picture(seen[k * STEPS + i])
            assert picture is not None
            film_picture = frames[round(first + i)].astype(int)
            assert abs(film_picture - picture[:48]).mean() < 4  # the steps between frames are 10


def test_full_files_are_followed_by_others(
    recording: Recording, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    for most in ("DATA_MB", "VIDEO_MB"):
        monkeypatch.setattr(lerobot_files, most, 1e-3)
    monkeypatch.setattr(lerobot_files, "CHUNK_FILES", 2)
    export_lerobot([recording], tmp_path / "set")
    message = [read(p) for p in sorted((tmp_path / "set/meta/episodes").glob("*/*.parquet"))]
    assert len(message) == EPISODES
    for k, row in enumerate(message):
        where = row["data/chunk_index"][0], row["data/file_index"][0]
        assert where == (k // 2, k % 2)
        rows = read(tmp_path / "set" / lerobot_files.DATA.format(chunk_index=where[0], file_index=where[1]))
        assert set(rows["episode_index"]) == {k}
        place = {"chunk_index": row[f"videos/{PICTURE}/chunk_index"][0],
                 "file_index": row[f"videos/{PICTURE}/file_index"][0]}  # fmt: skip
        assert (tmp_path / "set" / lerobot_files.VIDEO.format(video_key=PICTURE, **place)).exists()


def test_without_pictures_there_is_no_video(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    info = export_lerobot([make(tmp_path / "blind", FakeFace())], tmp_path / "set")
    assert info["video_path"] is None and PICTURE not in info["features"]
    assert not (tmp_path / "set" / "videos").exists()


def test_policies_find_only_numbers_that_they_can_normalise(dataset: Path) -> None:
    features = json.loads((dataset / "meta/info.json").read_text())["features"]
    stats = json.loads((dataset / "meta/stats.json").read_text())
    taken = {name for name in features if name.startswith(("observation", "action"))}
    assert taken == {"action", "observation.state", LANDMARKS, PICTURE}
    for name in taken - {PICTURE}:
        assert features[name]["dtype"] == "float32"  # LeRobot casts the statistics to the feature's type
        for kind in ("min", "max", "mean", "std", "q01", "q99"):
            assert np.shape(stats[name][kind]) == tuple(features[name]["shape"]), (name, kind)


def exported(tmp_path: Path, *bodies: FakeFace, size: PictureSize | None = None) -> tuple[Path, list[str]]:
    """Exports a recording of each body; returns the folder and the lines that were told."""
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    told: list[str] = []
    made = [make(tmp_path / f"from-{k}", body) for k, body in enumerate(bodies)]
    export_lerobot(made, tmp_path / "set", image_size=size, tell=told.append)
    return tmp_path / "set", told


def video_frames(folder: Path) -> list[NDArray[np.uint8]]:
    import av

    with av.open(str(folder / f"videos/{PICTURE}/chunk-000/file-000.mp4")) as film:
        return [np.asarray(f.to_ndarray(format="rgb24"), np.uint8) for f in film.decode(video=0)]


@pytest.mark.parametrize(
    ("bodies", "size", "expected", "line"),
    [
        ([Seeing, Resized], None, (64, 48), "pictures of 64x49: 36 frames, 120x40: 36 frames become 64x48"),
        ([Resized, Seeing], None, (120, 40), "become 120x40"),
        ([Growing], None, (32, 32), "pictures of 32x32: 18 frames, 65x65: 18 frames become 32x32"),
        ([Seeing], PictureSize(32, 24), (32, 24), "pictures of 64x49: 36 frames become 32x24"),
        ([Seeing, Growing], PictureSize(40, 40), (40, 40), "become 40x40"),
        ([Seeing], None, (64, 48), None),
    ],
)
def test_all_pictures_of_a_set_have_one_size(
    tmp_path: Path, bodies: list[type[FakeFace]], size: PictureSize | None, expected: tuple[int, int],
    line: str | None,
) -> None:  # fmt: skip
    folder, told = exported(tmp_path, *(body() for body in bodies), size=size)
    width, height = expected
    frames = video_frames(folder)
    assert len(frames) == len(bodies) * EPISODES * STEPS
    assert {f.shape for f in frames} == {(height, width, 3)}
    features = json.loads((folder / "meta/info.json").read_text())["features"]
    assert features[PICTURE]["shape"] == [height, width, 3]
    if line is None:
        assert told == []
    else:
        assert len(told) == 1 and line in told[0] and ("--image-size" in told[0]) == (size is None)
    # Each picture still has its own shades, brightening from top to bottom and from step to step.
    for k, frame in enumerate(frames):
        assert frame[-4:].mean() > frame[:4].mean() + 30
        assert k % STEPS == 0 or frame.mean() > frames[k - 1].mean()


def test_a_fitted_picture_keeps_its_proportions() -> None:
    disc = np.hypot(*(np.indices((60, 90)) - np.array([30, 45])[:, None, None])) < 20
    picture = np.repeat(255 * disc[:, :, None], 3, 2).astype(np.uint8)
    for size in (PictureSize(60, 60), PictureSize(30, 40), PictureSize(200, 120)):
        lit = fit_picture(picture, size)[:, :, 0] > 127
        assert lit.shape == (size.height, size.width)
        assert abs(int(lit.any(0).sum()) - int(lit.any(1).sum())) <= 2  # as wide as high


class Blinking(FakeFace):
    """A fake whose landmarks are lost in every third step."""

    def _reading(self, sent: NDArray[np.float32]) -> Reading:
        reading = super()._reading(sent)
        lost = self._steps % 3 == 2
        return replace(reading, found=False, landmarks=0 * reading.landmarks) if lost else reading


def test_landmarks_that_were_not_found_are_told_and_marked(tmp_path: Path) -> None:
    folder, told = exported(tmp_path, Blinking())
    assert told == ["landmarks of 12 of 36 frames were not found; they are zero there."]
    rows = read(folder / "data/chunk-000/file-000.parquet")
    seen = np.array(rows[LANDMARKS]).any(1)
    assert np.array_equal(seen, np.array(rows["landmarks_found"])) and seen.sum() == 24


def test_the_command_line_says_what_it_changes(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    make(tmp_path / "from", Seeing())
    words = ["export", str(tmp_path / "from"), "--out", str(tmp_path / "set"), "--image-size"]
    run = CliRunner().invoke(app, [*words, "33x32"])
    assert isinstance(run.exception, DataError) and not (tmp_path / "set").exists()
    run = CliRunner().invoke(app, [*words, "32x32"])
    assert run.exit_code == 0, run.output
    assert "pictures of 64x49: 36 frames become 32x32" in run.stderr
    assert "episodes: 3, frames: 36" in run.stdout


def test_what_is_left_out_is_told(tmp_path: Path) -> None:
    cases: dict[str, tuple[list[FakeFace], str, set[str]]] = {
        "some": ([Seeing(), FakeFace()], "pictures are left out: 36 of 72 frames have none.", {PICTURE}),
        "dark": ([Unseen()], "landmarks are left out: none were found in these recordings.", {LANDMARKS}),
    }
    for name, (bodies, line, missing) in cases.items():
        folder, told = exported(tmp_path / name, *bodies)
        features = json.loads((folder / "meta/info.json").read_text())["features"]
        rows = read(folder / "data/chunk-000/file-000.parquet")
        assert told == [line] and {PICTURE, LANDMARKS} - set(features) == missing
        assert {n for n, f in features.items() if f["dtype"] != "video"} == set(rows)


@pytest.mark.parametrize("text", ["320", "320x", "-320x240", "320x240x3", "wide", "", "0x0", "33x32", "8x8",
                                  "99999x16"])  # fmt: skip
def test_a_wrong_size_is_told_in_one_line(text: str) -> None:
    with pytest.raises(DataError, match="320x240") as error:
        PictureSize.parse(text)
    assert "\n" not in str(error.value)
    assert PictureSize.parse(" 640 X 480 ") == (640, 480)


def test_mistakes_are_told_and_leave_nothing(recording: Recording, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    other = replace(recording, info=replace(recording.info, digest="0" * 64))
    slow = replace(recording, info=replace(recording.info, control_dt=0.1))
    blind = replace(recording, number=recording.number[:1], start=recording.start[:1])
    cases: list[tuple[Sequence[Recording], str]] = [
        ([recording, other], "different actuator tables"),
        ([recording, slow], "0.04 s and 0.1 s between commands"),
        ([blind], "no two frames"),
        ([], "no two frames"),
    ]
    for recordings, message in cases:
        with pytest.raises(DataError, match=message):
            export_lerobot(recordings, tmp_path / "set")
    (tmp_path / "set").mkdir()
    with pytest.raises(DataError, match="exists already"):
        export_lerobot([recording], tmp_path / "set")
    assert [p.name for p in tmp_path.iterdir()] == ["set"]


def test_without_pyarrow_it_says_what_to_install(
    recording: Recording, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(EvaError, match=r"pip install 'eva-sim\[lerobot\]'"):
        export_lerobot([recording], tmp_path / "set")
    assert not (tmp_path / "set").exists()
