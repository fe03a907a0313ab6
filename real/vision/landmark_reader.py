"""Reading the robot's landmarks from its camera: detected, checked, aligned, and put on the designed face."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eva_sim.averaged_landmarks import median_face
from eva_sim.contract import FaceSpec, Floats
from eva_sim.detector import Detector
from eva_sim.errors import MediaError
from eva_sim.landmarks import MAX_RIGID_RESIDUAL, POINTS, Aligner
from eva_sim.reading_correction import robot_correction
from eva_sim.real.vision.camera_source import CameraSource, Picture, crop_square
from eva_sim.real.vision.picture_checks import FaceLook, FrozenCheck

NO_FACE = "no face in the picture"
UNKNOWN_NEUTRAL = "the camera has not seen the face at rest yet; reset while it is armed"
IMPLAUSIBLE = "the face in the picture is not plausible: is something before it?"
STRANGER = "the face in the picture is not the robot's: {}. If the camera was moved, reset the robot"
#: A face at rest that is farther than this from the known one is not learnt, rms [outer-eye distances].
_AT_REST = 0.03


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


class RestView(NamedTuple):
    """A picture of the face at rest, and its landmarks, (N, 3) [pixels]."""

    picture: Picture
    points: Floats


class LandmarkReader:
    """Reads the robot's landmarks from its camera.

    The detector has a nearly constant error of its own and of the camera, most of it in depth: 0.07
    outer-eye distances for the twin's resting face. So the reader measures the motion from the resting face
    *as the camera sees it*, corrects it (`eva_sim.reading_correction`), and adds it to the designed resting
    face.

    A camera that is frozen, and a face that is not the robot's, are faults (`picture_checks.py`). The robot's
    look is learnt whenever it is at rest.

    Args:
        spec: the face.
        camera: the camera; None for none.
        designed: landmarks of the resting face as designed, (N, 3).
        neutral: landmarks of the resting face as the camera sees it; None if they are not known yet.
    """

    def __init__(
        self, spec: FaceSpec, camera: CameraSource | None, designed: Floats, neutral: Floats | None
    ) -> None:
        self._camera, self._designed, self._correction = camera, designed, robot_correction(spec)
        self._is_frozen, self._look = FrozenCheck(spec), None
        self._aligner = None if neutral is None else Aligner.of(neutral)
        self._detector = None if camera is None else Detector("video")
        self._last: FaceObservation | None = None
        self._time = self._seen = -np.inf

    _look: FaceLook | None

    @property
    def has_camera(self) -> bool:
        """Whether there is a camera."""
        return self._camera is not None

    @property
    def knows_neutral(self) -> bool:
        """Whether the resting face is known; always True without a camera."""
        return self._camera is None or self._aligner is not None

    def view_rest(self) -> list[RestView]:
        """The newest picture with its face; none without a face or a picture."""
        if self._camera is None:
            return []
        with contextlib.suppress(MediaError):  # every reading reports a lost camera
            time, picture = self._camera.latest_image()
            points = self._detect(time, picture)
            return [] if points is None else [RestView(picture, points)]
        return []

    def learn_rest(self, views: Sequence[RestView]) -> None:
        """Learns the resting face, if it is not known, and its look in the picture.

        A face that is not at rest, or has another colour than the one that is known, is not learnt.
        """
        if views and self._aligner is None:
            self._aligner = median_face([view.points for view in views])
        looks = [FaceLook.of(*view) for view in views if self._is_at_rest(view.points)]
        if looks:
            look = FaceLook.median(looks)
            if self._look is None or self._look.has_colour_of(look):
                self._look = look

    def _is_at_rest(self, points: Floats) -> bool:
        assert self._aligner is not None
        moved = self._aligner(points) - self._aligner.neutral
        return bool(np.sqrt((moved**2).sum(-1).mean()) < _AT_REST)

    def read(self, now: float, sent: Floats) -> FaceObservation:
        """Reads the newest picture.

        Args:
            now: by the robot's clock [s].
            sent: the last command after limits, (A,).
        """
        if self._camera is None:
            return _NO_CAMERA
        try:
            time, picture = self._camera.latest_image()
        except MediaError as error:
            return _not_found(None, f"camera lost: {error}")
        if odd := _oddity(time, picture):
            return _not_found(None, odd)
        if frozen := self._is_frozen(picture, time, max(now, time), sent):
            return _not_found(picture, frozen)._replace(time=time)
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
        points = self._detect(time, picture)
        if points is None:
            return _not_found(picture, NO_FACE)
        if self._aligner is None:
            return _not_found(picture, UNKNOWN_NEUTRAL)
        if self._aligner.residual(points) > MAX_RIGID_RESIDUAL:
            return _not_found(picture, IMPLAUSIBLE)
        if self._look and (difference := self._look.difference(FaceLook.of(picture, points))):
            return _not_found(picture, STRANGER.format(difference))
        motion = self._correction(self._aligner(points) - self._aligner.neutral)
        return FaceObservation((self._designed + motion).astype(np.float32), True, picture, ())

    def _detect(self, time: float, picture: Picture) -> Floats | None:
        assert self._detector is not None
        if _oddity(time, picture) or time < self._seen:
            return None
        self._seen = time
        return self._detector.landmarks(picture, time)


def _oddity(time: float, picture: Picture) -> str:
    """What is wrong with what a camera gave, in words; "" if it is a picture with a time."""
    is_picture = isinstance(picture, np.ndarray) and picture.dtype == np.uint8 and picture.ndim == 3
    if not (is_picture and picture.shape[2] == 3 and picture.size and math.isfinite(time)):
        return "the camera gave no picture with a time: uint8 (height, width, 3), and seconds"
    return ""


def _not_found(picture: Picture | None, *faults: str) -> FaceObservation:
    return FaceObservation(np.zeros((len(POINTS), 3), np.float32), False, picture, faults)


#: The observation of a robot without a camera.
_NO_CAMERA = _not_found(None)
