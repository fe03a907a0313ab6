"""Finds the landmarks of a face in a picture, of a person or of the robot, with MediaPipe Tasks.

Everything runs on this machine's CPU: the model ships with the package and the pinned MediaPipe
library has no network code.
"""

from __future__ import annotations

import math
import re
import weakref
import zipfile
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from eva_sim.contract import Floats
from eva_sim.errors import SEE_DOCTOR, DataError, RenderError, missing_module
from eva_sim.files import Closing, asset
from eva_sim.forks import ForkMark
from eva_sim.landmarks import POINTS
from eva_sim.streams import silence_stderr

Mode = Literal["picture", "video", "unsmoothed video"]

_MODEL = "models/face_landmarker_v2.task"
_POINTS = list(POINTS)
#: MediaPipe indices of the centres of the left and the right iris.
IRISES = (473, 468)
#: Names of MediaPipe's blend shapes, in the order of its scores.
BLEND_SHAPES: tuple[str, ...] = (
    "_neutral", "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight",
    "cheekPuff", "cheekSquintLeft", "cheekSquintRight", "eyeBlinkLeft", "eyeBlinkRight", "eyeLookDownLeft",
    "eyeLookDownRight", "eyeLookInLeft", "eyeLookInRight", "eyeLookOutLeft", "eyeLookOutRight",
    "eyeLookUpLeft", "eyeLookUpRight", "eyeSquintLeft", "eyeSquintRight", "eyeWideLeft", "eyeWideRight",
    "jawForward", "jawLeft", "jawOpen", "jawRight", "mouthClose", "mouthDimpleLeft", "mouthDimpleRight",
    "mouthFrownLeft", "mouthFrownRight", "mouthFunnel", "mouthLeft", "mouthLowerDownLeft",
    "mouthLowerDownRight", "mouthPressLeft", "mouthPressRight", "mouthPucker", "mouthRight",
    "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "mouthSmileLeft",
    "mouthSmileRight", "mouthStretchLeft", "mouthStretchRight", "mouthUpperUpLeft", "mouthUpperUpRight",
    "noseSneerLeft", "noseSneerRight",
)  # fmt: skip
#: Seconds that MediaPipe is told for each second of unsmoothed video. It has no switch for its smoothing, a
#: one-euro filter with a cut-off of 0.05 Hz at rest, which at this pace has nothing left to smooth.
_UNSMOOTHED_PACE = 1000
_FORKED = "this face detector was made by the parent process before the fork; make a new one in this process."
# The canonical face in the bundle's geometry metadata: 468 vertices of x, y, z, u, v, each float
# behind its one-byte protobuf tag, after an eight-byte head.
_CANONICAL, _HEAD, _VERTICES = "geometry_pipeline_metadata_landmarks.binarypb", 8, (468, 5)


class DetectedFace(NamedTuple):
    """A face in a picture.

    Attributes:
        landmarks: the points of `eva_sim.landmarks.POINTS`, (N, 3) [pixels], axes as in `Detector.detect`.
        irises: centres of the left and the right iris, (2, 3) [pixels].
        scores: strengths of MediaPipe's 52 blend shapes, (52,) in 0..1, in the order of `BLEND_SHAPES`.
    """

    landmarks: Floats
    irises: Floats
    scores: Floats

    def moved(self, scale: float, shift: Floats) -> DetectedFace:
        """Returns the face in a picture that was made larger by `scale`, then shifted by (3,) [pixels]."""
        return self._replace(landmarks=scale * self.landmarks + shift, irises=scale * self.irises + shift)

    def mirrored(self, width: int) -> DetectedFace:
        """Returns the face in the mirror image of the picture, whose left side was the right one.

        Args:
            width: of the picture [pixels].
        """
        rows, shapes = mirror_order()

        def flipped(points: Floats) -> Floats:
            return points * [-1, 1, 1] + [width - 1, 0, 0]

        return DetectedFace(flipped(self.landmarks)[rows], flipped(self.irises)[::-1], self.scores[shapes])


class Detector(Closing):
    """Finds a face and its 478 points. Use it as a context manager.

    Args:
        mode: `"picture"` treats each picture by itself, and answers the same for the same picture.
            `"video"` follows the face from frame to frame and smooths its points; use one detector
            for each clip. `"unsmoothed video"` follows it, too: fast and small motions come sooner and
            whole, and so does the noise.
        faces: greatest number of faces that `detect_all` finds. Points are smoothed for one face only.
        scores: whether the blend shapes are scored, which `detect_face` needs.

    Raises:
        RenderError: a system library that MediaPipe needs is not installed.
    """

    def __init__(self, mode: Mode = "picture", faces: int = 1, scores: bool = False) -> None:
        self._video, self._scores = mode != "picture", scores
        self._pace = _UNSMOOTHED_PACE if mode == "unsmoothed video" else 1
        self._last, self._stamp = -math.inf, -1
        self._landmarker, self._made = _create(self._video, faces, scores), ForkMark()
        self._close = weakref.finalize(self, _close, self._landmarker, self._made)
        with silence_stderr():  # the native library logs once more at the first picture
            self._run(np.zeros((64, 64, 3), np.uint8), 0.0)

    def detect(self, image: NDArray[np.uint8], time: float | None = None) -> Floats | None:
        """Returns all points of the face; of several, those of the first one that is found.

        Args:
            image: RGB, (height, width, 3).
            time: of the picture [s]; needed in video, where it must not go back.

        Returns:
            float64 (478, 3) [pixels], x right in the picture (to a facing person's own left), y up,
            z towards the camera; or None when there is no face.

        Raises:
            ValueError: the picture is not RGB bytes, or the time is missing or goes back.
            RenderError: a parent process made this detector and forked this one.
        """
        faces = self.detect_all(image, time)
        return faces[0] if faces else None

    def detect_all(self, image: NDArray[np.uint8], time: float | None = None) -> list[Floats]:
        """Returns all points of each face; arguments, points and errors as of `detect`."""
        found = self._find(image, time).face_landmarks
        return [_to_pixels(face, image) for face in found]

    def detect_face(self, image: NDArray[np.uint8], time: float | None = None) -> DetectedFace | None:
        """Returns what mirroring needs of a face; arguments and errors as of `detect`.

        Raises:
            ValueError: also if the detector was made without `scores`.
        """
        if not self._scores:
            raise ValueError("detect_face needs a Detector(scores=True).")
        found = self._find(image, time)
        if not found.face_landmarks:
            return None
        points = _to_pixels(found.face_landmarks[0], image)
        scores = np.array([shape.score for shape in found.face_blendshapes[0]])
        return DetectedFace(points[_POINTS], points[list(IRISES)], scores)

    def landmarks(self, image: NDArray[np.uint8], time: float | None = None) -> Floats | None:
        """Returns the points of `eva_sim.landmarks.POINTS` only, (N, 3) [pixels]; see `detect`."""
        points = self.detect(image, time)
        return None if points is None else points[_POINTS]

    def close(self) -> None:
        """Releases the native library. May be called twice."""
        self._close()

    def _find(self, image: NDArray[np.uint8], time: float | None) -> Any:
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
            raise ValueError(f"a picture is uint8 (height, width, 3), not {image.dtype} {image.shape}.")
        return self._run(np.ascontiguousarray(image), time)

    def _run(self, image: NDArray[np.uint8], time: float | None) -> Any:
        import mediapipe as mp

        self._made.check(RenderError, _FORKED)
        picture = mp.Image(image_format=mp.ImageFormat.SRGB, data=image)
        if not self._video:
            return self._landmarker.detect(picture)
        if time is None or not math.isfinite(time) or time < self._last:
            raise ValueError("video needs the time of each picture, and it must not go back.")
        self._last = time
        self._stamp = max(round(1000 * self._pace * time), self._stamp + 1)  # in milliseconds that rise
        return self._landmarker.detect_for_video(picture, self._stamp)


def canonical_face() -> Floats:
    """Returns MediaPipe's canonical face, (N, 3) [cm]: a stand-in for the neutral face of a stranger.

    Raises:
        DataError: the model bundle is missing or not the one this package ships.
    """
    with zipfile.ZipFile(asset(_MODEL)) as bundle:
        raw = bundle.read(_CANONICAL)
    size = 5 * _VERTICES[0] * _VERTICES[1]
    fields = np.frombuffer(raw[_HEAD : _HEAD + size], np.uint8).reshape(-1, 5)
    if len(set(fields[:, 0])) != 1:
        raise DataError(f"{_MODEL} is not the bundle of this version; reinstall eva-sim. {SEE_DOCTOR}")
    vertices = np.ascontiguousarray(fields[:, 1:]).view("<f4").reshape(_VERTICES)
    return vertices[_POINTS, :3].astype(float)


@lru_cache(maxsize=1)
def mirror_order() -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Returns, for each landmark (N,) and each blend shape (52,), the row of its mirror image."""
    face = canonical_face()
    rows = cKDTree(face).query(face * [-1, 1, 1])[1]
    other = {"Left": "Right", "Right": "Left"}
    names = [re.sub("(Left|Right)$", lambda side: other[side[0]], name) for name in BLEND_SHAPES]
    return rows, np.array([BLEND_SHAPES.index(name) for name in names])


def _to_pixels(face: Any, image: NDArray[np.uint8]) -> Floats:
    """Returns MediaPipe's points of a face, (478, 3) [pixels], axes as in `Detector.detect`."""
    height, width = image.shape[:2]
    return np.array([(p.x * width, -p.y * height, -p.z * width) for p in face])


def _create(video: bool, faces: int, scores: bool) -> Any:
    model = asset(_MODEL)
    try:
        from mediapipe.tasks.python import BaseOptions, vision

        mode = vision.RunningMode.VIDEO if video else vision.RunningMode.IMAGE
        base = BaseOptions(model_asset_path=str(model), delegate=BaseOptions.Delegate.CPU)
        options = vision.FaceLandmarkerOptions(
            base_options=base, running_mode=mode, num_faces=faces, output_face_blendshapes=scores
        )
        with silence_stderr():
            return vision.FaceLandmarker.create_from_options(options)
    except ModuleNotFoundError as error:
        raise RenderError(missing_module(error.name or "mediapipe", "[mirror]")) from error
    except (ImportError, OSError) as error:
        raise RenderError(
            f"the face detector lacks a system library ({error}); on Debian: "
            f"apt install libgl1 libegl1 libgles2 libglib2.0-0. {SEE_DOCTOR}"
        ) from error


def _close(landmarker: Any, made: ForkMark) -> None:
    if made.crossed:  # its threads are in the parent, and closing would wait for them
        landmarker._handle = None
        return
    try:
        landmarker.close()
    except RuntimeError:  # Python is ending, its threads are gone: keep MediaPipe from trying again
        landmarker._handle = None
