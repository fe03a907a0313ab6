"""What a face's cables, patches and skin bear, as shares of the limits of `robot.toml`."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eva_sim.actuators import Actuators
from eva_sim.contract import FaceSpec, Floats
from eva_sim.robot_config import robot_config
from eva_sim.skin.anatomy import Anatomy, Drive, load_anatomy
from eva_sim.skin.solver import make_skin
from eva_sim.skin.strain import largest_stretch, patch_areas

#: Control steps until a cable's pull has settled.
_STEPS = 20


class Overloads:
    """Compares a settled face with the limits of `[ratings]` in `robot.toml`.

    Args:
        anatomy: the skin.

    Attributes:
        names: of the quantities: `"cable NAME"`, `"patch NAME"` of each cable, and `"skin"`.
        limits: of the cables [N], of the patches [N] and of the stretch of the skin, (Q,).
        one_side: numbers of the quantities of the left side, and of the skin.
    """

    def __init__(self, anatomy: Anatomy) -> None:
        self._anatomy = anatomy
        spec, ratings = anatomy.spec, robot_config(anatomy.spec)["ratings"]
        cables = [spec.actuators[i] for i in spec.where("cable")]
        self.names = (
            *(f"cable {a.name}" for a in cables), *(f"patch {a.name}" for a in cables), "skin"
        )  # fmt: skip
        self.limits: Floats = np.concatenate(
            [
                ratings["cable_overload"] * own_tension(spec),
                ratings["patch_pressure"] * patch_areas(anatomy),
                [ratings["skin_stretch"] - 1],
            ]
        )
        self.one_side = [n for n, name in enumerate(self.names) if not name.endswith("_right")]

    def shares(self, points: NDArray[Any], tension: Floats) -> Floats:
        """Returns each quantity as share of its limit, (..., Q).

        Args:
            points: vertices of the skin, (..., V, 3) [m].
            tension: of the cables, (..., C) [N].
        """
        stretch = (largest_stretch(self._anatomy, points)[..., None] - 1) / self.limits[-1]
        return np.concatenate([self.pulls(tension), stretch], axis=-1)

    def pulls(self, tension: Floats) -> Floats:
        """Returns the quantities of cables and patches alone, as shares of their limits, (..., 2 C)."""
        share: Floats = np.concatenate([tension, tension], axis=-1) / self.limits[:-1]
        return share


@lru_cache(maxsize=4)
def own_tension(spec: FaceSpec) -> Floats:
    """Tension of each cable at its end while all else rests, settled in the twin, (C,) [N]."""
    skin, out = make_skin(load_anatomy(spec), "full"), []
    for number, index in enumerate(spec.where("cable")):
        actuators, command = Actuators(spec), spec.neutral
        command[index] = 1.0
        skin.reset()
        for _ in range(_STEPS):
            actuators.step(command, skin.tension)
            skin.step(Drive(0.0, np.zeros(2), actuators.drawn))
        out.append(float(skin.tension[number]))
    return np.array(out)
