"""Recordings as a LeRobot data set, format v3.0, without needing LeRobot to write it.

Layout after huggingface/lerobot 0.4.4, `lerobot/datasets/` (`CODEBASE_VERSION = "v3.0"`): frames of all
episodes one after another in parquet files, pictures one after another in videos, and where each
episode begins in `meta/episodes`. A row is what was seen *before* a command, and the command.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eva_sim.contract import FaceSpec, load_spec
from eva_sim.errors import DataError, EvaError
from eva_sim.files import write_json
from eva_sim.recording.lerobot_files import (
    CHUNK_FILES,
    DATA,
    DATA_MB,
    VIDEO,
    VIDEO_MB,
    EpisodeVideos,
    ParquetTables,
    write_rows,
    write_tasks,
)  # fmt: skip
from eva_sim.recording.reader import Recording

VERSION = "v3.0"
PICTURE = "observation.images.face"
#: Rows in front of the recording's own, which LeRobot wants in every data set.
_INDICES = {"timestamp": "float32", "frame_index": "int64", "episode_index": "int64", "index": "int64",
            "task_index": "int64"}  # fmt: skip
_QUANTILES = (0.01, 0.10, 0.50, 0.90, 0.99)

Columns = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Episode:
    """A run of a recording.

    Attributes:
        recording: where it comes from.
        rows: frames that were seen; the command of row `i` is that of frame `i + 1`.
        task: what the face did, in words.
    """

    recording: Recording
    rows: range
    task: str

    def __len__(self) -> int:
        return len(self.rows)

    def columns(self) -> Columns:
        """What was seen and done, by feature, (rows, ...)."""
        seen = slice(self.rows.start, self.rows.stop)
        done = slice(self.rows.start + 1, self.rows.stop + 1)
        r = self.recording
        return {
            "action": r.sent[done],
            "action.asked": r.asked[done],
            "observation.state": r.position[seen],
            "observation.landmarks": r.landmarks[seen].reshape(len(self), -1),
            "observation.found": r.found[seen],
            "observation.time": r.time[seen].astype(np.float32),
        }

    def pictures(self) -> Iterator[NDArray[np.uint8]]:
        """Of each row, uint8 (height, width, 3), cut to even sides, which the video needs.

        Raises:
            DataError: a picture is missing, or of another size.
        """
        shape = None
        for index in self.rows:
            picture = self.recording.picture(index)
            if picture is None:
                raise DataError(
                    f"frame {index} of a recording has no picture, though others have; leave it out."
                )
            even = picture[: picture.shape[0] // 2 * 2, : picture.shape[1] // 2 * 2]
            shape = shape or even.shape
            if even.shape != shape:
                raise DataError("the pictures of a recording have different sizes; export them separately.")
            yield np.ascontiguousarray(even)


def export_lerobot(
    recordings: Sequence[Recording], out: str | Path, task: str = "make a face"
) -> dict[str, Any]:
    """Writes a data set that `LeRobotDataset(repo_id, root=out)` reads; the folder appears when it is whole.

    Each run of a recording, between resets and lost frames, is an episode. Frames are as far apart as
    `control_dt` says, which LeRobot demands; when the face really answered is `observation.time`.

    Args:
        recordings: of the same face; pictures are exported if every frame of all has one.
        out: folder to make; must not exist.
        task: what was done, in words, for policies that read.

    Returns:
        The content of `meta/info.json`.

    Raises:
        DataError: nothing to export, recordings that do not fit together, or the folder exists.
        EvaError: pyarrow is not installed.
    """
    need_pyarrow()
    out = Path(out)
    if out.exists():
        raise DataError(f"{out} exists already; choose another folder.")
    spec = load_spec()
    _check(recordings, spec)
    episodes = [e for r in recordings for e in _episodes(r, task)]
    if not episodes:
        raise DataError("the recordings hold no two frames in a row, so there is no episode in them.")
    part = out.with_name(f".part-{out.name}")
    shutil.rmtree(part, ignore_errors=True)
    try:
        info = _write(part, episodes, spec)
        part.rename(out)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return info


def need_pyarrow() -> None:
    """Says how to get what only this export needs.

    Raises:
        EvaError: it is not installed.
    """
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise EvaError("the export needs pyarrow; install it with: pip install 'eva-sim[lerobot]'") from error


def _check(recordings: Sequence[Recording], spec: FaceSpec) -> None:
    for recording in recordings:
        session = recording.session
        if session.digest != spec.digest:
            raise DataError(
                "a recording was made with another assets/face.toml; export it with that version."
            )
        if session.points != recordings[0].session.points:
            raise DataError("the recordings have different landmarks; export them separately.")


def _episodes(recording: Recording, task: str) -> list[Episode]:
    return [
        Episode(recording, range(run.start, run.stop - 1), task) for run in recording.runs() if len(run) > 1
    ]


def _write(root: Path, episodes: Sequence[Episode], spec: FaceSpec) -> dict[str, Any]:
    fps = _rate(spec.control_dt)
    pictured = all(e.recording.places[i][2] for e in episodes for i in e.rows)
    features = _features(episodes[0], pictured, fps)
    tasks = list(dict.fromkeys(e.task for e in episodes))
    told, every = list[dict[str, Any]](), list[Columns]()
    with ExitStack() as closing:
        tables = closing.enter_context(ParquetTables(root))
        films = closing.enter_context(EpisodeVideos(root, PICTURE, fps)) if pictured else None
        for episode in episodes:
            first = told[-1]["dataset_to_index"] if told else 0
            columns = _indexed(episode, len(told), first, tasks, fps)
            told.append(_add(episode, columns, tables, films))
            every.append(columns)
    joined = {name: np.concatenate([c[name] for c in every]) for name in every[0]}
    info = _info(features, fps, told, tasks, pictured)
    write_rows(root, told)
    write_tasks(root, tasks)
    write_json(root / "meta" / "stats.json", statistics(joined))
    write_json(root / "meta" / "info.json", info)
    return info


def _add(
    episode: Episode, columns: Columns, tables: ParquetTables, films: EpisodeVideos | None
) -> dict[str, Any]:
    """Writes an episode; its row in the table of episodes. Pictures for statistics join the columns."""
    first = int(columns["index"][0])
    row = {"episode_index": int(columns["episode_index"][0]), "tasks": [episode.task], "length": len(episode)}
    row |= {f"data/{name}": v for name, v in tables.add(_table(columns)).items()}
    row |= {"dataset_from_index": first, "dataset_to_index": first + len(episode)}
    if films is not None:
        where = films.add(episode.pictures(), len(episode))
        row |= {f"videos/{PICTURE}/{name}": v for name, v in where.items()}
        columns[PICTURE] = films.sampled
    return row | _flat(statistics(columns))


def _table(columns: Columns) -> Any:
    """As pyarrow has it: a number, or a list of a fixed length, in each row."""
    import pyarrow as pa

    def array(values: NDArray[Any]) -> Any:
        if values.ndim == 1:
            return pa.array(values)
        return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values.shape[1])

    return pa.table({name: array(values) for name, values in columns.items()})


def _rate(control_dt: float) -> int:
    fps = round(1 / control_dt)
    if abs(fps * control_dt - 1) > 1e-9:
        raise DataError(f"LeRobot wants a whole number of frames a second, and control_dt is {control_dt} s.")
    return fps


def _indexed(episode: Episode, number: int, first: int, tasks: Sequence[str], fps: int) -> Columns:
    """The columns of an episode with LeRobot's own in front."""
    count = np.arange(len(episode))
    own = (count / fps, count, np.full(len(count), number), first + count,
           np.full(len(count), tasks.index(episode.task)))  # fmt: skip
    indices = {name: np.asarray(v, kind) for (name, kind), v in zip(_INDICES.items(), own, strict=True)}
    return {**episode.columns(), **indices}


def _features(episode: Episode, pictured: bool, fps: int) -> dict[str, dict[str, Any]]:
    session = episode.recording.session
    motors = list(session.actuators)
    points = [f"{point}_{axis}" for point in session.points for axis in "xyz"]
    vectors = {
        "action": motors,
        "action.asked": motors,
        "observation.state": motors,
        "observation.landmarks": points,
    }
    features = {name: _feature("float32", len(names), names) for name, names in vectors.items()}
    features["observation.found"] = _feature("bool", 1, None)
    features["observation.time"] = _feature("float32", 1, None)
    if pictured:
        height, width = next(episode.pictures()).shape[:2]
        features[PICTURE] = {
            "dtype": "video", "shape": [height, width, 3], "names": ["height", "width", "channels"],
            "info": {"video.height": height, "video.width": width, "video.codec": "h264",
                     "video.pix_fmt": "yuv420p", "video.is_depth_map": False, "video.fps": fps,
                     "video.channels": 3, "has_audio": False},
        }  # fmt: skip
    return features | {name: _feature(kind, 1, None) for name, kind in _INDICES.items()}


def _feature(dtype: str, size: int, names: list[str] | None) -> dict[str, Any]:
    return {"dtype": dtype, "shape": [size], "names": names}


def _info(
    features: dict[str, Any], fps: int, told: Sequence[dict[str, Any]], tasks: Sequence[str], pictured: bool
) -> dict[str, Any]:
    return {
        "codebase_version": VERSION, "robot_type": "eva", "fps": fps, "features": features,
        "total_episodes": len(told), "total_frames": told[-1]["dataset_to_index"], "total_tasks": len(tasks),
        "chunks_size": CHUNK_FILES, "data_files_size_in_mb": DATA_MB, "video_files_size_in_mb": VIDEO_MB,
        "splits": {"train": f"0:{len(told)}"}, "data_path": DATA, "video_path": VIDEO if pictured else None,
    }  # fmt: skip


def statistics(columns: Columns) -> dict[str, dict[str, Any]]:
    """What policies normalise with: by feature min, max, mean, std, count and quantiles, as plain lists.

    Of vectors for each number; of pictures, uint8 (K, height, width, 3), for each colour, in 0..1.
    """
    return {name: _picture_stats(v) if name == PICTURE else _stats(v, 0) for name, v in columns.items()}


def _picture_stats(pictures: NDArray[np.uint8]) -> dict[str, Any]:
    found = _stats(pictures.reshape(-1, 3) / 255.0, 0)
    shaped = {k: np.reshape(v, (3, 1, 1)).tolist() for k, v in found.items() if k != "count"}
    return {**shaped, "count": [len(pictures)]}


def _stats(values: NDArray[Any], axis: int) -> dict[str, Any]:
    numbers = values.reshape(len(values), -1).astype(float)
    found = {name: getattr(np, name)(numbers, axis=axis) for name in ("min", "max", "mean", "std")}
    quantiles = np.quantile(numbers, _QUANTILES, axis=axis)
    found |= {f"q{round(100 * q):02d}": row for q, row in zip(_QUANTILES, quantiles, strict=True)}
    return {**{name: v.tolist() for name, v in found.items()}, "count": [len(numbers)]}


def _flat(stats: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {f"stats/{name}/{kind}": value for name, of in stats.items() for kind, value in of.items()}
