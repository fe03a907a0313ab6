"""Mirroring a live camera: the person's neutral face is learned in two seconds, then frame by frame."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from itertools import takewhile
from time import perf_counter
from typing import Any, Self

from eva_sim import display
from eva_sim.agents.mirroring import video_panels
from eva_sim.agents.mirroring.controller import ControlClock, MirrorController
from eva_sim.agents.mirroring.frame_detector import DetectedFrame, FrameDetector
from eva_sim.agents.mirroring.person_at_rest import PersonAtRest, RestLearner
from eva_sim.agents.mirroring.person_tracker import PersonTracker
from eva_sim.agents.mirroring.read_ahead import read_ahead
from eva_sim.detector import DetectedFace
from eva_sim.errors import MediaError, RenderError
from eva_sim.interrupts import interruptible
from eva_sim.media.encoding import Picture
from eva_sim.progress import progress, report
from eva_sim.reading_correction import person_correction

#: Time for which a face must be in view without a break before its neutral is taken [s].
NEUTRAL_DURATION = 2.0
#: A robot that is further behind the camera than this leaves control steps out [s].
MAX_LAG = 0.3
#: What a live user is asked to do, stage by stage; and, in the window, why nothing happens.
CALM_PROMPT = "Look calmly at the camera for two seconds."
MIRRORING_PROMPT = "Make faces: the robot mirrors them."
NO_FACE_HINT = "No face is seen. Sit in front of the camera."
NOT_ACCEPTED_HINT = "The face is hidden or turned too far. Look at the camera."
#: How to end; Ctrl-C in the terminal works everywhere.
WINDOW_ENDS, TERMINAL_ENDS = "q or Esc ends.", "Ctrl-C ends."
#: Number of pictures over which the frame rate is averaged.
RATE_PICTURES = 15


def mirror_camera(detector: FrameDetector, controller: MirrorController) -> str:
    """Learns the person's neutral face, then mirrors each frame as it comes.

    The body is not moved, and a robot not armed, until the neutral face is known.

    Returns:
        The reason why it ended.

    Raises:
        MediaError: no face stayed in view for `NEUTRAL_DURATION`; the body was not moved.
    """
    with (
        MirrorDisplay(detector.mirror_image) as screen,
        closing(read_ahead(detector.frames(lambda: screen.stopped))) as detected,
    ):
        frames = takewhile(lambda _: not screen.stopped, detected)

        def show(frame: DetectedFrame, accepted: bool, prompt: str) -> None:
            person, face = detector.pictures[frame.number], detector.faces[frame.number]
            screen.show(person, face, accepted, controller.picture, prompt)

        def show_each() -> Iterator[DetectedFrame]:
            for frame in frames:
                show(frame, True, CALM_PROMPT)
                yield frame

        def show_step(frame: DetectedFrame, accepted: bool) -> None:
            show(frame, accepted, MIRRORING_PROMPT)

        controller.begin(wait_for_neutral(show_each()))
        waiting = controller.held_while_waiting(frames)
        mirror_live_frames(controller, progress(waiting, "mirror", unit="frames"), show_step)
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


def wait_for_neutral(frames: Iterator[DetectedFrame]) -> PersonTracker:
    """Watches until a face was in view for `NEUTRAL_DURATION`, and learns their neutral face from it.

    Raises:
        MediaError: the frames ended first.
    """
    return learn_person(watch_person(frames))


def watch_person(frames: Iterator[DetectedFrame]) -> list[DetectedFace]:
    """Returns the faces of the first `NEUTRAL_DURATION` in which a face was in view without a break.

    Raises:
        MediaError: the frames ended first.
    """
    unbroken: list[DetectedFrame] = []
    for frame in frames:
        unbroken = [] if frame.face is None else [*unbroken, frame]
        if unbroken and frame.time - unbroken[0].time >= NEUTRAL_DURATION:
            return [each.face for each in unbroken if each.face is not None]
    raise MediaError(
        f"no face stayed in view for {NEUTRAL_DURATION:g} s, and nothing was mirrored; "
        "sit in front of the camera."
    )


def learn_person(faces: list[DetectedFace]) -> PersonTracker:
    """Learns a person's neutral face from their faces at rest; the tracker revises it later."""
    rest = PersonAtRest.of(faces)
    return PersonTracker(rest, learner=RestLearner(rest, faces), correction=person_correction())


class MirrorDisplay:
    """Shows a live user the two faces: in a window, or lines of text where there is no display.

    The window is like a mirror: the user's left side is on the left, and so is the side of the robot that
    does the same. Results that are written are not mirrored.

    As a context manager it turns Ctrl-C into `stopped`, so that no step is broken off in the middle; a
    second Ctrl-C interrupts as usual.

    Args:
        mirror_image: whether the robot's right side does what the person's left side does.
    """

    def __init__(self, mirror_image: bool = False) -> None:
        self._window, self._mirror_image = _open_window(), mirror_image
        self._window_ended, self._prompt = False, ""
        self._rate = FrameRate(RATE_PICTURES)
        self._interrupted: Callable[[], bool] = lambda: False
        self._open = ExitStack()

    @property
    def stopped(self) -> bool:
        """Whether the user wants to end: Ctrl-C, q, Esc, or the window was closed."""
        return self._window_ended or self._interrupted()

    def show(
        self, person: Picture, face: DetectedFace | None, accepted: bool, robot: Picture, prompt: str
    ) -> None:
        """Shows both faces above a line that says what to do.

        Args:
            person: uint8 (`video_panels.HEIGHT`, width, 3).
            face: the person's [pixels of `person`], or None.
            accepted: whether the robot mirrors this face.
            robot: uint8 (`video_panels.HEIGHT`, width, 3).
            prompt: what the user is asked to do at this stage.
        """
        if prompt != self._prompt:
            self._prompt = prompt
            ends = TERMINAL_ENDS if self._window is None else WINDOW_ENDS
            report(f"{prompt} {ends}")
        if self._window is None:
            return
        hint = NO_FACE_HINT if face is None else prompt if accepted else NOT_ACCEPTED_HINT
        drawn = video_panels.draw_person(*video_panels.mirror_image(person, face), accepted)
        shown = video_panels.side_by_side(
            drawn,
            robot if self._mirror_image else robot[:, ::-1],
            f"{hint} {WINDOW_ENDS}",
            f"{self._rate.count_picture():.0f} pictures/s",
        )
        if not self._window.show(shown):
            self._window_ended = True

    def __enter__(self) -> Self:
        if self._window is not None:
            self._open.callback(self._window.close)
        self._interrupted = self._open.enter_context(interruptible())
        return self

    def __exit__(self, *error: Any) -> None:
        self._open.close()


def _open_window() -> display.DisplayWindow | None:
    """Returns a window, or None where there is no display, or none that answers, which is said."""
    if not display.display_available():
        return None
    try:
        return display.DisplayWindow()
    except RenderError as error:
        report(f"No window: {error}")
        return None


class FrameRate:
    """Measures how many pictures come per second, by the wall clock.

    Args:
        pictures: number of latest pictures that count.
    """

    def __init__(self, pictures: int) -> None:
        self._times: deque[float] = deque(maxlen=pictures)

    def count_picture(self) -> float:
        """Counts one picture; returns the rate [1/s], zero for the first one."""
        self._times.append(perf_counter())
        elapsed = self._times[-1] - self._times[0]
        return (len(self._times) - 1) / elapsed if elapsed else 0.0
