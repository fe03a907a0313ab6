"""The two interfaces that every skin satisfies: one for a single face, one for a batch of faces.

`make_skin` returns a `SkinSolver`: `Skin` (full, fine or dynamic), `ReducedSkin` or `ReferenceSkin`.
`make_skins` returns a `BatchSkinSolver`: `Skins` (full, fine or dynamic) or `ReducedSkins`.
C is the number of cables, 12 for EVA. V is the number of vertices and P that of landmark points.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from eva_sim.contract import Floats
from eva_sim.skin.anatomy import Anatomy, Drive, Drives


class SkinSolver(Protocol):
    """The skin of one face. A step goes from drives to vertices, landmark points and cable tensions."""

    @property
    def anatomy(self) -> Anatomy:
        """The skin's constants."""

    @property
    def varies_material(self) -> bool:
        """Whether `scale_material` accepts other scales than one."""

    @property
    def points(self) -> Floats:
        """Vertices after the last step, (V, 3) [m] in the head frame."""

    @property
    def landmarks(self) -> Floats:
        """Landmark points after the last step, (P, 3) [m] in the head frame, in the order of `POINTS`."""

    @property
    def tension(self) -> Floats:
        """Tensions of the cables after the last step, (C,) [N]."""

    @property
    def residual(self) -> float:
        """Root mean square force left on a free vertex by the last step [N]; nan if it is not known."""

    def reset(self) -> None:
        """Puts the face at rest at neutral and forgets its history."""

    def scale_material(self, scales: Floats) -> None:
        """Scales the anatomy's constants from now on, (5,) in the order of `element_arrays.MATERIAL`."""

    def step(self, drive: Drive) -> None:
        """Finds the skin under a drive.

        Raises:
            PhysicsError: no equilibrium was found, or the drive is not finite; the skin is unchanged.
        """

    def save(self) -> Any:
        """Returns a copy of everything that changes."""

    def restore(self, state: Any) -> None:
        """Goes back to a saved state; the next steps repeat bit for bit."""


class BatchSkinSolver(Protocol):
    """The skins of N faces with one anatomy. Faces do not depend on each other."""

    @property
    def anatomy(self) -> Anatomy:
        """The skin's constants."""

    @property
    def faces(self) -> int:
        """Number of faces, N."""

    @property
    def varies_material(self) -> bool:
        """Whether `scale_material` accepts other scales than one."""

    @property
    def points(self) -> Floats:
        """Vertices after the last step, float32 (N, V, 3) [m] in the head frame."""

    @property
    def landmarks(self) -> Floats:
        """Landmark points after the last step, (N, P, 3) [m] in the head frame, in the order of `POINTS`."""

    @property
    def tension(self) -> Floats:
        """Tensions of the cables after the last step, (N, C) [N]."""

    @property
    def residual(self) -> Floats:
        """Root mean square force left on a free vertex by the last step, (N,) [N]; nan if not known."""

    def reset(self, face: int | None = None) -> None:
        """Puts one face, or all, at rest at neutral and forgets the history."""

    def scale_material(self, face: int, scales: Floats) -> None:
        """Scales one face's constants from now on, (5,) in the order of `element_arrays.MATERIAL`."""

    def step(self, drives: Drives) -> None:
        """Finds every face's skin under its drive.

        Raises:
            PhysicsError: a drive is not finite; or some faces did not settle. The error's `faces` names
                those; they are back at neutral, and all other faces have made their step.
        """

    def save(self) -> Any:
        """Returns a copy of everything that changes."""

    def restore(self, state: Any, faces: Sequence[int] | None = None) -> None:
        """Puts some faces, or all, back to a saved state; their next steps repeat bit for bit."""

    def close(self) -> None:
        """Releases threads. May be called twice."""
