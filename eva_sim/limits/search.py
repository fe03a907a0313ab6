"""Search by least squares for a command within its travel and within the rules of pulls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from eva_sim.contract import Floats
from eva_sim.limits.pulls import PullLimits


def least_squares_within(
    limits: PullLimits,
    start: Floats,
    rows: NDArray[np.intp],
    residual: Callable[[Floats], Floats],
    jacobian: Callable[[Floats], Floats],
    cost: float,
    **options: Any,
) -> Floats:
    """Returns the command, (A,), whose residuals have the least sum of squares among those that are allowed.

    Pulls beyond a rule cost something. So where rules and residuals compete, the residuals decide which of
    the pulls give way. What is left beyond is scaled down.

    Args:
        limits: rules of pulls.
        start: command where the search begins, (A,) in [-1, 1].
        rows: actuators that are searched, (M,); others stay.
        residual: of a command (A,), (K,).
        jacobian: derivative of the residuals by the actuators that are searched, (K, M).
        cost: of a rule that is exceeded by all its bound, in the unit of the residuals. At a hundred times
            the residuals the search ends well within a hundredth of a rule.
        options: of `scipy.optimize.least_squares`.
    """

    def whole(x: Floats) -> Floats:
        command = start.copy()
        command[rows] = x
        return command

    def residuals(x: Floats) -> Floats:
        command = whole(x)
        return np.concatenate([residual(command), cost * limits.excess(command)])

    def slopes(x: Floats) -> Floats:
        command = whole(x)
        return np.concatenate([jacobian(command), cost * limits.excess_jacobian(command)[:, rows]])

    found = least_squares(residuals, start[rows], slopes, bounds=(-1.0, 1.0), **options)
    return limits.within(whole(found.x))


def gauss_newton_within(
    limits: PullLimits,
    command: Floats,
    rows: NDArray[np.intp],
    residual: Floats,
    jacobian: Floats,
    cost: float,
) -> Floats:
    """Returns the command, (A,), whose residuals are least if they change as the jacobian says.

    Args:
        limits: rules of pulls.
        command: for which residuals and jacobian hold, (A,) in [-1, 1].
        rows: actuators that may change, (M,).
        residual: of the command, (K,).
        jacobian: derivative of the residuals by these actuators, (K, M).
        cost: as of `least_squares_within`.
    """
    turned, small = np.linalg.qr(jacobian)
    missing = turned.T @ residual  # what no step changes is left out
    return least_squares_within(
        limits, command, rows,
        lambda changed: missing + small @ (changed - command)[rows], lambda changed: small, cost,
    )  # fmt: skip
