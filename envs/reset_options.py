"""Checks the `options` of `reset`; each bad one gives a clear error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eva_sim.errors import ArgumentError, ArgumentValueError, DataError, known_names
from eva_sim.landmarks import POINTS


def check_mapping(options: object) -> dict[str, Any]:
    """Returns the options of a reset, empty for None.

    Raises:
        ArgumentError: no dict.
    """
    if not isinstance(options, dict | None):
        raise ArgumentError(f"options of reset are a dict such as {{'expression': 'joy'}}, not {options!r}.")
    return options or {}


def check_names(options: dict[str, Any], known: Sequence[str]) -> None:
    """Refuses unknown options.

    Raises:
        ArgumentValueError: an unknown option.
    """
    for name in options:
        if name not in known:
            raise ArgumentValueError(f"reset has no option {name!r}; {known_names(name, known)}.")


def options_of_copies(options: dict[str, Any], known: Sequence[str], count: int) -> list[dict[str, Any]]:
    """Returns the options of each copy of a vector environment, of which some may be the same dict.

    Args:
        options: those of all copies alike, or `{"copies": [...]}`, one dict for each copy.
        known: names of options.
        count: number of copies.

    Raises:
        ArgumentError: `copies` is no sequence of dicts.
        ArgumentValueError: an unknown option, another number of dicts, or other options beside `copies`.
    """
    if "copies" not in options:
        check_names(options, (*known, "copies", "reset_mask"))
        return [options] * count
    given = options["copies"]
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise ArgumentError(f"copies is a list of {count} dicts, one for each copy, not {given!r}.")
    if len(given) != count or len(options) > 1:
        also = [name for name in options if name != "copies"]
        beside = f" beside {', '.join(also)}" if also else ""
        raise ArgumentValueError(
            f"copies holds one dict of options for each of {count} copies, not {len(given)}{beside}."
        )
    rows = [check_mapping(own) for own in given]
    for own in rows:
        check_names(own, known)
    return rows


def reset_mask(given: object, count: int) -> NDArray[np.bool_]:
    """Checks and returns the copies of a vector environment to reset, bool (N,); all of them for None.

    Raises:
        ArgumentError: no bool array.
        ArgumentValueError: another number of copies, or none to reset.
    """
    if given is None:
        return np.ones(count, bool)
    if not isinstance(given, np.ndarray) or given.dtype != np.bool_:
        raise ArgumentError(f"reset_mask is a numpy array of bool, not {type(given).__name__}.")
    if given.shape != (count,) or not given.any():
        raise ArgumentValueError(f"reset_mask has shape ({count},) and at least one True, not {given}.")
    return given.copy()


def check_points(points: ArrayLike, frames: bool) -> NDArray[np.float32]:
    """Checks and returns a user's aligned landmarks, (N, 3) or, with `frames`, (T, N, 3) with T >= 2.

    Raises:
        DataError: another shape, or not finite numbers.
    """
    shape = f"({'T, ' if frames else ''}{len(POINTS)}, 3)"
    try:
        array = np.array(points, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise DataError(f"a target is an array {shape} of numbers ({error}).") from error
    if array.shape[int(frames) :] != (len(POINTS), 3) or (frames and len(array) < 2):
        raise DataError(f"a target has shape {shape}{' with T >= 2' * frames}, not {array.shape}.")
    if not np.isfinite(array).all():
        raise DataError("a target holds values that are not finite; mask lost frames first.")
    return array
