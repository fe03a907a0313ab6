"""Progress of long work: a bar on a terminal, elsewhere a line every 15 s."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm

from eva_sim.streams import on_terminal, tell

#: Interval between two lines where no terminal is, and before the first; short work prints nothing [s].
EVERY = 15.0
_LINE = "{desc}: {n_fmt} of {total_fmt} {unit}, {elapsed} gone, {remaining} left{postfix}"


def progress(over: Iterable[Any] | None = None, does: str = "", **options: Any) -> Any:
    """Returns a `tqdm` over an iterable, or one to `update` by hand.

    Args:
        over: the iterable; None to count by hand.
        does: name of the work, in a word or two.
        **options: options of `tqdm`, such as `total` and `unit`.
    """
    kind = tqdm if on_terminal() else ProgressLines
    return kind(over, does, **options)


def report(text: str) -> None:
    """Prints a line about the work, above a bar if there is one."""
    with tqdm.external_write_mode(file=sys.stderr):
        tell(text)


class ProgressLines(tqdm):
    """A `tqdm` that writes lines instead of a bar, for logs."""

    monitor_interval = 0  # no thread that writes in between

    def __init__(self, *arguments: Any, **options: Any) -> None:
        rhythm = {"mininterval": EVERY, "maxinterval": EVERY, "delay": EVERY, "miniters": 1}
        options |= {"file": io.StringIO(), "bar_format": _LINE, "leave": False}  # lines go through `tell`
        super().__init__(*arguments, **options, **rhythm)

    def display(self, msg: str | None = None, pos: int | None = None) -> bool:
        """Writes a line; no empty one, since that would erase the last."""
        if msg is None:
            tell(f"{self}")
        return False

    def clear(self, nolock: bool = False) -> None:
        """Does nothing: a line that was written stays."""
