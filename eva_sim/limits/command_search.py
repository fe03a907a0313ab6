"""Search by least squares for a command within its travel and within the rules of pulls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from eva_sim.contract import FaceSpec, Floats
from eva_sim.limits.pulls import limit_pulls, load_pull_rules

#: Residuals, or their jacobian, of a command (A,).
OfCommand = Callable[[Floats], Floats]


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
