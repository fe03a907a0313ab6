"""The files of a LeRobot data set: parquet tables and videos, split when a file is full."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from eva_sim.files import Closing
from eva_sim.media.encoding import Picture, VideoEncoder

#: Largest number of files in a folder, and largest size of a file [MB].
CHUNK_FILES, DATA_MB, VIDEO_MB = 1000, 100, 200
DATA = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
EPISODES = "meta/episodes/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
TASKS = "meta/tasks.parquet"
#: Number of pictures for the statistics of an episode, and their longest side [pixels].
_SAMPLED, _SMALL = 100, 150


class _NumberedFiles(Closing):
    """Numbered files, each begun when the last is full. A context manager."""

    def __init__(self, root: Path, pattern: str, megabytes: float) -> None:
        self._root, self._pattern, self._most = root, pattern, megabytes * 1e6
        self._number, self._path = -1, Path()

    def place(self) -> dict[str, int]:
        """Returns the file of the next episode; begins one if there is none, or if the last is full."""
        if self._number < 0 or (self._path.exists() and self._path.stat().st_size >= self._most):
            self.close()
            self._number += 1
            self._path = self._root / self._pattern.format(**self._index())
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self.begin()
        return self._index()

    def begin(self) -> None:
        """Opens the file at `_path`."""

    def close(self) -> None:
        """Closes the open file, if there is one."""

    def _index(self) -> dict[str, int]:
        return {"chunk_index": self._number // CHUNK_FILES, "file_index": self._number % CHUNK_FILES}


class ParquetTables(_NumberedFiles):
    """Parquet files of one schema, a row group for each table added."""

    def __init__(self, root: Path, pattern: str = DATA) -> None:
        super().__init__(root, pattern, DATA_MB)
        self._writer: Any = None

    def add(self, table: Any) -> dict[str, int]:
        """Appends a pyarrow table and returns its place."""
        import pyarrow.parquet as pq

        place = self.place()
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._path, table.schema, compression="snappy")
        self._writer.write_table(table)
        return place

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None


class EpisodeVideos(_NumberedFiles):
    """H.264 videos of many episodes, one after another, at a constant rate.

    Attributes:
        sampled: a few small pictures of the last episode, uint8 (K, height, width, 3).
    """

    sampled: Picture

    def __init__(self, root: Path, key: str, fps: int) -> None:
        super().__init__(root, VIDEO.replace("{video_key}", key), VIDEO_MB)
        self._fps = fps
        self._video: VideoEncoder | None = None

    def add(self, pictures: Iterable[Picture], length: int) -> dict[str, Any]:
        """Appends an episode of `length` pictures; returns its place, begin and end [s]."""
        place = self.place()
        assert self._video is not None  # `place` begins a file
        first, kept = self._video.count, []
        every = max(1, length // _SAMPLED)
        for index, picture in enumerate(pictures):
            self._video.add(picture)
            if index % every == 0:
                step = -(-max(picture.shape) // _SMALL)
                kept.append(picture[::step, ::step])
        self.sampled = np.stack(kept)
        return {**place, "from_timestamp": first / self._fps, "to_timestamp": self._video.count / self._fps}

    def begin(self) -> None:
        # A key frame every second frame and no B frames, so that any frame is found quickly.
        self._video = VideoEncoder(self._path, Fraction(self._fps), {"g": "2", "bf": "0"})

    def close(self) -> None:
        if self._video is not None:
            self._video.close()


def write_rows(root: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Writes the table of episodes."""
    import pyarrow as pa

    with ParquetTables(root, EPISODES) as tables:
        for row in rows:
            place = {f"meta/episodes/{name}": index for name, index in tables.place().items()}
            tables.add(pa.Table.from_pylist([row | place]))


def write_tasks(root: Path, tasks: Sequence[str]) -> None:
    """Writes the table of tasks with the text as index, as pandas does: LeRobot reads it with pandas."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    index = "__index_level_0__"
    table = pa.table(
        {"task_index": pa.array(range(len(tasks)), pa.int64()), index: pa.array(tasks, pa.string())}
    )
    column = {"metadata": None, "numpy_type": "object", "pandas_type": "unicode"}
    number = {"name": "task_index", "field_name": "task_index", "metadata": None,
              "numpy_type": "int64", "pandas_type": "int64"}  # fmt: skip
    pandas = {
        "index_columns": [index], "column_indexes": [{"name": None, "field_name": None, **column,
                                                      "metadata": {"encoding": "UTF-8"}}],
        "columns": [number, {"name": None, "field_name": index, **column}], "pandas_version": "2.0.0",
    }  # fmt: skip
    path = root / TASKS
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table.replace_schema_metadata({"pandas": json.dumps(pandas)}), path)
