"""From what a detector sees to a person's expression: aligned, believed, smooth.

Causal, so that the same code serves a clip and a live camera.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from eva_sim.contract import Floats
from eva_sim.errors import MediaError
from eva_sim.landmarks import MAX_RIGID_RESIDUAL, Aligner

#: The same where only an average face stands in for the neutral; people differ from it by 0.04.
STRANGER_MAX_RESIDUAL = 0.12
#: RMS speed of the aligned points that no face reaches [neutral outer-eye distances per second].
#: The fastest frame of the same man is at 1.3.
SPEED = 4.0
#: After this long without a believable face [s] the expression eases to neutral, for so long [s].
HOLD, EASE = 0.5, 1.0
#: Length of the window in which a neutral face is looked for [s], and the share of the stillest
#: windows that may be it.
_CALM, _STILLEST = 1.0, 0.3


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
        """Forgets the past and stands at `value`."""
        self._time, self._value, self._velocity = time, value, 0.0

    def __call__(self, time: float, value: Floats) -> Floats:
        """The smoothed points, (N, 3), from the raw ones at `time` [s]; time must rise."""
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
    """Share of the new sample in a first-order low-pass of the given cut-off [Hz]."""
    return 1 / (1 + 1 / (2 * np.pi * cutoff * dt))


class ExpressionTracker:
    """Follows one person's expression.

    Args:
        neutral: landmarks of the person at rest, (N, 3), any unit and pose.
        misfit: see `MAX_RIGID_RESIDUAL`.

    Attributes:
        neutral: the same, aligned, (N, 3) [neutral outer-eye distances].
        found: whether the last face was there and believed.
    """

    def __init__(self, neutral: Floats, misfit: float = MAX_RIGID_RESIDUAL) -> None:
        self._aligner = Aligner.of(neutral)
        self.neutral = self._aligner.neutral
        self.found = False
        self._misfit = misfit
        self._filter = OneEuroFilter()
        self._believed: Floats | None = None
        self._since, self._held, self._shown = -np.inf, self.neutral, self.neutral

    def __call__(self, time: float, points: Floats | None) -> Floats:
        """The expression at `time` [s]: aligned, gated and filtered.

        While no believable face is there, the last expression is held, then eased to neutral.

        Args:
            time: rises from call to call.
            points: what the detector saw, (N, 3), or None.

        Returns:
            (N, 3) [neutral outer-eye distances].
        """
        aligned = None if points is None else self._believe(time, points)
        was_found, self.found = self.found, aligned is not None
        if aligned is None:
            self._shown = self._ease(time)
            return self._shown
        if not was_found and np.isfinite(self._since):  # come back from where the robot is
            self._filter.restart(max(self._since, time - HOLD), self._shown)
        self._believed, self._since = aligned, time
        self._held = self._shown = self._filter(time, aligned)
        return self._shown

    def _believe(self, time: float, points: Floats) -> Floats | None:
        if self._aligner.residual(points) > self._misfit:
            return None
        aligned = self._aligner(points)
        if self._believed is not None and rms_distance(aligned - self._believed) > SPEED * (
            time - self._since
        ):
            return None
        return aligned

    def _ease(self, time: float) -> Floats:
        progress = float(np.clip((time - self._since - HOLD) / EASE, 0, 1))
        left = 0.5 + 0.5 * np.cos(np.pi * progress)
        return self.neutral + left * (self._held - self.neutral)


def estimate_neutral(points: Floats, dt: float) -> Floats:
    """Finds a person's neutral face in a recording.

    Among the stillest windows of one second, it takes the one that is most like the others: a
    person at rest comes back to the same face, one who holds a grimace does not.

    Args:
        points: what the detector saw, (T, N, 3), any unit; NaN where there was no face.
        dt: time between frames [s].

    Returns:
        Median of the calm face, (N, 3) [its own outer-eye distances].

    Raises:
        MediaError: no face at all.
    """
    seen = points[np.isfinite(points).all(axis=(1, 2))]
    if not len(seen):
        raise MediaError("there is no face to learn a neutral one from.")
    faces = np.stack([Aligner.of(face).neutral for face in seen])
    reference = Aligner.of(np.median(faces, axis=0))
    faces = np.stack([reference(face) for face in faces])
    windows = _windows(len(faces), max(2, round(_CALM / dt)))
    motion = np.array([rms_distance(faces[w] - np.median(faces[w], axis=0)) for w in windows])
    calm = np.flatnonzero(motion <= np.quantile(motion, _STILLEST))
    medians = np.stack([np.median(faces[windows[i]], axis=0) for i in calm])
    unlike = np.median([[rms_distance(a - b) for b in medians] for a in medians], axis=0)
    return medians[int(np.argmin(unlike))]


def _windows(frames: int, length: int) -> list[slice]:
    """Half-overlapping windows; one when the recording is short."""
    starts = range(0, max(1, frames - length + 1), max(1, length // 2))
    return [slice(start, start + length) for start in starts]


def rms_distance(difference: Floats) -> float:
    """Root of the mean squared length of vectors, (..., 3)."""
    return float(np.sqrt((difference**2).sum(-1).mean()))
