"""Appending whole records to the files of a recording, on a disk that may be full or gone for a while."""

from __future__ import annotations

import errno
import fcntl
import io
import os
import threading
from contextlib import ExitStack, suppress
from pathlib import Path

from eva_sim.errors import DataError
from eva_sim.files import atomic_path
from eva_sim.recording.file_format import DESCRIPTION, MAGIC, chunk_path

#: A new file is begun when one has grown to this size [bytes].
CHUNK = 64 << 20


class ChunkWriter:
    """Appends records to numbered files beside the description of the recording.

    `write` hands a record to the operating system, so the death of this process loses nothing of it.
    `sync` brings it to the disk, and may run in another thread, so that a slow disk delays nothing.

    A folder that is removed is made anew, and one on a disk that was away is found again: by its description,
    or by the folder that it was in. Another folder never takes its place.

    Args:
        folder: folder to fill; made if missing.
        description: content of the description.

    Raises:
        DataError: the folder holds a recording already.
        OSError: it cannot be written.
    """

    def __init__(self, folder: Path, description: bytes) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        if chunk_path(folder, 0).exists():
            raise DataError(f"{folder} holds a recording already; choose another folder.")
        # The program may go to another folder.
        self._folder, self._description, self._index = folder.absolute(), description, 0
        self._around = _identity(self._folder.parent)
        self._lock, self._full = threading.Lock(), list[io.FileIO]()
        self._file, self._size = self._open(0)
        try:
            self._describe()
        except BaseException:
            self._file.close()
            raise

    def write(self, record: bytes) -> str:
        """Appends one record. If that fails, nothing of it is in the file.

        Returns:
            What happened to the folder since the last record, in words; empty if nothing did.

        Raises:
            OSError: the disk is full, or the folder is gone.
        """
        news = ""
        if _identity(chunk_path(self._folder, self._index)) != _identity(self._file):
            news = self._find_folder()
            self._begin_next()
        elif self._size >= CHUNK:
            self._begin_next()
        try:
            _append(self._file, record)
        except OSError:
            with suppress(OSError):
                self._file.truncate(self._size)
            raise
        self._size += len(record)
        return news

    def sync(self) -> None:
        """Waits until everything written before is on the disk.

        Raises:
            OSError: the disk is full or gone.
        """
        with self._lock:
            files = [*self._full, io.FileIO(os.dup(self._file.fileno()), "ab")]
            self._full = []
        with ExitStack() as closing:
            for file in files:
                closing.enter_context(file)
            for file in files:
                os.fsync(file.fileno())

    def close(self) -> None:
        """Writes everything to the disk and closes the file.

        Raises:
            OSError: the disk is full or gone.
        """
        try:
            self.sync()
        finally:
            self._file.close()

    def _find_folder(self) -> str:
        """Finds the folder again, or makes it anew; returns what happened, in words.

        Raises:
            OSError: neither is possible now.
        """
        with suppress(FileNotFoundError):
            if (self._folder / DESCRIPTION).read_bytes() == self._description:
                return "the file of the last frames is gone, and another one is begun"
        if _identity(self._folder.parent) != self._around:
            raise FileNotFoundError(errno.ENOENT, "the disk of the recording is gone")
        self._folder.mkdir(exist_ok=True)
        self._describe()
        return "the folder was removed, with the frames so far, and is made anew"

    def _describe(self) -> None:
        with atomic_path(self._folder / DESCRIPTION) as part:
            part.write_bytes(self._description)
        _sync_path(self._folder / DESCRIPTION)
        _sync_path(self._folder)

    def _begin_next(self) -> None:
        index = self._index + 1
        while chunk_path(self._folder, index).exists():
            index += 1
        file, size = self._open(index)
        with self._lock:
            self._full.append(self._file)
            self._file, self._size, self._index = file, size, index

    def _open(self, index: int) -> tuple[io.FileIO, int]:
        """Begins a file; returns it and its size [bytes]."""
        path = chunk_path(self._folder, index)
        file = io.FileIO(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644), "ab")
        try:
            with suppress(OSError):  # a file system without locks
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # held until the file is closed
            _append(file, MAGIC)
            _sync_path(self._folder)
        except OSError:
            file.close()
            path.unlink(missing_ok=True)
            raise
        return file, len(MAGIC)


def _append(file: io.FileIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


def _identity(place: Path | io.FileIO) -> tuple[int, int] | None:
    """Numbers that no other file or folder has now; None if there is none."""
    try:
        found = os.fstat(place.fileno()) if isinstance(place, io.FileIO) else os.stat(place)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_dev, found.st_ino


def _sync_path(path: Path) -> None:
    """Writes a file, or the names in a folder, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
