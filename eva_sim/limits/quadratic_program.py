"""Quadratic programs with bounds, and with a cost of what is beyond linear limits."""

from __future__ import annotations

import numpy as np
from scipy.optimize import nnls

from eva_sim.contract import Floats


def solve_quadratic_program(
    hessian: Floats, gradient: Floats, low: Floats, high: Floats, weights: Floats, excess: Floats, cost: float
) -> Floats:
    """Returns the d, (M,), that makes g d + d H d / 2 + c² |max(W d + e, 0)|² / 2 least, low <= d <= high.

    With slack variables for what is beyond the limits it is a least distance problem, which nonnegative least
    squares solve (Lawson and Hanson, Solving Least Squares Problems, 1974, chapter 23).

    Args:
        hessian: H, positive definite, (M, M).
        gradient: g, (M,).
        low: lower bounds, (M,).
        high: upper bounds, (M,).
        weights: W, of R limits, (R, M).
        excess: e, how far each limit is exceeded where d is zero, negative where it is kept, (R,).
        cost: c, more than zero.
    """
    # In the variables z = (L' (d - d0), c s), with H = L L' and s the slack, the cost is |z|² / 2.
    count, size = len(excess), len(gradient)
    # SciPy's triangular solver would wake threads that keep a whole processor busy for a few numbers.
    unwhiten = np.linalg.inv(np.linalg.cholesky(hessian)).T
    free = -unwhiten @ (unwhiten.T @ gradient)  # d0, where nothing binds
    slack = np.concatenate([np.zeros((2 * size, count)), np.eye(count) / cost])
    limits = np.concatenate([unwhiten, -unwhiten, -weights @ unwhiten])
    least = np.concatenate([low - free, free - high, excess + weights @ free])
    if (least <= 0).all():
        return free
    # The least z with limits z >= least.
    dual = np.concatenate([np.concatenate([limits, slack], axis=1).T, least[None]])
    target = np.zeros(len(dual))
    target[-1] = 1.0
    residual = dual @ nnls(dual, target)[0] - target
    step = free - unwhiten @ residual[:size] / residual[-1]
    return np.clip(step, low, high)
