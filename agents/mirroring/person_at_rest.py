"""A person at rest: their neutral face, and how they hold head and eyes when they look ahead."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.spatial.transform import Rotation

from eva_sim.agents.mirroring.head_and_gaze import iris_offsets
from eva_sim.agents.mirroring.neutral_face import estimate_neutral
from eva_sim.contract import Floats
from eva_sim.detector import DetectedFace, canonical_face
from eva_sim.landmarks import Aligner, face_measurements

#: How far the irises of a stranger, who looks ahead, are before the middle of the corners of their eyes
#: [outer-eye distances].
_IRISES_AHEAD = 0.04
#: Live, one face of each period is kept [s], up to so many; of those from before mirroring, about so many.
_FACE_PERIOD, _MOST_FACES, _FIRST_FACES = 0.4, 150, 15
#: Time between two estimates from them, and time constant with which the newest one is approached [s].
_ESTIMATE_PERIOD, _REVISION_TIME = 2.0, 3.0
#: Uncertainty above which a neutral face is called a guess [RMS, outer-eye distances].
UNSURE = 0.02
#: RMS distance of people's neutral faces from the average one [outer-eye distances].
_STRANGER = 0.04


@dataclass(frozen=True)
class PersonAtRest:
    """A person at rest. Expression, head and gaze are measured from this.

    Attributes:
        aligner: brings faces onto the neutral one.
        orientation: rotation from the picture's axes to the head's, (3, 3), when the person looks ahead.
        irises: `iris_offsets` when the person looks ahead, (2, 3) [outer-eye distances].
        uncertainty: of the neutral face, see `NeutralFace`.
    """

    aligner: Aligner
    orientation: Floats
    irises: Floats
    uncertainty: float

    @property
    def landmarks(self) -> Floats:
        """The neutral face, aligned, (N, 3) [its own outer-eye distances]."""
        return self.aligner.neutral

    @cached_property
    def lid_opening(self) -> float:
        """Mean opening of both eyes [outer-eye distances]."""
        return float(face_measurements(self.landmarks)["lid_opening"])

    @classmethod
    def stranger(cls) -> PersonAtRest:
        """Returns an average person who faces the camera, for somebody of whom nothing is known."""
        face = canonical_face()
        aligner = Aligner.of(face)
        rotation = aligner.fit(face).rotation
        return cls(aligner, rotation, np.tile(_IRISES_AHEAD * rotation[:, 2], (2, 1)), _STRANGER)

    @classmethod
    def of(cls, faces: Sequence[DetectedFace]) -> PersonAtRest:
        """Finds what rest is for a person.

        `estimate_neutral` finds the neutral face. Head and eyes look ahead where they are most often.

        Args:
            faces: of the person, as they were detected; at least one.

        Raises:
            DataError: no face at all.
        """
        landmarks = np.array([face.landmarks for face in faces])
        neutral = estimate_neutral(landmarks, np.array([face.scores for face in faces]))
        aligner = Aligner.of(neutral.landmarks)
        moved = aligner.fit(landmarks)
        offsets = iris_offsets(moved(landmarks), moved(np.array([face.irises for face in faces])))
        orientation = _median_rotation(moved.rotation)
        return cls(aligner, orientation, np.median(offsets, axis=0), neutral.uncertainty)

    def towards(self, other: PersonAtRest, share: float) -> PersonAtRest:
        """Returns the person at rest between this and another estimate; 0 is this one, 1 the other one."""
        here, there = Rotation.from_matrix(self.orientation), Rotation.from_matrix(other.orientation)
        turn = Rotation.from_rotvec(share * (here.inv() * there).as_rotvec())
        landmarks, irises = (
            (1 - share) * a + share * b
            for a, b in ((self.landmarks, other.landmarks), (self.irises, other.irises))
        )
        uncertainty = (1 - share) * self.uncertainty + share * other.uncertainty
        return PersonAtRest(Aligner.of(landmarks), (here * turn).as_matrix(), irises, uncertainty)

    def head_turns(self, rotation: Floats) -> Floats:
        """Returns the turns of heads from rest, (..., 3) [rad], see `HeadAndGaze`.

        Args:
            rotation: of faces, as `Aligner.fit` finds it, (..., 3, 3).
        """
        turned = Rotation.from_matrix(np.swapaxes(rotation, -1, -2) @ self.orientation)
        turns: Floats = turned.as_rotvec()
        return turns

    def align(self, face: DetectedFace) -> tuple[Floats, Floats, Floats]:
        """Returns landmarks (N, 3) and irises (2, 3), aligned, and the face's rotation, (3, 3)."""
        moved = self.aligner.fit(face.landmarks)
        return moved(face.landmarks), moved(face.irises), moved.rotation


class RestLearner:
    """Learns what rest is for a person while they are mirrored, without a jump.

    Args:
        rest: what is known so far.
        faces: from which that is known.
    """

    def __init__(self, rest: PersonAtRest, faces: Sequence[DetectedFace]) -> None:
        self.rest, self._goal = rest, rest
        self._faces = deque(faces[:: max(1, len(faces) // _FIRST_FACES)], maxlen=_MOST_FACES)
        self._time, self._next_face, self._next_estimate = -np.inf, -np.inf, -np.inf

    def __call__(self, time: float, face: DetectedFace) -> PersonAtRest:
        """Takes a face that was accepted at `time` [s], which rises; returns what rest is by now."""
        elapsed = time - self._time if np.isfinite(self._time) else 0.0
        self._time = time
        if time >= self._next_face:
            self._faces.append(face)
            self._next_face = time + _FACE_PERIOD
        if time >= self._next_estimate:
            self._goal = PersonAtRest.of(self._faces)
            self._next_estimate = time + _ESTIMATE_PERIOD
        self.rest = self.rest.towards(self._goal, 1 - float(np.exp(-elapsed / _REVISION_TIME)))
        return self.rest


def _median_rotation(rotations: Floats) -> Floats:
    """Returns the rotation, (3, 3), from which the turns to all others, (T, 3, 3), have a median of zero."""
    each = Rotation.from_matrix(rotations)
    mean = each.mean()
    typical = mean * Rotation.from_rotvec(np.median((mean.inv() * each).as_rotvec(), axis=0))
    matrix: Floats = typical.as_matrix()
    return matrix


def rms_distance(difference: Floats) -> float:
    """Returns the root of the mean squared length of vectors, (..., 3)."""
    return float(np.sqrt((difference**2).sum(-1).mean()))
