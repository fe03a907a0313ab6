"""What only a live camera needs: a screen, a way to stop, and getting to know the person."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy as np
from tqdm import tqdm

from eva_sim import display
from eva_sim.agents.mirroring import video_panels
from eva_sim.agents.mirroring.expression_tracker import ExpressionTracker, estimate_neutral
from eva_sim.contract import Floats
from eva_sim.errors import MediaError
from eva_sim.media.sources import Picture

#: How long a face must be seen without a break before it counts as met [s].
MEETING = 2.0
CALM, GO = "Look calmly at the camera for two seconds.", "Mirroring. q or Ctrl-C ends it."


class DetectedFrame(NamedTuple):
    """One frame through the detector.

    Attributes:
        frame: its number.
        time: since the first frame [s].
        points: of the face, (N, 3) [pixels], or None without a face.
    """

    frame: int
    time: float
    points: Floats | None


class MirrorDisplay:
    """Where a live user sees the two faces: a window, or lines of text where there is no display.

    As a context manager it turns Ctrl-C into `stopped`, so that nothing breaks off in the middle; a
    second Ctrl-C interrupts as usual.

    Attributes:
        stopped: whether the user wants to end: Ctrl-C, q, Esc, or the window was closed.
    """

    def __init__(self) -> None:
        self.stopped = False
        self._window = display.DisplayWindow() if display.display_available() else None
        self._told = ""

    def show(self, person: Picture, robot: Picture, told: str) -> None:
        """Shows both side by side, each `panels.HEIGHT` high, above a line of text."""
        if told != self._told:
            self._told = told
            tqdm.write(told, file=sys.stderr)
        if self._window is not None and not self._window.show(video_panels.side_by_side(person, robot, told)):
            self.stopped = True

    def __enter__(self) -> Self:
        self._before: Any = None
        if threading.current_thread() is threading.main_thread():  # the only one that may ask
            self._before = signal.signal(signal.SIGINT, self._stop)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._give_back()
        if self._window is not None:
            self._window.close()

    def _stop(self, *_: Any) -> None:
        self.stopped = True
        self._give_back()

    def _give_back(self) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)
            self._before = None


def wait_for_neutral(sights: Iterator[DetectedFrame]) -> ExpressionTracker:
    """Watches until a face was there for `MEETING` seconds, and takes its calmest as neutral.

    Raises:
        MediaError: the sights ended first.
    """
    run: list[DetectedFrame] = []
    for sight in sights:
        run = [] if sight.points is None else [*run, sight]
        if run and run[-1].time - run[0].time >= MEETING:
            points = np.array([s.points for s in run])
            return ExpressionTracker(estimate_neutral(points, (run[-1].time - run[0].time) / (len(run) - 1)))
    raise MediaError(f"no face stayed for {MEETING:g} s, so none was mirrored; sit in front of the camera.")
