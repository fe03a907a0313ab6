"""Measuring each actuator by camera: the landmarks it moves, backlash, hysteresis and delay.

This needs only a `Face`. One actuator at a time goes up and down its travel in small steps while the
others stay at neutral; the motion of the landmarks is projected onto the line from one end to the other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eva_sim.atlas import load_atlas
from eva_sim.averaged_landmarks import ReadLandmarks, median_face, reading_landmarks, require_faces
from eva_sim.contract import Face, FaceSpec, Floats
from eva_sim.detector import Detector
from eva_sim.holding import work_while_held
from eva_sim.landmarks import POINTS
from eva_sim.recording.trajectories import eased_commands

#: Number of levels of a sweep, time at each [control steps], and number of its last readings that are used.
LEVELS, HOLD, READ = 17, 6, 2
#: Side of the pictures of the resting face [pixels].
SIZE = 480
#: A landmark counts as moved from here on [mm]; an actuator is visible if a landmark moved.
VISIBLE_MOTION = 0.5
#: Landmarks belong to an actuator if they move by this share of the one that moves most: the detector has
#: a model of faces, so the whole face follows a little when a part moves.
MAIN_SHARE = 0.5
#: The step whose response gives the delay [shares of travel], and how long it is observed [control steps].
STEP, OBSERVED = (0.3, 0.95), 12
#: Motion has begun at this share of the response, and at this many standard deviations of the reading.
ONSET_SHARE, ONSET_SIGMAS = 0.03, 4.0
#: Range of the response in which backlash is measured.
_BACKLASH_RANGE = (0.05, 0.5)


@dataclass(frozen=True)
class ActuatorResponse:
    """Response of the landmarks to one actuator. Fields are None where the camera shows nothing.

    Attributes:
        moved: distance of each landmark from end to end, N numbers [mm].
        command: levels of the sweep, in command units.
        up: response at each level, rising, as a share of the full response.
        down: the same, falling.
        sign: 1 if the face moves as the twin's does, -1 if against it.
        backlash: command between the rising and the falling branch, without load [command units].
        hysteresis: largest gap between the branches, share of the full response.
        delay: readings until motion begins, beyond the first [control steps].
        noise: standard deviation of a reading, share of the full response.
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
        """MediaPipe indices of the landmarks that move most, the farthest first."""
        order, least = np.argsort(self.moved)[::-1], max(VISIBLE_MOTION, MAIN_SHARE * max(self.moved))
        return tuple(POINTS[row] for row in order if self.moved[row] >= least)

    def to_json(self) -> dict[str, Any]:
        """Returns the fields as JSON holds them."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> ActuatorResponse:
        """Restores what `to_json` returned, also after a JSON file turned tuples into lists."""
        fields: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in content.items()}
        return cls(**fields)


def sweep_actuator(face: Face, actuator: int, expected: Floats | None = None) -> ActuatorResponse:
    """Sweeps one actuator up and down, then steps it, beginning and ending gently at neutral.

    Args:
        face: any body, ready to move.
        actuator: its place in the table.
        expected: motion of the twin's landmarks per unit of each command, (A, N, 3); by default
            `expected_motion`.

    Raises:
        MediaError: the face is not found in the pictures.
    """
    levels = np.linspace(-1, 1, LEVELS)
    all_expected = work_while_held(face, lambda: expected_motion(face.spec)) if expected is None else expected
    with reading_landmarks(face) as read:
        bottom = _with(face.spec, actuator, -1.0)
        _glide(face, face.spec.neutral, bottom)
        up = np.array([_hold(face, read, actuator, level) for level in levels])
        down = np.array([_hold(face, read, actuator, level) for level in levels[::-1]][::-1])
        response = work_while_held(
            face, lambda: analyse_sweep(levels, up, down, 1000 * face.outer_eye, all_expected[actuator])
        )
        if response.up is not None:
            response = _with_delay(face, read, actuator, response, up)
        _glide(face, bottom, face.spec.neutral)
    return response


def _glide(face: Face, start: Floats, end: Floats) -> None:
    for command in eased_commands(start, end, face.spec):
        face.move(command)


def analyse_sweep(
    levels: Floats, up: Floats, down: Floats, scale: float, expected: Floats
) -> ActuatorResponse:
    """Computes the response from the landmarks of a sweep.

    Args:
        levels: levels of the command, (L,), rising.
        up: landmarks on the way up, (L, READ, N, 3).
        down: landmarks on the way down, at the same levels.
        scale: millimetres per landmark unit.
        expected: motion of the twin's landmarks, (N, 3).
    """
    rising, falling = up.mean(1), down.mean(1)
    motion = rising[-1] - falling[0]
    moved = scale * np.linalg.norm(motion, axis=-1)
    fields: dict[str, Any] = {"moved": tuple(moved.tolist()), "command": tuple(levels.tolist())}
    if moved.max() < VISIBLE_MOTION:
        return ActuatorResponse(**fields)
    share = _projection(falling[0], motion)
    shares = [share(branch) for branch in (rising, falling)]
    spread = share(np.concatenate([up, down])).std(1, ddof=1)
    return ActuatorResponse(
        **fields, up=tuple(shares[0].tolist()), down=tuple(shares[1].tolist()), sign=_sign(motion, expected),
        backlash=_backlash(levels, *shares), hysteresis=float(np.abs(shares[1] - shares[0]).max()),
        noise=float(np.sqrt((spread**2).mean())),
    )  # fmt: skip


def _projection(bottom: Floats, motion: Floats) -> Callable[[Floats], Floats]:
    """Returns a function from landmarks, (..., N, 3), to their share of the full motion, (...).

    It uses the landmarks that move most, and not their depth, which the detector only guesses.
    """
    flat = motion[:, :2]
    length = np.linalg.norm(flat, axis=-1)
    flat = flat * (length >= MAIN_SHARE * length.max())[:, None]

    def share(landmarks: Floats) -> Floats:
        projected: Floats = ((landmarks - bottom)[..., :2] * flat).sum((-2, -1)) / (flat * flat).sum()
        return projected

    return share


def _sign(motion: Floats, expected: Floats) -> int | None:
    """Whether the face moves as the twin's does; None if it moves elsewhere, or across.

    Only the landmarks that the twin moves most are compared, in the plane of the picture: the detector
    lets the whole face follow when one side moves, and guesses depth.
    """
    size = np.linalg.norm(expected, axis=-1)
    if not size.any():
        return None
    main = size >= MAIN_SHARE * size.max()
    measured, wanted = motion[:, :2], expected[main, :2]
    length = np.linalg.norm(measured, axis=-1)
    if length[main].max() < MAIN_SHARE * length.max():
        return None
    scale = np.linalg.norm(measured[main]) * np.linalg.norm(wanted)
    cosine = float((measured[main] * wanted).sum() / scale) if scale else 0.0
    return None if abs(cosine) < 0.3 else int(np.sign(cosine))


def _backlash(levels: Floats, up: Floats, down: Floats) -> float:
    """Command between both branches at the same response, mean over its lower half.

    Friction of a cable adds an amount that grows with its tension, and so with the response: the upper half
    is left out. A horn in line with its cable draws in little, so there the same backlash is more command:
    the mean over the lower half is about an eighth less than over all of the cable. Less than half has too
    few readings.
    """
    heights = np.linspace(*_BACKLASH_RANGE, 9)
    widths = _inverse(levels, up, heights) - _inverse(levels, down, heights)
    return float(max(widths.mean(), 0.0))


def _inverse(levels: Floats, branch: Floats, heights: Floats) -> Floats:
    """The command at which a branch first reaches each height."""
    return np.interp(heights, np.maximum.accumulate(branch), levels)


def _with_delay(
    face: Face, read: ReadLandmarks, actuator: int, response: ActuatorResponse, up: Floats
) -> ActuatorResponse:
    """Adds the delay, from a step upwards after coming from below, so that backlash is taken up."""
    low, high = (2 * share - 1 for share in STEP)
    for level in np.linspace(-1, low, 8):
        before = _hold(face, read, actuator, level)
    top = _with(face.spec, actuator, high)
    observed = [face.move(top) for _ in range(OBSERVED)]  # read later: by the wall clock, reading takes time
    after = [read(reading) for reading in observed]
    _glide(face, top, _with(face.spec, actuator, -1.0))
    share = _projection(up[0].mean(0), up[-1].mean(0) - up[0].mean(0))
    progress = share(np.array(after)) - share(np.array(before)).mean()
    threshold = max(ONSET_SHARE * progress[-1], ONSET_SIGMAS * (response.noise or 0.0))
    begun = np.flatnonzero(progress > threshold)
    return replace(response, delay=int(begun[0]) if len(begun) else None)


def _hold(face: Face, read: ReadLandmarks, actuator: int, level: float) -> list[Floats]:
    """Landmarks of the last readings of a held command."""
    command = _with(face.spec, actuator, level)
    readings = [face.move(command) for _ in range(HOLD)]
    return [read(reading) for reading in readings[-READ:]]


def _with(spec: FaceSpec, actuator: int, level: float) -> NDArray[np.float32]:
    command = spec.neutral
    command[actuator] = level
    return command


@lru_cache(maxsize=8)
def expected_motion(spec: FaceSpec) -> Floats:
    """Motion of the twin's landmarks by each command, (A, N, 3), fitted to the atlas; read-only.

    Zero where aligned landmarks show nothing: gaze and head pose.
    """
    atlas, seen = load_atlas(spec), spec.expressive
    commands = (atlas.commands - atlas.commands[0])[:, seen]
    landmarks = (atlas.landmarks - atlas.landmarks[0]).reshape(len(atlas), -1)
    fitted: Floats = np.zeros((len(spec), landmarks.shape[1] // 3, 3))
    fitted[seen] = np.linalg.lstsq(commands, landmarks, rcond=None)[0].reshape(len(seen), -1, 3)
    fitted.setflags(write=False)
    return fitted


def resting_face(face: Face, count: int = 10) -> Floats:
    """Measures the median landmarks of several pictures at neutral, (N, 3), aligned [outer-eye distances].

    The detector runs in video mode, as it does in the robot: picture mode places the same face three
    quarters of a millimetre elsewhere, and a robot at rest would seem to have moved by that.

    Raises:
        MediaError: a face is missing in a picture.
    """
    face.reset()
    with work_while_held(face, lambda: Detector("video")) as detector:
        found = [_neutral_points(face, detector) for _ in range(count)]
    return median_face(require_faces(found)).neutral


def _neutral_points(face: Face, detector: Detector) -> Floats | None:
    """Landmarks of a face after one more step at rest, (N, 3) [pixels]; None for no face."""
    reading = face.move(face.spec.neutral)
    picture = face.render(SIZE) if reading.image is None else reading.image
    return work_while_held(face, lambda: detector.landmarks(picture, reading.time))
