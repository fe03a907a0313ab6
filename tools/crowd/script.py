"""What a synthetic person does in a clip: expressions, speech, blinks, gaze and head motion.

Everything is drawn from a seed. All tracks are written on the frames of the clip. An activation of 1 is
the whole face unit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from eva_sim.contract import Floats
from tools.crowd.head import WHOLE_LOOK

FRAME_RATE = 25.0  # frames per second
#: How often a person rests: about half of the clip; once or twice, briefly; or never.
Rests = Literal["usual", "rare", "none"]
RESTS: tuple[Rests, ...] = ("usual", "rare", "none")
#: Sum of activations, without blinks and looks, under which a face rests.
AT_REST = 0.04
#: Greatest turns: gaze across and up, head yaw, pitch, roll [rad].
GAZE = np.radians([20.0, 14.0])
HEAD = np.radians([20.0, 15.0, 10.0])
#: Half the distance of the eyes, and the nearest and farthest thing that is looked at [m].
_HALF_PUPILS, _NEAREST, _FARTHEST = 0.0315, 0.4, 3.0

#: Whole expressions; a unit without side moves both.
EXPRESSIONS: dict[str, dict[str, float]] = {
    "smile": {"mouthSmile": 0.8, "cheekSquint": 0.45, "eyeSquint": 0.3},
    "laugh": {"mouthSmile": 0.9, "jawOpen": 0.35, "cheekSquint": 0.6, "eyeSquint": 0.4, "mouthUpperUp": 0.3},
    "half smile": {"mouthSmileLeft": 0.7, "mouthSmileRight": 0.15, "mouthDimpleLeft": 0.3},
    "surprise": {"browInnerUp": 0.9, "browOuterUp": 0.9, "eyeWide": 0.7, "jawOpen": 0.5},
    "raised brows": {"browInnerUp": 1.0, "browOuterUp": 1.0},
    "anger": {"browDown": 0.9, "eyeSquint": 0.35, "mouthPress": 0.6, "noseSneer": 0.3},
    "sadness": {"browInnerUp": 0.8, "mouthFrown": 0.8, "mouthShrugLower": 0.35, "eyeBlink": 0.2},
    "disgust": {"noseSneer": 0.8, "mouthUpperUp": 0.6, "browDown": 0.45, "eyeSquint": 0.4},
    "fear": {"browInnerUp": 0.8, "browOuterUp": 0.4, "eyeWide": 0.8, "mouthStretch": 0.7, "jawOpen": 0.2},
    "frown": {"browDown": 0.7, "mouthFrown": 0.5},
    "pucker": {"mouthPucker": 0.9},
    "funnel": {"mouthFunnel": 0.8, "jawOpen": 0.2},
    "open mouth": {"jawOpen": 0.75},
    "stretched mouth": {"mouthStretch": 0.8, "mouthLowerDown": 0.4},
    "pressed lips": {"mouthPress": 0.8, "mouthRollLower": 0.3, "mouthRollUpper": 0.3},
    "screwed up": {"eyeSquint": 0.9, "eyeBlink": 0.4, "cheekSquint": 0.6, "noseSneer": 0.5, "browDown": 0.5},
}
#: Shapes of vowels and of consonants; the lips meet in the last three.
_VOWELS = (
    {"jawOpen": 0.38}, {"jawOpen": 0.24, "mouthStretch": 0.3}, {"jawOpen": 0.14, "mouthSmile": 0.25},
    {"jawOpen": 0.22, "mouthFunnel": 0.5}, {"jawOpen": 0.10, "mouthPucker": 0.65},
    {"jawOpen": 0.30, "mouthLowerDown": 0.3},
)  # fmt: skip
_CONSONANTS = (
    {"jawOpen": 0.06, "mouthStretch": 0.12}, {"jawOpen": 0.10}, {"jawOpen": 0.07, "mouthFunnel": 0.3},
    {"jawOpen": 0.05, "mouthRollLower": 0.5, "mouthUpperUp": 0.15},
    {"mouthPress": 0.35, "mouthRollLower": 0.15}, {"mouthPress": 0.4},
    {"mouthPress": 0.3, "mouthRollUpper": 0.15, "mouthRollLower": 0.2},
)  # fmt: skip
#: What the brows do at a stressed word.
_STRESSES = (
    {"browInnerUp": 1.0, "browOuterUp": 1.0},
    {"browOuterUp": 0.8},
    {"browDown": 0.7},
    {"browInnerUp": 0.8},
)
#: What a person who never rests keeps on the face.
_TONES = (
    {"mouthSmile": 0.35, "cheekSquint": 0.15}, {"browInnerUp": 0.35}, {"browDown": 0.35},
    {"mouthSmile": 0.25}, {"jawOpen": 0.08, "browOuterUp": 0.3},
)  # fmt: skip


@dataclass(frozen=True)
class Script:
    """The truth of a clip, T frames.

    Attributes:
        time: (T,) [s].
        units: activation of each face unit, (T, U).
        gaze: of the left and the right eye, yaw and pitch, (T, 2, 2) [rad]; signs as in `Pose`.
        head: yaw, pitch and roll, (T, 3) [rad].
        shift: of the head, (T, 3) [m].
        rest: whether the face rests, blinks and looks aside, (T,).
    """

    time: Floats
    units: Floats
    gaze: Floats
    head: Floats
    shift: Floats
    rest: NDArray[np.bool_]


def write_script(names: tuple[str, ...], rests: Rests, duration: float, rng: np.random.Generator) -> Script:
    """Draws a clip.

    Args:
        names: of the face units, U.
        rests: how often the person rests.
        duration: of the clip [s].
        rng: source of everything random.
    """
    tracks = _Tracks(names, round(duration * FRAME_RATE))
    {"usual": _rest_often, "rare": _rest_briefly, "none": _never_rest}[rests](tracks, rng)
    units = np.clip(tracks.values, 0, 1)
    rest = units.sum(1) < AT_REST
    gaze = _draw_gaze(tracks.frames, rng)
    _look(units, names, gaze)
    _blink(units, names, rng)
    head, shift = _draw_head(tracks.frames, rng)
    return Script(np.arange(tracks.frames) / FRAME_RATE, units, gaze, head, shift, rest)


class _Tracks:
    """Activations on which events are laid.

    Args:
        names: of the units.
        frames: number of frames T.
    """

    def __init__(self, names: tuple[str, ...], frames: int) -> None:
        self._names, self.frames = names, frames
        self.values = np.zeros((frames, len(names)))

    def hold(
        self, shape: Mapping[str, float], start: float, end: float, size: float = 1.0, ease: float = 0.25
    ) -> None:
        """Adds a shape from `start` to `end` [s]; it comes and goes within `ease` [s], inside of them."""
        time = np.arange(self.frames) / FRAME_RATE
        rise = np.clip(np.minimum(time - start, end - time) / ease, 0, 1)
        for unit, share in sided(shape).items():
            self.values[:, self._names.index(unit)] += size * share * rise**2 * (3 - 2 * rise)

    def speak(self, start: float, end: float, rng: np.random.Generator, size: float) -> None:
        """Adds syllables from `start` to `end` [s]: consonant, vowel, four to six a second."""
        said, time, last = np.zeros_like(self.values), start, round(end * FRAME_RATE)
        while time < end:
            for shapes, share in ((_CONSONANTS, 0.35), (_VOWELS, 0.65)):
                lasts = share * rng.uniform(0.16, 0.26)
                at, after = round(time * FRAME_RATE), round((time + lasts) * FRAME_RATE)
                strength = size * rng.uniform(0.7, 1.3)
                for unit, value in sided(shapes[int(rng.integers(len(shapes)))]).items():
                    said[at : min(max(after, at + 1), last), self._names.index(unit)] = strength * value
                time += lasts
        self.values += gaussian_filter1d(said, 0.028 * FRAME_RATE, axis=0)


def sided(shape: Mapping[str, float]) -> dict[str, float]:
    """Returns the activations with a unit for each side where there are two."""
    one = (
        "jaw",
        "mouthPucker",
        "mouthFunnel",
        "mouthRoll",
        "mouthShrug",
        "mouthClose",
        "browInnerUp",
        "cheekPuff",
    )
    whole = {}
    for name, share in shape.items():
        if name.startswith(one) or name.endswith(("Left", "Right")):
            whole[name] = share
        else:
            whole |= {f"{name}Left": share, f"{name}Right": share}
    return whole


def _express(tracks: _Tracks, start: float, end: float, rng: np.random.Generator) -> None:
    name = list(EXPRESSIONS)[int(rng.integers(len(EXPRESSIONS)))]
    tracks.hold(EXPRESSIONS[name], start, end, rng.uniform(0.55, 1.1), rng.uniform(0.15, 0.4))


def _talk(tracks: _Tracks, start: float, end: float, rng: np.random.Generator) -> None:
    """Speaks, and stresses some words with the brows."""
    tracks.speak(start, end, rng, rng.uniform(0.7, 1.2))
    time = start + rng.uniform(0, 0.6)
    while time < end - 0.4:
        after = min(time + rng.uniform(0.4, 0.9), end)
        tracks.hold(_STRESSES[int(rng.integers(len(_STRESSES)))], time, after, rng.uniform(0.4, 1.0), 0.18)
        time = after + rng.uniform(0.3, 1.2)


def _act(tracks: _Tracks, start: float, end: float, rng: np.random.Generator) -> None:
    """Speaks with an expression over it, or only expresses."""
    kind = rng.uniform()
    if kind < 0.55:
        _talk(tracks, start, end, rng)
    if kind > 0.35:
        _express(tracks, start, end, rng)


def _rest_often(tracks: _Tracks, rng: np.random.Generator) -> None:
    time, end = rng.uniform(0.5, 1.2), tracks.frames / FRAME_RATE
    while time < end - 0.8:
        after = min(time + rng.uniform(0.9, 2.0), end)
        _act(tracks, time, after, rng)
        time = after + rng.uniform(0.5, 1.4)


def _rest_briefly(tracks: _Tracks, rng: np.random.Generator) -> None:
    """Starts on a smile; rests once or twice, for half a second; otherwise speaks or shows something."""
    end = tracks.frames / FRAME_RATE
    first = rng.uniform(1.2, 2.2)
    tracks.hold(EXPRESSIONS["smile"], -1.0, first, rng.uniform(0.6, 1.0))
    pauses = np.sort(rng.uniform(0.35, 0.85, int(rng.integers(1, 3)))) * end
    time = first - 0.25
    for pause in [*pauses.tolist(), end + 1.0]:
        while time < pause:
            after = min(time + rng.uniform(1.0, 2.2), pause)
            _talk(tracks, time, after, rng)
            if rng.uniform() < 0.6:
                _express(tracks, time, after, rng)
            time = after
        time = max(time, pause) + rng.uniform(0.35, 0.6)


def _never_rest(tracks: _Tracks, rng: np.random.Generator) -> None:
    """Speaks all the time, or holds a half smile, with expressions over it; a tone stays all the time."""
    end = tracks.frames / FRAME_RATE
    speaks = rng.uniform() < 0.5
    tone = _TONES[int(rng.integers(len(_TONES)))] if speaks else {"mouthSmile": 0.45, "cheekSquint": 0.2}
    tracks.hold(tone, -1.0, end + 1.0, rng.uniform(0.8, 1.2))
    time = 0.0
    while time < end:
        after = time + rng.uniform(1.0, 2.2)
        if speaks or rng.uniform() < 0.5:
            _talk(tracks, time, min(after, end), rng)
        if rng.uniform() < 0.5:
            _express(tracks, time, after, rng)
        time = after


def _draw_gaze(frames: int, rng: np.random.Generator) -> Floats:
    """Draws saccades between points to look at, far and near; (T, 2, 2) [rad]."""
    target, time = np.zeros((frames, 3)), 0
    while time < frames:
        away = rng.uniform() < 0.6
        yaw, pitch = rng.uniform(-1, 1, 2) * GAZE if away else rng.normal(0, np.radians(1.0), 2)
        after = time + int(FRAME_RATE * rng.uniform(0.4, 1.6))
        target[time:after] = yaw, pitch, 1 / rng.uniform(_NEAREST, _FARTHEST)
        time = after
    yaw, pitch, near = gaussian_filter1d(target, 0.02 * FRAME_RATE, axis=0).T
    eyes = [np.arctan(np.tan(yaw) - side * _HALF_PUPILS * near) for side in (1, -1)]
    return np.stack([np.stack([eye, pitch], axis=1) for eye in eyes], axis=1)


def _look(units: Floats, names: tuple[str, ...], gaze: Floats) -> None:
    """Makes the lids follow the gaze."""
    for side, name in enumerate(("Left", "Right")):
        outwards, up = gaze[:, side, 0] * (1 if side == 0 else -1), gaze[:, side, 1]
        across, up = outwards / WHOLE_LOOK[0], up / WHOLE_LOOK[1]
        for unit, share in (("Out", across), ("In", -across), ("Up", up), ("Down", -up)):
            units[:, names.index(f"eyeLook{unit}{name}")] = np.clip(share, 0, 1)


def _blink(units: Floats, names: tuple[str, ...], rng: np.random.Generator) -> None:
    """Closes the lids for a moment, every two to five seconds."""
    frame, time = np.arange(len(units)) / FRAME_RATE, rng.uniform(0.5, 3.0)
    rows = [names.index(f"eyeBlink{side}") for side in ("Left", "Right")]
    while time < frame[-1]:
        down, up = rng.uniform(0.07, 0.1), rng.uniform(0.15, 0.2)
        closed = np.clip(np.minimum((frame - time) / down, (time + down + 0.04 + up - frame) / up), 0, 1)
        units[:, rows] = np.maximum(units[:, rows], closed[:, None])
        time += rng.uniform(2.0, 5.0)


def _draw_head(frames: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Draws turns of the head with pauses, mostly about one axis, (T, 3) [rad], and shifts, (T, 3) [m]."""
    target, time = np.zeros((frames, 6)), 0
    least = np.array([*HEAD, 0.012, 0.008, 0.015])
    while time < frames:
        after = time + int(FRAME_RATE * rng.uniform(0.7, 2.2))
        size = np.full(6, 0.25)
        if rng.uniform() < 0.5:
            size[[int(rng.integers(3)), int(rng.integers(3, 6))]] = 1.0
        target[time:after] = np.clip(size * rng.uniform(-1.2, 1.2, 6), -1, 1) * least
        time = after
    moved = gaussian_filter1d(target, 0.16 * FRAME_RATE, axis=0, mode="nearest")
    drift = gaussian_filter1d(rng.normal(0, 1, (frames, 6)), 0.3 * FRAME_RATE, axis=0) * np.radians(1.0)
    moved[:, :3] = np.clip(moved[:, :3] + drift[:, :3], -HEAD, HEAD)
    return moved[:, :3], moved[:, 3:]
