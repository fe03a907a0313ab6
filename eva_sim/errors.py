"""All errors that are raised on purpose. Each message says what to do next."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any


class EvaError(Exception):
    """Base of all errors raised on purpose by this package."""


class CommandError(EvaError, ValueError):
    """A command has the wrong shape, is not a number, or leaves the range -1..1."""


class PhysicsError(EvaError, RuntimeError):
    """The simulation diverged or could not be solved.

    Attributes:
        state: state before the failure, for `restore` of the skin that raised, or None.
        drive: the drive that failed, so that the failure can be repeated, or None.
        faces: indices of the faces that failed, where N are simulated; they are back at neutral.
    """

    def __init__(
        self, message: str, state: Any = None, drive: Any = None, faces: tuple[int, ...] = ()
    ) -> None:
        super().__init__(message)
        self.state, self.drive, self.faces = state, drive, faces


class RenderError(EvaError, RuntimeError):
    """Pictures cannot be made here, for example because no OpenGL library is installed."""


class MediaError(EvaError, ValueError):
    """A clip, camera or picture is missing, unreadable or shows no face."""


class DataError(EvaError, ValueError):
    """A data set, checkpoint or asset file is missing, damaged or of another face."""


class RobotError(EvaError, RuntimeError):
    """The robot refuses or cannot do what was asked: limp, stopped, in fault, of another calibration."""


class LinkError(RobotError):
    """The link to the robot's board is lost, or no device answers."""


def known_names(name: str, known: Sequence[str]) -> str:
    """Returns the end of a message about an unknown name: the nearest known name, if any, and all of them."""
    near = difflib.get_close_matches(name, known, n=1)
    listed = ", ".join(known)
    return f"did you mean {near[0]}? There are {listed}" if near else f"there are {listed}"
