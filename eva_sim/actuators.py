"""The actuator chain: command -> servo -> horn -> Bowden cable, of one face or of many.

All history of the face's drive lives here, in five arrays, so a saved state repeats bit for bit.
Every array may have a leading dimension for faces; the formulas are the same.
What the free end of a cable does (its slack, its stretch T = k max(0, L - Lt), that it can only
pull) belongs to the skin's energy; this module tells the skin how much cable was taken in.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from eva_sim.contract import FaceSpec, Floats
from eva_sim.errors import EvaError

_STATE = ("queue", "target", "position", "line", "take_up")
#: Control steps of delay that a face may have beyond the table's longest.
SPARE_DELAY = 2


class ActuatorParameters(NamedTuple):
    """What may differ between faces of one table, each with the faces' leading dimension.

    Attributes:
        friction: Coulomb coefficient of line in tube, (..., 12).
        backlash: play between servo gear and horn, (..., 12) [m].
        slack: of cable before it is taut at neutral, (..., 12) [m].
        rate: fastest travel, (..., 25) [rad/s, m/s].
        dead_band: smallest change of target that is answered, (..., 25) [rad, m].
        delay: of commands, (..., 25) [control steps].
    """

    friction: Floats
    backlash: Floats
    slack: Floats
    rate: Floats
    dead_band: Floats
    delay: Floats

    @classmethod
    def of(cls, spec: FaceSpec) -> ActuatorParameters:
        """Those of the table, for one face."""
        cables = [np.full(len(spec.where("cable")), spec.cable[n]) for n in ("friction", "backlash", "slack")]
        return cls(*cables, *(spec.column(n) for n in ("rate", "dead_band", "delay")))


class Actuators:
    """25 servos, 12 of which draw a cable through a Bowden tube.

    Args:
        spec: the face.
        faces: how many, N; None for one, whose arrays have no leading dimension.

    Attributes (with (N,) before each shape when there are N faces):
        figures: friction, play, rates and delays; see `set_parameters`.
        position: where the servos are, float64 (25,) [rad, or m for neck legs].
        take_up: cable taken in at the skin end, (12,) [m], in the order of the table's cables. The
            skin's free length is Lt = L_rest + slack - take_up. Below zero when the skin pulls on a
            paid-out cable, because the line inside the tube stretches.
        target: what each servo last agreed to go to, (25,) [rad, m].
        line: cable drawn in by the horns, behind the backlash, (12,) [m].
        queue: targets on their way, newest first, (longest possible delay + 1, 25) [rad, m].
    """

    queue: Floats
    target: Floats
    position: Floats
    line: Floats
    take_up: Floats

    def __init__(self, spec: FaceSpec, faces: int | None = None) -> None:
        self.spec, self._lead = spec, () if faces is None else (faces,)
        self._low, self._high = spec.column("low"), spec.column("high")
        self._cables = spec.where("cable")
        self._depth = int(spec.column("delay").max()) + SPARE_DELAY + 1
        self.figures = ActuatorParameters(
            *(np.tile(value, (*self._lead, 1)) for value in ActuatorParameters.of(spec))
        )
        self._derive()
        for name, value in self._rest().items():
            setattr(self, name, np.tile(value, (*self._lead, *[1] * value.ndim)))

    def set_parameters(self, figures: ActuatorParameters, face: int | None = None) -> None:
        """Replaces the figures of one face of many, or of all; what was done so far stays done.

        Raises:
            EvaError: a delay that the queue cannot hold.
        """
        if not ((figures.delay >= 0) & (figures.delay < self._depth)).all():
            raise EvaError(f"delays are 0 to {self._depth - 1} control steps, not {figures.delay}.")
        for mine, given in zip(self.figures, figures, strict=True):
            mine[... if face is None else face] = given
        self._derive()

    def _derive(self) -> None:
        figures = self.figures
        self._travel = figures.rate * self.spec.control_dt
        self._capstan = np.exp(figures.friction * self.spec.cable["wrap_angle"])
        self._late = figures.delay.astype(int)[..., None, :]
        # The skin's cables are as slack as the table says; more slack is cable not yet taken in.
        self._looser = figures.slack - self.spec.cable["slack"]

    def reset(self, face: int | None = None) -> None:
        """Everything rests at neutral, with nothing on its way; for one face of many, or all."""
        for name, value in self._rest().items():
            getattr(self, name)[... if face is None else face] = value

    def _rest(self) -> dict[str, Floats]:
        """The state of one face at rest."""
        rest = self.spec.column("neutral")
        line = self.spec.drawn_in(rest)
        return dict(zip(_STATE, (np.tile(rest, (self._depth, 1)), rest, rest, line, line), strict=True))

    @property
    def drawn(self) -> Floats:
        """Cable taken in beyond what this face has more slack than the table, (12,) [m]: the skin's drive."""
        drawn: Floats = self.take_up - self._looser
        return drawn

    def step(self, command: NDArray[np.float32], tension: NDArray[Any]) -> None:
        """Lets one control period pass.

        The tension is one period old. That is stable, because the line in the tube is stiffer than
        the free cable: stiffness * exp(mu phi) < bowden_stiffness.

        Args:
            command: as `FaceSpec.check` returns it, (25,) in [-1, 1].
            tension: of the free cables in the last solved skin, (12,) [N], not negative.
        """
        self._move_servos(command)
        self._wind(self.spec.drawn_in(self.position))
        self._pull(np.asarray(tension, dtype=float))

    def _move_servos(self, command: NDArray[np.float32]) -> None:
        """Delay, dead-band, rate and range, in the order a servo has them."""
        newest = self.spec.to_physical(command)[..., None, :]
        self.queue = np.concatenate([newest, self.queue[..., :-1, :]], axis=-2)
        heard = np.take_along_axis(self.queue, self._late, axis=-2)[..., 0, :]
        answered = np.abs(heard - self.target) > self.figures.dead_band
        self.target = np.where(answered, heard, self.target)
        travel = np.clip(self.target - self.position, -self._travel, self._travel)
        self.position = np.clip(self.position + travel, self._low, self._high)

    def _wind(self, gear: Floats) -> None:
        """Play operator: the horn moves only when the gear has crossed the backlash.

        The play lies wholly on the winding side, so a relaxed servo leaves a relaxed line.
        """
        self.line = np.clip(self.line, gear - self.figures.backlash, gear)

    def _pull(self, tension: Floats) -> None:
        """Capstan stick-slip along the tube (Euler-Eytelwein).

        The line in the tube carries k_b (line - take_up) at the servo end. Its far end sticks
        while that lies between T exp(-mu phi), where the skin would draw it out, and
        T exp(mu phi), where the servo would draw it in; beyond, it slips to the nearer edge.
        """
        stiffness = self.spec.cable["bowden_stiffness"]
        held = np.clip(
            stiffness * (self.line - self.take_up), tension / self._capstan, tension * self._capstan
        )
        self.take_up = self.line - held / stiffness

    def save(self) -> dict[str, Floats]:
        """Copies of all history."""
        return {name: getattr(self, name).copy() for name in _STATE}

    def restore(self, state: dict[str, Floats]) -> None:
        """Goes back to a saved state; what follows repeats bit for bit."""
        for name in _STATE:
            setattr(self, name, state[name].copy())
