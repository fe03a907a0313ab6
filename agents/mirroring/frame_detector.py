"""Frames of a person through the face detector."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from contextlib import closing
from math import inf
from time import perf_counter
from typing import NamedTuple

from eva_sim.agents.mirroring.stage_times import DETECT, GRAB, StageTimes
from eva_sim.agents.mirroring.video_panels import resize_to_panel
from eva_sim.contract import Floats
from eva_sim.detector import DetectedFace, Detector, Mode
from eva_sim.media.encoding import Picture, PictureStore
from eva_sim.media.sources import FrameSource, StillSource

#: Time between two searches for a second face; the search is as slow as following the first one [s].
SEARCH_PERIOD = 1.0
#: How a clip or a camera is read.
VIDEO_MODE: Mode = "unsmoothed video"


class DetectedFrame(NamedTuple):
    """One frame of the source and the face in it.

    Attributes:
        number: counts from 0.
        time: since the first frame [s].
        face: that is mirrored [pixels of the frame in `FrameDetector.pictures`], or None.
        arrival: when a camera's picture came, by `time.perf_counter` [s]; None of a clip's.
    """

    number: int
    time: float
    face: DetectedFace | None
    arrival: float | None = None


class FrameDetector:
    """Reads a source frame by frame, finds the face in each, and keeps both for the video.

    Args:
        source: gives the frames.
        pictures: takes the frames, as `fit` makes them.
        mirror_image: whether the face is yielded as in a mirror, with its left on the right.
        history: number of latest frames whose faces are kept; None for all.
        fit: gives a frame its size; answers as `resize_to_panel`.

    Attributes:
        source: as given.
        pictures: as given.
        mirror_image: as given.
        stages: times of this and of the later stages.
        count: number of frames so far.
        faces: of each frame that is kept [pixels of the frames in `pictures`], or None.
    """

    def __init__(
        self,
        source: FrameSource,
        pictures: PictureStore,
        mirror_image: bool = False,
        history: int | None = None,
        fit: Callable[[Picture], tuple[Picture, float, Floats]] = resize_to_panel,
    ) -> None:
        self.source, self.pictures, self.mirror_image = source, pictures, mirror_image
        self._fit = fit
        self.count = 0
        self.faces: deque[DetectedFace | None] = deque(maxlen=history)
        self.stages = StageTimes()
        self._notes: list[str] = []
        self._next_search = 0.0

    @property
    def assumed(self) -> list[str]:
        """Assumptions about the source and about the person, in words."""
        return [*self.source.assumed, *self._notes]

    def note_assumption(self, text: str) -> None:
        """Notes an assumption about the person, in words."""
        self._notes.append(text)

    def frames(self, stopped: Callable[[], bool] = lambda: False) -> Generator[DetectedFrame, None, None]:
        """Yields the frames as they come, until the source ends or `stopped` returns True."""
        detector = Detector("picture" if isinstance(self.source, StillSource) else VIDEO_MODE, scores=True)
        with detector, Detector(faces=2) as searcher, closing(iter(self.source)) as pictures:
            waiting = perf_counter()
            for time, picture in pictures:
                arrival = perf_counter()
                self.stages.add(GRAB, arrival - waiting)
                if stopped():
                    return
                with self.stages.measure(DETECT):
                    face = detector.detect_face(picture, time)
                if face is not None and time >= self._next_search:
                    self._note_second_face(searcher.detect_all(picture), face.landmarks, time)
                panel, scale, corner = self._fit(picture)
                self.pictures.add(panel)
                shown = None if face is None else face.moved(scale, corner)
                self.faces.append(shown)
                mirrored = shown.mirrored(panel.shape[1]) if shown and self.mirror_image else shown
                answered = arrival if self.source.live else None
                self.count += 1
                yield DetectedFrame(self.count - 1, time, mirrored, answered)
                waiting = perf_counter()

    def _note_second_face(self, faces: list[Floats], followed: Floats, time: float) -> None:
        """Says once that there is more than one face, and which one is followed."""
        self._next_search = time + SEARCH_PERIOD
        side = side_among(faces, followed)
        if side:
            self._next_search = inf
            self.note_assumption(
                f"more than one face is seen at {time:.1f} s: the one on the {side} is mirrored"
            )


def side_among(faces: list[Floats], followed: Floats) -> str:
    """Says on which side of the nearest other face one of several faces is; empty if there is no other.

    Args:
        faces: points of each face in a picture, (478, 3) [pixels].
        followed: points of one of them, (N, 3) [pixels].
    """
    middle = float(followed[:, 0].mean())
    _, *others = sorted((float(face[:, 0].mean()) for face in faces), key=lambda x: abs(x - middle)) or [0.0]
    if not others:
        return ""
    return "left" if middle < others[0] else "right"
