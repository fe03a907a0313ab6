"""Frames of a person through the face detector."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import NamedTuple

from eva_sim.agents.mirroring.video_panels import resize_to_panel
from eva_sim.contract import Floats
from eva_sim.detector import Detector
from eva_sim.media.encoding import PictureStore
from eva_sim.media.sources import FrameSource, StillSource


class DetectedFrame(NamedTuple):
    """One frame of the source and the face in it.

    Attributes:
        number: counts from 0.
        time: since the first frame [s].
        points: of the face, (N, 3) [pixels], or None without a face.
    """

    number: int
    time: float
    points: Floats | None


class FrameDetector:
    """Reads a source frame by frame, finds the face in each, and keeps both for the video.

    Args:
        source: gives the frames.
        pictures: takes the frames, `video_panels.HEIGHT` high.

    Attributes:
        source: as given.
        pictures: as given.
        points: of each frame so far, (N, 3) [pixels of the frames in `pictures`], or None.
    """

    def __init__(self, source: FrameSource, pictures: PictureStore) -> None:
        self.source, self.pictures = source, pictures
        self.points: list[Floats | None] = []
        self._notes: list[str] = []

    @property
    def assumed(self) -> list[str]:
        """Assumptions about the source and about the person, in words."""
        return [*self.source.assumed, *self._notes]

    def assume(self, text: str) -> None:
        """Notes an assumption about the person, in words."""
        self._notes.append(text)

    def frames(self, stopped: Callable[[], bool] = lambda: False) -> Iterator[DetectedFrame]:
        """Yields the frames as they come, until the source ends or `stopped` returns True."""
        detector = Detector("picture" if isinstance(self.source, StillSource) else "video")
        with detector, closing(iter(self.source)) as pictures:
            for time, picture in pictures:
                if stopped():
                    return
                points = detector.landmarks(picture, time)
                panel, scale, corner = resize_to_panel(picture)
                self.pictures.add(panel)
                self.points.append(None if points is None else scale * points + corner)
                yield DetectedFrame(len(self.points) - 1, time, self.points[-1])
