"""Covariance matrix adaptation, CMA-ES (Hansen, The CMA evolution strategy: a tutorial, arXiv 1604.00772).

It minimises functions of some dozen numbers without derivatives. SciPy has differential evolution, which
takes several times as many candidates, and here each candidate is a skin to settle.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from eva_sim.contract import Floats


def evolve(
    cost: Callable[[Floats], float], start: Floats, spread: float, rng: np.random.Generator
) -> Iterator[tuple[Floats, float]]:
    """Minimises a function over the unit cube.

    Args:
        cost: of a candidate (N,), each number in 0..1.
        start: first guess, (N,) in 0..1.
        spread: standard deviation of the first candidates.
        rng: draws the candidates.

    Yields:
        The best candidate so far (N,), and its cost, after each round.
    """
    count = len(start)
    members = 4 + int(3 * np.log(count))
    weights = np.log(members / 2 + 0.5) - np.log(np.arange(1, members // 2 + 1))
    weights /= weights.sum()
    mass = 1 / (weights**2).sum()
    path_rate, size_rate = (
        (4 + mass / count) / (count + 4 + 2 * mass / count),
        (mass + 2) / (count + mass + 5),
    )
    one_rate = 2 / ((count + 1.3) ** 2 + mass)
    many_rate = min(1 - one_rate, 2 * (mass - 2 + 1 / mass) / ((count + 2) ** 2 + mass))
    damping = 1 + 2 * max(0.0, np.sqrt((mass - 1) / (count + 1)) - 1) + size_rate
    typical = np.sqrt(count) * (1 - 1 / (4 * count) + 1 / (21 * count**2))  # length of a normal vector
    mean, covariance, size = start.copy(), np.eye(count), spread
    path, size_path = np.zeros(count), np.zeros(count)
    best = mean.copy(), cost(mean)
    while True:
        values, axes = np.linalg.eigh(covariance)
        root = axes * np.sqrt(np.maximum(values, 1e-20))
        steps = rng.normal(size=(members, count)) @ root.T
        candidates = np.clip(mean + size * steps, 0, 1)
        steps = (candidates - mean) / size  # a candidate that leaves the cube counts where it was put back
        costs = np.array([cost(candidate) for candidate in candidates])
        order = costs.argsort()[: len(weights)]
        if costs[order[0]] < best[1]:
            best = candidates[order[0]].copy(), float(costs[order[0]])
        step = weights @ steps[order]
        mean = mean + size * step
        white = axes @ ((axes.T @ step) / np.sqrt(np.maximum(values, 1e-20)))
        size_path = (1 - size_rate) * size_path + np.sqrt(size_rate * (2 - size_rate) * mass) * white
        path = (1 - path_rate) * path + np.sqrt(path_rate * (2 - path_rate) * mass) * step
        covariance = (
            (1 - one_rate - many_rate) * covariance
            + one_rate * np.outer(path, path)
            + many_rate * (weights * steps[order].T) @ steps[order]
        )
        size *= np.exp(size_rate / damping * (np.linalg.norm(size_path) / typical - 1))
        yield best
