"""How long each stage of mirroring takes, by the wall clock."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter

import numpy as np

#: Stages in their order, and from a picture's arrival until its command is sent.
GRAB, DETECT, TRACK, MAP, MOVE, DRAW, ANSWER = (
    "grab", "detect", "track", "map", "move", "draw", "picture to command",
)  # fmt: skip
#: Number of latest times that count, so that a run of days does not fill the memory: an hour of pictures.
_HISTORY = 108_000
_PERCENTILES = {"median": 50, "p95": 95}


class StageTimes:
    """Collects times by stage."""

    def __init__(self) -> None:
        self._times: dict[str, deque[float]] = {}

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Measures the block."""
        start = perf_counter()
        yield
        self.add(stage, perf_counter() - start)

    def add(self, stage: str, seconds: float) -> None:
        """Adds one time [s]."""
        self._times.setdefault(stage, deque(maxlen=_HISTORY)).append(seconds)

    def summary(self) -> dict[str, dict[str, float]]:
        """Returns how often each stage was run, `count`, and `median` and `p95` of its times [ms]."""
        return {stage: summarise_times([*times]) for stage, times in self._times.items()}


def summarise_times(times: Sequence[float]) -> dict[str, float]:
    """Returns `count` of times given in [s], and their `median` and `p95` [ms]."""
    percentiles = {name: 1000 * float(np.percentile(times, at)) for name, at in _PERCENTILES.items()}
    return {"count": len(times), **percentiles}
