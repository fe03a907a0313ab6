"""Quadratic programs with a cost of what is beyond limits, beside a general solver."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from eva_sim.limits.quadratic_program import solve_quadratic_program

SIZE, LIMITS, COST = 6, 4, 10.0


@pytest.mark.parametrize("seed", range(8))
def test_it_ends_where_another_solver_ends(seed: int) -> None:
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(SIZE, SIZE))
    hessian, gradient = root @ root.T + 0.1 * np.eye(SIZE), 5 * rng.normal(size=SIZE)
    low, high = -rng.random(SIZE), rng.random(SIZE)
    weights, excess = rng.random((LIMITS, SIZE)), rng.uniform(-1, 0.3, LIMITS)

    def cost(step: np.ndarray) -> float:
        beyond = COST * np.maximum(weights @ step + excess, 0)
        return float(gradient @ step + 0.5 * step @ hessian @ step + 0.5 * beyond @ beyond)

    found = solve_quadratic_program(hessian, gradient, low, high, weights, excess, COST)
    other = minimize(
        cost, np.zeros(SIZE), method="L-BFGS-B", bounds=list(zip(low, high, strict=True)),
        options={"ftol": 1e-15, "gtol": 1e-10, "maxiter": 5000},
    )  # fmt: skip
    assert ((found >= low) & (found <= high)).all()
    assert cost(found) <= other.fun + 1e-9
    np.testing.assert_allclose(found, other.x, atol=1e-4)


def test_without_anything_that_binds_it_is_a_linear_system() -> None:
    hessian, gradient = np.diag([1.0, 2.0]), np.array([0.1, -0.2])
    none = np.zeros((1, 2)), np.array([-1.0])
    step = solve_quadratic_program(hessian, gradient, np.full(2, -1.0), np.ones(2), *none, COST)
    np.testing.assert_allclose(step, [-0.1, 0.1], atol=1e-12)


def test_a_limit_that_is_exceeded_gives_way_by_its_cost() -> None:
    # One number: d² / 2 - d + 100 max(d - 0.5, 0)² / 2 is least at (1 + 50) / 101.
    step = solve_quadratic_program(
        np.eye(1), -np.ones(1), np.zeros(1), np.full(1, 2.0), np.ones((1, 1)), np.full(1, -0.5), 10.0
    )
    np.testing.assert_allclose(step, 51 / 101, atol=1e-12)
