"""The export as pyarrow, PyAV and, where it is installed, LeRobot itself read it."""

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

from eva_sim.contract import FaceSpec, Reading
from eva_sim.errors import DataError, EvaError
from eva_sim.recording import lerobot_export, lerobot_files
from eva_sim.recording.lerobot_export import PICTURE, export_lerobot
from eva_sim.recording.reader import Recording, load_recording
from eva_sim.recording.recorder import record_face
from eva_sim.testing.fake_face import FakeFace

STEPS, EPISODES = 12, 3


class Seeing(FakeFace):
    """A fake with a camera: a smooth shade that follows the jaw and the time."""

    def _reading(self, sent: NDArray[np.float32]) -> Reading:
        reading = super()._reading(sent)
        ramp = np.linspace(0, 100, 49)[:, None, None] + 10 * self._steps + np.zeros((1, 64, 3))
        return replace(reading, image=ramp.astype(np.uint8))


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
        "action.asked": recording.asked[seen + 1],
        "observation.state": recording.position[seen],
        "observation.landmarks": recording.landmarks[seen].reshape(len(seen), -1),
        "observation.found": recording.found[seen],
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


def test_mistakes_are_told_and_leave_nothing(recording: Recording, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    other = replace(recording, info=replace(recording.info, digest="0" * 64))
    blind = replace(recording, number=recording.number[:1], start=recording.start[:1])
    cases: list[tuple[Sequence[Recording], str]] = [
        ([recording, other], "different actuator tables"), ([blind], "no two frames"), ([], "no two frames"),
    ]  # fmt: skip
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


@pytest.mark.filterwarnings("default")  # LeRobot's own
def test_lerobot_reads_it(
    recording: Recording, dataset: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name, value in {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    module = pytest.importorskip("lerobot.datasets.lerobot_dataset", reason="LeRobot is not installed")
    read_back = module.LeRobotDataset("eva/session", root=dataset, video_backend="pyav")
    seen = pairs(recording)
    assert len(read_back) == len(seen) and read_back.num_episodes == 2 * EPISODES
    for k, i in enumerate(seen):
        item = read_back[k]
        assert np.array_equal(item["action"].numpy(), recording.sent[i + 1])
        assert np.array_equal(item["observation.state"].numpy(), recording.position[i])
        assert item["task"] == "smile"
        picture = recording.picture(i)
        assert picture is not None
        shown = 255 * item[PICTURE].permute(1, 2, 0).numpy()
        assert abs(shown - picture[:48]).mean() < 4
    assert lerobot_export.VERSION == module.CODEBASE_VERSION
