"""Domain randomisation: what may differ between faces and episodes, read from one table.

`draw_parameters` gives the parameters of an episode. `material_scales` and `actuator_parameters` apply them
to skin and drive; noise and camera parameters are applied where they are read.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from eva_sim.actuators import ActuatorParameters
from eva_sim.contract import FaceSpec, Floats
from eva_sim.errors import ArgumentValueError, DataError
from eva_sim.tables import read_table

#: Values by name: one number () or one for each cable, actuator or axis.
Parameters = Mapping[str, Floats]


#: Servo drivers of a robot, of 16 channels each.
BOARDS = 2


def check_randomise(randomise: bool) -> bool:
    """Returns whether each episode's body differs.

    Raises:
        ArgumentValueError: it is neither True nor False; any text would be true.
    """
    if not isinstance(randomise, bool | np.bool_):
        raise ArgumentValueError(f"randomise is True or False, not {randomise!r}.")
    return bool(randomise)


@dataclass(frozen=True)
class RandomisedParameter:
    """One row of `randomise.toml`, whose head explains the columns."""

    name: str
    acts_on: str
    each: str
    unit: str
    distribution: str
    low: float
    high: float
    reason: str

    def shape(self, spec: FaceSpec) -> tuple[int, ...]:
        """Returns the parameter's shape for this face."""
        count = {"cable": len(spec.where("cable")), "actuator": len(spec), "axis": 3, "board": BOARDS}
        return () if self.each == "face" else (count[self.each],)

    def draw(self, spec: FaceSpec, rng: np.random.Generator) -> Floats:
        """Draws a value."""
        shape = self.shape(spec)
        if self.distribution == "integer":
            return np.asarray(rng.integers(int(self.low), int(self.high) + 1, shape), dtype=float)
        if self.distribution == "log-uniform":
            return np.asarray(np.exp(rng.uniform(np.log(self.low), np.log(self.high), shape)))
        return np.asarray(rng.uniform(self.low, self.high, shape))


@lru_cache(maxsize=8)
def load_randomisation(spec: FaceSpec) -> tuple[RandomisedParameter, ...]:
    """Reads the face's `randomise.toml`.

    Raises:
        DataError: a row has no meaning.
    """
    table = read_table(spec.file("randomise.toml"))
    lines = tuple(RandomisedParameter(**row) for row in table["lines"])
    for line in lines:
        if line.distribution not in ("uniform", "log-uniform", "integer") or line.low > line.high:
            raise DataError(f"randomise.toml: {line.name} has no distribution or range that is known.")
    return lines


def draw_parameters(
    spec: FaceSpec, rng: np.random.Generator, without: Collection[str] = (), robot: bool = False
) -> dict[str, Floats]:
    """Draws the parameters of one episode.

    Args:
        spec: the face.
        rng: source of randomness.
        without: leaves out parameters that act on these; they are drawn too, so the others do not change.
        robot: also draws what only a robot has, after all others.
    """
    lines = [line for line in load_randomisation(spec) if robot or line.acts_on != "robot"]
    drawn = {line: line.draw(spec, rng) for line in sorted(lines, key=lambda line: line.acts_on == "robot")}
    return {line.name: value for line, value in drawn.items() if line.acts_on not in without}


def material_scales(parameters: Parameters) -> Floats:
    """Returns scales of the skin's constants, (5,) in the order of `eva_sim.skin.element_arrays.MATERIAL`."""
    stiffness, thickness = (float(parameters.get(name, 1.0)) for name in ("stiffness", "thickness"))
    others = [float(parameters.get(name, 1.0)) for name in ("attachment", "ground", "cable_stiffness")]
    return np.array([stiffness * thickness, stiffness * thickness**3, *others])


def actuator_parameters(spec: FaceSpec, parameters: Parameters) -> ActuatorParameters:
    """Returns the actuator constants of a face with these parameters."""
    table = ActuatorParameters.of(spec)
    scaled = {
        name: getattr(table, name) * parameters.get(name, 1.0)
        for name in ("friction", "backlash", "rate", "dead_band")
    }
    added = {name: getattr(table, name) + parameters.get(name, 0.0) for name in ("slack", "delay")}
    return ActuatorParameters(**scaled, **added)


def landmark_noise(parameters: Parameters, rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Draws noise on observed landmarks [outer-eye distances]; draws nothing if its size is zero."""
    size = float(parameters.get("landmark_noise", 0.0))
    return rng.normal(0.0, size, shape) if size else np.zeros(shape)
