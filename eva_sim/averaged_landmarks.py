"""Reading landmarks from pictures without memory: what is measured must not depend on what came before.

The detector's video mode, which a robot lives by, follows and smooths; to a slow sweep that looks like
0.1 to 0.3 of a command's play that is not there. Reading each picture afresh has no memory but jitters,
so each is read in several places.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from eva_sim.contract import Face, Floats, Reading
from eva_sim.detector import Detector
from eva_sim.errors import MediaError
from eva_sim.landmarks import Aligner

Picture = NDArray[np.uint8]
#: From a reading to landmarks, (N, 3) [outer-eye distances].
Look = Callable[[Reading], Floats]

#: Where each picture is read, right and down [pixels]; the mean is taken.
SHIFTS = tuple((right, down) for right in (-5, 0, 5) for down in (-5, 0, 5))
#: Pictures of the neutral face, one a control step, whose mean is neutral.
NEUTRALS = 5


def averaged_landmarks(picture: Picture, detector: Detector) -> Floats | None:
    """Landmarks of a picture, (N, 3) [pixels], or None without a face.

    The mean over shifted copies takes out two thirds of what the detector answers to a shift by a pixel.

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
    """Of the mean of some pictures at neutral, where the face must be.

    Args:
        face: at neutral.
        detector: in picture mode.
        picture: of the face after a reading.
        count: of pictures.

    Raises:
        MediaError: a face is missing in a picture.
    """
    found = [averaged_landmarks(picture(face.move(face.spec.neutral)), detector) for _ in range(count)]
    good = [points for points in found if points is not None]
    if len(good) < count:
        lost = count - len(good)
        raise MediaError(f"{lost} of {count} pictures at rest show no face; check camera and light.")
    return Aligner.of(np.mean(good, axis=0))


@contextmanager
def reading_landmarks(face: Face) -> Iterator[Look]:
    """Resets the face and yields how to read it: from its pictures, or as it says if it has none.

    Raises:
        MediaError: the face is not found at rest; when reading: it is lost.
    """
    if face.reset().image is None:
        yield _told
        return
    with Detector() as detector:
        aligner = averaged_neutral(face, detector, _shown)

        def look(reading: Reading) -> Floats:
            points = averaged_landmarks(_shown(reading), detector)
            if points is None:
                raise MediaError("no face in the picture; see to camera and light, then go on.")
            return aligner(points)

        yield look


def _shown(reading: Reading) -> Picture:
    if reading.image is None:
        raise MediaError("the camera has no picture any more; see to it, then go on.")
    return reading.image


def _told(reading: Reading) -> Floats:
    if not reading.found:
        why = "; ".join(reading.faults) or "no face in the picture"
        raise MediaError(f"the face is lost ({why}); see to camera and light, then go on.")
    return reading.landmarks.astype(float)
