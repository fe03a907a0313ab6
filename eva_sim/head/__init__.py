"""The head: skull, jaw, eyes, lids and six-leg neck.

Read `kinematic.py` first (where servos put a head), then `geometry.py` (where everything is) and
`neck.py` (legs to pose). `rigid.py` and `bodies.py` are the same head under gravity, in PyBullet,
which is loaded only when such a head is opened.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from eva_sim.contract import FaceSpec
from eva_sim.errors import EvaError
from eva_sim.head.geometry import EYES, JAW_HINGE
from eva_sim.head.kinematic import Angles, HeadPose, KinematicHead, Linkage

if TYPE_CHECKING:
    from eva_sim.head.rigid import Head

__all__ = ["EYES", "JAW_HINGE", "Angles", "HeadPose", "KinematicHead", "Linkage", "open_head"]


def open_head(spec: FaceSpec, neck: str) -> KinematicHead | Head:
    """A head whose neck is `"kinematic"` (without physics) or on `"legs"` (rigid bodies in PyBullet).

    Raises:
        EvaError: `neck` is neither.
    """
    if neck == "kinematic":
        return KinematicHead(spec)
    if neck == "legs":
        from eva_sim.head.rigid import Head

        return Head(spec)
    raise EvaError(f"neck={neck!r}; choose 'kinematic' or 'legs'.")
