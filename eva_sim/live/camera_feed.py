"""The person before the camera: detected in a thread of its own, the newest frame only."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from eva_sim.agents.mirroring.frame_detector import DetectedFrame, FrameDetector
from eva_sim.contract import Floats
from eva_sim.errors import EvaError
from eva_sim.live.browser_camera import BrowserCamera
from eva_sim.media.encoding import Picture, PictureStore, encode_jpeg
from eva_sim.media.sources import FrameSource

#: Pictures are shrunk by whole numbers as long as they stay this high; the page shows them 306 wide [pixels].
_HEIGHT = 240
#: How long a frame is waited for before pages are attended to again [s].
_PATIENCE = 0.02


class SeenFrame(NamedTuple):
    """The newest frame of the person.

    Attributes:
        frame: detected.
        jpeg: the picture.
        points: landmarks in the picture, (N, 2) shares of its width and height; None without a face.
    """

    frame: DetectedFrame
    jpeg: bytes
    points: NDArray[np.float32] | None


class _NewestPicture(PictureStore):
    """Keeps one picture, since a camera may run for days."""

    def __init__(self) -> None:
        self._count, self._picture = 0, np.zeros((1, 1, 3), np.uint8)

    def __len__(self) -> int:
        return self._count

    def add(self, picture: Picture) -> None:
        self._count, self._picture = self._count + 1, picture

    def __getitem__(self, index: int) -> Picture:
        return self._picture

    def close(self) -> None:
        pass


def fit_page(picture: Picture) -> tuple[Picture, float, Floats]:
    """Shrinks a picture to about the size at which the page shows it, which takes less time there and here.

    Returns:
        The picture; its scale; and where its upper left corner is, (3,) [pixels].
    """
    share = max(1, picture.shape[0] // _HEIGHT)
    if share == 1:
        return picture, 1.0, np.zeros(3)
    import cv2

    size = max(1, picture.shape[1] // share), picture.shape[0] // share
    shrunk: Any = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return shrunk, 1 / share, np.zeros(3)


class CameraFeed:
    """Reads and detects a source until it is closed.

    Args:
        source: a camera, or a clip played as one.
        mirror_image: whether the robot's right side does what the person's left side does.

    Attributes:
        name: of the source.
        asks_page: whether a page sends the pictures.
        detector: with the times of the stages.
        given: the frame that `frames` yielded last; None before.
        ended: why no more frames come, in words; empty while they come.
    """

    def __init__(self, source: FrameSource, mirror_image: bool = False) -> None:
        self.name, self.ended = source.name, ""
        self.asks_page = isinstance(source, BrowserCamera)
        self.detector = FrameDetector(source, _NewestPicture(), mirror_image, history=1, fit=fit_page)
        self._newest: SeenFrame | None = None
        self.given: SeenFrame | None = None
        self._changed, self._closed = threading.Condition(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="camera", daemon=True)
        self._thread.start()

    @property
    def newest(self) -> SeenFrame | None:
        """The newest frame; None before the first one."""
        return self._newest

    def frames(self, attend: Callable[[], None], stopped: Callable[[], bool]) -> Iterator[DetectedFrame]:
        """Yields each newest frame once, until the source ends or `stopped` returns True.

        Args:
            attend: called again and again while a frame is waited for.
            stopped: whether the frames are wanted no more.
        """
        last: SeenFrame | None = None
        while not (stopped() or self._closed.is_set()):
            with self._changed:
                if self._newest is last:
                    self._changed.wait(_PATIENCE)
                newest = self._newest
            if newest is not None and newest is not last:
                last = self.given = newest
                yield newest.frame
            elif self.ended:
                return
            else:
                attend()

    def close(self) -> None:
        """Ends the thread, after the picture that it waits for."""
        self._closed.set()
        self._thread.join(timeout=2.0)

    def _run(self) -> None:
        try:
            for frame in self.detector.frames(self._closed.is_set):
                self._put(frame)
            self.ended = "the source ended"
        except EvaError as error:
            self.ended = str(error)

    def _put(self, frame: DetectedFrame) -> None:
        picture, face = self.detector.pictures[-1], self.detector.faces[-1]
        points = None
        if face is not None:
            size = np.array(picture.shape[1::-1])
            points = (np.concatenate([face.landmarks, face.irises])[:, :2] * [1, -1] / size).astype(
                np.float32
            )
        seen = SeenFrame(frame, encode_jpeg(picture), points)
        with self._changed:
            self._newest = seen
            self._changed.notify_all()
