"""Six leg lengths to a head pose: forward kinematics of the Stewart neck.

A pose is seven numbers, world from head: x, y, z [m] and a unit quaternion x, y, z, w.
"""

from __future__ import annotations

import numpy as np

from eva_sim.contract import Floats
from eva_sim.errors import PhysicsError
from eva_sim.head.geometry import BASE, LEG_LENGTHS, PLATFORM

NEUTRAL = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0])
_CLOSE = 1e-12  # m
_TRIES = 20


def rotation_matrix(quaternion: Floats) -> Floats:
    """Returns the rotation matrix (3, 3) of a unit quaternion x, y, z, w."""
    x, y, z, w = quaternion
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def pose_matrix(pose: Floats) -> Floats:
    """Returns the world-from-head transform (4, 4) of a pose (7,)."""
    out = np.eye(4)
    out[:3, :3], out[:3, 3] = rotation_matrix(pose[3:]), pose[:3]
    return out


def solve_pose(extension: Floats, guess: Floats) -> Floats:
    """Finds the pose (7,) at which each leg has its neutral length plus `extension`, by Newton's method.

    Args:
        extension: (6,) [m].
        guess: a pose nearby; it selects one of up to 40 assemblies of such a neck.

    Raises:
        PhysicsError: no such pose near the guess.
    """
    pose = guess.copy()
    for _ in range(_TRIES):
        arm = PLATFORM @ rotation_matrix(pose[3:]).T
        leg = arm + pose[:3] - BASE
        length = np.sqrt((leg * leg).sum(axis=1))
        error = LEG_LENGTHS + extension - length
        if np.abs(error).max() < _CLOSE:
            return pose
        along = leg / length[:, None]
        pose = _moved(pose, np.linalg.solve(np.hstack([along, np.cross(arm, along)]), error))
    raise PhysicsError(f"the neck has no pose for leg extensions {extension} m; reset the face.")


def _moved(pose: Floats, twist: Floats) -> Floats:
    """`pose` after a small translation and turn (6,) [m, rad], in world axes."""
    a, b = 0.5 * twist[3:], pose[3:6]
    vector = pose[6] * a + b + np.cross(a, b)
    turned = np.append(vector, pose[6] - a @ b)
    return np.concatenate([pose[:3] + twist[:3], turned / np.sqrt(turned @ turned)])
