"""Positions and masses of the rigid parts, in the head frame at neutral [m, kg].

The head frame has x to the robot's own left, y up, z out of the face, its origin midway between
the eye centres. All values are design choices; those of the published paper could not be read.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from eva_sim.contract import Floats

EYES = np.array([[0.0315, 0.0, 0.0], [-0.0315, 0.0, 0.0]])  # left, right [choice: 63 mm apart]
JAW_HINGE = np.array([0.0, -0.025, -0.070])  # on an axis along x [choice]
SKULL_MASS = 2.6  # with motors; jaw, eyes and lids make it 3.0 [choice]
SKULL_COM = np.array([0.0, 0.015, -0.075])  # [choice]
SKULL_INERTIA = 0.4 * SKULL_MASS * 0.09**2  # kg m2; a ball of 90 mm radius [choice]
RIGHT = np.array([1.0, 0.0, 0.0])  # a positive turn about it lowers what is in front
UP = np.array([0.0, 1.0, 0.0])


@dataclass(frozen=True)
class Joint:
    """A hinge of the head, named after its actuator.

    Attributes:
        parent: position in `JOINTS` of the joint it hangs on, -1 for the skull.
        at: hinge in the parent's frame, (3,) [m].
        axis: unit vector, (3,); the actuator's positive sense is a right-handed turn about it.
        mass: of the moved part [kg].
        com: its centre of mass from the hinge, (3,) [m].
        size: radius of a ball of the same inertia [m].
    """

    name: str
    parent: int
    at: Floats
    axis: Floats
    mass: float
    com: Floats
    size: float


def _eye(side: str, parent: int, at: Floats) -> list[Joint]:
    """Two joints of an eye: yaw to the robot's left about y, then pitch up about -x with the ball's mass."""
    centre = np.zeros(3)
    return [
        Joint(f"eye_{side}_yaw", -1, at, UP, 0.010, centre, 0.012),
        Joint(f"eye_{side}_pitch", parent, centre, -RIGHT, 0.020, centre, 0.012),
    ]


def _lid(side: str, at: Floats) -> Joint:
    """The joint of a lid, which opens upwards about -x."""
    return Joint(f"lid_{side}", -1, at, -RIGHT, 0.005, np.array([0.0, 0.005, 0.010]), 0.015)


JOINTS = (
    Joint("jaw", -1, JAW_HINGE, RIGHT, 0.33, np.array([0.0, -0.035, 0.060]), 0.04),
    *_eye("left", 1, EYES[0]),
    *_eye("right", 3, EYES[1]),
    _lid("left", EYES[0]),
    _lid("right", EYES[1]),
)

BASE_CENTRE, BASE_RADIUS = np.array([0.0, -0.22, -0.075]), 0.070
PLATFORM_CENTRE, PLATFORM_RADIUS = np.array([0.0, -0.11, -0.065]), 0.055
# Degrees about y from the front to the robot's left. Legs 1 to 3 are on the left, front to back;
# 4 to 6 are their mirror. Base pairs sit at 60, 180, 300, platform pairs at 0, 120, 240, each
# 16 degrees wide: then no combination of full strokes comes near a singular pose.
BASE_ANGLES = np.array([52.0, 68.0, 172.0, -52.0, -68.0, -172.0])
PLATFORM_ANGLES = np.array([8.0, 112.0, 128.0, -8.0, -112.0, -128.0])
LEG_MASSES = (0.01, 0.05, 0.03)  # gimbal, housing, rod
LEG_INERTIA = 2e-5  # kg m2 of each part


def _ring(centre: Floats, radius: float, degrees: Floats) -> Floats:
    turn = np.radians(degrees)
    return centre + radius * np.stack([np.sin(turn), np.zeros(6), np.cos(turn)], axis=1)


BASE = _ring(BASE_CENTRE, BASE_RADIUS, BASE_ANGLES)  # (6, 3) in the world
PLATFORM = _ring(PLATFORM_CENTRE, PLATFORM_RADIUS, PLATFORM_ANGLES)  # (6, 3) on the skull
LEG_LENGTHS = np.linalg.norm(PLATFORM - BASE, axis=1)  # (6,) at neutral
