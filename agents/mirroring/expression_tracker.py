"""A person's expression from detected landmarks: aligned, checked and smoothed.

It is causal, so that the same code serves a clip and a live camera.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from eva_sim.contract import Floats
from eva_sim.errors import MediaError
from eva_sim.landmarks import MAX_RIGID_RESIDUAL, Aligner

#: Largest rigid residual where only an average face stands in for the neutral; people differ from it by 0.04.
STRANGER_MAX_RESIDUAL = 0.12
#: RMS speed of the aligned points that no face reaches [neutral outer-eye distances per second].
#: The fastest frame of the same man is at 1.3.
MAX_SPEED = 4.0
#: After HOLD without an accepted face [s] the expression eases to neutral, within EASE [s].
HOLD, EASE = 0.5, 1.0
#: Length of the window in which a neutral face is looked for [s], and the share of the stillest
#: windows that are candidates.
CALM_DURATION, _STILLEST = 1.0, 0.3


@dataclass
class OneEuroFilter:
    """A low-pass filter that follows fast moves and calms slow ones.

    Casiez, Roussel and Vogel, CHI 2012, with the speed of a whole point rather than of each of its
    coordinates, so that the filter turns with the axes.

    Attributes:
        min_cutoff: cut-off frequency at rest [Hz].
        beta: rise of the cut-off with speed [Hz per outer-eye distance per second].
        speed_cutoff: cut-off frequency of the speed estimate [Hz].
    """

    min_cutoff: float = 1.7
    beta: float = 15.0
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


class ExpressionTracker:
    """Finds one person's expression, frame by frame.

    Args:
        neutral: landmarks of the person at rest, (N, 3), any unit and pose.
        max_residual: see `MAX_RIGID_RESIDUAL`.

    Attributes:
        neutral: landmarks of the person at rest, aligned, (N, 3) [neutral outer-eye distances].
        found: whether a face was in the last frame and was accepted.
    """

    def __init__(self, neutral: Floats, max_residual: float = MAX_RIGID_RESIDUAL) -> None:
        self._aligner = Aligner.of(neutral)
        self.neutral = self._aligner.neutral
        self.found = False
        self._max_residual = max_residual
        self._filter = OneEuroFilter()
        self._accepted: Floats | None = None
        self._accepted_at, self._held, self._expression = -np.inf, self.neutral, self.neutral

    def __call__(self, time: float, points: Floats | None) -> Floats:
        """Returns the expression at `time` [s]: aligned, checked and filtered.

        While no face is accepted, the last expression is held, then eased to neutral.

        Args:
            time: rises from call to call.
            points: detected landmarks, (N, 3), or None.

        Returns:
            (N, 3) [neutral outer-eye distances].
        """
        aligned = None if points is None else self._accept(time, points)
        was_found, self.found = self.found, aligned is not None
        if aligned is None:
            self._expression = self._ease(time)
            return self._expression
        if not was_found and np.isfinite(self._accepted_at):  # return from the expression that is shown
            self._filter.restart(max(self._accepted_at, time - HOLD), self._expression)
        self._accepted, self._accepted_at = aligned, time
        self._held = self._expression = self._filter(time, aligned)
        return self._expression

    def _accept(self, time: float, points: Floats) -> Floats | None:
        """Aligns the points; None if they fit no head or moved faster than a face can."""
        if self._aligner.residual(points) > self._max_residual:
            return None
        aligned = self._aligner(points)
        reach = MAX_SPEED * (time - self._accepted_at)
        if self._accepted is not None and rms_distance(aligned - self._accepted) > reach:
            return None
        return aligned

    def _ease(self, time: float) -> Floats:
        progress = float(np.clip((time - self._accepted_at - HOLD) / EASE, 0, 1))
        left = 0.5 + 0.5 * np.cos(np.pi * progress)
        return self.neutral + left * (self._held - self.neutral)


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
