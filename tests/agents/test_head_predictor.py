"""Prediction of the person's head."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from eva_sim.agents.mirroring.head_predictor import AHEAD, TAP_PERIOD, TAPS, HeadPredictor
from eva_sim.agents.mirroring.motion_metrics import lag_between, rms_jerk
from eva_sim.agents.mirroring.person_at_rest import PersonAtRest
from eva_sim.agents.mirroring.person_tracker import EASE, HOLD, OneEuroFilter, PersonTracker
from eva_sim.contract import Floats
from eva_sim.detector import DetectedFace, canonical_face
from tests.agents.detected_faces import detected

TURN = np.array([0.05, 0.4, -0.1])


def _predicted(times: Floats, turns: Floats) -> Floats:
    predictor = HeadPredictor()
    return np.array([predictor(time, turn) for time, turn in zip(times, turns, strict=True)])


def _reach(times: Floats, start: float, duration: float) -> Floats:
    """A head that turns from rest to `TURN` as people do: with the least jerk (Flash and Hogan, 1985)."""
    s = np.clip((times - start) / duration, 0, 1)
    return (10 * s**3 - 15 * s**4 + 6 * s**5)[:, None] * TURN


@pytest.mark.parametrize("fps", [10, 24, 25, 30, 60])
def test_a_still_head_is_still(fps: int) -> None:
    times = np.arange(40) / fps
    np.testing.assert_allclose(_predicted(times, np.tile(TURN, (40, 1))), np.tile(TURN, (40, 1)), atol=1e-12)


@pytest.mark.parametrize("fps", [15, 24, 25, 30, 60])
def test_a_steady_turn_is_predicted_at_any_rate(fps: int) -> None:
    times = np.arange(3 * fps) / fps
    late = len(TAPS) * TAP_PERIOD
    shown = _predicted(times, times[:, None] * TURN)[times > late]
    ahead = (shown / TURN - times[times > late, None]).ravel()
    np.testing.assert_allclose(ahead, AHEAD, atol=0.01)


@pytest.mark.parametrize(("duration", "most"), [(0.4, 1.28), (0.6, 1.16), (1.0, 1.06)])
def test_a_turn_that_ends_is_hardly_overshot(duration: float, most: float) -> None:
    times = np.arange(0, 3, 0.04)
    shown = _predicted(times, _reach(times, 0.5, duration))
    assert 1.0 <= (shown / TURN).max() < most
    np.testing.assert_allclose(shown[-1], TURN, atol=1e-9)


def test_a_noisy_head_comes_sooner_and_no_rougher_than_through_the_filter() -> None:
    rng = np.random.default_rng(0)
    times = np.arange(0, 60, 0.04)
    turns = sum(
        _reach(times, start, rng.uniform(0.5, 1.2)) * rng.uniform(-1, 1) for start in np.arange(1, 58, 1.5)
    )
    read = np.asarray(turns) + rng.normal(0, 0.002, (len(times), 3))
    smooth = OneEuroFilter()
    filtered = np.array([smooth(time, turn[None])[0] for time, turn in zip(times, read, strict=True)])
    shown = _predicted(times, read)
    assert lag_between(filtered, shown, 0.04) < -0.03
    assert rms_jerk(shown, 0.04) < 1.1 * rms_jerk(filtered, 0.04)


def test_a_person_who_is_lost_and_found_is_predicted_from_what_is_shown() -> None:
    person, face = PersonTracker(PersonAtRest.stranger()), detected(canonical_face())

    def turned(angle: float) -> DetectedFace:
        rotation = Rotation.from_rotvec([0, angle, 0])
        return face._replace(landmarks=rotation.apply(face.landmarks), irises=rotation.apply(face.irises))

    for step in range(20):
        state = person(0.04 * step, turned(0.01 * step))
    assert state.head_ahead[1] > state.head.turn[1] > 0.1
    held = person(0.8, None)
    np.testing.assert_array_equal(held.head_ahead, state.head_ahead)
    gone = person(0.8 + HOLD + EASE + 0.1, None)
    np.testing.assert_allclose(gone.head_ahead, 0, atol=1e-12)
    back = person(0.8 + HOLD + EASE + 0.14, turned(0.1))
    assert 0 < back.head_ahead[1] < 0.15
