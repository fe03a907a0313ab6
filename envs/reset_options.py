"""Checks the `options` of `reset`; each bad one gives a clear error."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eva_sim.errors import DataError, EvaError
from eva_sim.landmarks import POINTS


def check_names(options: dict[str, Any], known: Iterable[str]) -> None:
    """Refuses unknown options.

    Raises:
        EvaError: an unknown option.
    """
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise EvaError(f"unknown reset options {unknown}; this environment takes {sorted(known)}.")


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
