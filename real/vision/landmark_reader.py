"""From the robot's camera to landmarks: found, believed, aligned, and put on the designed face."""

from __future__ import annotations

import contextlib
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eva_sim.contract import Floats
from eva_sim.detector import Detector
from eva_sim.errors import MediaError
from eva_sim.landmarks import MAX_RIGID_RESIDUAL, POINTS, Aligner
from eva_sim.real.vision.camera_source import CameraSource, Picture, crop_square

NO_FACE = "no face in the picture"
UNKNOWN_REST = "the camera has not seen the face at rest yet; reset while it is armed"
STRANGE = "the face in the picture is not believed: is something before it?"


class FaceObservation(NamedTuple):
    """What the camera tells.

    Attributes:
        landmarks: float32 (N, 3) [outer-eye distances]; all zero if not found.
        found: whether they could be read.
        image: the picture, or None.
        faults: why not, in words.
    """

    landmarks: NDArray[np.float32]
    found: bool
    image: Picture | None
    faults: tuple[str, ...]


class LandmarkReader:
    """Reads the robot's face through its eye.

    The detector is off by a nearly constant amount that is its own and the camera's, most of it in depth:
    of the twin's resting face it is 0.07 outer-eye distances away. So what counts is how far the face
    has moved from its own rest *as seen*, and that is added to the designed resting face.

    Args:
        eye: the camera; None for none.
        designed: landmarks of the resting face as designed, (N, 3).
        resting: the same as the camera sees it; None if that is yet to be learnt.
    """

    def __init__(self, eye: CameraSource | None, designed: Floats, resting: Floats | None) -> None:
        self._eye, self._designed = eye, designed
        self._resting = None if resting is None else Aligner.of(resting)
        self._detector = None if eye is None else Detector("video")
        self._last: FaceObservation | None = None
        self._time = -np.inf

    @property
    def knows_rest(self) -> bool:
        """Whether it has seen the resting face; without a camera there is nothing to know."""
        return self._eye is None or self._resting is not None

    def points(self) -> Floats | None:
        """The face in the newest picture, (N, 3) [pixels]; None without one, or without a picture."""
        if self._eye is None or self._detector is None:
            return None
        with contextlib.suppress(MediaError):  # a lost camera is told by every reading
            time, picture = self._eye.look()
            return self._detector.landmarks(picture, time)
        return None

    def learn(self, seen: list[Floats]) -> None:
        """Takes the median of some sights of the resting face, each (N, 3), as what rest looks like."""
        if seen:
            faces = [Aligner.of(points).neutral for points in seen]
            self._resting = Aligner.of(np.median(faces, axis=0))

    def __call__(self) -> FaceObservation:
        """What the newest picture shows."""
        if self._eye is None:
            return _SIGHTLESS
        try:
            time, picture = self._eye.look()
        except MediaError as error:
            return _blind(None, f"camera lost: {error}")
        if self._last is None or time > self._time:  # a picture is read once
            self._time, self._last = time, self._read(time, picture)
        return self._last

    def render(self, size: int) -> Picture:
        """The middle of the newest picture, (size, size, 3).

        Raises:
            MediaError: there is no camera, or it is lost.
        """
        if self._eye is None:
            raise MediaError("this robot was opened without a camera; give it one, as in camera=0.")
        return crop_square(self._eye.look().picture, size)

    def close(self) -> None:
        """Lets go of camera and detector. May be called twice."""
        if self._eye is not None and self._detector is not None:
            self._eye.close()
            self._detector.close()

    def _read(self, time: float, picture: Picture) -> FaceObservation:
        assert self._detector is not None
        points = self._detector.landmarks(picture, time)
        if points is None:
            return _blind(picture, NO_FACE)
        if self._resting is None:
            return _blind(picture, UNKNOWN_REST)
        if self._resting.residual(points) > MAX_RIGID_RESIDUAL:
            return _blind(picture, STRANGE)
        moved = self._resting(points) - self._resting.neutral
        return FaceObservation((self._designed + moved).astype(np.float32), True, picture, ())


def _blind(picture: Picture | None, *faults: str) -> FaceObservation:
    return FaceObservation(np.zeros((len(POINTS), 3), np.float32), False, picture, faults)


#: What a robot without a camera sees.
_SIGHTLESS = _blind(None)
