"""What a person does from detected faces: expression, head and gaze, checked and smoothed.

It is causal, so that the same code serves a clip and a live camera.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from eva_sim.agents.mirroring.head_and_gaze import HeadAndGaze, gaze_angles, iris_offsets
from eva_sim.agents.mirroring.head_predictor import HeadPredictor
from eva_sim.agents.mirroring.person_at_rest import PersonAtRest, RestLearner, rms_distance
from eva_sim.contract import Floats
from eva_sim.detector import DetectedFace
from eva_sim.landmarks import MAX_RIGID_RESIDUAL, face_measurements
from eva_sim.reading_correction import ReadingCorrection

#: Largest rigid residual where only an average face stands in for the neutral; people differ from it by 0.04.
STRANGER_MAX_RESIDUAL = 0.12
#: RMS speed of the aligned points that no face reaches [neutral outer-eye distances per second].
#: The fastest frame of the same man is at 1.3.
MAX_SPEED = 4.0
#: After HOLD without an accepted face [s] the expression eases to neutral, within EASE [s].
HOLD, EASE = 0.5, 1.0
#: Share that counts of a correction across the line of sight. A correction is learned from drawn people. In
#: their pictures the detector reads three quarters of what the lips part across the line of sight; of the
#: man of the sample clip it reads all. Of 0, a half and 1, a half mirrors both best [8 people for tuning].
_ACROSS = 0.5
#: Lids that are open by less than this share of their opening at rest hide where the eye looks.
_HIDES_GAZE = 0.6


@dataclass
class OneEuroFilter:
    """A low-pass filter that follows fast moves and calms slow ones.

    Casiez, Roussel and Vogel, CHI 2012, with the speed of a whole point rather than of each of its
    coordinates, so that the filter turns with the axes. Its numbers are a compromise of lag and
    jerk, chosen on the sample clip and on 22 synthetic people for tuning.

    Attributes:
        min_cutoff: cut-off frequency at rest [Hz].
        beta: rise of the cut-off with speed [Hz per outer-eye distance per second].
        speed_cutoff: cut-off frequency of the speed estimate [Hz].
    """

    min_cutoff: float = 2.5
    beta: float = 4.0
    speed_cutoff: float = 1.0
    _time: float = field(default=0.0, init=False)
    _value: Floats | None = field(default=None, init=False)
    _velocity: Floats | float = field(default=0.0, init=False)

    def restart(self, time: float, value: Floats) -> None:
        """Forgets the past and starts from `value`."""
        self._time, self._value, self._velocity = time, value, 0.0

    def __call__(self, time: float, value: Floats) -> Floats:
        """Smooths the raw points, (N, 3), of `time` [s]; time must rise."""
        if self._value is None:
            self.restart(time, value)
            return value
        dt = time - self._time
        raw = (value - self._value) / dt
        self._velocity = self._velocity + _weight(self.speed_cutoff, dt) * (raw - self._velocity)
        speed = np.linalg.norm(self._velocity, axis=-1, keepdims=True)
        smooth = self._value + _weight(self.min_cutoff + self.beta * speed, dt) * (value - self._value)
        self._time, self._value = time, smooth
        return smooth


def _weight(cutoff: Floats | float, dt: float) -> Floats | float:
    """Returns the share of the new sample in a first-order low-pass of the given cut-off [Hz]."""
    return 1 / (1 + 1 / (2 * np.pi * cutoff * dt))


class PersonState(NamedTuple):
    """What a person does at one time.

    Attributes:
        expression: aligned landmarks, (N, 3) [neutral outer-eye distances].
        head: turn of head and eyes from rest.
        head_ahead: turn of the head as predicted for the time when the robot's head moves, (3,) [rad], see
            `HeadPredictor`.
    """

    expression: Floats
    head: HeadAndGaze
    head_ahead: Floats


class PersonTracker:
    """Follows one person, frame by frame.

    Args:
        rest: the person at rest.
        max_residual: see `MAX_RIGID_RESIDUAL`.
        learner: revises `rest` while the person is followed; without it, `rest` stays.
        correction: of what the detector reads; none by default, since a stranger differs from the average
            person by more than an expression.

    Attributes:
        at_rest: the person at rest, as it is known by now.
        found: whether a face was in the last frame and was accepted.
    """

    def __init__(
        self,
        rest: PersonAtRest,
        max_residual: float = MAX_RIGID_RESIDUAL,
        learner: RestLearner | None = None,
        correction: ReadingCorrection | None = None,
    ) -> None:
        self.at_rest, self.found = rest, False
        self._max_residual, self._learner = max_residual, learner
        self._correction = correction or ReadingCorrection.none()
        self._filter = OneEuroFilter()
        self._predictor = HeadPredictor()
        # One array holds all that moves, so that all of it is held and eased alike: landmarks, irises from
        # rest, the turn of the head [rad], and that turn predicted; all but landmarks face the camera.
        self._accepted: Floats | None = None
        self._accepted_at, self._held, self._state = -np.inf, self._resting(), self._resting()

    @property
    def neutral(self) -> Floats:
        """Landmarks of the person at rest, aligned, (N, 3) [neutral outer-eye distances]."""
        return self.at_rest.landmarks

    def __call__(self, time: float, face: DetectedFace | None) -> PersonState:
        """Returns what the person does at `time` [s]: checked and filtered.

        While no face is accepted, the last state is held, then eased to rest.

        Args:
            time: rises from call to call.
            face: that was detected, or None.
        """
        read = None if face is None else self._accept(time, face)
        was_found, self.found = self.found, read is not None
        if read is None:
            self._state = self._ease(time)
            return _split(self._state)
        if not was_found and np.isfinite(self._accepted_at):  # return from the face that is shown
            since = max(self._accepted_at, time - HOLD)
            self._filter.restart(since, self._state[:-1])
            self._predictor.restart(since, self._state[-1])
        self._accepted, self._accepted_at = read, time
        corrected = self._correct(read)
        ahead = self._predictor(time, corrected[-1])
        self._held = self._state = np.concatenate([self._filter(time, corrected), ahead[None]])
        if self._learner is not None and face is not None:
            self.at_rest = self._learner(time, face)
        return _split(self._state)

    def _accept(self, time: float, face: DetectedFace) -> Floats | None:
        """Reads the face, (N + 3, 3); None if it fits no head or moved faster than a face can."""
        rest = self.at_rest
        if rest.aligner.residual(face.landmarks) > self._max_residual:
            return None
        landmarks, irises, orientation = rest.align(face)
        reach = MAX_SPEED * (time - self._accepted_at)
        if self._accepted is not None and rms_distance(landmarks - self._accepted[:-3]) > reach:
            return None
        moved: Floats = (iris_offsets(landmarks, irises) - rest.irises) @ rest.orientation
        if face_measurements(landmarks)["lid_opening"] < _HIDES_GAZE * rest.lid_opening:
            moved = np.zeros((2, 3)) if self._accepted is None else self._accepted[-3:-1]
        return np.concatenate([landmarks, moved, rest.head_turns(orientation)[None]])

    def _correct(self, read: Floats) -> Floats:
        """Corrects the landmarks and the nod of what was read, (N + 3, 3)."""
        motion, towards_camera = read[:-3] - self.neutral, self.at_rest.orientation[:, 2]
        missing = self._correction(motion) - motion
        in_depth = np.outer(missing @ towards_camera, towards_camera)
        corrected = read.copy()
        corrected[:-3] += in_depth + _ACROSS * (missing - in_depth)
        corrected[-1, 0] += self._correction.missing_head_nod(motion)
        return corrected

    def _ease(self, time: float) -> Floats:
        progress = float(np.clip((time - self._accepted_at - HOLD) / EASE, 0, 1))
        left = 0.5 + 0.5 * np.cos(np.pi * progress)
        return self._resting() + left * (self._held - self._resting())

    def _resting(self) -> Floats:
        return np.concatenate([self.neutral, np.zeros((4, 3))])


def _split(state: Floats) -> PersonState:
    expression, irises, (turn, ahead) = np.split(state, [-4, -2])
    return PersonState(expression, HeadAndGaze(turn, gaze_angles(irises)), ahead)
