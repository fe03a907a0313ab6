"""Lag and jerk of motion: how late one follows another, and how smoothly."""

from __future__ import annotations

import numpy as np

from eva_sim.contract import Floats
from eva_sim.errors import ArgumentValueError

#: Largest lag that is looked for [s].
LARGEST_LAG = 1.0
#: Rows that a lag needs at least, of those that both motions share once shifted, and in all.
_LEAST_SHARED, LEAST_ROWS = 8, 16


def lag_between(reference: Floats, follower: Floats, dt: float) -> float:
    """Returns how late a motion follows another: where their cross-correlation is highest.

    The correlation is that of the rows which both motions share after a shift. Columns are centred and
    counted together, so columns that move more count more. A parabola through the highest value and its
    neighbours gives the lag between two steps.

    Args:
        reference: motion that is followed, (T,) or (T, ...).
        follower: of the same shape.
        dt: time between two rows [s].

    Returns:
        The lag [s], at most `LARGEST_LAG`; negative if the follower is ahead; nan if one of them rests.

    Raises:
        ArgumentValueError: different shapes, or too few rows.
    """
    if reference.shape != follower.shape or len(reference) < LEAST_ROWS:
        raise ArgumentValueError(
            f"a lag needs two motions of equal shape, with {LEAST_ROWS} rows or more, "
            f"not {reference.shape} and {follower.shape}."
        )
    first, second = (np.asarray(each, float).reshape(len(each), -1) for each in (reference, follower))
    most = min(int(np.ceil(LARGEST_LAG / dt)), len(first) - _LEAST_SHARED)
    values = np.array([_correlation(first, second, shift) for shift in range(-most, most + 1)])
    if np.isnan(values).all():
        return float("nan")
    peak = int(np.nanargmax(values))
    return float((peak - most + _vertex(values[peak - 1 : peak + 2])) * dt)


def rms_jerk(motion: Floats, dt: float) -> float:
    """Returns the root mean square of the third difference in time, over all columns [unit/s³].

    Args:
        motion: (T,) or (T, ...), four rows or more.
        dt: time between two rows [s].

    Raises:
        ArgumentValueError: too few rows.
    """
    if len(motion) < 4:
        raise ArgumentValueError(f"a jerk needs 4 rows or more, not {len(motion)}.")
    thirds = np.diff(np.asarray(motion, float), 3, axis=0) / dt**3
    return float(np.sqrt(np.mean(thirds**2)))


def _correlation(reference: Floats, follower: Floats, shift: int) -> float:
    """Correlation of the shared rows once the follower is `shift` rows later; nan if one of them rests."""
    early = reference[: len(reference) - shift] if shift >= 0 else reference[-shift:]
    late = follower[shift:] if shift >= 0 else follower[:shift]
    early, late = early - early.mean(0), late - late.mean(0)
    size = np.sqrt((early**2).sum() * (late**2).sum())
    return float((early * late).sum() / size) if size > 0 else float("nan")


def _vertex(values: Floats) -> float:
    """Place of the highest point of a parabola through three values, from the middle one; 0 at an end."""
    if len(values) < 3 or np.isnan(values).any():
        return 0.0
    before, middle, after = values
    bend = before - 2 * middle + after
    return float(0.5 * (before - after) / bend) if bend < 0 else 0.0
