"""Mirroring a live camera: the person's neutral face is learned in two seconds, then frame by frame."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from typing import Any, Self

import numpy as np
from tqdm import tqdm

from eva_sim import display
from eva_sim.agents.mirroring import video_panels
from eva_sim.agents.mirroring.controller import ControlClock, MirrorController
from eva_sim.agents.mirroring.expression_tracker import ExpressionTracker, estimate_neutral
from eva_sim.agents.mirroring.frame_detector import DetectedFrame, FrameDetector
from eva_sim.errors import MediaError
from eva_sim.interrupts import interruptible
from eva_sim.media.encoding import Picture
from eva_sim.progress import progress

#: Time for which a face must be in view without a break before its neutral is taken [s].
NEUTRAL_DURATION = 2.0
#: A robot that is further behind the camera than this leaves control steps out [s].
MAX_LAG = 0.3
CALM_PROMPT = "Look calmly at the camera for two seconds."
MIRRORING_PROMPT = "Mirroring. q or Ctrl-C ends it."


def mirror_camera(detector: FrameDetector, controller: MirrorController) -> str:
    """Learns the person's neutral face, then mirrors each frame as it comes.

    The body is not moved, and a robot not armed, until the neutral face is known.

    Returns:
        The reason why it ended.

    Raises:
        MediaError: no face stayed in view for `NEUTRAL_DURATION`; the body was not moved.
    """
    with MirrorDisplay() as screen:
        frames = detector.frames(lambda: screen.stopped)

        def show(frame: DetectedFrame, accepted: bool, text: str) -> None:
            picture = detector.pictures[frame.number]
            person = video_panels.draw_person(picture, frame.points, accepted)
            screen.show(person, controller.picture, text)

        def show_each() -> Iterator[DetectedFrame]:
            for frame in frames:
                show(frame, True, CALM_PROMPT)
                yield frame

        def show_step(frame: DetectedFrame, accepted: bool) -> None:
            show(frame, accepted, MIRRORING_PROMPT)

        controller.begin(wait_for_neutral(show_each()))
        mirror_live_frames(controller, progress(frames, "mirror", unit="frames"), show_step)
    return "stopped by the user"


def mirror_live_frames(
    controller: MirrorController,
    frames: Iterable[DetectedFrame],
    show: Callable[[DetectedFrame, bool], None],
) -> None:
    """Answers each frame at once.

    Of the control periods that passed since the last frame only the last one is rendered; a robot that is
    further behind than `MAX_LAG` leaves control steps out.

    Args:
        controller: after `begin`.
        frames: as they come.
        show: called after each frame that was mirrored, with whether its face was accepted.
    """
    clock = ControlClock(controller.control_dt)
    for frame in frames:
        clock.skip_to(frame.time - (MAX_LAG if controller.steps else 0.0))
        if controller.frame is not None:
            for time in clock.times_before(frame.time):
                controller.step(time, render=False)
        controller.observe(frame)
        if clock.next_time < frame.time + clock.period:
            controller.step(clock.advance())
            show(frame, controller.face_accepted)


def wait_for_neutral(frames: Iterator[DetectedFrame]) -> ExpressionTracker:
    """Watches until a face was in view for `NEUTRAL_DURATION`, and takes its calmest second as neutral.

    Raises:
        MediaError: the frames ended first.
    """
    unbroken: list[DetectedFrame] = []
    for frame in frames:
        unbroken = [] if frame.points is None else [*unbroken, frame]
        if not unbroken:
            continue
        duration = frame.time - unbroken[0].time
        if duration >= NEUTRAL_DURATION:
            points = np.array([each.points for each in unbroken])
            return ExpressionTracker(estimate_neutral(points, duration / (len(unbroken) - 1)))
    raise MediaError(
        f"no face stayed in view for {NEUTRAL_DURATION:g} s, and nothing was mirrored; "
        "sit in front of the camera."
    )


class MirrorDisplay:
    """Shows a live user the two faces: in a window, or lines of text where there is no display.

    As a context manager it turns Ctrl-C into `stopped`, so that no step is broken off in the middle; a
    second Ctrl-C interrupts as usual.
    """

    def __init__(self) -> None:
        self._window = display.DisplayWindow() if display.display_available() else None
        self._window_ended, self._text = False, ""
        self._interrupted: Callable[[], bool] = lambda: False
        self._open = ExitStack()

    @property
    def stopped(self) -> bool:
        """Whether the user wants to end: Ctrl-C, q, Esc, or the window was closed."""
        return self._window_ended or self._interrupted()

    def show(self, person: Picture, robot: Picture, text: str) -> None:
        """Shows both side by side, each `video_panels.HEIGHT` high, above a line of text."""
        if text != self._text:
            self._text = text
            tqdm.write(text, file=sys.stderr)
        if self._window is not None and not self._window.show(video_panels.side_by_side(person, robot, text)):
            self._window_ended = True

    def __enter__(self) -> Self:
        if self._window is not None:
            self._open.callback(self._window.close)
        self._interrupted = self._open.enter_context(interruptible())
        return self

    def __exit__(self, *error: Any) -> None:
        self._open.close()
