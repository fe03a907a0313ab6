"""The heat of each servo by its load: a first-order model of its windings, rated in `robot.toml`."""

from __future__ import annotations

from typing import Any

import numpy as np

from eva_sim.contract import FaceSpec, Floats
from eva_sim.robot_config import has_robot_config, robot_config

#: Share of full speed of a servo that is about to be too hot.
_SLOWEST = 0.25
#: Ratings of a face whose servos are not known [degrees Celsius, K, s].
_NEVER_WARM = {"ambient": 25.0, "rise": 0.0, "slow_from": np.inf, "time_constant": 1.0, "turn_time": 0.0}


class HeatModel:
    """The temperature of each servo: dT/dt = (ambient + rise * load^2 - T) / time_constant.

    Load is torque as a share of stall torque, as current is of stall current. To turn round at full speed
    takes stall current for `turn_time`, and any other change of speed as much less as it is smaller.

    Args:
        spec: the face; without ratings in `robot.toml` servos stay at 25 degrees.
        shape: of the arrays, (A,) or (N, A).

    Attributes:
        temperature: of each servo [degrees Celsius].
        speed: share of full speed that each servo may have, (..., A); 1 while none is warm.
        holding: load of each servo without its cable, share of stall torque, (A,).
        cable_stall: stall torque of each cable's servo, (C,) [N m].
    """

    def __init__(self, spec: FaceSpec, shape: tuple[int, ...]) -> None:
        config = robot_config(spec) if has_robot_config(spec) else {}
        heat = config.get("heat")
        rated: dict[str, float] = heat or _NEVER_WARM
        self._ambient, self._rise, self._slow_from = rated["ambient"], rated["rise"], rated["slow_from"]
        self._time_constant, self._turn_time = rated["time_constant"], rated["turn_time"]
        self.too_hot: float = config["safety"]["too_hot"] if heat else np.inf
        holding = heat["holding"] if heat else {}
        self.holding: Floats = np.array([holding.get(a.kind, 0.0) for a in spec.actuators])
        stall = heat["stall_torque"]["cable"] if heat else np.inf
        self.cable_stall: Floats = np.full(len(spec.where("cable")), stall)
        self._cables, self._dt = spec.where("cable"), spec.control_dt
        self.temperature: Floats = np.full(shape, self._ambient)
        self.speed: Floats | float = 1.0

    def reset(self, face: int | None = None) -> None:
        """Cools one face, or all."""
        self.put(... if face is None else face, self._ambient)

    def put(self, which: Any, temperature: Floats | float) -> None:
        """Sets the temperature of some faces [degrees Celsius]."""
        self.temperature[which] = temperature
        self.speed = self._speeds()

    def load(self, cable_torque: Floats) -> Floats:
        """Returns the load of each servo, (..., A), that holds this torque of its cable, (..., C) [N m]."""
        load = np.broadcast_to(self.holding, (*cable_torque.shape[:-1], len(self.holding))).copy()
        load[..., self._cables] += cable_torque / self.cable_stall
        return load

    def warm(self, load: Floats, turned: Floats | float = 0.0, seconds: float | None = None) -> None:
        """Lets a control period pass.

        Args:
            load: of each servo, share of stall torque, (..., A); its sign does not count.
            turned: changes of speed meanwhile, in turns round at full speed, (..., A).
            seconds: time that passed instead of a control period [s].
        """
        time = self._dt if seconds is None else seconds
        squares = np.minimum(1.0, load * load + turned * (self._turn_time / max(time, self._dt)))
        final = self._ambient + self._rise * squares
        self.temperature = final + (self.temperature - final) * np.exp(-time / self._time_constant)
        self.speed = self._speeds()

    def _speeds(self) -> Floats | float:
        over = self.temperature - self._slow_from
        if not (over > 0).any():
            return 1.0
        share: Floats = 1 - (1 - _SLOWEST) * np.clip(over / (self.too_hot - self._slow_from), 0, 1)
        return share
