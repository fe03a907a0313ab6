"""The standard streams of a process, which may be closed, absent or replaced by anything."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress


def reserve_standard_files() -> bool:
    """Opens the null device as each of the files 0, 1 and 2 that is closed.

    Otherwise the next file that is opened gets that number, and whatever a native library logs is written
    into it.

    Returns:
        Whether file 2 is the error stream of this process or the null device, and not some other file: one
        that was opened after the process had started without an error stream.
    """
    own_errors = sys.__stderr__ is not None
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened == number:
                os.set_inheritable(number, True)  # or programs that are started here would lack it
            else:
                os.dup2(opened, number)
                os.close(opened)
            own_errors = own_errors or number == 2
    return own_errors


_OWN_ERRORS = reserve_standard_files()


def replace_missing_streams() -> None:
    """Gives a program that was started without standard streams the null device in their place."""
    for name, mode in {"stdin": "r", "stdout": "w", "stderr": "w"}.items():
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115


def drop_what_streams_refuse() -> None:
    """Empties the standard streams. Python does so when it ends, where an error changes the exit code."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with suppress(Exception):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, stream.fileno())
                os.close(nowhere)


def tell(text: str) -> None:
    """Writes a line to the error stream, if there is one that takes it."""
    with suppress(Exception):  # a replaced stream raises whatever it likes, and a line is no reason to end
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


def on_terminal() -> bool:
    """Whether the error stream is a terminal."""
    try:
        return bool(sys.stderr.isatty())
    except (AttributeError, ValueError):  # no stream, one of another kind, or a closed one
        return False


@contextmanager
def silence_stderr() -> Iterator[None]:
    """Hides what native libraries write to the error stream; their errors are still raised."""
    with suppress(Exception):  # see `tell`
        sys.stderr.flush()
    if not (reserve_standard_files() or _OWN_ERRORS):
        yield  # file 2 is somebody's file
        return
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
