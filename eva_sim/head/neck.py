"""Six leg lengths to a head pose and back: kinematics of the Stewart neck.

A pose is seven numbers, world from head: x, y, z [m] and a unit quaternion x, y, z, w.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from eva_sim.contract import Floats
from eva_sim.errors import PhysicsError
from eva_sim.head.geometry import BASE, LEG_LENGTHS, PLATFORM, PLATFORM_CENTRE

NEUTRAL = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0])
_CLOSE = 1e-12  # m
_TRIES = 20
_NEXT, _LAST = np.array([1, 2, 0]), np.array([2, 0, 1])  # axes


def rotation_matrix(quaternion: Floats) -> Floats:
    """Returns the rotation matrix (3, 3) of a unit quaternion x, y, z, w."""
    x, y, z, w = quaternion.tolist()  # plain numbers are several times as fast
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
    pose, wanted = guess.copy(), LEG_LENGTHS + extension
    for _ in range(_TRIES):
        arm = PLATFORM @ rotation_matrix(pose[3:]).T
        leg = arm + pose[:3] - BASE
        length = np.sqrt((leg * leg).sum(axis=1))
        error = wanted - length
        if np.abs(error).max() < _CLOSE:
            return pose
        along = leg / length[:, None]
        pose = _moved(pose, np.linalg.solve(np.concatenate([along, _cross(arm, along)], axis=1), error))
    raise PhysicsError(f"the neck has no pose for leg extensions {extension} m; reset the face.")


def pose_per_extension() -> Floats:
    """Returns how the pose changes with each leg's extension at neutral, (6, 6).

    Rows: shift of the neck's upper end along x, y and z [m per m], then turn about x, y and z [rad per m].
    """
    leg = PLATFORM - BASE
    along = leg / np.linalg.norm(leg, axis=1)[:, None]
    per_pose = np.concatenate([along, _cross(PLATFORM - PLATFORM_CENTRE, along)], axis=1)
    per_extension: Floats = np.linalg.inv(per_pose)
    return per_extension


def leg_extensions(turn: Floats) -> Floats:
    """Returns the leg extensions, (6,) [m], that turn the head about the neck's upper end.

    Args:
        turn: rotation vector in the head frame at neutral, (3,) [rad].
    """
    platform = Rotation.from_rotvec(turn).apply(PLATFORM - PLATFORM_CENTRE) + PLATFORM_CENTRE
    extensions: Floats = np.linalg.norm(platform - BASE, axis=1) - LEG_LENGTHS
    return extensions


def _moved(pose: Floats, twist: Floats) -> Floats:
    """`pose` after a small translation and turn (6,) [m, rad], in world axes."""
    a, b, c = (0.5 * twist[3:]).tolist()
    x, y, z, w = pose[3:].tolist()
    turned = np.array(
        [
            x + w * a + b * z - c * y,
            y + w * b + c * x - a * z,
            z + w * c + a * y - b * x,
            w - a * x - b * y - c * z,
        ]
    )
    return np.concatenate([pose[:3] + twist[:3], turned / np.sqrt(turned @ turned)])


def _cross(a: Floats, b: Floats) -> Floats:
    """Cross products of rows (N, 3); `np.cross` takes longer to begin than to multiply."""
    product: Floats = a[:, _NEXT] * b[:, _LAST] - a[:, _LAST] * b[:, _NEXT]
    return product
