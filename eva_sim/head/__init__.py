"""The rigid head: skull, jaw, eyes, lids and six-leg neck, in PyBullet.

Read `rigid.py` first (what a head does), then `geometry.py` (where everything is), `bodies.py`
(how PyBullet is told) and `neck.py` (legs to pose).
"""

from eva_sim.head.geometry import EYES, JAW_HINGE
from eva_sim.head.rigid import Head, HeadPose

__all__ = ["EYES", "JAW_HINGE", "Head", "HeadPose"]
