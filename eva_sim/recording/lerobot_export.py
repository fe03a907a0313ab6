"""Recordings as a LeRobot data set, format v3.0, without needing LeRobot to write it.

Layout after huggingface/lerobot 0.6.1, `lerobot/datasets/` (`CODEBASE_VERSION = "v3.0"`): frames of all
episodes one after another in parquet files, pictures one after another in videos, and the place of each
episode in `meta/episodes`. A row is the observation *before* a command, and the command. Names and rate
come from the recordings, so faces with other actuator tables export as well.

A LeRobot policy takes every feature whose name begins with `observation` or `action`, unless it is told
otherwise, and normalises it in the feature's own type. So only floating-point numbers that a policy may
learn from have such names.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eva_sim.errors import SEE_DOCTOR, DataError, EvaError
from eva_sim.files import atomic_folder, check_output_folder, write_json
from eva_sim.recording.export_pictures import (
    PictureSize,
    count_sizes,
    even_size,
    fit_picture,
    held_pictures,
    picture_size,
)
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
#: Name that LeRobot reserves for what is known of the world outside the robot, see `FeatureType.ENV`.
LANDMARKS = "observation.environment_state"
#: Columns that LeRobot requires in every data set, besides the recording's own.
_INDICES = {"timestamp": "float32", "frame_index": "int64", "episode_index": "int64", "index": "int64",
            "task_index": "int64"}  # fmt: skip
_QUANTILES = (0.01, 0.10, 0.50, 0.90, 0.99)

Columns = dict[str, NDArray[Any]]
Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Episode:
    """A run of a recording.

    Attributes:
        recording: the recording.
        rows: frames with the observations; the command of row `i` is that of frame `i + 1`.
        task: the task of the face, in words.
    """

    recording: Recording
    rows: range
    task: str

    def __len__(self) -> int:
        return len(self.rows)

    def columns(self) -> Columns:
        """Observations and actions by feature, (rows, ...)."""
        before = slice(self.rows.start, self.rows.stop)
        after = slice(self.rows.start + 1, self.rows.stop + 1)
        r = self.recording
        seen = [picture_size(r, index) is not None for index in self.rows]
        return {
            "action": r.sent[after],
            "observation.state": r.position[before],
            LANDMARKS: r.landmarks[before].reshape(len(self), -1),
            "asked_action": r.asked[after],
            "landmarks_found": r.found[before].astype(np.float32),
            "picture_found": np.array(seen, np.float32),
            "reading_time": r.time[before].astype(np.float32),
        }

    def pictures(self, size: PictureSize) -> Iterator[Picture]:
        """Yields the picture of each row at this size, uint8 (size.height, size.width, 3).

        A row without one shows the picture before it; the first rows of an episode that of a later row.
        """
        yield from (fit_picture(picture, size) for picture in held_pictures(self.recording, self.rows))


@dataclass(frozen=True)
class Layout:
    """What the episodes of a data set have in common.

    Attributes:
        fps: frames per second.
        tasks: all tasks, in words.
        has_landmarks: whether landmarks are exported.
        picture_size: of all pictures; None for a data set without pictures.
    """

    fps: int
    tasks: tuple[str, ...]
    has_landmarks: bool
    picture_size: PictureSize | None


def export_lerobot(
    recordings: Sequence[Recording],
    out: str | Path,
    task: str = "make a face",
    image_size: PictureSize | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Writes a data set that `LeRobotDataset(repo_id, root=out)` reads; the folder appears when it is whole.

    Each run of a recording, between resets and lost frames, is an episode. Frames are as far apart as
    `control_dt` says, which LeRobot demands; `reading_time` is the true time of each reading.

    Args:
        recordings: of the same face. Pictures are exported if every episode has one, and landmarks if any
            frame has them. A frame without a picture shows the one before it; `picture_found` is zero there.
        out: folder to make; must not exist.
        task: the task in words, for policies that take text.
        image_size: size of all pictures; by default that of the first one. Other pictures are scaled, and
            cut to its proportions.
        tell: called with a line of text for each thing that is missing or changed, before the work begins.

    Returns:
        The content of `meta/info.json`.

    Raises:
        DataError: nothing to export, recordings that do not fit together, or the folder exists.
        EvaError: pyarrow is not installed.
    """
    out = check_export(out)
    _check(recordings)
    episodes = [e for r in recordings for e in _episodes(r, task)]
    if not episodes:
        raise DataError("the recordings hold no two frames in a row, so there is no episode in them.")
    layout = _choose_layout(episodes, image_size, tell)
    with atomic_folder(out) as part:
        return _write(part, episodes, layout)


def check_export(out: str | Path) -> Path:
    """Checks that a data set can be written to a folder; called before the recordings are read.

    Raises:
        DataError: the folder exists, or cannot be written.
        EvaError: pyarrow is not installed.
    """
    need_pyarrow()
    folder = Path(out)
    if os.path.lexists(folder):
        raise DataError(f"{folder} exists already; choose another folder.")
    return check_output_folder(folder)


def need_pyarrow() -> None:
    """Checks that pyarrow is there, which only this export needs.

    Raises:
        EvaError: it is not installed.
    """
    try:
        import pyarrow.parquet  # noqa: F401
    except ModuleNotFoundError as error:
        wanted = "the export needs pyarrow; install it with: pip install 'eva-sim[lerobot]'"
        raise EvaError(f"{wanted}. {SEE_DOCTOR}") from error


def _check(recordings: Sequence[Recording]) -> None:
    for recording in recordings:
        first, info = recordings[0].info, recording.info
        if info.digest != first.digest:
            raise DataError("the recordings have different actuator tables; export them separately.")
        if info.points != first.points:
            raise DataError("the recordings have different landmarks; export them separately.")
        if info.control_dt != first.control_dt:
            raise DataError(
                f"the recordings have {first.control_dt:g} s and {info.control_dt:g} s between commands; "
                "export them separately, or replay one at the other's rate and export the replay."
            )


def _episodes(recording: Recording, task: str) -> list[Episode]:
    return [
        Episode(recording, range(run.start, run.stop - 1), task) for run in recording.runs() if len(run) > 1
    ]


def _choose_layout(
    episodes: Sequence[Episode], image_size: PictureSize | None, tell: Callable[[str], None]
) -> Layout:
    found = np.concatenate([e.recording.found[e.rows] for e in episodes])
    if not found.any():
        tell("landmarks are left out: none were found in these recordings.")
    elif not found.all():
        tell(f"landmarks of {(~found).sum()} of {len(found)} frames were not found; they are zero there.")
    return Layout(
        _frame_rate(episodes[0].recording.info.control_dt),
        tuple(dict.fromkeys(e.task for e in episodes)),
        bool(found.any()),
        _choose_size(episodes, image_size, tell),
    )


def _choose_size(
    episodes: Sequence[Episode], given: PictureSize | None, tell: Callable[[str], None]
) -> PictureSize | None:
    """Size of all pictures of a data set; None if it has none, since an episode has none."""
    sizes = count_sizes((e.recording, index) for e in episodes for index in e.rows)
    without = sizes.pop(None, 0)
    if not all(any(picture_size(e.recording, index) for index in e.rows) for e in episodes):
        if sizes or given:
            tell(f"pictures are left out: {without} of {without + sizes.total()} frames have none.")
        return None
    if without:
        tell(f"{without} of {without + sizes.total()} frames have no picture; each shows the one before it.")
    size = given or even_size(next(iter(sizes)))  # type: ignore[arg-type]  # None is no longer in it
    if set(sizes) != {size} and (given or len(sizes) > 1):
        listed = ", ".join(f"{found}: {count} frames" for found, count in sizes.items())
        chooses = "" if given else "; --image-size chooses another size"
        tell(f"pictures of {listed} become {size}, scaled and cut to its proportions{chooses}.")
    return size.checked()


def _write(root: Path, episodes: Sequence[Episode], layout: Layout) -> dict[str, Any]:
    rows, every = list[dict[str, Any]](), list[Columns]()
    with ExitStack() as closing:
        tables = closing.enter_context(ParquetTables(root))
        videos = None
        if layout.picture_size:
            videos = closing.enter_context(EpisodeVideos(root, PICTURE, layout.fps))
        for episode in episodes:
            first = rows[-1]["dataset_to_index"] if rows else 0
            columns = _indexed(episode, len(rows), first, layout)
            rows.append(_add(episode, columns, layout, tables, videos))
            every.append(columns)
    joined = {name: np.concatenate([c[name] for c in every]) for name in every[0]}
    info = _info(_features(episodes[0], layout), rows, layout)
    write_rows(root, rows)
    write_tasks(root, layout.tasks)
    write_json(root / "meta" / "stats.json", statistics(joined))
    write_json(root / "meta" / "info.json", info)
    return info


def _add(
    episode: Episode, columns: Columns, layout: Layout, tables: ParquetTables, videos: EpisodeVideos | None
) -> dict[str, Any]:
    """Writes an episode and returns its row in the table of episodes; adds sampled pictures."""
    first = int(columns["index"][0])
    row = {"episode_index": int(columns["episode_index"][0]), "tasks": [episode.task], "length": len(episode)}
    row |= {f"data/{name}": v for name, v in tables.add(_table(columns)).items()}
    row |= {"dataset_from_index": first, "dataset_to_index": first + len(episode)}
    if videos is not None and layout.picture_size:
        place = videos.add(episode.pictures(layout.picture_size), len(episode))
        row |= {f"videos/{PICTURE}/{name}": v for name, v in place.items()}
        columns[PICTURE] = videos.sampled
    return row | _flat(statistics(columns))


def _table(columns: Columns) -> Any:
    """Converts columns to pyarrow: a number, or a list of fixed length, in each row."""
    import pyarrow as pa

    def array(values: NDArray[Any]) -> Any:
        if values.ndim == 1:
            return pa.array(values)
        return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values.shape[1])

    return pa.table({name: array(values) for name, values in columns.items()})


def _frame_rate(control_dt: float) -> int:
    fps = round(1 / control_dt)
    if abs(fps * control_dt - 1) > 1e-9:
        raise DataError(f"LeRobot needs a whole number of frames a second, and control_dt is {control_dt} s.")
    return fps


def _indexed(episode: Episode, number: int, first: int, layout: Layout) -> Columns:
    """The columns of an episode with the indices that LeRobot requires."""
    count = np.arange(len(episode))
    own = (count / layout.fps, count, np.full(len(count), number), first + count,
           np.full(len(count), layout.tasks.index(episode.task)))  # fmt: skip
    indices = {name: np.asarray(v, kind) for (name, kind), v in zip(_INDICES.items(), own, strict=True)}
    columns = episode.columns()
    if not layout.has_landmarks:
        del columns[LANDMARKS]
    if not layout.picture_size:
        del columns["picture_found"]
    return {**columns, **indices}


def _features(episode: Episode, layout: Layout) -> dict[str, dict[str, Any]]:
    info = episode.recording.info
    motors = list(info.actuators)
    vectors = {"action": motors, "observation.state": motors, "asked_action": motors}
    if layout.has_landmarks:
        vectors[LANDMARKS] = [f"{point}_{axis}" for point in info.points for axis in "xyz"]
    features = {name: _feature("float32", len(names), names) for name, names in vectors.items()}
    features |= {name: _feature("float32", 1, None) for name in ("landmarks_found", "reading_time")}
    if layout.picture_size:
        features["picture_found"] = _feature("float32", 1, None)
        width, height = layout.picture_size
        features[PICTURE] = {
            "dtype": "video", "shape": [height, width, 3], "names": ["height", "width", "channels"],
            "info": {"video.height": height, "video.width": width, "video.codec": "h264",
                     "video.pix_fmt": "yuv420p", "video.is_depth_map": False, "video.fps": layout.fps,
                     "video.channels": 3, "has_audio": False},
        }  # fmt: skip
    return features | {name: _feature(kind, 1, None) for name, kind in _INDICES.items()}


def _feature(dtype: str, size: int, names: list[str] | None) -> dict[str, Any]:
    return {"dtype": dtype, "shape": [size], "names": names}


def _info(features: dict[str, Any], rows: Sequence[dict[str, Any]], layout: Layout) -> dict[str, Any]:
    return {
        "codebase_version": VERSION, "robot_type": "eva", "fps": layout.fps, "features": features,
        "total_episodes": len(rows), "total_frames": rows[-1]["dataset_to_index"],
        "total_tasks": len(layout.tasks), "chunks_size": CHUNK_FILES, "data_files_size_in_mb": DATA_MB,
        "video_files_size_in_mb": VIDEO_MB, "splits": {"train": f"0:{len(rows)}"}, "data_path": DATA,
        "video_path": VIDEO if layout.picture_size else None,
    }  # fmt: skip


def statistics(columns: Columns) -> dict[str, dict[str, Any]]:
    """Statistics that policies normalise with: min, max, mean, std, count and quantiles of each feature.

    Vectors have one value per element; pictures, uint8 (K, height, width, 3), one per colour, in 0..1.
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
