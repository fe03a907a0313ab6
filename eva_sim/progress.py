"""How far something long has come: a bar on a terminal, elsewhere a line now and then."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm

#: Between two lines where no terminal is, and before the first: what is short says nothing [s].
EVERY = 15.0
_LINE = "{desc}: {n_fmt} of {total_fmt} {unit}, {elapsed} gone, {remaining} left{postfix}"


def progress(over: Iterable[Any] | None = None, does: str = "", **told: Any) -> Any:
    """A `tqdm` over something, or to `update` by hand.

    Args:
        over: what is gone through; None to count by hand.
        does: what is done, in a word or two.
        **told: of `tqdm`, such as `total` and `unit`.
    """
    kind = tqdm if sys.stderr.isatty() else Lines
    return kind(over, does, **told)


class Lines(tqdm):
    """A bar that is written as lines, for logs; arguments are those of `tqdm`."""

    monitor_interval = 0  # no thread that writes in between

    def __init__(self, *given: Any, **told: Any) -> None:
        rhythm = {"mininterval": EVERY, "maxinterval": EVERY, "delay": EVERY, "miniters": 1}
        super().__init__(*given, **told, **rhythm, bar_format=_LINE, leave=False)

    def display(self, msg: str | None = None, pos: int | None = None) -> bool:
        """Writes a line; an empty one would wipe the last away, so there is none."""
        if msg is None:
            self.fp.write(f"{self}\n")
            self.fp.flush()
        return False

    def clear(self, nolock: bool = False) -> None:
        """Nothing: a line that was written stays."""
