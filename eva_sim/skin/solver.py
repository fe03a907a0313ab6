"""The skins that a face may have: `Skin` (one), `Skins` (many), `Reference` (the referee)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from eva_sim.contract import Floats
from eva_sim.errors import EvaError, PhysicsError
from eva_sim.skin import newton
from eva_sim.skin.anatomy import Anatomy, Drive
from eva_sim.skin.block import block_of, check_drive, evaluations_of, settle
from eva_sim.skin.many import Skins

if TYPE_CHECKING:
    from eva_sim.skin.reduced import ReducedSkin, ReducedSkins

NEWTON_TOLERANCE = 1e-5  # N, largest component; below it rounding of the energy decides the search


class Skin:
    """The skin of one face. Its history is the last shape, and what the descent learned on the way.

    Args:
        anatomy: the skin's constants.
        solver: `"full"`; `"fine"`, with more evaluations; `"dynamic"`, with the skin's own mass.

    Attributes:
        points: vertices, (V, 3) [m] in the head frame.
        tension: of the cables, (12,) [N].
        residual: root mean square force that the last solve left on a free vertex [N].
        varies_material: whether its material can be scaled.
    """

    varies_material = True

    def __init__(self, anatomy: Anatomy, solver: str = "full") -> None:
        self.anatomy, self._evaluations = anatomy, evaluations_of(anatomy, solver)
        self._block = block_of(anatomy, solver, None)
        self.reset()

    def reset(self) -> None:
        """The stress-free face at neutral."""
        self._block.reset()
        self._take()

    def _take(self) -> None:
        self.points = self._block.points[0].astype(float)
        self.tension: Floats = self._block.tension[0].astype(float)
        self.residual = float(self._block.residual[0])

    def scale_material(self, scales: Floats) -> None:
        """Scales the anatomy's constants from now on, (5,) in the order of `MATERIAL`."""
        self._block.scale_material(0, scales)

    def step(self, drive: Drive) -> Floats:
        """Finds the face's equilibrium near its last shape.

        Returns:
            Vertices, (V, 3) [m] in the head frame.

        Raises:
            PhysicsError: no equilibrium was found; the skin stays as it was. The error's `state` and
                `drive` repeat it.
        """
        check_drive(drive)
        before = self._block.save()
        self._block.step(drive.alone, self._evaluations)
        for error in settle(self._block, drive.alone).values():
            self._block.restore(before)
            raise PhysicsError(str(error), before, drive) from error
        self._take()
        return self.points

    def save(self) -> dict[str, Any]:
        """A copy of everything that changes."""
        return self._block.save()

    def restore(self, state: dict[str, Any]) -> None:
        """Goes back to a saved state; the next steps repeat bit for bit."""
        self._block.restore(state)
        self._take()


class Reference:
    """The referee, in the place of a `Skin`: Newton's method to convergence, about a second a step."""

    varies_material = True

    def __init__(self, anatomy: Anatomy) -> None:
        self.anatomy = self._plain = anatomy
        self.reset()

    def scale_material(self, scales: Floats) -> None:
        """As `Skin.scale_material`."""
        self.anatomy = self._plain.scaled(scales)

    def reset(self) -> None:
        """The stress-free face at neutral."""
        self.points, self.residual = self.anatomy.points.copy(), 0.0
        self.tension: Floats = np.zeros(len(self.anatomy.exits))

    def step(self, drive: Drive) -> Floats:
        """As `Skin.step`."""
        check_drive(drive)
        load, start = self.anatomy.load(drive), self.points.copy()
        start[self.anatomy.fixed] = self.anatomy.rest_of(drive)[self.anatomy.fixed]
        self.points, self.residual, _ = newton.solve(self.anatomy, start, load, NEWTON_TOLERANCE)
        self.tension = self.anatomy.tension(self.points, load)
        return self.points

    def save(self) -> dict[str, Any]:
        """A copy of everything that changes."""
        return {"points": self.points.copy(), "tension": self.tension.copy(), "residual": self.residual}

    def restore(self, state: dict[str, Any]) -> None:
        """Goes back to a saved state; the next steps repeat bit for bit."""
        self.points, self.tension = state["points"].copy(), state["tension"].copy()
        self.residual = state["residual"]


def make_skin(anatomy: Anatomy, solver: str) -> Skin | Reference | ReducedSkin:
    """A skin by the name of its solver.

    Raises:
        EvaError: no such solver, or torch is not installed and `"reduced"` needs it.
    """
    if solver == "reduced":
        return _reduced().ReducedSkin(anatomy)
    return Reference(anatomy) if solver == "reference" else Skin(anatomy, solver)


def make_skins(anatomy: Anatomy, faces: int, solver: str) -> Skins | ReducedSkins:
    """Many skins by the name of their solver; the reference takes one at a time.

    Raises:
        EvaError: no such solver, or torch is not installed and `"reduced"` needs it.
    """
    if solver == "reference":
        raise EvaError("skin='reference' solves faces one at a time; many take 'full', 'fine' or 'reduced'.")
    return _reduced().ReducedSkins(anatomy, faces) if solver == "reduced" else Skins(anatomy, faces, solver)


def _reduced() -> Any:
    try:
        from eva_sim.skin import reduced
    except ModuleNotFoundError as error:  # torch is an extra, and nothing else here needs it
        wanted = "install eva-sim[train], or use skin='full'"
        raise EvaError(f"skin='reduced' needs torch ({error}); {wanted}.") from error
    return reduced
