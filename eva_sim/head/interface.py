"""The interface of a head: servo positions in, hinge angles and pose out."""

from __future__ import annotations

from typing import Protocol

from eva_sim.contract import FaceSpec, Floats
from eva_sim.head.kinematic import Angles, HeadPose


class HeadModel(Protocol):
    """Skull, jaw, eyes, lids and neck of one face: `KinematicHead` or `RigidHead`."""

    @property
    def spec(self) -> FaceSpec:
        """The face that the head belongs to."""

    @property
    def angles(self) -> Angles:
        """Present angles of the hinges."""

    @property
    def pose(self) -> HeadPose:
        """Present pose of the rigid parts.

        Raises:
            PhysicsError: the leg lengths fit no pose.
        """

    def reset(self) -> None:
        """Puts everything at neutral and at rest."""

    def step(self, position: Floats) -> Angles:
        """Moves with the servos for one control period.

        Args:
            position: servo positions at the end of the period, (A,) for A actuators [rad, m for legs].

        Raises:
            PhysicsError: a position is not finite, or the neck came apart; the head is unchanged.
        """

    def save(self) -> dict[str, Floats]:
        """Returns a copy of everything that changes."""

    def restore(self, state: dict[str, Floats]) -> None:
        """Goes back to a saved state; the next steps repeat bit for bit."""

    def close(self) -> None:
        """Releases the physics engine, if any. May be called twice."""
