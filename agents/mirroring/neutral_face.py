"""A person's neutral face from any faces of theirs, also if they are never seen at rest.

A face that is seen is the neutral face, plus what the expression does to it, plus what the detector makes of
a turned head. The detector scores the expression with blend shapes. The scores are weak evidence (arched
brows score "brows up" at rest), but they vary with the expression, and landmarks vary with them. So a linear
model of landmarks over scores and head pose is fitted, and the neutral face is what it says for the scores of
a face at rest. How each blend shape moves landmarks is known beforehand from the CC0 head's face units, and
learned where the person shows it (ridge regression towards that prior).
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.spatial.transform import Rotation

from eva_sim.contract import Floats
from eva_sim.detector import BLEND_SHAPES
from eva_sim.errors import DataError
from eva_sim.files import asset, read_arrays
from eva_sim.landmarks import MAX_RIGID_RESIDUAL, POINTS, Aligner

#: Indices of the blend shapes that landmarks follow; where the eyes look is read from the irises.
SHAPES = [i for i, name in enumerate(BLEND_SHAPES) if i and not name.startswith("eyeLook")]
#: Strength of the prior of a blend shape's effect [frames in which it is at full score].
_PRIOR_FRAMES = 3.0
#: The same of the head pose's effect, whose prior is none [frames times rad2].
_PRIOR_POSE = 0.01
#: Share of the frames in which a blend shape is at most at its score at rest.
_RESTING_SHARE = 0.2
#: Scores above which no blend shape of a face at rest is. Brows, pressed lips and small eyes are scored as
#: expressions in many faces at rest; open or smiling mouths are not [choice; a synthetic crowd at rest].
_RESTING_LIMITS = (("brow", 1.0), ("eyeSquint", 0.4), ("eyeBlink", 0.4), ("mouthPucker", 0.4),
                   ("mouthShrug", 0.4), ("mouthRoll", 0.4), ("mouthPress", 0.4))  # fmt: skip
_RESTING_LIMIT = 0.05
#: Faces this near to the estimate are taken for the neutral face itself [outer-eye distances], and the weight
#: of the estimate beside them [frames].
_NEAR, _ESTIMATE_FRAMES = 0.01, 25.0
_ROUNDS = 4


class NeutralFace(NamedTuple):
    """A person's neutral face.

    Attributes:
        landmarks: (N, 3), any unit and pose.
        uncertainty: by how much it may be off, where the person was never seen at rest [RMS, outer-eye
            distances].
    """

    landmarks: Floats
    uncertainty: float


def estimate_neutral(landmarks: Floats, scores: Floats) -> NeutralFace:
    """Estimates a person's neutral face.

    Args:
        landmarks: detected faces, (T, N, 3), any unit.
        scores: their blend shapes, (T, 52).

    Raises:
        DataError: no face at all.
    """
    if not len(landmarks):
        raise DataError("there is no face to learn a neutral one from.")
    aligner = Aligner.of(np.median(Aligner.of(landmarks[0])(landmarks), axis=0))
    kept = aligner.residual(landmarks) <= MAX_RIGID_RESIDUAL
    if kept.any():  # a hand before the face is left out
        landmarks, scores = landmarks[kept], scores[kept]
    at_rest = _resting_scores(scores)
    for _ in range(2):  # the neutral face is what faces are aligned to
        estimate, effects = _regress(aligner, landmarks, (scores - at_rest)[:, SHAPES])
        aligner = Aligner.of(estimate)
    excess = (np.quantile(scores, _RESTING_SHARE, axis=0) - at_rest)[SHAPES]
    uncertainty = np.sqrt(((excess[:, None] * effects) ** 2).sum() / len(POINTS))
    return NeutralFace(_settle(aligner, aligner(landmarks)), float(uncertainty))


def _resting_scores(scores: Floats) -> Floats:
    """Returns the scores of this person at rest, (52,): those of their calmer frames, as far as plausible."""
    limits = [
        next((limit for start, limit in _RESTING_LIMITS if name.startswith(start)), _RESTING_LIMIT)
        for name in BLEND_SHAPES
    ]
    return np.minimum(np.quantile(scores, _RESTING_SHARE, axis=0), limits)


def _regress(aligner: Aligner, landmarks: Floats, scores: Floats) -> tuple[Floats, Floats]:
    """Fits landmarks over blend shapes and head pose.

    Args:
        aligner: of the neutral face so far.
        landmarks: (T, N, 3).
        scores: from those at rest, (T, S).

    Returns:
        The face at rest, (N, 3), and the effect of each blend shape, (S, 3 N).
    """
    moved = aligner.fit(landmarks)
    faces = moved(landmarks).reshape(len(landmarks), -1)
    rotations = Rotation.from_matrix(moved.rotation)
    pose = (rotations.mean().inv() * rotations).as_rotvec()
    inputs = np.concatenate([np.ones((len(faces), 1)), scores, pose], axis=1)
    strength = np.concatenate([[0.0], np.full(scores.shape[1], _PRIOR_FRAMES), np.full(3, _PRIOR_POSE)])
    prior = np.concatenate(
        [np.zeros((1, faces.shape[1])), face_unit_effects(), np.zeros((3, faces.shape[1]))]
    )
    normal = inputs.T @ inputs + np.diag(strength)
    weights = np.linalg.solve(normal, inputs.T @ faces + strength[:, None] * prior)
    return weights[0].reshape(-1, 3), weights[1 : 1 + scores.shape[1]]


def _settle(aligner: Aligner, faces: Floats) -> Floats:
    """Moves the estimate, the aligner's neutral face, to the middle of the faces near it, if there are any.

    A person who rests often is seen at rest more exactly than any model tells (mean shift).
    """
    estimate = settled = aligner.neutral
    for _ in range(_ROUNDS):
        distance = np.sqrt(
            ((faces - settled)[..., :2] ** 2).sum(-1).mean(-1)
        )  # depth is seen only indirectly
        weight = np.exp(-0.5 * (distance / _NEAR) ** 2)
        total = _ESTIMATE_FRAMES * estimate + np.tensordot(weight, faces, 1)
        settled = total / (_ESTIMATE_FRAMES + weight.sum())
    return settled


@lru_cache(maxsize=1)
def face_unit_effects() -> Floats:
    """Returns how each of `SHAPES` at full score moves the landmarks, (S, 3 N) [outer-eye distances]."""
    arrays = read_arrays(asset("precomputed/face_units.npz"))
    units = dict(zip(arrays["names"].tolist(), arrays["displacement"].astype(float), strict=True))
    still = np.zeros((len(POINTS), 3))
    return np.stack([units.get(BLEND_SHAPES[i], still).ravel() for i in SHAPES])
