"""The head without physics: every hinge is at its servo's angle, and leg lengths give the skull's pose.

It is meant for training. Its only state is the servo positions, so N faces are one array. The skull's pose
is solved only when it is read, for example to render a picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from eva_sim.contract import FaceSpec, Floats
from eva_sim.errors import PhysicsError
from eva_sim.head import neck
from eva_sim.head.geometry import JOINTS


class Angles(NamedTuple):
    """Angles of the hinges of one head, or of (...) heads.

    Attributes:
        jaw: opening, (...) [rad]; the jaw turns by it about +x through `JAW_HINGE`, chin down and back.
        eyes: left then right, yaw then pitch, (..., 2, 2) [rad]. Positive yaw looks to the robot's
            own left, positive pitch up: the eye turns by Ry(yaw) Rx(-pitch) about its centre.
        lids: left, right, (..., 2) [rad]. Positive opens: the upper lid turns by Rx(-lid) about the
            eye's centre, on the skull, not on the eye.
    """

    jaw: Floats
    eyes: Floats
    lids: Floats

    @classmethod
    def of(cls, joints: Floats) -> Angles:
        """Makes them from hinge angles in the order of `JOINTS`, (..., 7) [rad]."""
        return cls(joints[..., 0], joints[..., 1:5].reshape(*joints.shape[:-1], 2, 2), joints[..., 5:7])


@dataclass(frozen=True)
class HeadPose:
    """Pose of the rigid parts of one head; `jaw`, `eyes` and `lids` as in `Angles`.

    Attributes:
        skull: world-from-head transform, (4, 4); the identity at neutral.
        leg_gap: largest distance between a leg's tip and its place on the skull [m].
    """

    skull: Floats
    jaw: float
    eyes: Floats
    lids: Floats
    leg_gap: float

    @classmethod
    def of(cls, angles: Angles, skull: Floats, leg_gap: float = 0.0) -> HeadPose:
        """Makes it from the angles of one head and the transform of its skull (4, 4)."""
        return cls(skull, float(angles.jaw), angles.eyes, angles.lids, leg_gap)


class Linkage:
    """Servo positions to hinge angles and pose, for any number of faces."""

    def __init__(self, spec: FaceSpec) -> None:
        self.hinges = [spec.index(joint.name) for joint in JOINTS]
        self.legs = [spec.index(f"neck_leg_{leg}") for leg in range(1, 7)]

    def angles(self, position: Floats) -> Angles:
        """Returns the hinge angles at servo positions (..., A) for A actuators [rad, m for legs]."""
        return Angles.of(position[..., self.hinges])

    def pose(self, position: Floats) -> HeadPose:
        """Returns the pose of one head at servo positions (A,).

        The search for the skull's pose starts at neutral, so the result depends on the positions only.

        Raises:
            PhysicsError: the leg lengths fit no pose.
        """
        skull = neck.pose_matrix(neck.solve_pose(position[self.legs], neck.NEUTRAL))
        return HeadPose.of(self.angles(position), skull)


def check_position(spec: FaceSpec, position: Floats) -> Floats:
    """Returns servo positions as float64 (A,).

    Raises:
        PhysicsError: they have another shape, or are not finite.
    """
    position = np.asarray(position, dtype=float)
    if position.shape != (len(spec),) or not np.isfinite(position).all():
        raise PhysicsError(f"the head needs {len(spec)} finite positions, not {position}.")
    return position


class KinematicHead:
    """A `HeadModel` without physics: hinges and skull are where the servos put them."""

    def __init__(self, spec: FaceSpec) -> None:
        self.spec, self._linkage = spec, Linkage(spec)
        self.reset()

    @property
    def angles(self) -> Angles:
        """Present angles of the hinges."""
        return self._linkage.angles(self._position)

    @property
    def pose(self) -> HeadPose:
        """Present pose of the rigid parts; solves the neck.

        Raises:
            PhysicsError: the leg lengths fit no pose.
        """
        return self._linkage.pose(self._position)

    def reset(self) -> None:
        """Puts everything at neutral."""
        self._position = self.spec.column("neutral")

    def step(self, position: Floats) -> Angles:
        """Moves to the servo positions, (A,) for A actuators [rad, m for legs], at once.

        Raises:
            PhysicsError: a position is not finite; the head is unchanged.
        """
        self._position = check_position(self.spec, position).copy()
        return self.angles

    def save(self) -> dict[str, Floats]:
        """Returns a copy of everything that changes."""
        return {"position": self._position.copy()}

    def restore(self, state: dict[str, Floats]) -> None:
        """Goes back to a saved state."""
        self._position = state["position"].copy()

    def close(self) -> None:
        """Does nothing; there is no physics engine to release."""
