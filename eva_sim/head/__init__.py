"""The head: skull, jaw, eyes, lids and six-leg neck.

Read `interface.py` first (what every head can do), then `kinematic.py` (a head without physics),
`geometry.py` (positions and masses) and `neck.py` (leg lengths to pose). `rigid.py` and `bodies.py` are
the same head under gravity, in PyBullet, which is imported only when such a head is opened.
"""

from __future__ import annotations

from eva_sim.contract import FaceSpec
from eva_sim.errors import EvaError
from eva_sim.head.geometry import EYES, JAW_HINGE
from eva_sim.head.interface import HeadModel
from eva_sim.head.kinematic import Angles, HeadPose, KinematicHead, Linkage

__all__ = ["EYES", "JAW_HINGE", "Angles", "HeadModel", "HeadPose", "KinematicHead", "Linkage", "open_head"]


def open_head(spec: FaceSpec, neck: str) -> HeadModel:
    """Opens a head whose neck is `"kinematic"` (without physics) or on `"legs"` (rigid bodies in PyBullet).

    Raises:
        EvaError: `neck` is neither.
    """
    if neck == "kinematic":
        return KinematicHead(spec)
    if neck == "legs":
        from eva_sim.head.rigid import RigidHead

        return RigidHead(spec)
    raise EvaError(f"neck={neck!r}; choose 'kinematic' or 'legs'.")
