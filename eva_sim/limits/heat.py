"""The heat of each servo by its load: a first-order model of its windings, rated in `robot.toml`."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from eva_sim.contract import FaceSpec, Floats
from eva_sim.limits.compiling import kernel
from eva_sim.robot_config import has_robot_config, robot_config

#: Share of full speed of a servo that is about to be too hot.
_SLOWEST = 0.25
#: Ratings of a face whose servos are not known [degrees Celsius, K, s].
_NEVER_WARM = {"ambient": 25.0, "rise": 0.0, "slow_from": np.inf, "time_constant": 1.0, "turn_time": 0.0}


class HeatRatings(NamedTuple):
    """Ratings of a face's servos, as compiled functions take them.

    Attributes:
        ambient: temperature around them [degrees Celsius].
        rise: of a stalled servo in the end [K].
        slow_from: a warmer servo moves more slowly [degrees Celsius].
        too_hot: a warmer servo lets go [degrees Celsius].
        time_constant: of the windings [s].
        turn_time: for which a servo takes stall current to turn round at full speed [s].
    """

    ambient: float
    rise: float
    slow_from: float
    too_hot: float
    time_constant: float
    turn_time: float


@kernel(nogil=True)
def _warm_servos(load, turned, temperature, seconds, shortest, ratings):  # type: ignore[no-untyped-def]
    """Warms servos in place; all arrays are flat.

    Args:
        load: share of stall torque.
        turned: changes of speed meanwhile, in turns round at full speed.
        temperature: of each servo [degrees Celsius]; changed.
        seconds: time that passed [s].
        shortest: time in which the changes of speed happened at least [s].
        ratings: of the servos.
    """
    kept = np.exp(-seconds / ratings.time_constant)
    for i in range(len(load)):
        squares = min(1.0, load[i] ** 2 + turned[i] * (ratings.turn_time / max(seconds, shortest)))
        final = ratings.ambient + ratings.rise * squares
        temperature[i] = final + (temperature[i] - final) * kept


@kernel(nogil=True)
def _speed_shares(temperature, ratings):  # type: ignore[no-untyped-def]
    """Returns the share of full speed that each servo may have; arrays are flat."""
    shares = np.ones(len(temperature))
    for i in range(len(temperature)):
        over = temperature[i] - ratings.slow_from
        if over > 0:
            shares[i] -= (1 - _SLOWEST) * min(1.0, over / (ratings.too_hot - ratings.slow_from))
    return shares


class HeatModel:
    """The temperature of each servo: dT/dt = (ambient + rise * load^2 - T) / time_constant.

    Load is torque as a share of stall torque, as current is of stall current. To turn round at full speed
    takes stall current for `turn_time`, and any other change of speed as much less as it is smaller.

    Args:
        spec: the face; without ratings in `robot.toml` servos stay at 25 degrees.
        shape: of the arrays, (A,) or (N, A).

    Attributes:
        temperature: of each servo [degrees Celsius].
        speed: share of full speed that each servo may have, (..., A); 1 for one that is not warm.
        holding: load of each servo without its cable, share of stall torque, (A,).
        cable_stall: stall torque of each cable's servo, (C,) [N m].
    """

    def __init__(self, spec: FaceSpec, shape: tuple[int, ...]) -> None:
        config = robot_config(spec) if has_robot_config(spec) else {}
        heat = config.get("heat")
        rated: dict[str, float] = {
            name: float(value) for name, value in (heat or _NEVER_WARM).items() if name in HeatRatings._fields
        }
        self.too_hot: float = float(config["safety"]["too_hot"]) if heat else np.inf
        self._ratings = HeatRatings(**rated, too_hot=self.too_hot)
        holding = heat["holding"] if heat else {}
        self.holding: Floats = np.array([holding.get(a.kind, 0.0) for a in spec.actuators])
        stall = heat["stall_torque"]["cable"] if heat else np.inf
        self.cable_stall: Floats = np.full(len(spec.where("cable")), stall)
        self._cables, self._dt = spec.where("cable"), spec.control_dt
        self.temperature: Floats = np.full(shape, self._ratings.ambient)
        self.speed = self._speeds()

    def reset(self, face: int | None = None) -> None:
        """Cools one face, or all."""
        self.put(... if face is None else face, self._ratings.ambient)

    def put(self, which: Any, temperature: Floats | float) -> None:
        """Sets the temperature of some faces [degrees Celsius]."""
        self.temperature = self.temperature.copy()
        self.temperature[which] = temperature
        self.speed = self._speeds()

    def load(self, cable_torque: Floats) -> Floats:
        """Returns the load of each servo, (..., A), that holds this torque of its cable, (..., C) [N m]."""
        load = np.empty((*cable_torque.shape[:-1], len(self.holding)))
        load[:] = self.holding
        load[..., self._cables] += cable_torque / self.cable_stall
        return load

    def warm(self, load: Floats, turned: Floats | None = None, seconds: float | None = None) -> None:
        """Lets a control period pass.

        Args:
            load: of each servo, share of stall torque, (..., A); its sign does not count.
            turned: changes of speed meanwhile, in turns round at full speed, (..., A).
            seconds: time that passed instead of a control period [s].
        """
        self.temperature = self.temperature.copy()
        if turned is None:
            turned = np.zeros_like(load)
        _warm_servos(
            load.reshape(-1), turned.reshape(-1), self.temperature.reshape(-1),
            self._dt if seconds is None else seconds, self._dt, self._ratings,
        )  # fmt: skip
        self.speed = self._speeds()

    def _speeds(self) -> Floats:
        shares: Floats = _speed_shares(self.temperature.reshape(-1), self._ratings)
        return shares.reshape(self.temperature.shape)
