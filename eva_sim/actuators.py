"""The actuator chain: command -> servo -> spool -> Bowden cable.

All history of the face's drive lives here, in five arrays, so a saved state repeats bit for bit.
What the free end of a cable does (its slack, its stretch T = k max(0, L - Lt), that it can only
pull) belongs to the skin's energy; this module tells the skin how much cable was taken in.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from eva_sim.contract import FaceSpec, Floats

_STATE = ("queue", "target", "position", "spool", "take_up")


class Actuators:
    """25 servos, 12 of which wind a cable through a Bowden tube.

    Attributes:
        position: where the servos are, float64 (25,) [rad, or m for neck legs].
        take_up: cable taken in at the skin end, (12,) [m], in the order of the table's cables. The
            skin's free length is Lt = L_rest + slack - take_up. Below zero when the skin pulls on a
            paid-out cable, because the line inside the tube stretches.
        target: what each servo last agreed to go to, (25,) [rad, m].
        spool: cable wound by the spools, behind the backlash, (12,) [m].
        queue: targets on their way, newest first, (longest delay + 1, 25) [rad, m].
    """

    queue: Floats
    target: Floats
    position: Floats
    spool: Floats
    take_up: Floats

    def __init__(self, spec: FaceSpec) -> None:
        self.spec = spec
        self._low, self._high = spec.column("low"), spec.column("high")
        self._travel = spec.column("rate") * spec.control_dt
        self._dead_band = spec.column("dead_band")
        self._delay = spec.column("delay").astype(int), np.arange(len(spec))
        self._cables = spec.where("cable")
        self._capstan = np.exp(spec.cable["friction"] * spec.cable["wrap_angle"])
        self.reset()

    def reset(self) -> None:
        """Everything rests at neutral, with nothing on its way."""
        rest = self.spec.column("neutral")
        self.queue = np.tile(rest, (int(self._delay[0].max()) + 1, 1))
        self.target, self.position = rest.copy(), rest.copy()
        self.spool = self.spec.cable["spool_radius"] * rest[self._cables]
        self.take_up = self.spool.copy()

    def step(self, command: NDArray[np.float32], tension: NDArray[Any]) -> None:
        """Lets one control period pass.

        The tension is one period old. That is stable, because the line in the tube is stiffer than
        the free cable: stiffness * exp(mu phi) < bowden_stiffness.

        Args:
            command: as `FaceSpec.check` returns it, (25,) in [-1, 1].
            tension: of the free cables in the last solved skin, (12,) [N], not negative.
        """
        self._move_servos(command)
        self._wind(self.spec.cable["spool_radius"] * self.position[self._cables])
        self._pull(np.asarray(tension, dtype=float))

    def _move_servos(self, command: NDArray[np.float32]) -> None:
        """Delay, dead-band, rate and range, in the order a servo has them."""
        self.queue = np.vstack([self.spec.to_physical(command), self.queue[:-1]])
        heard = self.queue[self._delay]
        answered = np.abs(heard - self.target) > self._dead_band
        self.target = np.where(answered, heard, self.target)
        travel = np.clip(self.target - self.position, -self._travel, self._travel)
        self.position = np.clip(self.position + travel, self._low, self._high)

    def _wind(self, gear: Floats) -> None:
        """Play operator: the spool moves only when the gear has crossed the backlash.

        The play lies wholly on the winding side, so a relaxed servo leaves a relaxed spool.
        """
        self.spool = np.clip(self.spool, gear - self.spec.cable["backlash"], gear)

    def _pull(self, tension: Floats) -> None:
        """Capstan stick-slip along the tube (Euler-Eytelwein).

        The line in the tube carries k_b (spool - take_up) at the servo end. Its far end sticks
        while that lies between T exp(-mu phi), where the skin would draw it out, and
        T exp(mu phi), where the servo would draw it in; beyond, it slips to the nearer edge.
        """
        stiffness = self.spec.cable["bowden_stiffness"]
        held = np.clip(
            stiffness * (self.spool - self.take_up), tension / self._capstan, tension * self._capstan
        )
        self.take_up = self.spool - held / stiffness

    def save(self) -> dict[str, Floats]:
        """Copies of all history."""
        return {name: getattr(self, name).copy() for name in _STATE}

    def restore(self, state: dict[str, Floats]) -> None:
        """Goes back to a saved state; what follows repeats bit for bit."""
        for name in _STATE:
            setattr(self, name, state[name].copy())
