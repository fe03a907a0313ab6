"""A person's neutral face, found also where they are hardly seen at rest."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from eva_sim.agents.mirroring.neutral_face import estimate_neutral
from eva_sim.agents.mirroring.person_at_rest import UNSURE, PersonAtRest, RestLearner, rms_distance
from eva_sim.detector import BLEND_SHAPES, DetectedFace, canonical_face
from eva_sim.errors import DataError
from eva_sim.files import asset, read_arrays
from eva_sim.landmarks import POINTS, Aligner
from tests.agents.detected_faces import detected

DT = 0.04
UNITS = read_arrays(asset("precomputed/face_units.npz"))
NAMES = [str(name) for name in UNITS["names"]]


class Person:
    """A person whose face units are about those of the CC0 head, who turns their head a little.

    Args:
        seed: of what is their own: face, strength of each unit, scores at rest.
    """

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        average = Aligner.of(canonical_face()).neutral
        self.neutral = average * self._rng.uniform(0.9, 1.1, 3)
        self._strength = dict(zip(NAMES, self._rng.uniform(0.7, 1.3, len(NAMES)), strict=True))
        self._bias = np.array(
            [0.5 * self._rng.random() if name.startswith("brow") else 0.02 for name in BLEND_SHAPES]
        )

    def face(self, units: Mapping[str, float]) -> DetectedFace:
        """What the detector finds at given activations of face units."""
        landmarks, scores = self.neutral.copy(), self._bias.copy()
        for name, amount in units.items():
            landmarks += amount * self._strength[name] * UNITS["displacement"][NAMES.index(name)]
            scores[BLEND_SHAPES.index(name)] += 0.9 * amount
        landmarks += self._rng.normal(0, 0.002, landmarks.shape)
        scores = np.clip(scores + self._rng.normal(0, 0.02, scores.shape), 0, 1)
        turn = Rotation.from_rotvec(self._rng.normal(0, 0.05, 3))
        face = detected(130 * landmarks)
        return DetectedFace(turn.apply(face.landmarks), turn.apply(face.irises), scores)

    def error(self, neutral: np.ndarray) -> float:
        """RMS distance of a neutral face from the true one [outer-eye distances]."""
        own = Aligner.of(self.neutral)
        return rms_distance(own(neutral) - own.neutral)


def talk(time: float) -> dict[str, float]:
    """A mouth that talks and smiles, and is never at rest."""
    opening = 0.35 + 0.3 * np.sin(9 * time) * np.sin(4 * time)
    smile = 0.45 + 0.25 * np.sin(2 * time)
    return {"jawOpen": opening, "mouthSmileLeft": smile, "mouthSmileRight": smile, "browInnerUp": 0.2}


def estimate(faces: list[DetectedFace]) -> np.ndarray:
    return estimate_neutral(
        np.array([face.landmarks for face in faces]), np.array([face.scores for face in faces])
    ).landmarks


def middle(faces: list[DetectedFace]) -> np.ndarray:
    return np.median([Aligner.of(face.landmarks).neutral for face in faces], axis=0)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_person_who_talks_all_the_time_is_known_at_rest(seed: int) -> None:
    person = Person(seed)
    faces = [person.face(talk(frame * DT)) for frame in range(250)]
    assert person.error(estimate(faces)) < 0.6 * person.error(middle(faces))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_person_who_often_rests_is_known_exactly(seed: int) -> None:
    person = Person(seed)
    faces = [person.face(talk(frame * DT) if frame % 100 > 50 else {}) for frame in range(250)]
    assert person.error(estimate(faces)) < 0.005


def test_a_person_who_starts_on_a_smile_and_rests_once_is_known() -> None:
    person = Person(3)
    smile = {"mouthSmileLeft": 0.8, "mouthSmileRight": 0.8, "jawOpen": 0.1}
    faces = [person.face(smile if frame < 200 else {}) for frame in range(230)]
    assert person.error(estimate(faces)) < 0.01 < person.error(middle(faces))


def test_a_hand_before_the_face_is_left_out() -> None:
    person, rng = Person(4), np.random.default_rng(0)
    faces = [person.face({}) for _ in range(100)]
    hidden = [
        face._replace(landmarks=face.landmarks + 130 * rng.normal(0, 0.1, face.landmarks.shape))
        for face in faces[:40]
    ]
    assert person.error(estimate(faces[40:] + hidden)) < 0.006


def test_it_is_said_how_sure_the_estimate_is() -> None:
    person = Person(5)
    smile = {"mouthSmileLeft": 0.9, "mouthSmileRight": 0.9, "jawOpen": 0.5}
    always = PersonAtRest.of([person.face(smile) for _ in range(50)])
    often = PersonAtRest.of([person.face(smile if frame % 2 else {}) for frame in range(50)])
    assert always.uncertainty > UNSURE > often.uncertainty


def test_without_any_face_there_is_no_neutral() -> None:
    with pytest.raises(DataError, match="no face"):
        estimate_neutral(np.zeros((0, len(POINTS), 3)), np.zeros((0, len(BLEND_SHAPES))))


def test_rest_is_revised_while_a_person_is_seen_without_a_jump() -> None:
    """The first two seconds show a smile; the person rests later."""
    person = Person(6)
    smile = {"mouthSmileLeft": 0.7, "mouthSmileRight": 0.7, "jawOpen": 0.3}
    first = [person.face(smile) for _ in range(50)]
    learner = RestLearner(PersonAtRest.of(first), first)
    before = person.error(learner.rest.landmarks)
    path = [learner(frame * DT, person.face({} if frame > 100 else smile)).landmarks for frame in range(750)]
    assert person.error(path[-1]) < 0.008 < before
    assert max(rms_distance(b - a) for a, b in pairwise(path)) < 0.001
