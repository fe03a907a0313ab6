"""The head without physics: every hinge is where its servo is, the skull where the legs say.

For training. Nothing here remembers anything but where the servos are, so N faces cost no more
than an index, and the skull's pose is solved only when somebody asks, as a camera does.
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
    """What the hinges of one head, or of (...) heads, are at.

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
        """From hinge angles in the order of `JOINTS`, (..., 7) [rad]."""
        return cls(joints[..., 0], joints[..., 1:5].reshape(*joints.shape[:-1], 2, 2), joints[..., 5:7])


@dataclass(frozen=True)
class HeadPose:
    """Where the rigid parts of one head are; `jaw`, `eyes` and `lids` as in `Angles`.

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
        """From the hinges of one head and its skull's transform (4, 4)."""
        return cls(skull, float(angles.jaw), angles.eyes, angles.lids, leg_gap)


class Linkage:
    """Which actuators move the head, and where they put it; for any number of faces."""

    def __init__(self, spec: FaceSpec) -> None:
        self.hinges = [spec.index(joint.name) for joint in JOINTS]
        self.legs = [spec.index(f"neck_leg_{leg}") for leg in range(1, 7)]

    def angles(self, position: Floats) -> Angles:
        """Of heads whose servos are at `position`, (..., 25) [rad, m for legs]."""
        return Angles.of(position[..., self.hinges])

    def pose(self, position: Floats) -> HeadPose:
        """Of one head, (25,). The skull is sought from neutral, so its pose depends on nothing else.

        Raises:
            PhysicsError: the legs fit no pose.
        """
        skull = neck.matrix(neck.solve_pose(position[self.legs], neck.NEUTRAL))
        return HeadPose.of(self.angles(position), skull)


def check_position(spec: FaceSpec, position: Floats) -> Floats:
    """Where the servos are, as float64 (25,).

    Raises:
        PhysicsError: another shape, or not a number.
    """
    position = np.asarray(position, dtype=float)
    if position.shape != (len(spec),) or not np.isfinite(position).all():
        raise PhysicsError(f"the head needs {len(spec)} finite positions, not {position}.")
    return position


class KinematicHead:
    """Skull, jaw, eyes, lids and neck of one face, in the place of `rigid.Head`."""

    def __init__(self, spec: FaceSpec) -> None:
        self.spec, self._linkage = spec, Linkage(spec)
        self.reset()

    @property
    def angles(self) -> Angles:
        """Where the hinges are now."""
        return self._linkage.angles(self._position)

    @property
    def pose(self) -> HeadPose:
        """Where the head is now; solves the neck.

        Raises:
            PhysicsError: the legs fit no pose.
        """
        return self._linkage.pose(self._position)

    def reset(self) -> None:
        """Everything at neutral."""
        self._position = self.spec.column("neutral")

    def step(self, position: Floats) -> Angles:
        """Goes where the servos are, (25,) [rad, m for legs], at once.

        Raises:
            PhysicsError: a position is not a number; the head stays where it was.
        """
        self._position = check_position(self.spec, position).copy()
        return self.angles

    def save(self) -> dict[str, Floats]:
        """A copy of everything that changes."""
        return {"position": self._position.copy()}

    def restore(self, state: dict[str, Floats]) -> None:
        """Goes back to a saved state."""
        self._position = state["position"].copy()

    def close(self) -> None:
        """Holds nothing."""
