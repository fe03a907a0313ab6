"""The load of each servo by its command, for boards that measure none: tensions that the twin once had."""

from __future__ import annotations

import numpy as np

from eva_sim.contract import FaceSpec, Floats
from eva_sim.horns import cable_drawn_in, horn_lever
from eva_sim.limits.heat import HeatModel
from eva_sim.robot_config import has_robot_config, robot_config

#: Places along a cable's travel for which draw and lever are kept.
_TABLE = 64


class ModelledLoad:
    """Takes a cable's tension to grow with the cable drawn in, and with what antagonists draw in.

    Args:
        spec: the face; cables without gains in `robot.toml` bear nothing.
    """

    def __init__(self, spec: FaceSpec) -> None:
        self._cables = spec.where("cable")
        gains = robot_config(spec).get("tension", {}) if has_robot_config(spec) else {}
        self._gains = np.zeros((len(self._cables), len(spec)))  # [N]
        for row, index in enumerate(self._cables):
            name, _, side = spec.names[index].rpartition("_")
            for other, pull in gains.get(name, {}).items():
                column = f"{other}_{side}" if other in spec.two_sided_names else other
                self._gains[row, spec.index(column)] = pull
        self._own = self._gains[np.arange(len(self._cables)), self._cables]
        shares = np.linspace(0, 1, _TABLE)
        position = spec.column("low") + shares[:, None] * (spec.column("high") - spec.column("low"))
        drawn = cable_drawn_in(spec, position)
        self._drawn = (drawn / np.maximum(drawn[-1], 1e-9)).T.copy()  # share, (C, _TABLE)
        friction = np.exp(spec.cable["friction"] * spec.cable["wrap_angle"])
        # A servo that winds in pulls against friction; so this is the most that it holds.
        self._lever = friction * horn_lever(spec, position).T  # (C, _TABLE) [m]
        self._rows = np.arange(len(self._cables))

    def __call__(self, command: Floats, heat: HeatModel) -> Floats:
        """Returns the load of each servo at a command (A,), share of stall torque, (A,)."""
        share = 0.5 + 0.5 * command
        place = (share[self._cables] * (_TABLE - 1)).astype(int)
        own = share[self._cables] = self._drawn[self._rows, place]
        tension = own * (self._own + self._gains @ share - self._own * own)
        return heat.load(tension * self._lever[self._rows, place])
