"""Where to keep what a later start need not make again: never a reason to fail."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterable
from pathlib import Path

from eva_sim.errors import SEE_DOCTOR
from eva_sim.streams import tell


def user_cache_folder() -> Path | None:
    """Returns the user's folder for caches; None for a user without a home."""
    given = os.environ.get("XDG_CACHE_HOME", "")
    home = Path(os.path.expanduser("~"))  # unlike Path.home, this does not raise without a home
    folder = Path(given) if given else home / ".cache"
    return folder / "eva-sim" if folder.is_absolute() else None


def temporary_folder() -> Path | None:
    """Returns this user's place for caches among the temporary files; None without any place."""
    try:
        return Path(tempfile.gettempdir()) / f"eva-sim-{os.getuid()}"
    except OSError:
        return None


def is_private(folder: Path) -> bool:
    """Whether a folder is this user's own, and nobody else can write there."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    mine = found.st_uid == os.getuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return mine and stat.S_ISDIR(found.st_mode)


def is_writable(folder: Path) -> bool:
    """Whether files can be made in a folder, which is made if it is missing."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return False
    return True


def cache_folders(bases: Iterable[Path | None], name: str) -> list[Path]:
    """Returns where `choose_cache_folder` may put a folder; temporary ones only if they are private."""
    temporary = temporary_folder()
    own = temporary if temporary is not None and is_private(temporary) else None
    return [base / name for base in (*bases, own) if base is not None]


def choose_cache_folder(bases: Iterable[Path | None], name: str, what: str, variable: str) -> Path | None:
    """Returns a folder `name` in the first base that can be written, else among this user's temporary files.

    One line tells where that is.

    Args:
        bases: folders, the preferred one first.
        name: of the folder.
        what: plural name of what is kept there.
        variable: environment variable with which the user chooses a base.

    Returns:
        The folder, which exists; None if there is no place at all.
    """
    for base in bases:
        if base is not None and is_writable(base / name):
            return base / name
    temporary = temporary_folder()
    if temporary is not None and _make_private(temporary) and is_writable(temporary / name):
        wish = f"set {variable} to a folder that can be written. {SEE_DOCTOR}"
        tell(f"eva: {what} are kept in {temporary}; {wish}")
        return temporary / name
    return None


def _make_private(folder: Path) -> bool:
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError:
        return False
    return is_private(folder)
