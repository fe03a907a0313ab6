"""The actuator chain: command -> servo -> horn -> Bowden cable, of one face or of many.

The whole history of the drives is five arrays, so a saved state repeats bit for bit. Every array may have
a leading dimension for faces; the formulas are the same. A is the number of actuators and C that of cables,
25 and 12 for EVA. The free end of a cable belongs to the skin's energy: its slack, and its tension
T = k max(0, L - Lt), which is never negative. This module gives the skin the length of cable taken in.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from eva_sim.contract import FaceSpec, Floats
from eva_sim.errors import EvaError
from eva_sim.horns import cable_drawn_in

_STATE = ("queue", "target", "position", "line", "take_up")
#: Control steps of delay that a face may have beyond the table's longest.
SPARE_DELAY = 2


class ActuatorParameters(NamedTuple):
    """Constants that may differ between faces of one table, each with the faces' leading dimension.

    Attributes:
        friction: Coulomb coefficient of line in tube, (..., C).
        backlash: play between servo gear and horn, (..., C) [m].
        slack: cable that must be taken in at neutral before it is taut, (..., C) [m].
        rate: fastest travel, (..., A) [rad/s, m/s].
        dead_band: smallest change of target to which a servo responds, (..., A) [rad, m].
        delay: delay of commands, (..., A) [control steps].
    """

    friction: Floats
    backlash: Floats
    slack: Floats
    rate: Floats
    dead_band: Floats
    delay: Floats

    @classmethod
    def of(cls, spec: FaceSpec) -> ActuatorParameters:
        """Returns the constants of the table, for one face."""
        cables = [np.full(len(spec.where("cable")), spec.cable[n]) for n in ("friction", "backlash", "slack")]
        return cls(*cables, *(spec.column(n) for n in ("rate", "dead_band", "delay")))


def bowden_compliance(spec: FaceSpec) -> float:
    """Returns how far a wound-in line stretches in its tube per newton at its skin end [m/N].

    The capstan friction of `Actuators._pull` at its edge: exp(mu phi) / k_b.
    """
    cable = spec.cable
    return float(np.exp(cable["friction"] * cable["wrap_angle"]) / cable["bowden_stiffness"])


class Actuators:
    """A servos, C of which draw a cable through a Bowden tube.

    Args:
        spec: the face.
        faces: number of faces, N; None for one face, whose arrays have no leading dimension.

    Attributes (with (N,) before each shape when there are N faces):
        parameters: friction, play, rates and delays; see `set_parameters`.
        position: positions of the servos, float64 (A,) [rad, or m for neck legs].
        take_up: cable taken in at the skin end, (C,) [m], in the order of the table's cables. The
            skin's free length is Lt = L_rest + slack - take_up. It is negative when the skin pulls on a
            paid-out cable, because the line inside the tube stretches.
        target: present target of each servo, (A,) [rad, m].
        line: cable drawn in by the horns, after the backlash, (C,) [m].
        queue: delayed targets, newest first, (longest possible delay + 1, A) [rad, m].
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
        self._middle = 0.5 * (self._low + self._high)[self._cables]  # as in `horn_lever`, which takes longer
        self._depth = int(spec.column("delay").max()) + SPARE_DELAY + 1
        self.parameters = ActuatorParameters(
            *(np.tile(value, (*self._lead, 1)) for value in ActuatorParameters.of(spec))
        )
        self._derive()
        for name, value in self._rest().items():
            setattr(self, name, np.tile(value, (*self._lead, *[1] * value.ndim)))

    def set_parameters(self, parameters: ActuatorParameters, face: int | None = None) -> None:
        """Replaces the parameters of one face, or of all; the present state is kept.

        Raises:
            EvaError: a delay that the queue cannot hold.
        """
        if not ((parameters.delay >= 0) & (parameters.delay < self._depth)).all():
            raise EvaError(f"delays are 0 to {self._depth - 1} control steps, not {parameters.delay}.")
        for present, new in zip(self.parameters, parameters, strict=True):
            present[... if face is None else face] = new
        self._derive()

    def _derive(self) -> None:
        parameters = self.parameters
        self._travel = parameters.rate * self.spec.control_dt
        self._capstan = np.exp(parameters.friction * self.spec.cable["wrap_angle"])
        self._late = parameters.delay.astype(int)[..., None, :]
        # The skin's cables have the slack of the table; further slack is cable not yet taken in.
        self._looser = parameters.slack - self.spec.cable["slack"]

    def reset(self, face: int | None = None) -> None:
        """Puts one face, or all, at rest at neutral, with no delayed targets."""
        for name, value in self._rest().items():
            getattr(self, name)[... if face is None else face] = value

    def _rest(self) -> dict[str, Floats]:
        """Returns the state of one face at rest."""
        rest = self.spec.column("neutral")
        line = cable_drawn_in(self.spec, rest)
        return dict(zip(_STATE, (np.tile(rest, (self._depth, 1)), rest, rest, line, line), strict=True))

    @property
    def drawn(self) -> Floats:
        """The skin's drive: cable taken in, less the slack beyond that of the table, (C,) [m]."""
        drawn: Floats = self.take_up - self._looser
        return drawn

    def cable_torque(self) -> Floats:
        """Torque that each cable's servo holds now, (C,) [N m]: pull of its line times lever of its horn."""
        pull = self.spec.cable["bowden_stiffness"] * (self.line - self.take_up)
        lever = self.spec.cable["horn_radius"] * np.cos(self.position[..., self._cables] - self._middle)
        torque: Floats = np.maximum(pull, 0.0) * lever
        return torque

    def step(self, command: NDArray[np.float32], tension: NDArray[Any]) -> None:
        """Lets one control period pass.

        The tension is one period old. That is stable, because the line in the tube is stiffer than
        the free cable: stiffness * exp(mu phi) < bowden_stiffness.

        Args:
            command: as `FaceSpec.check` returns it, (A,) in [-1, 1].
            tension: of the free cables in the last solved skin, (C,) [N], not negative.
        """
        self._move_servos(command)
        self._wind(cable_drawn_in(self.spec, self.position))
        self._pull(np.asarray(tension, dtype=float))

    def _move_servos(self, command: NDArray[np.float32]) -> None:
        """Applies delay, dead band, rate and range, in the order in which a servo has them."""
        newest = self.spec.to_physical(command)[..., None, :]
        self.queue = np.concatenate([newest, self.queue[..., :-1, :]], axis=-2)
        delayed = np.take_along_axis(self.queue, self._late, axis=-2)[..., 0, :]
        responds = np.abs(delayed - self.target) > self.parameters.dead_band
        self.target = np.where(responds, delayed, self.target)
        travel = np.clip(self.target - self.position, -self._travel, self._travel)
        self.position = np.clip(self.position + travel, self._low, self._high)

    def _wind(self, gear: Floats) -> None:
        """Applies the play operator: the horn moves only when the gear has crossed the backlash.

        All play is on the winding side, so a relaxed servo leaves a relaxed line.
        """
        self.line = np.clip(self.line, gear - self.parameters.backlash, gear)

    def _pull(self, tension: Floats) -> None:
        """Applies capstan stick-slip along the tube (Euler-Eytelwein).

        The line in the tube carries k_b (line - take_up) at the servo end. Its skin end sticks while that
        force lies between T exp(-mu phi), below which the skin draws it out, and T exp(mu phi), above which
        the servo draws it in. Outside this interval it slips to the nearer limit.
        """
        stiffness = self.spec.cable["bowden_stiffness"]
        held = np.clip(
            stiffness * (self.line - self.take_up), tension / self._capstan, tension * self._capstan
        )
        self.take_up = self.line - held / stiffness

    def save(self) -> dict[str, Floats]:
        """Returns copies of all history."""
        return {name: getattr(self, name).copy() for name in _STATE}

    def restore(self, state: dict[str, Floats], faces: Sequence[int] | None = None) -> None:
        """Puts some faces, or all, back to a saved state; what follows repeats bit for bit."""
        which = ... if faces is None else list(faces)
        for name in _STATE:
            getattr(self, name)[which] = state[name][which]
