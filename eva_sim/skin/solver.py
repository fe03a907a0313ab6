"""The solvers of one face's skin, and `make_skin` and `make_skins`, which choose a solver by its name."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from eva_sim.contract import Floats
from eva_sim.errors import EvaError, PhysicsError
from eva_sim.landmarks import embed, load_embedding
from eva_sim.skin import newton
from eva_sim.skin.anatomy import Anatomy, Drive
from eva_sim.skin.batch import Skins
from eva_sim.skin.block import check_drive, make_block, resolve_unsettled, solver_evaluations
from eva_sim.skin.interface import BatchSkinSolver, SkinSolver
from eva_sim.skin.reduced_face import ReducedSkin

#: Largest force component that is left [N]; below it, rounding of the energy dominates the line search.
NEWTON_TOLERANCE = 1e-5


class Skin:
    """A `SkinSolver` by descent. Its history is the last shape and the pairs of L-BFGS.

    Args:
        anatomy: the skin's constants.
        solver: `"full"`; `"fine"`, with more evaluations; `"dynamic"`, with the skin's own mass.

    Attributes:
        points: vertices, (V, 3) [m] in the head frame.
        tension: tensions of the cables, (C,) [N].
        residual: root mean square force left on a free vertex by the last step [N].
        varies_material: True; the material can be scaled.
    """

    varies_material = True

    def __init__(self, anatomy: Anatomy, solver: str = "full") -> None:
        self.anatomy, self._evaluations = anatomy, solver_evaluations(anatomy, solver)
        self._embedding = load_embedding(anatomy.spec)
        self._block = make_block(anatomy, solver, None)
        self.reset()

    def reset(self) -> None:
        """Puts the face at the stress-free shape at neutral."""
        self._block.reset()
        self._read_block()

    def _read_block(self) -> None:
        self.points = self._block.points[0].astype(float)
        self.tension: Floats = self._block.tension[0].astype(float)
        self.residual = float(self._block.residual[0])

    @property
    def landmarks(self) -> Floats:
        """Landmark points, (P, 3) [m] in the head frame."""
        return embed(self.points, *self._embedding)

    def scale_material(self, scales: Floats) -> None:
        """Scales the anatomy's constants from now on, (5,) in the order of `MATERIAL`."""
        self._block.scale_material(0, scales)

    def step(self, drive: Drive) -> None:
        """Finds the face's equilibrium near its last shape.

        Raises:
            PhysicsError: the drive is not finite, or no equilibrium was found; the skin is unchanged. The
                error's `state` and `drive` reproduce it.
        """
        check_drive(drive)
        before = self._block.save()
        self._block.step(drive.as_batch, self._evaluations)
        for error in resolve_unsettled(self._block, drive.as_batch).values():
            self._block.restore(before)
            raise PhysicsError(str(error), before, drive) from error
        self._read_block()

    def save(self) -> dict[str, Any]:
        """Returns a copy of everything that changes."""
        return self._block.save()

    def restore(self, state: dict[str, Any]) -> None:
        """Goes back to a saved state; the next steps repeat bit for bit."""
        self._block.restore(state)
        self._read_block()


class ReferenceSkin:
    """A `SkinSolver` by Newton's method to convergence; about a second a step."""

    varies_material = True

    def __init__(self, anatomy: Anatomy) -> None:
        self.anatomy = self._unscaled = anatomy
        self._embedding = load_embedding(anatomy.spec)
        self.reset()

    @property
    def landmarks(self) -> Floats:
        """Landmark points, (P, 3) [m] in the head frame."""
        return embed(self.points, *self._embedding)

    def scale_material(self, scales: Floats) -> None:
        """Scales the anatomy's constants from now on, (5,) in the order of `MATERIAL`."""
        self.anatomy = self._unscaled.scaled(scales)

    def reset(self) -> None:
        """Puts the face at the stress-free shape at neutral."""
        self.points, self.residual = self.anatomy.points.copy(), 0.0
        self.tension: Floats = np.zeros(len(self.anatomy.exits))

    def step(self, drive: Drive) -> None:
        """Finds the face's equilibrium near its last shape.

        Raises:
            PhysicsError: the drive is not finite, or no equilibrium was found; the skin is unchanged.
        """
        check_drive(drive)
        load, start = self.anatomy.load(drive), self.points.copy()
        start[self.anatomy.fixed] = self.anatomy.kinematic_points(drive)[self.anatomy.fixed]
        self.points, self.residual, _ = newton.solve_equilibrium(self.anatomy, start, load, NEWTON_TOLERANCE)
        self.tension = self.anatomy.tension(self.points, load)

    def save(self) -> dict[str, Any]:
        """Returns a copy of everything that changes."""
        return {"points": self.points.copy(), "tension": self.tension.copy(), "residual": self.residual}

    def restore(self, state: dict[str, Any]) -> None:
        """Goes back to a saved state; the next steps repeat bit for bit."""
        self.points, self.tension = state["points"].copy(), state["tension"].copy()
        self.residual = state["residual"]


def make_skin(anatomy: Anatomy, solver: str) -> SkinSolver:
    """Makes the skin of one face by the name of its solver.

    Raises:
        EvaError: no such solver.
    """
    if solver == "reduced":
        return ReducedSkin(anatomy)
    return ReferenceSkin(anatomy) if solver == "reference" else Skin(anatomy, solver)


def make_skins(anatomy: Anatomy, faces: int, solver: str) -> BatchSkinSolver:
    """Makes the skins of many faces by the name of their solver. There is no batch of the reference.

    Raises:
        EvaError: no such solver, or torch is not installed and `"reduced"` needs it.
    """
    if solver == "reference":
        raise EvaError("skin='reference' solves faces one at a time; many take 'full', 'fine' or 'reduced'.")
    if solver == "reduced":
        return _reduced().ReducedSkins(anatomy, faces)
    return Skins(anatomy, faces, solver)


def _reduced() -> ModuleType:
    """Imports the reduced skin of many faces, which needs torch."""
    try:
        from eva_sim.skin import reduced
    except ModuleNotFoundError as error:  # torch is an optional dependency
        remedy = "install eva-sim[train], or use skin='full'"
        raise EvaError(f"many faces with skin='reduced' need torch ({error}); {remedy}.") from error
    return reduced
