"""A person's expression from detected landmarks: checked, smoothed, and relative to their own neutral."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from eva_sim.agents.mirroring.frame_detector import VIDEO_MODE
from eva_sim.agents.mirroring.head_and_gaze import IRIS_RADIUS, PITCH_PER_READ
from eva_sim.agents.mirroring.person_at_rest import PersonAtRest, rms_distance
from eva_sim.agents.mirroring.person_tracker import EASE, HOLD, MAX_SPEED, OneEuroFilter, PersonTracker
from eva_sim.detector import DetectedFace, Detector, canonical_face
from eva_sim.files import asset
from eva_sim.landmarks import POINTS, RIGID, Aligner, face_measurements, landmark_rows
from eva_sim.media.sources import open_source
from tests.agents.detected_faces import detected

DT = 0.04
FACE = Aligner.of(canonical_face()).neutral
SOFT = np.setdiff1d(np.arange(len(POINTS)), landmark_rows(*RIGID))
LIPS = landmark_rows(61, 0, 17, 291, 13, 14, 84, 314)


def smile(amount: float = 0.05) -> np.ndarray:
    """The face with its lip points moved up, in pixels and somewhere in a picture."""
    face = FACE.copy()
    face[LIPS, 1] += amount
    return 130 * face + [320, -240, 0]


def expression(person: PersonTracker, time: float, landmarks: np.ndarray | None) -> np.ndarray:
    """The expression after one more frame."""
    return person(time, None if landmarks is None else detected(landmarks)).expression


@pytest.fixture
def person() -> PersonTracker:
    """A tracker that has followed a smile for a second."""
    person = PersonTracker(PersonAtRest.stranger())
    for frame in range(25):
        person(frame * DT, detected(smile()))
    return person


def smiling(expression: np.ndarray) -> float:
    return float((expression - FACE)[LIPS, 1].mean())


def test_a_face_in_any_place_size_and_pose_is_the_same_expression() -> None:
    angle = np.radians(20)
    turn = np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
    one, two = PersonTracker(PersonAtRest.stranger()), PersonTracker(PersonAtRest.stranger())
    np.testing.assert_allclose(
        expression(one, 0, smile()), expression(two, 0, 2.5 * smile() @ turn.T - 7), atol=1e-9
    )
    assert one.found and two.found


def test_a_lost_face_is_held_then_eased_to_neutral(person: PersonTracker) -> None:
    last = 24 * DT
    before = expression(person, last + DT, None)
    assert not person.found
    assert smiling(before) == pytest.approx(0.05, rel=0.05)
    np.testing.assert_array_equal(expression(person, last + HOLD - 1e-6, None), before)
    eased = [smiling(expression(person, last + HOLD + share * EASE, None)) for share in (0.25, 0.5, 0.75)]
    assert smiling(before) > eased[0] > eased[1] > eased[2] > 0
    assert eased[1] == pytest.approx(smiling(before) / 2, rel=1e-6)
    np.testing.assert_allclose(expression(person, last + HOLD + EASE, None), person.neutral, atol=1e-12)
    np.testing.assert_allclose(expression(person, last + 60, None), person.neutral, atol=1e-12)


def test_a_face_that_comes_back_is_reached_without_a_jump(person: PersonTracker) -> None:
    for frame in range(25, 100):
        expression(person, frame * DT, None)
    path = [smiling(expression(person, frame * DT, smile())) for frame in range(100, 130)]
    assert person.found
    assert 0 < path[0] < 0.045
    assert (np.diff(path) > 0).all()
    assert path[-1] == pytest.approx(0.05, abs=0.003)


def test_implausible_motion_is_not_accepted(person: PersonTracker) -> None:
    leap = smile()
    leap[SOFT, 1] -= 130 * 1.5 * MAX_SPEED * DT
    held = expression(person, 25 * DT, leap)
    assert not person.found
    assert smiling(held) == pytest.approx(0.05, rel=0.05)
    expression(person, 26 * DT, smile(0.06))
    assert person.found


def test_a_face_that_stays_is_accepted_in_the_end(person: PersonTracker) -> None:
    leap = smile()
    leap[SOFT, 1] -= 130 * 1.5 * MAX_SPEED * DT
    accepted = []
    for frame in range(25, 30):
        expression(person, frame * DT, leap)
        accepted.append(person.found)
    assert accepted[0] is False and accepted[-1] is True


def test_a_hand_before_the_face_is_not_accepted(person: PersonTracker) -> None:
    """A detector then invents points that fit no head: even those over bone are off."""
    rng = np.random.default_rng(0)
    invented = smile(-0.05)
    invented[landmark_rows(*RIGID)] += 130 * 0.07 * rng.normal(size=(len(RIGID), 3))
    held = expression(person, 25 * DT, invented)
    assert not person.found
    assert smiling(held) == pytest.approx(0.05, rel=0.05)


@pytest.fixture(scope="module")
def resting_faces() -> list[DetectedFace]:
    """The first two seconds of the sample, in which the man is at rest."""
    with Detector(VIDEO_MODE, scores=True) as detector:
        clip = islice(open_source(asset("samples/person.mp4")), 50)
        found = [detector.detect_face(picture, time) for time, picture in clip]
    return [face for face in found if face is not None]


def test_a_persons_own_neutral_is_not_the_average(resting_faces: list[DetectedFace]) -> None:
    """Measured from the average face, a man at rest would already make one."""
    rest = PersonAtRest.of(resting_faces)
    own, stranger = PersonTracker(rest), PersonTracker(PersonAtRest.stranger(), max_residual=1.0)
    assert rms_distance(Aligner.of(canonical_face())(rest.landmarks) - stranger.neutral) > 0.02

    def change(person: PersonTracker) -> np.ndarray:
        calm = face_measurements(person.neutral)
        now = face_measurements(person(0, resting_faces[20]).expression)
        return np.array([now[name] - calm[name] for name in calm])

    assert np.abs(change(own)).max() < 0.02
    assert np.abs(change(stranger)).max() > 0.04


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("degrees", [-12.0, 8.0])
def test_the_turn_of_a_head_is_read_about_each_axis(axis: int, degrees: float) -> None:
    """The axes are those of the picture, in which the head at rest is upright."""
    turn = np.zeros(3)
    turn[axis] = np.radians(degrees)
    rotation = Rotation.from_rotvec(turn)
    ahead = detected(canonical_face())
    face = ahead._replace(landmarks=rotation.apply(ahead.landmarks), irises=rotation.apply(ahead.irises))
    state = PersonTracker(PersonAtRest.stranger())(0, face.moved(13, np.array([320, -240, 0])))
    np.testing.assert_allclose(state.head.turn, turn, atol=1e-9)
    np.testing.assert_allclose(state.head.gaze, 0, atol=1e-9)
    np.testing.assert_allclose(state.expression, FACE, atol=1e-9)


def test_gaze_is_read_from_the_irises_and_kept_while_lids_hide_them() -> None:
    person, angle, face = PersonTracker(PersonAtRest.stranger()), np.radians(10), canonical_face()
    look = IRIS_RADIUS * np.sin(angle)
    seen = person(0, detected(face, gaze=(look, -look / PITCH_PER_READ)))
    np.testing.assert_allclose(seen.head.gaze, [[angle, -angle]] * 2, atol=1e-9)
    face[landmark_rows(159, 386)] = face[landmark_rows(145, 374)] + [0, 0.1, 0]
    hidden = person(DT, detected(face, gaze=(-look, look)))
    assert person.found
    np.testing.assert_allclose(hidden.head.gaze, seen.head.gaze, atol=1e-9)
    np.testing.assert_allclose(person(60, None).head.gaze, 0)


@pytest.mark.parametrize("speed", [0.2, 0.5, 1.0])
def test_the_filter_lags_a_ramp_by_one_frame_at_most(speed: float) -> None:
    """Brows rise at 0.2, jaws open at 1 outer-eye distances per second."""
    smooth, ramp = OneEuroFilter(), np.zeros((1, 3))
    for frame in range(26):
        ramp = np.array([[0, speed * frame * DT, 0]])
        out = smooth(frame * DT, ramp)
    lag = (ramp - out)[0, 1] / speed
    assert 0 <= lag <= DT


def test_the_filter_calms_a_face_at_rest() -> None:
    rng = np.random.default_rng(2)
    smooth, raw = OneEuroFilter(), 0.002 * rng.normal(size=(200, 10, 3))
    out = np.stack([smooth(frame * DT, points) for frame, points in enumerate(raw)])
    assert out[20:].std() < 0.6 * raw[20:].std()
