"""What errors in writing a file mean, whatever library raised them, and what to do about them."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from eva_sim.errors import SEE_DOCTOR, DataError, EvaError

#: Begin of the names of temporary files and folders; id and computer of the process that writes them follow.
PART = ".part-"
#: What to do about an error in writing, by its number. Other errors are no errors in writing.
_WRITE_ADVICE = {
    errno.ENOSPC: "free some space, or choose another folder",
    errno.EDQUOT: "free some space, or choose another folder",
    errno.EFBIG: "raise the limit on the size of files (ulimit -f)",
    errno.EROFS: "choose another folder",
    errno.EACCES: "choose a folder that you may write",
    errno.EPERM: "choose a folder that you may write",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ENOENT: "choose another folder",
    errno.ENOTDIR: "a file is in the way; choose another folder",
    errno.EEXIST: "a file is in the way; choose another folder",
    errno.EISDIR: "a folder is in the way; choose another name",
    errno.ELOOP: "its links go in a circle; choose another folder",
    errno.EINVAL: "choose another name",
    errno.EIO: "check the disk",
}

#: Those of them that are of the disk, and not of the name or its folder.
_OF_THE_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}


@contextmanager
def explain_write_errors(path: str | os.PathLike[str], name: str = "") -> Iterator[None]:
    """Turns errors in writing, of whatever library, into one that says what to do.

    Errors about other files, which the block reads or runs, stay what they are.

    Args:
        path: what the block writes.
        name: what it is called in the message; by default the path.

    Raises:
        DataError: it could not be written, e.g. because the disk is full.
    """
    try:
        yield
    except Exception as error:
        number = _write_error_number(error, Path(path))
        if number is None:
            raise
        reason, advice = os.strerror(number), _WRITE_ADVICE[number]
        doctor = f" {SEE_DOCTOR}" if number in _OF_THE_DISK else ""
        raise DataError(f"{name or path} cannot be written ({reason}); {advice}.{doctor}") from error


def _write_error_number(error: BaseException | None, path: Path) -> int | None:
    """Returns the number of an error in writing, also of one that a library's own error hides; or None."""
    while error is not None and not isinstance(error, EvaError):  # one that says by itself what to do
        number: int | None = getattr(error, "errno", None)
        if number in _WRITE_ADVICE and _concerns(error, path):
            return number
        error = error.__cause__ or error.__context__
    return None


def _concerns(error: BaseException, path: Path) -> bool:
    """Whether an error is about what is written: the path, a folder above, or a file beside or within.

    A file beside it is a temporary one. An error without a name counts, too: a full disk has none.
    """
    names = [getattr(error, "filename", None), getattr(error, "filename2", None)]
    files = [(name, Path(os.path.realpath(name))) for name in map(_text, names) if name]
    whole = Path(os.path.realpath(path))
    above = {whole, *whole.parents}
    return not files or any(
        file in above
        or whole in file.parents
        or (file.parent in above and bool(os.path.dirname(name)))  # a bare name is that of a program
        or any(folder.name.startswith(PART) for folder in file.parents)
        for name, file in files
    )


def _text(name: Any) -> str:
    return os.fsdecode(name) if isinstance(name, str | bytes | os.PathLike) else ""
