"""A clip that is played as if it were a camera, for tests, benchmarks and people without a camera."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from math import inf
from pathlib import Path
from time import perf_counter, sleep

from eva_sim.media.encoding import Picture
from eva_sim.media.sources import Frames, FrameSource, open_file

#: Number of latest waits that are kept.
_WAITS = 10_000


class ClipAsCamera(FrameSource):
    """Plays the pictures of a clip at a steady rate by the wall clock, again and again.

    Pictures that come while no one waits for them are dropped, as a camera drops them.

    Args:
        clip: file.
        fps: pictures per second; None for the clip's own rate.
        seconds: time after which it ends.
        period: between the time stamps of two pictures [s]; None for that of the wall clock.

    Attributes:
        waits: how long after it was due each of the latest pictures was taken [s].

    Raises:
        MediaError: the file is no clip.
    """

    live = True

    def __init__(
        self, clip: Path, fps: float | None = None, seconds: float = inf, period: float | None = None
    ) -> None:
        source = open_file(clip)
        self._clip, self._seconds = clip, seconds
        self.name, self.fps = f"{source.name} as a camera", fps or source.fps
        self._period = period or 1 / self.fps
        self.waits: deque[float] = deque(maxlen=_WAITS)

    def __iter__(self) -> Frames:
        pictures, start, last = self._pictures(), perf_counter(), -1
        while last + 1 < self._seconds * self.fps:
            due = max(last + 1, int((perf_counter() - start) * self.fps))
            picture = next(pictures)
            for _ in range(due - last - 1):
                picture = next(pictures)
            sleep(max(0.0, due / self.fps - (perf_counter() - start)))
            self.waits.append(max(0.0, perf_counter() - start - due / self.fps))
            last = due
            yield due * self._period, picture

    def _pictures(self) -> Iterator[Picture]:
        while True:
            yield from (picture for _, picture in open_file(self._clip))
