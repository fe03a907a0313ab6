"""Bars and lines of `progress`. A module of its own, since the library `tqdm` takes time to import."""

from __future__ import annotations

import io
from typing import Any

from tqdm import tqdm

from eva_sim.streams import tell

#: Interval between two lines where no terminal is, and before the first; short work prints nothing [s].
EVERY = 15.0
_LINE = "{desc}: {n_fmt} of {total_fmt} {unit}, {elapsed} gone, {remaining} left{postfix}"
#: The same of work whose end is not known.
_ENDLESS_LINE = "{desc}: {n_fmt} {unit}, {elapsed} gone{postfix}"


class ProgressBar(tqdm):
    """A `tqdm` whose time left does not count how long the work took to start.

    Args:
        *arguments: of `tqdm`.
        workers: processes that do the work and each start on their own, as by compiling the skin. The pace is
            measured from when each has finished one part, and is known once each has finished two. 0: the
            pace is measured from the beginning.
        **options: of `tqdm`.
    """

    def __init__(self, *arguments: Any, workers: int = 0, **options: Any) -> None:
        self._workers, self._updates = workers, 0
        self._started = (0.0, 0.0)  # time and count when each worker had finished a part
        super().__init__(*arguments, **options)

    def update(self, n: float | None = 1) -> bool | None:
        """Counts a part that is done."""
        self._updates += 1
        if self._updates == self._workers and not self.disable:
            self._started = (self._time(), self.n + (n or 0))
        return super().update(n)

    def skip(self, n: float) -> None:
        """Counts what was done before, which took no time now."""
        if self.disable:
            return
        time, count = self._started
        self._started = (time, count + n)
        self.initial += n
        self.n += n

    @property
    def format_dict(self) -> Any:
        """What is shown; see `tqdm`."""
        shown = super().format_dict
        if self._workers:
            shown["rate"] = self._pace()
        return shown

    def _pace(self) -> float:
        """Counts a second; 0 while it is unknown."""
        if self._updates < 2 * self._workers:
            return 0.0
        time, count = self._started
        return float(self.n - count) / max(self._time() - time, 1e-9)


class ProgressLines(ProgressBar):
    """A `tqdm` that writes lines instead of a bar, for logs."""

    monitor_interval = 0  # no thread that writes in between

    def __init__(self, *arguments: Any, **options: Any) -> None:
        rhythm: dict[str, Any] = {"mininterval": EVERY, "maxinterval": EVERY, "delay": EVERY, "miniters": 1}
        options |= {"file": io.StringIO(), "bar_format": _LINE, "leave": False}  # lines go through `tell`
        super().__init__(*arguments, **options, **rhythm)
        if self.total is None:
            self.bar_format = _ENDLESS_LINE

    def display(self, msg: str | None = None, pos: int | None = None) -> bool:
        """Writes a line; no empty one, since that would erase the last."""
        if msg is None:
            tell(f"{self}")
        return False

    def clear(self, nolock: bool = False) -> None:
        """Does nothing: a line that was written stays."""
