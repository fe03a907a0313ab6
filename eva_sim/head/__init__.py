"""The head: skull, jaw, eyes, lids and six-leg neck.

Read `interface.py` first (what every head can do), then `kinematic.py` (a head without physics),
`geometry.py` (positions and masses) and `neck.py` (leg lengths to pose). `rigid.py` and `bodies.py` are
the same head under gravity, in PyBullet, which is imported only when such a head is opened.
"""

from __future__ import annotations

from eva_sim.contract import FaceSpec
from eva_sim.errors import SEE_DOCTOR, EvaError
from eva_sim.head.geometry import EYES, JAW_HINGE
from eva_sim.head.interface import HeadModel
from eva_sim.head.kinematic import Angles, HeadPose, KinematicHead, Linkage

__all__ = ["EYES", "JAW_HINGE", "Angles", "HeadModel", "HeadPose", "KinematicHead", "Linkage", "open_head"]

#: PyBullet is installed with this package where it has wheels, so elsewhere it is compiled.
_WITHOUT_PYBULLET = (
    "neck='legs' needs PyBullet, which is not installed. It has no wheels for Python 3.12 and later, and is "
    "compiled there, with g++ and Python's headers: pip install 'pybullet>=3.2.6'. Or use neck='kinematic'."
)


def open_head(spec: FaceSpec, neck: str) -> HeadModel:
    """Opens a head whose neck is `"kinematic"` (without physics) or on `"legs"` (rigid bodies in PyBullet).

    Raises:
        EvaError: `neck` is neither, or PyBullet is not installed.
    """
    if neck == "kinematic":
        return KinematicHead(spec)
    if neck == "legs":
        try:
            from eva_sim.head.rigid import RigidHead
        except ModuleNotFoundError as error:
            raise EvaError(f"{_WITHOUT_PYBULLET} {SEE_DOCTOR}") from error
        return RigidHead(spec)
    raise EvaError(f"neck={neck!r}; choose 'kinematic' or 'legs'.")
