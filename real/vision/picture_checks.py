"""Pictures that lie: a camera that is frozen, and a face that is not the robot's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from eva_sim.contract import FaceSpec, Floats
from eva_sim.landmarks import landmark_rows
from eva_sim.real.vision.camera_source import LOST_AFTER, Picture

FROZEN = "the camera is frozen: its picture has not changed since the face moved"
STALE = "the camera is frozen: its newest picture is {:.1f} s old"
#: Change of a command that shows in a picture: a cable may be slack for the first part of its travel.
VISIBLE, VISIBLE_CABLE = 0.2, 0.7
#: Time that a picture may stay the same after such a change: servos and cameras have delays [s] [choice].
SAME_FOR = 0.5
#: Points of skin whose colour is taken: cheeks and forehead.
_SKIN = landmark_rows(205, 425, 50, 280, 36, 266, 9, 151, 108, 337)
_CORNERS = landmark_rows(33, 263)
#: Largest difference in chromaticity of one face in changing light, largest ratio of its sizes, and largest
#: shift [outer-eye distances]. Hidden robots under random commands reach 0.005, 1.08 and 0.37; the person of
#: the sample clip is 0.33 away from their colour [tests/vision/test_picture_checks.py].
COLOUR, SIZE, SHIFT = 0.12, 1.4, 1.0
#: Brightness below which a colour says nothing [0..255].
_DARK = 20.0


class FrozenCheck:
    """Notices a camera that gives the same picture again and again, though with new times.

    A real camera is never the same twice, because of noise. The camera of a simulated robot is, as long as
    nothing moves. So a picture that stays the same is a fault only after a command that must show in it.

    Args:
        spec: the face.
    """

    def __init__(self, spec: FaceSpec) -> None:
        self._visible = np.full(len(spec), VISIBLE)
        self._visible[spec.where("cable")] = VISIBLE_CABLE
        self._picture: Picture | None = None
        self._sent, self._moved_at = spec.neutral, np.inf

    def __call__(self, picture: Picture, time: float, now: float, sent: Floats) -> str:
        """Checks the newest picture; returns a fault in words, or "".

        Args:
            picture: the newest picture.
            time: its time of exposure by the robot's clock [s].
            now: by the same clock [s].
            sent: the last command after limits, (A,).
        """
        if now - time > LOST_AFTER:
            return STALE.format(now - time)
        if self._picture is None or not np.array_equal(picture, self._picture):
            self._picture, self._sent, self._moved_at = picture, sent.copy(), np.inf
            return ""
        if (np.abs(sent - self._sent) >= self._visible).any():
            self._moved_at = min(self._moved_at, now)
        return FROZEN if now - self._moved_at > SAME_FOR else ""


class FaceLook(NamedTuple):
    """What the robot's face looks like in the picture of a fixed camera.

    Attributes:
        colour: median chromaticity of the skin, (3,), shares of red, green and blue; NaN in the dark.
        size: outer-eye distance [pixels].
        place: middle between the outer eye corners, (2,) [pixels].
    """

    colour: Floats
    size: float
    place: Floats

    @classmethod
    def of(cls, picture: Picture, points: Floats) -> Self:
        """The look of one face, (N, 3) [pixels, y up]."""
        corners = points[_CORNERS, :2]
        return cls(
            _skin_colour(picture, points), float(np.linalg.norm(corners[1] - corners[0])), corners.mean(0)
        )

    @classmethod
    def median(cls, looks: Sequence[FaceLook]) -> Self:
        """The median of several looks."""
        return cls(
            np.median([look.colour for look in looks], axis=0),
            float(np.median([look.size for look in looks])),
            np.median([look.place for look in looks], axis=0),
        )

    def has_colour_of(self, other: FaceLook) -> bool:
        """Whether both have one colour, or one is too dark to tell."""
        return not np.abs(self.colour - other.colour).max() > COLOUR  # true for NaN

    def difference(self, other: FaceLook) -> str:
        """Why the other one is not the same face; "" if it may be."""
        if not self.has_colour_of(other):
            return "its skin has another colour"
        if not 1 / SIZE < other.size / self.size < SIZE:
            return f"it is {other.size / self.size:.1f} times as large"
        if np.linalg.norm(other.place - self.place) > SHIFT * self.size:
            return "it is elsewhere in the picture"
        return ""


def _skin_colour(picture: Picture, points: Floats) -> Floats:
    height, width = picture.shape[:2]
    column, row = (points[_SKIN, :2] * (1, -1)).round().astype(int).T
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    if not inside.any():
        return np.full(3, np.nan)
    skin: NDArray[np.floating] = np.median(picture[row[inside], column[inside]].astype(float), axis=0)
    return skin / skin.sum() if skin.mean() >= _DARK else np.full(3, np.nan)
