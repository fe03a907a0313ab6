"""Progress of long work: a bar on a terminal, elsewhere a line every 15 s."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextvars import ContextVar
from typing import Any

from eva_sim.streams import on_terminal, tell

_QUIET = ContextVar("quiet", default=False)


def set_quiet(quiet: bool) -> None:
    """Chooses whether `progress` and `report` are silent, in this thread and those that copy its context."""
    _QUIET.set(quiet)


def is_quiet() -> bool:
    """Whether `progress` and `report` are silent."""
    return _QUIET.get()


def progress(over: Iterable[Any] | None = None, does: str = "", **options: Any) -> Any:
    """Returns a `ProgressBar` over an iterable, or one to `update` by hand.

    Args:
        over: the iterable; None to count by hand.
        does: name of the work, in a word or two.
        **options: options of `ProgressBar`, such as `total` and `unit`.
    """
    from eva_sim.progress_bars import ProgressBar, ProgressLines

    kind = ProgressBar if on_terminal() else ProgressLines
    return kind(over, does, disable=is_quiet(), **options)


def report(text: str) -> None:
    """Prints a line about the work, above a bar if there is one."""
    from tqdm import tqdm

    if is_quiet():
        return
    with tqdm.external_write_mode(file=sys.stderr):
        tell(text)
