"""What surrounds the work of a command: checks before it, and what is said if it is cut."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from eva_sim.files import (
    check_output_file,
    check_output_folder,
    mark_unfinished,
    remove_leftovers,
)
from eva_sim.progress import report

#: A sentence, or a function that returns one when it is needed.
Told = str | Callable[[], str]


@contextmanager
def work_in(folder: Path, kept: Told, goes_on: bool = False) -> Iterator[None]:
    """Checks a folder for results before the block works; says so if an earlier call was killed.

    Args:
        folder: for the results.
        kept: what is kept if the block is interrupted, in a sentence.
        goes_on: whether the next call goes on where this one is cut, or starts over.

    Raises:
        DataError: something is in the way, or may not be written.
    """
    check_output_folder(folder)
    if remove_leftovers(folder):
        what = "goes on" if goes_on else "starts over"
        report(f"A call that was killed left {folder} unfinished; this one {what}.")
    again = "continue" if goes_on else "start again"
    with explain_interruption(kept, f" Run the same command to {again}."), mark_unfinished(folder):
        yield


@contextmanager
def work_on(file: Path, kept: Told, goes_on: bool = False) -> Iterator[None]:
    """The same for one file; arguments as in `work_in`.

    Raises:
        DataError: a folder is in the way, or the file may not be written.
    """
    check_output_file(file)
    with work_in(file.parent, kept, goes_on):
        yield


@contextmanager
def explain_interruption(kept: Told, advice: str = "") -> Iterator[None]:
    """Adds a sentence to an interruption of the block, which `run` prints as it ends the program.

    Args:
        kept: what is kept.
        advice: how to continue.
    """
    try:
        yield
    except KeyboardInterrupt as interruption:
        if not hasattr(interruption, "__notes__"):  # the innermost block knows most
            interruption.add_note(f"{kept if isinstance(kept, str) else kept()}{advice}")
        raise
