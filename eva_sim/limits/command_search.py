"""Search for the best command within its travel and within the rules of pulls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from eva_sim.contract import FaceSpec, Floats
from eva_sim.limits.pulls import limit_pulls, load_pull_rules
from eva_sim.limits.quadratic_program import solve_quadratic_program

#: Residuals, or their jacobian, of a command (A,).
OfCommand = Callable[[Floats], Floats]
#: Steps of Newton's method, accepted or not; damping after the first that fails, and the least.
_STEPS, _DAMPING, _UNDAMPED = 100, 1e-3, 1e-5
#: Least curvature of the quadratic model, relative to which directions without any are damped.
_LEAST_CURVATURE = 1e-5
#: Share of the model's decrease that a step must reach, and that at which damping may fall.
_ENOUGH, _GOOD = 1e-4, 0.5
_STILL = 1e-11  # of travel; a smaller step is the last


class CommandCost(NamedTuple):
    """A smooth cost of a command, by M actuators.

    Attributes:
        value: the cost.
        gradient: (M,).
        hessian: (M, M).
    """

    value: float
    gradient: Floats
    hessian: Floats


class CommandSearch:
    """Finds the commands whose residuals have the least sum of squares among those that are allowed.

    Pulls beyond a rule cost something. So where rules and residuals compete, the residuals decide which of
    the pulls give way. What is left beyond is scaled down, as a body does.

    Args:
        spec: the face, from the body itself: that of a data set or of a model's file knows no rules.
        cost: of a rule that is exceeded by all its bound, in the unit of the residuals. At a hundred times
            the residuals the search ends well within a hundredth of a rule.
    """

    def __init__(self, spec: FaceSpec, cost: float) -> None:
        self._cost, self._rules = cost, load_pull_rules(spec)
        self._rest = spec.neutral.astype(float)
        # Weights of the rules by actuator. Places that a rule leaves empty have weight 0.
        self._weights = np.zeros((len(self._rules.members), len(spec)))
        rows = np.arange(len(self._weights))[:, None]
        np.add.at(self._weights, (rows, self._rules.members), self._rules.weights)

    def __call__(
        self, start: Floats, rows: NDArray[np.intp], residual: OfCommand, jacobian: OfCommand, **options: Any
    ) -> Floats:
        """Returns the best command, (A,).

        Args:
            start: command where the search begins, (A,) in [-1, 1].
            rows: actuators that are searched, (M,); others stay.
            residual: of a command (A,), (K,).
            jacobian: derivative of the residuals by the actuators that are searched, (K, M).
            options: of `scipy.optimize.least_squares`.
        """

        def whole(x: Floats) -> Floats:
            command = start.copy()
            command[rows] = x
            return command

        def residuals(x: Floats) -> Floats:
            command = whole(x)
            return np.concatenate([residual(command), self._cost * self.excess(command)])

        def slopes(x: Floats) -> Floats:
            command = whole(x)
            beyond = self._cost * self.excess_jacobian(command)
            return np.concatenate([jacobian(command), beyond[:, rows]])

        found = least_squares(residuals, start[rows], slopes, bounds=(-1.0, 1.0), **options)
        command = whole(found.x)
        limit_pulls(command, self._rules)
        return command

    def minimise_cost(
        self, start: Floats, rows: NDArray[np.intp], cost: Callable[[Floats], CommandCost]
    ) -> Floats:
        """Returns the command of least cost, (A,), by Newton's method.

        Each step goes to the least of the cost's quadratic model within the travel. The rules count in it as
        they are, so the search does not slow down where it meets them.

        Args:
            start: command where the search begins, (A,) in [-1, 1].
            rows: actuators that are searched, (M,); others stay.
            cost: of a command (A,), half a sum of squares in the unit of the residuals.
        """
        command, damping = start.astype(float), 0.0
        here, beyond = cost(command), self._beyond(command)
        for _ in range(_STEPS):
            convex = _made_convex(here.hessian)
            trial = self._model_minimum(command, rows, here.gradient, convex + damping * np.eye(len(rows)))
            step, there, trial_beyond = (trial - command)[rows], cost(trial), self._beyond(trial)
            promised = here.gradient @ step + 0.5 * step @ convex @ step + trial_beyond - beyond
            gain = there.value - here.value + trial_beyond - beyond
            if np.abs(step).max() < _STILL:
                break
            if gain > _ENOUGH * promised:
                damping = max(4 * damping, _DAMPING)
                continue
            if gain < _GOOD * promised:
                damping = damping / 8 if damping > _UNDAMPED else 0.0
            command, here, beyond = trial, there, trial_beyond
        limit_pulls(command, self._rules)
        return command

    def _model_minimum(
        self, command: Floats, rows: NDArray[np.intp], gradient: Floats, hessian: Floats
    ) -> Floats:
        """Returns the command, (A,), where a quadratic model of the cost and the excess are least."""
        x = command[rows]
        weights = (self._weights * (command >= self._rest))[:, rows]
        step = solve_quadratic_program(
            hessian, gradient, -1 - x, 1 - x, weights, self.loads(command) - 1, self._cost
        )
        trial = command.copy()
        trial[rows] = np.clip(x + step, -1.0, 1.0)
        return trial

    def _beyond(self, command: Floats) -> float:
        """Returns the cost of what is beyond the rules."""
        excess = self._cost * self.excess(command)
        return 0.5 * float(excess @ excess)

    def step(self, command: Floats, rows: NDArray[np.intp], residual: Floats, jacobian: Floats) -> Floats:
        """Returns the best command, (A,), if residuals change as their jacobian says: a Gauss-Newton step.

        Args:
            command: for which both hold, (A,) in [-1, 1].
            rows: actuators that may change, (M,).
            residual: of the command, (K,).
            jacobian: derivative of the residuals by these actuators, (K, M).
        """
        turned, small = np.linalg.qr(jacobian)
        missing = turned.T @ residual  # what no step changes is left out
        return self(
            command, rows, lambda changed: missing + small @ (changed - command)[rows], lambda changed: small
        )

    def loads(self, command: Floats) -> Floats:
        """Returns the weighted sum of pulls of each rule at a command (A,), (R,); above 1 it is broken."""
        loads: Floats = self._weights @ np.maximum(command - self._rest, 0.0)
        return loads

    def excess(self, command: Floats) -> Floats:
        """Returns how far a command (A,) is beyond each rule, (R,); 0 where the rule is kept."""
        return np.maximum(self.loads(command) - 1, 0.0)

    def excess_jacobian(self, command: Floats) -> Floats:
        """Returns the derivative of `excess` by each actuator, (R, A)."""
        broken = self.loads(command) > 1
        jacobian: Floats = self._weights * (broken[:, None] & (command >= self._rest))
        return jacobian


def _made_convex(hessian: Floats) -> Floats:
    """Returns a Hessian, or one with its curvatures made positive, so that steps lead downhill."""
    curvatures, directions = np.linalg.eigh(hessian)
    if curvatures[0] >= _LEAST_CURVATURE:
        return hessian
    convex: Floats = (directions * np.maximum(np.abs(curvatures), _LEAST_CURVATURE)) @ directions.T
    return convex
