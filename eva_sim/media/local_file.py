"""Files of this computer, opened as files whatever their names look like."""

from __future__ import annotations

import mmap
import os
import select
import stat
import tempfile
import time
import weakref
from pathlib import Path
from typing import BinaryIO, cast

from eva_sim.errors import MediaError

#: How long a pipe may send nothing [s].
_PIPE_PATIENCE = 10.0
#: Time between two looks at a pipe [s].
_POLL = 0.05
#: A pipe that sends more than this is not read to its end [bytes].
_PIPE_LIMIT = 4 << 30
_CHUNK = 1 << 20


def printable(name: str | os.PathLike[str]) -> str:
    """Returns a name for one line of text: what cannot be printed is escaped."""
    text = os.fspath(name)
    return text if text.isprintable() else ascii(text)[1:-1]


class LocalFile:
    """A file that may be opened several times. A pipe is read once, into a file without a name.

    Media libraries read `protocol:address` out of some file names, so they get open files, never names.

    Args:
        path: of the file or pipe.

    Attributes:
        name: last part of the path, printable.
        path: printable.

    Raises:
        MediaError: missing, a folder, or no file; a pipe that sends nothing, or too much.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path).absolute()
        self.name, self.path = printable(self._path.name), printable(path)
        self._pipe: int | None = None  # descriptor of the copy
        try:
            mode = self._path.stat().st_mode
        except (OSError, ValueError) as error:
            reason = "does not exist" if isinstance(error, FileNotFoundError) else f"cannot be read ({error})"
            raise self._unusable(reason) from error
        if stat.S_ISFIFO(mode):
            self._pipe = self._read_pipe()
            weakref.finalize(self, os.close, self._pipe)
        elif not stat.S_ISREG(mode):
            raise self._unusable("is a folder" if stat.S_ISDIR(mode) else "is no file")
        if not self._size():
            raise self._unusable("is empty")
        self.open().close()  # a file that may not be read is refused at once

    def open(self) -> BinaryIO:
        """Opens it at its beginning.

        Raises:
            MediaError: it may not be read.
        """
        if self._pipe is not None:
            return cast(BinaryIO, self.map())
        try:
            return self._path.open("rb")
        except OSError as error:
            raise self._unusable(f"cannot be read ({error.strerror})") from error

    def map(self) -> mmap.mmap:
        """Opens it as one sequence of bytes.

        Raises:
            MediaError: it may not be read.
        """
        if self._pipe is not None:
            return mmap.mmap(self._pipe, 0, access=mmap.ACCESS_READ)
        with self.open() as opened:
            return mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)

    def _size(self) -> int:
        return os.fstat(self._pipe).st_size if self._pipe is not None else self._path.stat().st_size

    def _unusable(self, reason: str) -> MediaError:
        return MediaError(f"{self.path} {reason}; give a clip, a picture or the number of a camera.")

    def _read_pipe(self) -> int:
        """Copies what comes; returns a descriptor of the copy."""
        pipe = os.open(
            self._path, os.O_RDONLY | os.O_NONBLOCK
        )  # blocking, it would wait for a writer for ever
        try:
            with tempfile.TemporaryFile() as copy:
                while chunk := self._next_chunk(pipe, begun=copy.tell() > 0):
                    copy.write(chunk)
                    if copy.tell() > _PIPE_LIMIT:
                        raise self._unusable(f"sends more than {_PIPE_LIMIT >> 30} GiB")
                copy.flush()
                return os.dup(copy.fileno())
        finally:
            os.close(pipe)

    def _next_chunk(self, pipe: int, begun: bool) -> bytes:
        """Waits for bytes; returns none at the end. Before a writer has come, a pipe looks ended, too."""
        readable = select.poll()
        readable.register(pipe, select.POLLIN)
        deadline = time.monotonic() + _PIPE_PATIENCE
        while time.monotonic() < deadline:
            try:
                chunk = os.read(pipe, _CHUNK)
            except BlockingIOError:
                readable.poll(_POLL * 1000)
                continue
            if chunk or begun:
                return chunk
            time.sleep(_POLL)
        raise self._unusable(f"is a pipe that sent nothing for {_PIPE_PATIENCE:g} s")
