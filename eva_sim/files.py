"""Finds assets, and writes files so that a crash never leaves half of one."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import socket
import stat
import subprocess
import tempfile
import time
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from eva_sim.errors import SEE_DOCTOR, DataError
from eva_sim.write_errors import PART, explain_write_errors

if TYPE_CHECKING:
    import numpy as np

_ASSETS = Path(__file__).resolve().parent / "assets"


class Closing:
    """Base of objects with a `close`: leaving the `with` block closes them, as `contextlib.closing` does."""

    def close(self) -> None:
        """Releases what the object holds."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def asset(name: str) -> Path:
    """Returns the path of a file shipped with the package, e.g. `asset("meshes/skin.npz")`.

    Raises:
        DataError: the installation lacks the file.
    """
    path = _ASSETS / name
    if not path.exists():
        raise DataError(f"{name} is missing from the installation; reinstall eva-sim. {SEE_DOCTOR}")
    return path


def check_output_folder(path: str | os.PathLike[str]) -> Path:
    """Checks that a folder can be written, or made; called before the work whose results go there.

    Raises:
        DataError: something is in the way, or may not be written.
    """
    folder = Path(path)
    with explain_write_errors(folder):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            folder.lstat()  # refuses a name that is too long
        there = existing_folder(folder)
        if not there.is_dir():
            raise DataError(f"{folder} cannot be written: {there} is not a folder; choose another.")
        with tempfile.TemporaryFile(dir=there):  # rights alone do not tell: the disk may be read-only
            return folder


def check_output_file(path: str | os.PathLike[str]) -> Path:
    """Checks that a file can be written; called before the work whose result it holds.

    Raises:
        DataError: it is a folder, or its folder cannot be written.
    """
    file = Path(path)
    with explain_write_errors(file), contextlib.suppress(FileNotFoundError, NotADirectoryError):
        file.lstat()  # refuses a name that is too long
        if file.is_dir():
            raise DataError(f"{file} is a folder; name a file.")
        require_regular_file(file)
    check_output_folder(Path(os.path.realpath(file)).parent)
    return file


def require_regular_file(path: str | os.PathLike[str]) -> None:
    """Refuses pipes, sockets and devices, of which reading may wait for ever.

    What is missing passes, and so does a folder; reading or writing says what is wrong.

    Raises:
        DataError: it is one of them.
    """
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise DataError(f"{path} is a pipe or a device; name a file.")


def check_free_space(folder: str | os.PathLike[str], size: float, contents: str) -> None:
    """Checks that a folder's disk has room; called before the work whose results go there.

    Args:
        folder: for the results; need not exist yet.
        size: of the results [bytes].
        contents: what the results are, in words, as the subject of a sentence in the plural.

    Raises:
        DataError: they do not fit.
    """
    free = shutil.disk_usage(existing_folder(Path(folder))).free
    if size > free:
        raise DataError(
            f"{contents} need about {_in_words(size)}, and the disk of {folder} has {_in_words(free)} free; "
            f"ask for less, free some space, or choose another folder. {SEE_DOCTOR}"
        )


def _in_words(size: float) -> str:
    """Size in bytes, for people."""
    unit, name = next(pair for pair in ((1e12, "TB"), (1e9, "GB"), (0, "MB")) if size >= pair[0])
    return f"{size / (unit or 1e6):,.4g} {name}"


def existing_folder(folder: Path) -> Path:
    """Returns the folder or the nearest of its parents that exists."""
    return next(place for place in (folder, *folder.absolute().parents) if os.path.lexists(place))


#: Age from which a temporary file of another computer, whose processes cannot be seen, counts as left [s].
_FOREIGN_AGE = 86_400.0


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a temporary path beside `path`, renamed onto it only if the block succeeds.

    The temporary file keeps the suffix, because video and array writers choose by it. What a process that
    was killed left beside `path` is removed. A link stays one: what it leads to is written. A file that was
    there keeps its permissions.

    Raises:
        DataError: it cannot be written.
    """
    final = Path(os.path.realpath(path))
    with explain_write_errors(path), _made(final.parent):
        require_regular_file(path)
        remove_leftovers(final.parent)
        part = final.parent / f"{_part_name()}{final.suffix}"
        part.touch(exist_ok=False)  # with the permissions that the user's umask leaves
        try:
            yield part
            with contextlib.suppress(FileNotFoundError):
                part.chmod(stat.S_IMODE(final.stat().st_mode))
            os.replace(part, final)
        finally:
            part.unlink(missing_ok=True)


@contextmanager
def atomic_files(folder: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a temporary folder; its files move into `folder` together, only if the block succeeds.

    Raises:
        DataError: they cannot be written.
    """
    final = Path(folder)
    with explain_write_errors(final), _made(final):
        remove_leftovers(final)
        with tempfile.TemporaryDirectory(dir=final, prefix=_part_prefix()) as name:
            part = Path(name)
            yield part
            for file in sorted(part.iterdir()):
                os.replace(file, final / file.name)


@contextmanager
def atomic_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a temporary folder beside `path`, renamed to it only if the block succeeds.

    Raises:
        DataError: it cannot be written, or there is one with files already.
    """
    final = Path(path)
    with explain_write_errors(final), _made(final.parent):
        remove_leftovers(final.parent)
        part = final.parent / _part_name()
        part.mkdir()
        try:
            yield part
            part.rename(final)
        finally:
            shutil.rmtree(part, ignore_errors=True)


@contextmanager
def mark_unfinished(folder: str | os.PathLike[str]) -> Iterator[Path]:
    """Makes a folder, and marks it as unfinished for the block; yields the mark, a file.

    `remove_leftovers` finds the mark if the process is killed. A folder that the block leaves empty by an
    error is removed.

    Raises:
        DataError: it cannot be written.
    """
    with contextlib.ExitStack() as stack:
        with explain_write_errors(folder):
            stack.enter_context(_made(Path(folder)))
            handle, name = tempfile.mkstemp(dir=folder, prefix=_part_prefix())
            os.close(handle)
        stack.callback(Path(name).unlink, missing_ok=True)
        yield Path(name)


def remove_leftovers(folder: str | os.PathLike[str]) -> bool:
    """Removes the temporary files of processes that were killed; returns whether there were any."""
    leftovers = [path for path in Path(folder).glob(f"{PART}*") if not _is_being_written(path)]
    for path in leftovers:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    return bool(leftovers)


def _part_name() -> str:
    return f"{_part_prefix()}{secrets.token_hex(4)}"


def _part_prefix() -> str:
    return f"{PART}{os.getpid()}-{_computer()}-"


def _computer() -> str:
    """A name of this computer without a dash; each container has its own."""
    return f"{zlib.crc32(socket.gethostname().encode()):08x}"


def _is_being_written(path: Path) -> bool:
    """Whether the process that began a temporary file may still write it."""
    process, _, rest = path.name.removeprefix(PART).partition("-")
    if not process.isdecimal():
        return True  # its name is not of this module
    if rest.partition("-")[0] != _computer():
        try:
            return time.time() - path.lstat().st_mtime < _FOREIGN_AGE
        except FileNotFoundError:
            return True  # until now: it has just been finished
    try:
        os.kill(int(process), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass  # a process of another user
    return True


@contextmanager
def _made(folder: Path) -> Iterator[None]:
    """Makes a folder for the block, and removes it if the block fails and leaves it empty."""
    missing = [place for place in (folder, *folder.absolute().parents) if not os.path.lexists(place)]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):  # another file is in it
            for place in missing:
                place.rmdir()
        raise


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Writes indented JSON atomically."""
    with atomic_path(path) as part:
        part.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n")


def read_json(path: str | os.PathLike[str]) -> Any:
    """Reads a JSON file.

    Raises:
        DataError: missing or damaged.
    """
    require_regular_file(path)
    try:
        return json.loads(Path(path).read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise unreadable(path, error, "make it again, or name another file") from error


def write_arrays(path: str | os.PathLike[str], **arrays: Any) -> None:
    """Writes a compressed `.npz` atomically."""
    import numpy as np

    with atomic_path(path) as part:
        np.savez_compressed(part, **arrays)


def read_arrays(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Reads a whole `.npz`.

    Raises:
        DataError: missing, truncated or not an array file.
    """
    import numpy as np

    require_regular_file(path)
    try:
        with Path(path).open("rb") as raw:
            if not zipfile.is_zipfile(raw):
                raise ValueError("it is no .npz")
            raw.seek(0)
            with np.load(raw, allow_pickle=False) as file:
                return {name: file[name] for name in file.files}
    except Exception as error:  # zipfile, numpy and zlib each have their own
        raise unreadable(path, error, "make it again", "is damaged or not an array file") from error


def unreadable(
    path: str | os.PathLike[str], error: Exception, remedy: str, verdict: str = "is damaged"
) -> DataError:
    """Returns the error for a file that could not be read, with the advice that fits the cause.

    Args:
        path: of the file.
        error: that reading raised.
        remedy: what to do if the file is missing or its content is at fault.
        verdict: what is wrong in that case.
    """
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return DataError(f"{path} does not exist; {remedy}.")
    if isinstance(error, IsADirectoryError):
        return DataError(f"{path} is a folder; name a file.")
    if isinstance(error, PermissionError):
        return DataError(f"{path} may not be read; change its permissions.")
    if isinstance(error, MemoryError):
        return DataError(f"{path} does not fit into memory; close other programs.")
    if isinstance(error, OSError) and error.strerror:
        return DataError(f"{path} cannot be read ({error.strerror}); check the disk.")
    return DataError(f"{path} {verdict} ({error}); {remedy}.")


def git_commit() -> str | None:
    """Returns the commit of the checkout that this package runs from, or None without one or without git."""
    root = Path(__file__).resolve().parents[1]
    if not (root / ".git").exists():
        return None
    try:
        words = ["git", f"--git-dir={root / '.git'}", "rev-parse", "--verify", "--quiet", "HEAD"]
        done = subprocess.run(words, capture_output=True, text=True, timeout=5)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
