"""Sequences of commands: eased transitions, and expressions one after another."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eva_sim.contract import FaceSpec
from eva_sim.errors import DataError
from eva_sim.expressions import expression_command

#: Largest speed of any actuator while easing [command units per second]; full travel is 2.
EASING_SPEED = 1.5
#: Shortest duration of an eased transition [s], however small the change.
SHORTEST = 0.4
#: Longest duration of an expression in a sequence [s]; an hour of pictures is 2 GB.
LONGEST_HOLD = 3600.0


def eased_commands(start: ArrayLike, end: ArrayLike, spec: FaceSpec) -> NDArray[np.float32]:
    """A smooth transition between two commands, both (A,): (K, A), the last row is `end`.

    It follows half a cosine in time, and no step is larger than `EASING_SPEED` allows.
    """
    first, last = np.asarray(start, float), np.asarray(end, float)
    duration = max(SHORTEST, np.pi / 2 * float(np.abs(last - first).max()) / EASING_SPEED)
    count = int(np.ceil(duration / spec.control_dt))
    share = (1 - np.cos(np.pi * np.arange(1, count + 1) / count)) / 2
    return (first + share[:, None] * (last - first)).astype(np.float32).clip(-1, 1)


def expression_sequence(spec: FaceSpec, names: Sequence[str], hold: float) -> NDArray[np.float32]:
    """Commands, (T, A), that go from one named expression to the next and hold each.

    Args:
        spec: the face.
        names: names of the expressions.
        hold: duration of each [s].

    Raises:
        CommandError: no such expression.
        DataError: no names, or no duration up to `LONGEST_HOLD`.
    """
    if not names:
        raise DataError("name an expression or more, e.g. `eva record joy sadness`.")
    if not 0 < hold <= LONGEST_HOLD:  # also refuses NaN
        raise DataError(
            f"expressions are held for more than 0 s and at most {LONGEST_HOLD:g} s, not {hold:g}."
        )
    commands = np.array([expression_command(spec, name) for name in names])
    steps = max(1, round(hold / spec.control_dt))
    parts = [np.repeat(commands[:1], steps, axis=0)]
    for start, end in pairwise(commands):
        parts += [eased_commands(start, end, spec), np.repeat(end[None], steps, axis=0)]
    return np.concatenate(parts)
