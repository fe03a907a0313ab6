"""A person at rest: their neutral face, and how they hold head and eyes when they look ahead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from eva_sim.agents.mirroring.head_and_gaze import iris_offsets
from eva_sim.contract import Floats
from eva_sim.detector import DetectedFace, canonical_face
from eva_sim.errors import MediaError
from eva_sim.landmarks import Aligner

#: Length of the window in which a neutral face is looked for [s], and the share of the stillest
#: windows that are candidates.
CALM_DURATION, _STILLEST = 1.0, 0.3
#: How far the irises of a stranger, who looks ahead, are before the middle of the corners of their eyes
#: [outer-eye distances].
_IRISES_AHEAD = 0.04


@dataclass(frozen=True)
class PersonAtRest:
    """What rest is for one person. Expression, head and gaze are measured from it.

    Attributes:
        aligner: brings faces onto the neutral one.
        orientation: rotation from the picture's axes to the head's, (3, 3), when the person looks ahead.
        irises: `iris_offsets` when the person looks ahead, (2, 3) [outer-eye distances].
    """

    aligner: Aligner
    orientation: Floats
    irises: Floats

    @property
    def landmarks(self) -> Floats:
        """The neutral face, aligned, (N, 3) [its own outer-eye distances]."""
        return self.aligner.neutral

    @classmethod
    def stranger(cls) -> PersonAtRest:
        """Returns an average person who faces the camera, for somebody of whom nothing is known."""
        face = canonical_face()
        aligner = Aligner.of(face)
        rotation = aligner.fit(face).rotation
        return cls(aligner, rotation, np.tile(_IRISES_AHEAD * rotation[:, 2], (2, 1)))

    @classmethod
    def of(cls, faces: Sequence[DetectedFace], dt: float) -> PersonAtRest:
        """Finds what rest is for the person in a recording.

        `estimate_neutral` finds the neutral face. Head and eyes look ahead where they are most often.

        Args:
            faces: as they were detected.
            dt: time between two of them [s].

        Raises:
            MediaError: no face at all.
        """
        landmarks = np.array([face.landmarks for face in faces]).reshape(len(faces), -1, 3)
        aligner = Aligner.of(estimate_neutral(landmarks, dt))
        moved = aligner.fit(landmarks)
        irises = moved(np.array([face.irises for face in faces]))
        offsets = iris_offsets(moved(landmarks), irises)
        return cls(aligner, _median_rotation(moved.rotation), np.median(offsets, axis=0))

    def align(self, face: DetectedFace) -> tuple[Floats, Floats, Floats]:
        """Returns landmarks (N, 3) and irises (2, 3), aligned, and the face's rotation, (3, 3)."""
        moved = self.aligner.fit(face.landmarks)
        return moved(face.landmarks), moved(face.irises), moved.rotation


def _median_rotation(rotations: Floats) -> Floats:
    """Returns the rotation, (3, 3), from which the turns to all others, (T, 3, 3), have a median of zero."""
    each = Rotation.from_matrix(rotations)
    mean = each.mean()
    typical = mean * Rotation.from_rotvec(np.median((mean.inv() * each).as_rotvec(), axis=0))
    matrix: Floats = typical.as_matrix()
    return matrix


def estimate_neutral(points: Floats, dt: float) -> Floats:
    """Finds a person's neutral face in a recording.

    Among the stillest windows of one second, it takes the one that is most like the others: a
    person at rest returns to the same face, a person who holds a grimace does not.

    Args:
        points: detected landmarks, (T, N, 3), any unit; NaN where there was no face.
        dt: time between two frames [s].

    Returns:
        The median of the calm face, (N, 3) [its own outer-eye distances].

    Raises:
        MediaError: no face at all.
    """
    found = points[np.isfinite(points).all(axis=(1, 2))]
    if not len(found):
        raise MediaError("there is no face to learn a neutral one from.")
    faces = np.stack([Aligner.of(face).neutral for face in found])
    reference = Aligner.of(np.median(faces, axis=0))
    faces = np.stack([reference(face) for face in faces])
    windows = _windows(len(faces), max(2, round(CALM_DURATION / dt)))
    motion = np.array([rms_distance(faces[w] - np.median(faces[w], axis=0)) for w in windows])
    calm = np.flatnonzero(motion <= np.quantile(motion, _STILLEST))
    medians = np.stack([np.median(faces[windows[i]], axis=0) for i in calm])
    distance = np.median([[rms_distance(a - b) for b in medians] for a in medians], axis=0)
    return medians[int(np.argmin(distance))]


def _windows(frames: int, length: int) -> list[slice]:
    """Returns half-overlapping windows; one when the recording is short."""
    starts = range(0, max(1, frames - length + 1), max(1, length // 2))
    return [slice(start, start + length) for start in starts]


def rms_distance(difference: Floats) -> float:
    """Returns the root of the mean squared length of vectors, (..., 3)."""
    return float(np.sqrt((difference**2).sum(-1).mean()))
