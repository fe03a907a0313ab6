"""What a face does that does nothing: it blinks, glances about, and breathes.

`IdleMotion` adds these to any command. It generates commands as a policy does: it opens no face, arms none,
and what it generates passes the same checks and filters.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eva_sim.contract import FaceSpec, Floats

# Blinks. At rest 17 a minute (Bentivoglio et al., Movement Disorders 12(6), 1997). Their intervals are
# skewed, with many short ones and a long tail (Carney and Hill, Acta Ophthalmologica 60(3), 1982), here
# log-normal.
BLINKS_PER_MINUTE = 17.0
_INTERVAL_SPREAD = 0.6  # standard deviation of the interval's logarithm [choice]
# Lids go down in 75 to 100 ms and come up in about twice the time (Evinger, Manning and Sibony, Investigative
# Ophthalmology 32(2), 1991; VanderWerf et al., Journal of Neurophysiology 89(5), 2003).
CLOSING, OPENING = (0.075, 0.100), (0.150, 0.200)  # s, least and greatest
# Glances. The size of saccades is exponential with a mean of 6.9 degrees (Lee, Badler and Badler, Eyes
# Alive, ACM Transactions on Graphics 21(3), 2002). Only those up to 6 degrees are made, which keep to one
# partner's face; half of the glances are followed by a look ahead [choice].
SACCADE_SIZE, LARGEST_SACCADE = np.deg2rad(6.9), np.deg2rad(6.0)  # rad
#: Mean time between saccades, and the shortest time, the latency of a saccade [s; choice].
FIXATION, SHORTEST_FIXATION = 1.3, 0.2
_BACK = 0.5  # share of glances that a look ahead follows
_VERTICAL = 0.5  # height of glances over their width [choice]
# Between saccades the gaze drifts, by some tenths of a degree (Martinez-Conde, Macknik and Hubel, Nature
# Reviews Neuroscience 5(3), 2004).
DRIFT, _DRIFT_TIME = np.deg2rad(0.2), 1.0  # standard deviation [rad], time constant [s]
# Breath. Adults at rest breathe 12 to 20 times a minute; here 12 to 16, in a slow part of that. Breathing
# out takes longer than in. The head rises by 1 to 2 mm [choice].
BREATHS_PER_MINUTE, BREATH_HEIGHT = (12.0, 16.0), (0.001, 0.002)  # 1/min, m
_INHALING = 0.4  # share of a breath


@dataclass
class _Blink:
    """One blink: when it begins, and the times of its way down and up [s]."""

    start: float
    closing: float
    opening: float

    def closure(self, time: float, period: float) -> float:
        """Returns how far the lids are closed, 0 to 1; at least one control period finds them shut."""
        since = time - self.start
        down, up = since / self.closing, (since - self.closing - period) / self.opening
        return float(np.clip(min(down, 1.0 - up), 0.0, 1.0))

    def end(self, period: float) -> float:
        """Returns the time at which the lids are open again [s]."""
        return self.start + self.closing + period + self.opening


class IdleMotion:
    """Adds blinks, glances and breath to commands, one call for each control period.

    Args:
        spec: of the face. Kinds of actuators that it lacks do not move.
        seed: of everything random; the same seed gives the same motion.
    """

    def __init__(self, spec: FaceSpec, seed: int = 0) -> None:
        self._spec, self._rng, self._step = spec, np.random.default_rng(seed), 0
        self._low, self._high = spec.column("low"), spec.column("high")
        self._lids, self._legs = spec.where("lid"), spec.where("leg")
        self._eyes = [
            np.array([i for i in spec.where("eye") if spec.actuators[i].moves == axis], dtype=np.intp)
            for axis in ("eye_yaw", "eye_pitch")
        ]
        self._blink = self._next_blink(0.0)
        self._gaze: Floats = np.zeros(2)
        self._drift: Floats = np.zeros(2)
        self._next_saccade = self._fixation(0.0)
        self._breath = self._next_breath(0.0)

    def __call__(self, base: ArrayLike, alone: bool = True) -> NDArray[np.float32]:
        """Returns the command (25,) of this control period.

        Args:
            base: the command (25,) to which the motion is added.
            alone: whether lids and eyes take part; False while somebody is mirrored, who moves them.

        Raises:
            CommandError: the base is malformed.
        """
        position = self._spec.to_physical(self._spec.check(base))
        time = self._step * self._spec.control_dt
        self._step += 1
        closure, look = self._closure(time), self._look(time)
        if alone:
            position[self._lids] += closure * (self._low - position)[self._lids]
            for axis, offset in zip(self._eyes, look, strict=True):
                position[axis] += offset
        position[self._legs] += self._rise(time)
        return np.clip(self._spec.to_command(np.clip(position, self._low, self._high)), -1, 1)

    def _closure(self, time: float) -> float:
        """Returns how far the blink of this time closes the lids, 0 to 1."""
        if time > self._blink.end(self._spec.control_dt):
            self._blink = self._next_blink(self._blink.end(self._spec.control_dt))
        return self._blink.closure(time, self._spec.control_dt)

    def _next_blink(self, after: float) -> _Blink:
        """Draws the next blink; the lids go no faster than their actuators."""
        travel = ((self._high - self._low) / self._spec.column("rate"))[self._lids].max(initial=0.0)
        closing, opening = (max(travel, self._rng.uniform(*each)) for each in (CLOSING, OPENING))
        lasts = closing + self._spec.control_dt + opening
        mean = 60.0 / BLINKS_PER_MINUTE - lasts
        wait = self._rng.lognormal(np.log(mean) - 0.5 * _INTERVAL_SPREAD**2, _INTERVAL_SPREAD)
        return _Blink(after + wait, closing, opening)

    def _look(self, time: float) -> Floats:
        """Returns the turn of the gaze, yaw and pitch, (2,) [rad]."""
        if time >= self._next_saccade:
            self._gaze, self._next_saccade = self._aim(), self._fixation(time)
        keep = np.exp(-self._spec.control_dt / _DRIFT_TIME)
        self._drift = keep * self._drift + DRIFT * np.sqrt(1 - keep**2) * self._rng.standard_normal(2)
        turn: Floats = self._gaze + self._drift
        return turn

    def _aim(self) -> Floats:
        """Draws where the eyes look next: ahead, or a glance away, (2,) [rad]."""
        if self._gaze.any() and self._rng.random() < _BACK:
            return np.zeros(2)
        share = self._rng.uniform(0, 1 - np.exp(-LARGEST_SACCADE / SACCADE_SIZE))
        size, way = -SACCADE_SIZE * np.log1p(-share), self._rng.uniform(0, 2 * np.pi)
        return size * np.array([np.cos(way), _VERTICAL * np.sin(way)])

    def _fixation(self, time: float) -> float:
        """Draws the time of the next saccade [s]."""
        return time + SHORTEST_FIXATION + self._rng.exponential(FIXATION - SHORTEST_FIXATION)

    def _next_breath(self, start: float) -> tuple[float, float, float]:
        """Draws a breath: its start, its length [s] and its height [m]."""
        return start, 60.0 / self._rng.uniform(*BREATHS_PER_MINUTE), self._rng.uniform(*BREATH_HEIGHT)

    def _rise(self, time: float) -> float:
        """Returns how far breath lifts the head [m]."""
        start, length, height = self._breath
        if time >= start + length:
            start, length, height = self._breath = self._next_breath(start + length)
        phase = (time - start) / length
        turn = phase / _INHALING if phase < _INHALING else 1 + (phase - _INHALING) / (1 - _INHALING)
        return float(height * 0.5 * (1 - np.cos(np.pi * turn)))
