"""The `reduced` skin of one face: the learned map of `reduced_map.py`, without torch.

One face is too little work for torch: its threads wait for each other longer than they compute, most of
all beside other work, and do not survive a fork. The map uses one thread, and vertices are computed
only when they are read.
"""

from __future__ import annotations

import numpy as np

from eva_sim.contract import Floats
from eva_sim.errors import EvaError
from eva_sim.skin.anatomy import Anatomy, Drive
from eva_sim.skin.block import check_drive
from eva_sim.skin.reduced_map import drive_matrix, load_reduced_map


class ReducedSkin:
    """A `SkinSolver` that uses the learned map.

    Attributes:
        residual: nan [N], because a learned map computes no forces.
        varies_material: False, because the map was learned for one material.
    """

    varies_material = False

    def __init__(self, anatomy: Anatomy) -> None:
        self.anatomy, self.residual = anatomy, float("nan")
        self._map = load_reduced_map(anatomy)
        self.reset()

    def reset(self) -> None:
        """Puts the face at rest."""
        self._go_to(np.zeros(len(self._map.network.low), np.float32))

    def scale_material(self, scales: Floats) -> None:
        """Accepts a scale of one only.

        Raises:
            EvaError: another scale was given.
        """
        check_scales(scales)

    def step(self, drive: Drive) -> None:
        """Moves the face to its drive.

        Raises:
            PhysicsError: the drive is not finite.
        """
        check_drive(drive)
        self._go_to(drive_matrix(drive)[0])

    def _go_to(self, drives: Floats) -> None:
        self._drives, self._outputs = drives, self._map.network.outputs(drives[:, None])

    @property
    def points(self) -> Floats:
        """Vertices, (V, 3) [m] in the head frame."""
        return self._map.vertices.points(self._outputs)

    @property
    def landmarks(self) -> Floats:
        """Landmark points, (P, 3) [m] in the head frame."""
        return self._map.landmarks.points(self._outputs)

    @property
    def tension(self) -> Floats:
        """Tensions of the cables, (C,) [N]."""
        stretches = self._outputs[len(self._map.landmarks.modes) :, 0]
        return (self._map.stiffness * np.maximum(stretches, 0)).astype(float)

    def save(self) -> Floats:
        """Returns a copy of everything that changes."""
        return self._drives.copy()

    def restore(self, state: Floats) -> None:
        """Goes back to a saved state, bit for bit."""
        self._go_to(state.copy())


def check_scales(scales: Floats) -> None:
    """Checks that scales of the material are one.

    Raises:
        EvaError: one of them is not.
    """
    if (np.asarray(scales) != 1).any():
        raise EvaError("the reduced skin knows one material only; use skin='full'.")
