"""The `full` skin: a warm-started quasi-Newton solve of a few milliseconds.

The energy's second derivative is approximated once by a constant scalar matrix, the same for x, y
and z, which is factored at load; L-BFGS (Nocedal, Math. Comp. 35, 1980) supplies what that misses
(Liu, Bouaziz and Kavan, ACM TOG 36(3), 2017). The residual is checked, never assumed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sparse
from scipy.linalg.blas import daxpy, ddot

from eva_sim.contract import Floats
from eva_sim.errors import PhysicsError
from eva_sim.skin import newton
from eva_sim.skin.anatomy import THICKNESS, YOUNG, Anatomy, Drive, Load
from eva_sim.skin.elements import laplacian, vertex_areas
from eva_sim.skin.energy import POISSON
from eva_sim.skin.factor import Factor

MEMORY = 10  # pairs of L-BFGS
ITERATIONS, MOST = 7, 80  # usual, and before Newton takes over
ENOUGH = 3e-3  # N, root mean square residual at which the usual number is cut short
TOLERANCE = 2e-2  # N, root mean square residual that is still an answer
NEWTON_TOLERANCE = 1e-5  # N, largest component; below it rounding of the energy decides the search
NORMAL_SHARE = 0.05  # of the contact stiffness in the scalar matrix, which knows no direction


#: Steps taken, the changes of force they made, and one over their product.
Pairs = tuple[tuple[Floats, Floats, float], ...]


class Skin:
    """The skin of one face. Its history is the last shape, and what L-BFGS learned on the way there.

    Args:
        anatomy: the skin's constants.
        solver: `"full"`, or `"reference"` for Newton to convergence (about a second a step).

    Attributes:
        points: vertices, (V, 3) [m] in the head frame.
        tension: of the cables, (12,) [N].
        residual: root mean square force that the last solve left on a free vertex [N].
        iterations: of the last solve.
    """

    def __init__(self, anatomy: Anatomy, solver: str = "full") -> None:
        if solver not in ("full", "reference"):
            raise ValueError(f"the skin's solver is 'full' or 'reference', not {solver!r}.")
        self.anatomy, self.solver = anatomy, solver
        self._metric = Metric(anatomy)
        self.reset()

    def reset(self) -> None:
        """The stress-free face at neutral."""
        self.points = self.anatomy.points.copy()
        self._rest = self.anatomy.points.copy()
        self.tension: Floats = np.zeros(len(self.anatomy.exits))
        self.residual, self.iterations = 0.0, 0
        self._pairs: Pairs = ()

    def step(self, drive: Drive) -> Floats:
        """Finds the face's equilibrium near its last shape.

        Returns:
            Vertices, (V, 3) [m] in the head frame.

        Raises:
            PhysicsError: no equilibrium was found; the skin stays as it was.
        """
        if not all(np.isfinite(part).all() for part in drive):
            raise PhysicsError(f"the skin is driven by what is no number: {drive}.")
        load = self.anatomy.load(drive)
        rest = self.anatomy.rest_of(drive)
        start, pairs = self._predict(rest), self._pairs
        try:
            points = self._solve(start, load)
        except PhysicsError:
            self._pairs = pairs
            raise
        self.points, self._rest = points, rest
        self.tension = self.anatomy.tension(points, load)
        return points

    def _solve(self, start: Floats, load: Load) -> Floats:
        if self.solver == "full":
            return self._descend(start, load)
        points, self.residual, self.iterations = newton.solve(self.anatomy, start, load, NEWTON_TOLERANCE)
        return points

    def save(self) -> dict[str, Any]:
        """A copy of everything that changes."""
        return {
            "points": self.points.copy(),
            "rest": self._rest.copy(),
            "tension": self.tension.copy(),
            "pairs": self._pairs,  # never written to, so there is nothing to copy
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Goes back to a saved state; the next steps repeat bit for bit."""
        self.points, self._rest = state["points"].copy(), state["rest"].copy()
        self.tension = state["tension"].copy()
        self._pairs = state["pairs"]

    def _predict(self, rest: Floats) -> Floats:
        """Carries the last shape along with the change of ground and boundary."""
        points = self.points.copy()
        points[self.anatomy.fixed] = rest[self.anatomy.fixed]
        moved = rest - self._rest
        if moved.any():
            points[self.anatomy.free] += self._metric.carry(moved)
        return points

    def _descend(self, start: Floats, load: Load) -> Floats:
        points, self.residual, self.iterations = self._minimise(start, load, ITERATIONS, ENOUGH)
        if self.residual > TOLERANCE:
            points, self.residual, more = self._minimise(points, load, MOST, TOLERANCE)
            self.iterations += more
        if not self.residual <= TOLERANCE:
            points, self.residual, more = newton.solve(self.anatomy, start, load, TOLERANCE / 10)
            self.iterations += more
        return points

    def _minimise(
        self, points: Floats, load: Load, iterations: int, enough: float
    ) -> tuple[Floats, float, int]:
        """L-BFGS; returns shape, root mean square residual [N] and iterations."""
        free = self.anatomy.free
        self._metric.tighten(points, load)
        energy, gradient = self.anatomy.energy(points, load)
        force = gradient[free]
        pairs = self._pairs  # the last step's, whose curvature still nearly holds
        for done in range(iterations):
            if rms(force) < enough:
                return points, rms(force), done
            way = -self._apply(force, pairs)
            slope = float(np.vdot(way, force))
            trial, size = points.copy(), 1.0
            while True:
                trial[free] = points[free] + size * way
                new_energy, gradient = self.anatomy.energy(trial, load)
                if new_energy <= energy + 1e-4 * size * slope:
                    break
                # the bottom of the parabola through what is known
                size *= float(np.clip(-0.5 * size * slope / (new_energy - energy - size * slope), 0.1, 0.5))
                if size < 1e-4:
                    return points, rms(force), done
            new_force = gradient[free]
            step, change = size * way, new_force - force
            curvature = float(np.vdot(step, change))
            if curvature > 1e-12 * float(np.vdot(step, step)):
                pairs = (*pairs[-MEMORY + 1 :], (step, change, 1.0 / curvature))
                self._pairs = pairs
            points, energy, force = trial, new_energy, new_force
        return points, rms(force), iterations

    def _apply(self, force: Floats, pairs: Pairs) -> Floats:
        """The inverse of the approximate second derivative, applied to a force (two-loop recursion)."""
        q, shares = force.ravel().copy(), []
        for step, change, scale in reversed(pairs):
            share = scale * ddot(step.ravel(), q)
            daxpy(change.ravel(), q, a=-share)  # in place
            shares.append(share)
        q = self._metric.solve(q.reshape(force.shape)).ravel()
        for (step, change, scale), share in zip(pairs, reversed(shares), strict=True):
            daxpy(step.ravel(), q, a=share - scale * ddot(change.ravel(), q))
        way: Floats = q.reshape(force.shape)
        return way


def rms(force: Floats) -> float:
    """Root mean square over vertices of a force (N, 3) [N]."""
    return float(np.sqrt(np.vdot(force, force) / len(force)))


class Metric:
    """Approximate second derivative: a constant scalar matrix, plus the cables that are taut.

    A cable is far stiffer than the skin under its patch, but along one direction of one weighted
    sum only, so it enters by the matrix inversion lemma and costs no new factor.
    """

    def __init__(self, anatomy: Anatomy) -> None:
        self._anatomy = anatomy
        free, fixed = anatomy.free, anatomy.fixed
        matrix, self._hold = _scalar_matrix(anatomy), _hold(anatomy)[free]
        self._factor = Factor(sparse.csc_matrix(matrix[free][:, free]))
        self._across = sparse.csr_matrix(matrix[free][:, fixed])
        self._patches = np.ascontiguousarray(anatomy.patches[:, free])
        reply = [
            self._factor.solve(np.ascontiguousarray(w.T)).T for w in self._patches.reshape(-1, 3, len(free))
        ]
        self._reply = np.concatenate(reply)  # what the skin answers to a unit pull on each patch
        self._taut = np.zeros(0, dtype=int)

    def carry(self, moved: Floats) -> Floats:
        """How the free vertices follow when ground and boundary move by `moved` (V, 3)."""
        side = self._hold[:, None] * moved[self._anatomy.free] - self._across @ moved[self._anatomy.fixed]
        return self._factor.solve(np.ascontiguousarray(side))

    def tighten(self, points: Floats, load: Load) -> None:
        """Notes which cables are taut, and where they pull."""
        self._taut = np.flatnonzero(self._anatomy.tension(points, load) > 0)
        way = self._anatomy.patches[self._taut] @ points - load.exits[self._taut]
        self._way = way / np.linalg.norm(way, axis=1, keepdims=True)
        taut = self._patches[self._taut] @ self._reply[self._taut].T * (self._way @ self._way.T)
        self._slack = np.linalg.inv(taut + np.eye(len(taut)) / self._anatomy.cables.stiffness)

    def solve(self, force: Floats) -> Floats:
        """The step that would answer a force, (F, 3) [N] -> [m]."""
        step = self._factor.solve(force)
        if len(self._taut):
            stretch = ((self._patches[self._taut] @ step) * self._way).sum(1)
            step -= self._reply[self._taut].T @ ((self._slack @ stretch)[:, None] * self._way)
        return step


def _hold(anatomy: Anatomy) -> Floats:
    """Scalar stiffness of the ground at each vertex, (V,) [N/m]."""
    ground = anatomy.ground
    hold: Floats = ground.tether + ground.backing / 3 + NORMAL_SHARE * ground.contact
    return hold


def _scalar_matrix(anatomy: Anatomy) -> sparse.csr_matrix:
    """One stiffness for every direction: membrane, bending, ground and cables (V, V) [N/m]."""
    points, triangles = anatomy.points, anatomy.triangles
    shape = laplacian(points, triangles)
    shear = YOUNG / (2 * (1 + POISSON)) * THICKNESS
    rigidity = YOUNG * THICKNESS**3 / (12 * (1 - POISSON**2))
    bending = shape @ sparse.diags(rigidity / vertex_areas(points, triangles)) @ shape
    return sparse.csr_matrix(2 * shear * shape + bending + sparse.diags(_hold(anatomy)))
