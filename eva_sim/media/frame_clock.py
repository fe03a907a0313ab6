"""Times of frames: those that a file claims, made to rise."""

from __future__ import annotations

import math
import statistics
from collections import deque

from eva_sim.media.assumptions import Assumptions

#: Frames are at least this far apart [s]; the face detector counts milliseconds.
MIN_STEP = 1e-3
#: A longer gap is a jump of the clock [s], unless the picture before it is said to stand that long.
MAX_GAP = 10.0
#: No picture stands longer than this [s].
MAX_HOLD = 600.0
#: A time that is this far back starts a new count [s]; a smaller step back is disorder in the file.
_RESTART = 0.5
#: Gaps from which the length of a frame is measured.
_REMEMBERED = 100


class FrameClock:
    """Turns claimed times into times that start at 0 and rise.

    A believable time is kept, so the real gaps of a variable frame rate stay. A time that is missing,
    repeats or goes back becomes the last one plus a frame. So does one after a gap of more than `MAX_GAP`,
    unless the picture before it is said to stand that long.

    Args:
        fps: frames per second, for times that are replaced.
        assumed: takes a note of each replaced time.

    Attributes:
        time: of the last frame [s]; None before the first one.
        hold: how long the last picture stands [s]; one frame if the file says nothing believable.
        replaced: whether any time was replaced.
    """

    def __init__(self, fps: float, assumed: Assumptions) -> None:
        self.time: float | None = None
        self.hold = 1 / fps
        self.replaced = False
        self._fps, self._assumed = fps, assumed
        self._gaps: deque[float] = deque(maxlen=_REMEMBERED)
        self._origin: float | None = None

    def __call__(self, claimed: float | None, duration: float | None = None) -> float:
        """Returns the time of the next frame [s].

        Args:
            claimed: by the file [s], from any origin; None if it claims none.
            duration: how long the file says that the picture stands [s], or None.
        """
        if claimed is not None and not math.isfinite(claimed):
            claimed = None
        due = 0.0 if self.time is None else self.time + self.period
        if claimed is None:
            self._replace(
                "pictures without a time: {count}; {fps:g} frames a second are assumed", fps=self._fps
            )
        elif self._origin is None:
            self._origin = claimed - due
        else:
            due = self._believe(claimed, due)
        self.time, self.hold = due, self._believable_hold(duration)
        return due

    @property
    def period(self) -> float:
        """One frame [s]: the median of the last gaps, since held pictures lower a file's average rate."""
        return statistics.median(self._gaps) if self._gaps else 1 / self._fps

    def _believe(self, claimed: float, due: float) -> float:
        assert self.time is not None and self._origin is not None
        time = claimed - self._origin
        gap = time - self.time
        if gap < MIN_STEP:
            self._replace("times that repeat or go back: {count}; each becomes the last one plus a frame")
            if gap < -_RESTART:
                self._origin = claimed - due
            return due
        if gap > MAX_GAP and self.hold < gap / 2:
            self._replace("the time jumps by {gap:.0f} s after {at:.1f} s; the gap is left out",
                          gap=gap, at=self.time)  # fmt: skip
            self._origin = claimed - due
            return due
        self._gaps.append(gap)
        return time

    def _believable_hold(self, duration: float | None) -> float:
        believable = duration is not None and math.isfinite(duration) and MIN_STEP <= duration <= MAX_HOLD
        return duration if believable and duration is not None else self.period

    def _replace(self, text: str, **facts: object) -> None:
        self.replaced = True
        self._assumed.add(text, **facts)
