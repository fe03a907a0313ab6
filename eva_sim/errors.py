"""All errors that are raised on purpose. Each message says what to do next."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from numbers import Integral
from typing import Any

#: Ends each message about this machine rather than about what was asked: what it lacks, or does not answer.
SEE_DOCTOR = "`eva doctor` checks this machine."
#: Seeds are less than this, so that a file can hold them.
SEED_LIMIT = 2**63
#: Characters of a name that are compared with known ones; comparing takes their number squared.
_LONGEST_NAME = 100
#: Number of names in a message that says where all are listed.
_SOME_NAMES = 3


class EvaError(Exception):
    """Base of all errors raised on purpose by this package."""


class CommandError(EvaError, ValueError):
    """A command has the wrong shape, is not a number, or leaves the range -1..1."""


class ArgumentError(EvaError, TypeError):
    """An argument is not expected, or of the wrong type.

    It is a `TypeError`, because libraries try an argument and go on after one.
    """


class ArgumentValueError(EvaError, ValueError):
    """An argument has a value without meaning: an unknown name, too small a size, too few seeds."""


class CopyError(EvaError, TypeError):
    """An object that exists only once, such as a robot, was to be copied or pickled."""


class ClosedError(EvaError, RuntimeError):
    """An object is used that was closed."""


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


class NoAnswerError(LinkError):
    """An answer did not come in time; the line itself is there."""


def check_keywords(call: str, given: Iterable[str], known: Sequence[str]) -> None:
    """Checks the keyword arguments of a call that passes them on.

    Args:
        call: the call, e.g. `make_face('twin', ...)`.
        given: names of the keyword arguments.
        known: names of those that it has.

    Raises:
        ArgumentError: one is not known. The message has Python's own wording, which libraries look for.
    """
    for name in given:
        if name not in known:
            raise ArgumentError(
                f"{call} got an unexpected keyword argument {name!r}; {known_names(name, known)}."
            )


#: Extra of eva-sim that installs an optional module.
EXTRAS = {
    "torch": "train", "matplotlib": "train", "serial": "real", "scservo_sdk": "feetech",
    "dynamixel_sdk": "dynamixel", "pyarrow": "lerobot", "websockets": "web", "ray": "ray", "rerun": "rerun",
    "av": "mirror", "cv2": "mirror", "mediapipe": "mirror",
}  # fmt: skip


def missing_module(module: str, extra: str = "") -> str:
    """Returns the message about a Python module that is not installed.

    Args:
        module: its name.
        extra: extra of eva-sim that installs it, in square brackets; empty for none.
    """
    return (
        f"the Python module {module} is missing; install it with: pip install 'eva-sim{extra}'. {SEE_DOCTOR}"
    )


def describe_error(error: Exception) -> str:
    """Says in one line what is wrong, and what to do next, for errors that are no defects of this package."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}." if error.filename else f"{error.strerror}."
    if isinstance(error, MemoryError):
        return f"there is not enough memory; close other programs, or ask for less. {SEE_DOCTOR}"
    if isinstance(error, ModuleNotFoundError) and error.name:
        module = error.name.partition(".")[0]
        extra = f"[{EXTRAS[module]}]" if module in EXTRAS else ""
        return missing_module(module, extra)
    if isinstance(error, ImportError):
        return f"a library cannot be loaded ({error}); reinstall it, or install what it needs. {SEE_DOCTOR}"
    return " ".join(str(error).split())


def check_seed(seed: int, name: str = "seed") -> int:
    """Returns a seed of random numbers.

    Raises:
        CommandError: it is negative, too large, or no whole number.
    """
    if not isinstance(seed, Integral) or not 0 <= seed < SEED_LIMIT:
        raise CommandError(f"{name}={str(seed)[:40]}; choose a whole number from 0 to 2^63 - 1.")
    return int(seed)


def nearest_name(name: object, known: Iterable[str]) -> str:
    """Returns the known name that is written most alike, upper case aside; empty if none is."""
    by_lower_case = {each.lower(): each for each in known}
    near = difflib.get_close_matches(str(name)[:_LONGEST_NAME].lower(), by_lower_case, n=1)
    return by_lower_case[near[0]] if near else ""


def known_names(name: object, known: Sequence[str], listed_by: str = "") -> str:
    """Returns the end of a message about an unknown name: the nearest known name, if any, and all of them.

    Args:
        name: the unknown one, whatever was given for a name.
        known: names that there are.
        listed_by: what lists many names. If it is given, only some are in the message, and it says where the
            others are.
    """
    near = nearest_name(name, known)
    if listed_by and len(known) > _SOME_NAMES:
        found = f"did you mean {near}?" if near else f"there are {', '.join(known[:_SOME_NAMES])}, ...;"
        return f"{found} {listed_by} lists all"
    listed = ", ".join(known)
    return f"did you mean {near}? There are {listed}" if near else f"there are {listed}"
