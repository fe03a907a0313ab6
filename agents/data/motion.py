"""Motion babbling: random faces that a face passes through as a person's does, one command a control step."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from eva_sim.agents.data.babbling import sample_command
from eva_sim.contract import FaceSpec, Floats

#: Shortest and longest move between two faces, and stay on one [s]: the 0.2 to 1.5 Hz of expressions.
_MOVE, _STAY = (0.3, 1.2), (0.0, 0.8)
#: The same between two syllables: speech has 2 to 7 a second (Chandrasekaran et al., PLoS Comput Biol 5(7),
#: 2009).
_SYLLABLE, _PAUSE = (0.14, 0.5), (0.0, 0.1)
#: Probability that somebody speaks, which skin patches and bodies (`Actuator.moves`) then move, and which
#: share of their way the syllables have at most.
_SPEAKS, _SPEAKING, _LOUDEST = 0.5, ("jaw", "levator", "zygomaticus", "depressor"), 0.8
#: Length of a phrase, of the silence after it, and of the way into it and out of it [s]. About half of
#: spontaneous speech is silence (Goldman-Eisler, Psycholinguistics, 1968). A jaw that never rests uses up the
#: reversals of its servo.
_PHRASE, _SILENCE, _FADE = (1.0, 5.0), (1.0, 5.0), 0.2
#: Time between two blinks, and from the beginning of one to its end [s].
_BETWEEN_BLINKS, _BLINK = (1.0, 6.0), 0.3

Range = tuple[float, float]
Rng = np.random.Generator


def sample_motion(spec: FaceSpec, steps: int, rng: Rng, sudden: float = 0.0) -> NDArray[np.float32]:
    """Draws a motion through faces of `sample_command`: smooth moves, stays, blinks, and often speech.

    Args:
        spec: of the face.
        steps: number of control steps.
        rng: source of chance.
        sudden: probability that a move takes a single step, unless it is of speech.

    Returns:
        Commands, (steps, 25) in [-1, 1], that begin at neutral. Gaze and head pose rest.
    """
    motion = _pass_through_faces(spec, steps, _MOVE, _STAY, rng, sudden)
    if rng.random() < _SPEAKS:
        loudness = rng.uniform(0, _LOUDEST) * _phrases(steps, spec.control_dt, rng)[:, None]
        speaking = [i for i in spec.expressive if spec.actuators[i].moves in _SPEAKING]
        speech = _pass_through_faces(spec, steps, _SYLLABLE, _PAUSE, rng)
        motion[:, speaking] += loudness * (speech - motion)[:, speaking]
    lids, closed = spec.where("lid"), _blinks(steps, spec.control_dt, rng)[:, None]
    motion[:, lids] -= closed * (motion[:, lids] + 1)
    resting = np.setdiff1d(np.arange(len(spec)), spec.expressive)
    motion[:, resting] = spec.neutral[resting]
    return motion.astype(np.float32)


def minimum_jerk(share: Floats) -> Floats:
    """Share of the way after a share in [0, 1] of the time; Flash and Hogan, J Neurosci 5(7), 1985."""
    return share**3 * (10 - 15 * share + 6 * share**2)


def _pass_through_faces(
    spec: FaceSpec, steps: int, move: Range, stay: Range, rng: Rng, sudden: float = 0.0
) -> Floats:
    """Commands on the way from neutral through random faces, (steps, 25)."""
    face = spec.neutral.astype(float)
    parts, length = [face[None]], 1
    while length < steps:
        start, face = face, sample_command(spec, rng).astype(float)
        taken = 1 if rng.random() < sudden else max(round(rng.uniform(*move) / spec.control_dt), 1)
        waited = round(rng.uniform(*stay) / spec.control_dt)
        shares = np.append(minimum_jerk(np.arange(1, taken + 1) / taken), np.ones(waited))
        parts.append(start + shares[:, None] * (face - start))
        length += len(shares)
    return np.concatenate(parts)[:steps]


def _phrases(steps: int, dt: float, rng: Rng) -> Floats:
    """Share of speech at each step, 0 in silence to 1 in a phrase, (steps,)."""
    time, spoken, end = np.arange(steps) * dt, np.zeros(steps), 0.0
    while end < steps * dt:
        start = end + rng.uniform(*_SILENCE)
        end = start + rng.uniform(*_PHRASE)
        spoken = np.maximum(spoken, np.minimum(time - start, end - time) / _FADE)
    return spoken.clip(0, 1)


def _blinks(steps: int, dt: float, rng: Rng) -> Floats:
    """How far the lids are closed by blinks at each step, 0 to 1, (steps,)."""
    time, closed, middle = np.arange(steps) * dt, np.zeros(steps), 0.0
    while middle < time[-1]:
        middle += _BLINK + rng.uniform(*_BETWEEN_BLINKS)
        closed = np.maximum(closed, 1.2 - np.abs(time - middle) / (_BLINK / 2))
    return closed.clip(0, 1)
