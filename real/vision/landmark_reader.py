"""Reading the robot's landmarks from its camera: detected, checked, aligned, and put on the designed face."""

from __future__ import annotations

import contextlib
import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eva_sim.averaged_landmarks import median_face
from eva_sim.contract import Floats
from eva_sim.detector import Detector
from eva_sim.errors import MediaError
from eva_sim.landmarks import MAX_RIGID_RESIDUAL, POINTS, Aligner
from eva_sim.real.vision.camera_source import CameraSource, Picture, crop_square

NO_FACE = "no face in the picture"
UNKNOWN_NEUTRAL = "the camera has not seen the face at rest yet; reset while it is armed"
IMPLAUSIBLE = "the face in the picture is not plausible: is something before it?"


class FaceObservation(NamedTuple):
    """The result of reading one picture.

    Attributes:
        landmarks: float32 (N, 3) [outer-eye distances]; all zero if not found.
        found: whether they could be read.
        image: the picture, or None.
        faults: reasons why not, in words.
        time: time of exposure of the picture by the robot's clock [s]; NaN without a picture.
    """

    landmarks: NDArray[np.float32]
    found: bool
    image: Picture | None
    faults: tuple[str, ...]
    time: float = math.nan


class LandmarkReader:
    """Reads the robot's landmarks from its camera.

    The detector has a nearly constant error of its own and of the camera, most of it in depth: 0.07
    outer-eye distances for the twin's resting face. So the reader measures the motion from the resting face
    *as the camera sees it*, and adds that to the designed resting face.

    Args:
        camera: the camera; None for none.
        designed: landmarks of the resting face as designed, (N, 3).
        neutral: landmarks of the resting face as the camera sees it; None if they are not known yet.
    """

    def __init__(self, camera: CameraSource | None, designed: Floats, neutral: Floats | None) -> None:
        self._camera, self._designed = camera, designed
        self._aligner = None if neutral is None else Aligner.of(neutral)
        self._detector = None if camera is None else Detector("video")
        self._last: FaceObservation | None = None
        self._time = -np.inf

    @property
    def knows_neutral(self) -> bool:
        """Whether the resting face is known; always True without a camera."""
        return self._camera is None or self._aligner is not None

    def detect(self) -> Floats | None:
        """Detects the face in the newest picture, (N, 3) [pixels]; None without a face or a picture."""
        if self._camera is None or self._detector is None:
            return None
        with contextlib.suppress(MediaError):  # every reading reports a lost camera
            time, picture = self._camera.latest_image()
            return self._detector.landmarks(picture, time)
        return None

    def learn_neutral(self, faces: list[Floats]) -> None:
        """Learns the resting face from landmarks of several pictures, each (N, 3)."""
        if faces:
            self._aligner = median_face(faces)

    def read(self) -> FaceObservation:
        """Reads the newest picture."""
        if self._camera is None:
            return _NO_CAMERA
        try:
            time, picture = self._camera.latest_image()
        except MediaError as error:
            return _not_found(None, f"camera lost: {error}")
        if self._last is None or time > self._time:  # each picture is read once
            self._time, self._last = time, self._read_picture(time, picture)._replace(time=time)
        return self._last

    def render(self, size: int) -> Picture:
        """Returns the middle of the newest picture, (size, size, 3).

        Raises:
            MediaError: there is no camera, or it is lost.
        """
        if self._camera is None:
            raise MediaError("this robot was opened without a camera; give it one, as in camera=0.")
        return crop_square(self._camera.latest_image().picture, size)

    def close(self) -> None:
        """Releases camera and detector. May be called twice."""
        if self._camera is not None and self._detector is not None:
            self._camera.close()
            self._detector.close()

    def _read_picture(self, time: float, picture: Picture) -> FaceObservation:
        assert self._detector is not None
        points = self._detector.landmarks(picture, time)
        if points is None:
            return _not_found(picture, NO_FACE)
        if self._aligner is None:
            return _not_found(picture, UNKNOWN_NEUTRAL)
        if self._aligner.residual(points) > MAX_RIGID_RESIDUAL:
            return _not_found(picture, IMPLAUSIBLE)
        motion = self._aligner(points) - self._aligner.neutral
        return FaceObservation((self._designed + motion).astype(np.float32), True, picture, ())


def _not_found(picture: Picture | None, *faults: str) -> FaceObservation:
    return FaceObservation(np.zeros((len(POINTS), 3), np.float32), False, picture, faults)


#: The observation of a robot without a camera.
_NO_CAMERA = _not_found(None)
