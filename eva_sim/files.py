"""Finds assets, and writes files so that a crash never leaves half of one."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from eva_sim.errors import DataError

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


def check_links() -> None:
    """Checks that the folders linked into the package are folders.

    A checkout without symbolic links, as Git for Windows makes by default, has text files in their place.

    Raises:
        ImportError: a link is missing; the message says how to get it.
    """
    package = Path(__file__).resolve().parent
    broken = [name for name in ("agents", "assets", "envs", "real") if not (package / name).is_dir()]
    if broken:
        raise ImportError(
            f"{', '.join(broken)} in {package} should be symbolic links to folders, but this checkout has no "
            "symbolic links. Run `git config core.symlinks true` (on Windows first switch on developer mode) "
            "and check out again with `git checkout -f HEAD`; or pip install a wheel of eva-sim."
        )


def asset(name: str) -> Path:
    """Returns the path of a file shipped with the package, e.g. `asset("meshes/skin.npz")`.

    Raises:
        DataError: the installation lacks the file.
    """
    path = _ASSETS / name
    if not path.exists():
        raise DataError(f"{name} is missing from the installation; reinstall eva-sim.")
    return path


def check_output_folder(path: str | os.PathLike[str]) -> Path:
    """Checks that a folder can be written, or made; called before the work whose results go there.

    Raises:
        DataError: something is in the way, or may not be written.
    """
    folder = Path(path)
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not (there.is_dir() and os.access(there, os.W_OK)):
        raise DataError(f"{folder} cannot be written: {there} is not a writable folder; choose another.")
    return folder


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yields a temporary path beside `path`, renamed onto it only if the block succeeds.

    The temporary file keeps the suffix, because video and array writers choose by it.

    Raises:
        DataError: nothing can be written there.
    """
    final = Path(path)
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=final.parent, prefix=".part-", suffix=final.suffix)
    except OSError as error:
        raise DataError(f"{final} cannot be written ({error.strerror}); choose another path.") from error
    os.close(handle)
    part = Path(name)
    try:
        yield part
        part.chmod(0o644)
        os.replace(part, final)
    finally:
        part.unlink(missing_ok=True)


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Writes indented JSON atomically."""
    with atomic_path(path) as part:
        part.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n")


def read_json(path: str | os.PathLike[str]) -> Any:
    """Reads a JSON file.

    Raises:
        DataError: missing or damaged.
    """
    try:
        return json.loads(Path(path).read_text())
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is missing or damaged ({error}); make it again.") from error


def write_arrays(path: str | os.PathLike[str], **arrays: Any) -> None:
    """Writes a compressed `.npz` atomically."""
    with atomic_path(path) as part:
        np.savez_compressed(part, **arrays)


def read_arrays(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Reads a whole `.npz`.

    Raises:
        DataError: missing, truncated or not an array file.
    """
    if not Path(path).exists():
        raise DataError(f"{path} does not exist.")
    try:
        with Path(path).open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except Exception as error:  # zipfile, numpy and zlib each have their own
        raise DataError(f"{path} is damaged or not an array file ({error}); make it again.") from error
