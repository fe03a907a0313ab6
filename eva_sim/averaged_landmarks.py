"""Reading landmarks from pictures without memory, so that a measurement does not depend on earlier ones.

The detector's video mode, which a robot uses, tracks and smooths; in a slow sweep that looks like a
backlash of 0.1 to 0.3 of a command. Picture mode has no memory but jitters, so each picture is read at
several offsets and the mean is taken. `median_face` and `require_faces` are shared by every place that
learns a resting face.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from eva_sim.contract import Face, Floats, Reading
from eva_sim.detector import Detector
from eva_sim.errors import MediaError
from eva_sim.holding import work_while_held
from eva_sim.landmarks import Aligner

Picture = NDArray[np.uint8]
#: Converts a reading to landmarks, (N, 3) [outer-eye distances].
ReadLandmarks = Callable[[Reading], Floats]

#: Offsets at which each picture is read, right and down [pixels]; the mean is taken.
SHIFTS = tuple((right, down) for right in (-5, 0, 5) for down in (-5, 0, 5))
#: Number of pictures of the neutral face, one per control step, that are averaged.
NEUTRALS = 5


def averaged_landmarks(picture: Picture, detector: Detector) -> Floats | None:
    """Reads the landmarks of a picture, (N, 3) [pixels]; None without a face.

    The mean over shifted copies removes two thirds of the detector's response to a shift by one pixel.

    Args:
        picture: RGB, uint8 (height, width, 3).
        detector: in picture mode.
    """
    points = []
    for right, down in SHIFTS:
        found = detector.landmarks(np.roll(picture, (down, right), axis=(0, 1)))
        if found is None:
            return None
        points.append(found - [right, -down, 0])
    mean: Floats = np.mean(points, axis=0)
    return mean


def averaged_neutral(
    face: Face, detector: Detector, picture: Callable[[Reading], Picture], count: int = NEUTRALS
) -> Aligner:
    """Learns the neutral face as the mean of several pictures.

    Args:
        face: at neutral.
        detector: in picture mode.
        picture: returns the picture of a reading.
        count: number of pictures.

    Raises:
        MediaError: a face is missing in a picture.
    """
    readings = (face.move(face.spec.neutral) for _ in range(count))
    found = [_read_while_held(face, detector, picture(reading)) for reading in readings]
    return Aligner.of(np.mean(require_faces(found), axis=0))


def _read_while_held(face: Face, detector: Detector, picture: Picture) -> Floats | None:
    """Reads a picture in nine places, which takes a robot's picture a quarter of a second."""
    return work_while_held(face, lambda: averaged_landmarks(picture, detector))


def require_faces(found: Sequence[Floats | None]) -> list[Floats]:
    """Returns the landmarks of pictures at rest, each of which must show a face.

    Raises:
        MediaError: a face is missing in a picture.
    """
    good = [points for points in found if points is not None]
    if len(good) < len(found):
        lost = len(found) - len(good)
        raise MediaError(f"{lost} of {len(found)} pictures at rest show no face; check camera and light.")
    return good


def median_face(faces: Sequence[Floats]) -> Aligner:
    """An aligner for the median of several resting faces, each (N, 3) in any unit and pose."""
    return Aligner.of(np.median([Aligner.of(points).neutral for points in faces], axis=0))


@contextmanager
def reading_landmarks(face: Face) -> Iterator[ReadLandmarks]:
    """Resets the face and yields a function that reads it: from its pictures, or from its own landmarks.

    Raises:
        MediaError: the face is not found at rest; when reading: it is lost.
    """
    if face.reset().image is None:
        yield _own_landmarks
        return
    with work_while_held(face, Detector) as detector:
        aligner = averaged_neutral(face, detector, _image)

        def read(reading: Reading) -> Floats:
            points = _read_while_held(face, detector, _image(reading))
            if points is None:
                raise MediaError("no face in the picture; check camera and light, then continue.")
            return aligner(points)

        yield read


def _image(reading: Reading) -> Picture:
    if reading.image is None:
        raise MediaError("the camera sends no pictures any more; check it, then continue.")
    return reading.image


def _own_landmarks(reading: Reading) -> Floats:
    if not reading.found:
        reason = "; ".join(reading.faults) or "no face in the picture"
        raise MediaError(f"the face is lost ({reason}); check camera and light, then continue.")
    return reading.landmarks.astype(float)
