"""Searches for commands end within the rules of pulls, and as near as these allow."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from eva_sim.contract import FaceSpec, Floats, load_spec
from eva_sim.limits.command_limits import CommandLimits
from eva_sim.limits.command_search import CommandCost, CommandSearch
from eva_sim.limits.pulls import load_pull_rules, rule_load

COST = 100.0


@pytest.fixture(scope="module")
def spec() -> FaceSpec:
    return load_spec()


class Problem:
    """A map of commands, bent like that of a face, and what it is to make."""

    def __init__(self, spec: FaceSpec, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.spec, self.rows, self.rest = spec, spec.expressive, spec.neutral.astype(float)
        self.search_within, self.count = CommandSearch(spec, COST), len(spec.expressive)
        self.map = rng.normal(size=(2 * self.count, self.count))
        self.wanted = np.zeros(2 * self.count)

    def residual(self, command: Floats) -> Floats:
        pulls = (command - self.rest)[self.rows]
        return self.map @ (pulls - 0.1 * pulls**2) - self.wanted

    def jacobian(self, command: Floats) -> Floats:
        pulls = (command - self.rest)[self.rows]
        jacobian: Floats = self.map * (1 - 0.2 * pulls)
        return jacobian

    def want(self, **pulls: float) -> None:
        """Wants the face of these pulls, shares of travel."""
        command = self.spec.command(**{name: 2 * share - 1 for name, share in pulls.items()})
        self.wanted = self.residual(command.astype(float)) + self.wanted

    def search(self, **options: str) -> Floats:
        start = np.clip(self.rest, -0.9, 0.9)
        return self.search_within(start, self.rows, self.residual, self.jacobian, **options)

    def smooth_cost(self, command: Floats) -> CommandCost:
        residual, jacobian = self.residual(command), self.jacobian(command)
        bend = np.diag(-0.2 * self.map.T @ residual)
        return CommandCost(
            0.5 * float(residual @ residual), jacobian.T @ residual, jacobian.T @ jacobian + bend
        )

    def minimise(self) -> Floats:
        start = np.clip(self.rest, -0.9, 0.9)
        return self.search_within.minimise_cost(start, self.rows, self.smooth_cost)

    def cost(self, command: Floats) -> float:
        return float(np.square(self.residual(command)).sum())

    def by_another_solver(self) -> float:
        """The least cost within the rules, by sequential quadratic programming."""

        def whole(x: Floats) -> Floats:
            command = self.rest.copy()
            command[self.rows] = x
            return command

        found = minimize(
            lambda x: self.cost(whole(x)), np.clip(self.rest[self.rows], -0.9, 0.9), method="SLSQP",
            jac=lambda x: 2 * self.residual(whole(x)) @ self.jacobian(whole(x)),
            bounds=[(-1.0, 1.0)] * self.count,
            constraints={"type": "ineq", "fun": lambda x: 1 - self.search_within.loads(whole(x))},
            options={"maxiter": 500, "ftol": 1e-12},
        )  # fmt: skip
        assert found.success
        return float(found.fun)


BEYOND: list[dict[str, float]] = [
    {"jaw": 1.0, "levator": 1.0},
    {"jaw": 1.0, "depressor": 0.9, "zygomaticus": 0.6},
    {"jaw": 0.9, "levator": 0.7, "depressor": 0.7, "zygomaticus": 0.5},
    {"brow_inner": 1.0, "corrugator": 1.0},
    {"brow_inner_left": 0.9, "brow_outer_left": 1.0, "corrugator_left": 0.9},
]


@pytest.mark.parametrize("newton", [False, True])
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("pulls", BEYOND)
def test_it_ends_where_another_solver_ends(
    spec: FaceSpec, pulls: dict[str, float], seed: int, newton: bool
) -> None:
    problem = Problem(spec, seed)
    problem.want(**pulls)
    found = problem.minimise() if newton else problem.search()
    assert problem.search_within.loads(found).max() <= 1 + 1e-9
    assert problem.cost(found) == pytest.approx(problem.by_another_solver(), rel=0.02)
    scaled = CommandLimits(spec).within(
        spec.command(**{n: 2 * s - 1 for n, s in pulls.items()}).astype(float)
    )
    assert problem.cost(found) < 0.9 * problem.cost(scaled)


@pytest.mark.parametrize("pulls", [{"jaw": 0.6, "zygomaticus": 0.4}, {"levator": 0.5, "brow_inner": 0.8}])
def test_what_is_within_the_rules_is_found_exactly(spec: FaceSpec, pulls: dict[str, float]) -> None:
    problem = Problem(spec, 2)
    problem.want(**pulls)
    wanted = spec.command(**{name: 2 * share - 1 for name, share in pulls.items()})
    np.testing.assert_allclose(problem.search(method="dogbox"), wanted, atol=1e-6)
    np.testing.assert_allclose(problem.minimise(), wanted, atol=1e-7)


def test_actuators_that_are_not_searched_stay(spec: FaceSpec) -> None:
    problem, start = Problem(spec, 3), spec.command(jaw=0.2, eye_left_yaw=0.3).astype(float)
    jaw = spec.index("jaw")
    rows = np.setdiff1d(spec.expressive, [jaw])
    keep = np.searchsorted(spec.expressive, rows)
    problem.want(levator=1.0, depressor=1.0)
    found = problem.search_within(start, rows, problem.residual, lambda c: problem.jacobian(c)[:, keep])
    others = np.setdiff1d(np.arange(len(spec)), rows)
    # The jaw gives way only to what the search leaves beyond a rule.
    np.testing.assert_allclose(found[others], start[others], atol=0.01)
    assert problem.search_within.loads(found).max() <= 1 + 1e-9


@pytest.mark.parametrize("seed", range(4))
def test_the_slope_of_the_excess_is_its_derivative(spec: FaceSpec, seed: int) -> None:
    rng, search = np.random.default_rng(seed), CommandSearch(spec, COST)
    command, step = rng.uniform(0, 0.9, len(spec)), 1e-6 * np.eye(len(spec))
    assert search.excess(command).max() > 0
    slopes = np.stack(
        [(search.excess(command + s) - search.excess(command - s)) / 2e-6 for s in step], axis=1
    )
    np.testing.assert_allclose(search.excess_jacobian(command), slopes, atol=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_the_rules_are_those_of_the_bodies(spec: FaceSpec, seed: int) -> None:
    command, rules = np.random.default_rng(seed).uniform(-1, 1, len(spec)), load_pull_rules(spec)
    loads = [rule_load(row, command, rules) for row in range(len(rules.members))]
    np.testing.assert_allclose(CommandSearch(spec, COST).loads(command), loads, atol=1e-12)
