"""What a camera finds out about each actuator: which landmarks it moves, play, hysteresis, delay.

Needs nothing but a `Face`. One actuator at a time goes up and down its travel in small steps while the
rest is at neutral; what the landmarks do is projected onto the way from one end to the other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eva_sim.atlas import load_atlas
from eva_sim.averaged_landmarks import Look, reading_landmarks
from eva_sim.contract import Face, FaceSpec, Floats, load_spec
from eva_sim.detector import Detector
from eva_sim.errors import MediaError
from eva_sim.landmarks import POINTS, Aligner
from eva_sim.recording.replay import eased_commands

#: Places at which a sweep stops, how long [control steps], and how many of the last readings are used.
LEVELS, HOLD, READ = 17, 6, 2
#: Side of the pictures of the resting face [pixels].
SIZE = 480
#: A landmark moves if it does so by this much [mm], and an actuator is seen if a landmark moves.
SEEN = 0.5
#: Landmarks are where an actuator moves the face if they go this share of the farthest one's way: the
#: detector knows faces, and lets all of one follow a little when a part moves.
FAR = 0.5
#: The step whose answer tells the delay, in shares of travel, and how long it is watched [control steps].
STEP, WATCHED = (0.3, 0.95), 12
#: Motion has begun at this share of the way, and at this many standard deviations of the reading.
BEGUN, SURE = 0.03, 4.0
#: Where play is measured [share of the response].
_PLAY = (0.05, 0.5)


@dataclass(frozen=True)
class ActuatorResponse:
    """Of the landmarks to one actuator. What is None was not to be seen.

    Attributes:
        moved: how far each landmark moved from end to end, N numbers [mm].
        command: places of the sweep, in command units.
        up: share of the way at each place, rising.
        down: the same, falling.
        sign: 1 if the face moves as the twin's does, -1 if against it.
        backlash: command between a rising and a falling branch, without load [command units].
        hysteresis: widest gap between the branches, share of the way.
        delay: readings until motion begins, beyond the first [control steps].
        noise: of a reading, standard deviation, share of the way.
    """

    moved: tuple[float, ...]
    command: tuple[float, ...]
    up: tuple[float, ...] | None = None
    down: tuple[float, ...] | None = None
    sign: int | None = None
    backlash: float | None = None
    hysteresis: float | None = None
    delay: int | None = None
    noise: float | None = None

    @property
    def points(self) -> tuple[int, ...]:
        """MediaPipe index of the landmarks that it moves most, the farthest first."""
        order, least = np.argsort(self.moved)[::-1], max(SEEN, FAR * max(self.moved))
        return tuple(POINTS[row] for row in order if self.moved[row] >= least)

    def plain(self) -> dict[str, Any]:
        """As JSON holds it; `ActuatorResponse(**plain)` is the same again."""
        return asdict(self)

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> ActuatorResponse:
        """From JSON."""
        fields: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in plain.items()}
        return cls(**fields)


def sweep_actuator(face: Face, actuator: int, expected: Floats | None = None) -> ActuatorResponse:
    """Sweeps one actuator up and down, then steps it, beginning and ending gently at neutral.

    Args:
        face: any body, ready to move.
        actuator: its place in the table.
        expected: the twin's landmarks per unit of each command, (25, N, 3); by default `expected_motion()`.

    Raises:
        MediaError: the face is not found in the pictures.
    """
    levels = np.linspace(-1, 1, LEVELS)
    shape = (expected_motion() if expected is None else expected)[actuator]
    with reading_landmarks(face) as look:
        bottom = _with(face.spec, actuator, -1.0)
        _glide(face, face.spec.neutral, bottom)
        up = np.array([_hold(face, look, actuator, level) for level in levels])
        down = np.array([_hold(face, look, actuator, level) for level in levels[::-1]][::-1])
        response = analyse_sweep(levels, up, down, 1000 * face.outer_eye, shape)
        if response.up is not None:
            response = _timed(face, look, actuator, response, up)
        _glide(face, bottom, face.spec.neutral)
    return response


def _glide(face: Face, start: Floats, end: Floats) -> None:
    for command in eased_commands(start, end, face.spec):
        face.move(command)


def analyse_sweep(
    levels: Floats, up: Floats, down: Floats, scale: float, expected: Floats
) -> ActuatorResponse:
    """What a sweep tells.

    Args:
        levels: of the command, (L,), rising.
        up: landmarks on the way up, (L, READ, N, 3).
        down: on the way down, at the same levels.
        scale: millimetres of a landmark's unit.
        expected: how the twin's landmarks move, (N, 3).
    """
    rising, falling = up.mean(1), down.mean(1)
    way = rising[-1] - falling[0]
    moved = scale * np.linalg.norm(way, axis=-1)
    plain: dict[str, Any] = {"moved": tuple(moved.tolist()), "command": tuple(levels.tolist())}
    if moved.max() < SEEN:
        return ActuatorResponse(**plain)
    share = _along(falling[0], way)
    shares = [share(branch) for branch in (rising, falling)]
    spread = share(np.concatenate([up, down])).std(1, ddof=1)
    return ActuatorResponse(
        **plain, up=tuple(shares[0].tolist()), down=tuple(shares[1].tolist()), sign=_sign(way, expected),
        backlash=_backlash(levels, *shares), hysteresis=float(np.abs(shares[1] - shares[0]).max()),
        noise=float(np.sqrt((spread**2).mean())),
    )  # fmt: skip


def _along(bottom: Floats, way: Floats) -> Callable[[Floats], Floats]:
    """From landmarks, (..., N, 3), to how far along the way they are, 0 to 1, (...).

    Only those that go far are asked, and not for depth, which a detector guesses.
    """
    flat = way[:, :2]
    length = np.linalg.norm(flat, axis=-1)
    flat = flat * (length >= FAR * length.max())[:, None]

    def share(landmarks: Floats) -> Floats:
        gone: Floats = ((landmarks - bottom)[..., :2] * flat).sum((-2, -1)) / (flat * flat).sum()
        return gone

    return share


def _sign(way: Floats, expected: Floats) -> int | None:
    """Whether the face moves as the twin's does; None if it moves elsewhere, or across.

    Asked of the landmarks that the twin moves far, in the plane of the picture: the detector lets the
    whole face follow when one side moves, and guesses depth.
    """
    size = np.linalg.norm(expected, axis=-1)
    if not size.any():
        return None
    far = size >= FAR * size.max()
    seen, wanted = way[:, :2], expected[far, :2]
    length = np.linalg.norm(seen, axis=-1)
    if length[far].max() < FAR * length.max():
        return None
    scale = np.linalg.norm(seen[far]) * np.linalg.norm(wanted)
    cosine = float((seen[far] * wanted).sum() / scale) if scale else 0.0
    return None if abs(cosine) < 0.3 else int(np.sign(cosine))


def _backlash(levels: Floats, up: Floats, down: Floats) -> float:
    """Command between both branches at the same response, mean over its lower half.

    Friction of a cable adds what grows with its tension, so with the response: hence not the upper one.
    And a horn that stands along its cable draws little, so there the same play is more command: the mean
    over the half is about an eighth less than over all of the cable. Less than half has too few readings.
    """
    heights = np.linspace(*_PLAY, 9)
    widths = _inverse(levels, up, heights) - _inverse(levels, down, heights)
    return float(max(widths.mean(), 0.0))


def _inverse(levels: Floats, branch: Floats, heights: Floats) -> Floats:
    """The command at which a branch first reaches each height."""
    return np.interp(heights, np.maximum.accumulate(branch), levels)


def _timed(face: Face, look: Look, actuator: int, response: ActuatorResponse, up: Floats) -> ActuatorResponse:
    """Adds the delay, from a step upwards after coming from below, so that play is taken up."""
    low, high = (2 * share - 1 for share in STEP)
    for level in np.linspace(-1, low, 8):
        before = _hold(face, look, actuator, level)
    top = _with(face.spec, actuator, high)
    after = [look(face.move(top)) for _ in range(WATCHED)]
    _glide(face, top, _with(face.spec, actuator, -1.0))
    share = _along(up[0].mean(0), up[-1].mean(0) - up[0].mean(0))
    gone = share(np.array(after)) - share(np.array(before)).mean()
    least = max(BEGUN * gone[-1], SURE * (response.noise or 0.0))
    begun = np.flatnonzero(gone > least)
    return replace(response, delay=int(begun[0]) if len(begun) else None)


def _hold(face: Face, look: Look, actuator: int, level: float) -> list[Floats]:
    """Landmarks of the last readings of a held command."""
    command = _with(face.spec, actuator, level)
    readings = [face.move(command) for _ in range(HOLD)]
    return [look(reading) for reading in readings[-READ:]]


def _with(spec: FaceSpec, actuator: int, level: float) -> NDArray[np.float32]:
    command = spec.neutral
    command[actuator] = level
    return command


@lru_cache(maxsize=1)
def expected_motion() -> Floats:
    """How the twin's landmarks move by each command, (25, N, 3), fitted to the atlas; read-only.

    Zero for what the aligned landmarks do not show: eyes and neck.
    """
    atlas = load_atlas(load_spec())
    away = atlas.commands - atlas.commands[0]
    moved = (atlas.landmarks - atlas.landmarks[0]).reshape(len(atlas), -1)
    fitted: Floats = np.linalg.lstsq(away, moved, rcond=None)[0].reshape(away.shape[1], -1, 3)
    fitted.setflags(write=False)
    return fitted


def resting_face(face: Face, count: int = 10) -> Floats:
    """The median landmarks of some pictures at neutral, (N, 3), aligned [outer-eye distances].

    Read in video mode, as the robot reads itself: picture mode sees the same face three quarters of a
    millimetre elsewhere, and a robot at rest would seem to have moved by that.

    Raises:
        MediaError: a face is missing in a picture.
    """
    face.reset()
    with Detector("video") as detector:
        found = [_sight(face, detector) for _ in range(count)]
    good = [Aligner.of(points).neutral for points in found if points is not None]
    if len(good) < count:
        lost = count - len(good)
        raise MediaError(f"{lost} of {count} pictures at rest show no face; check camera and light.")
    return Aligner.of(np.median(good, axis=0)).neutral


def _sight(face: Face, detector: Detector) -> Floats | None:
    """What a detector in video mode sees of a face at rest, (N, 3) [pixels]; None for no face."""
    reading = face.move(face.spec.neutral)
    picture = face.render(SIZE) if reading.image is None else reading.image
    return detector.landmarks(picture, reading.time)
