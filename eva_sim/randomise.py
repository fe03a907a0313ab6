"""Domain randomisation: what may differ between faces and episodes, read from one table.

`draw` gives the parameters of an episode; what a parameter does is written down in `material_of`,
`figures_of` (constants of skin and drive) and, for noise and camera, where they are read.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from eva_sim.actuators import Figures
from eva_sim.contract import FaceSpec, Floats, load_spec
from eva_sim.errors import DataError
from eva_sim.files import asset

#: Name -> value, one number () or one for each cable, actuator or axis.
Parameters = Mapping[str, Floats]


#: Servo drivers of a robot, of 16 channels each.
BOARDS = 2


@dataclass(frozen=True)
class Line:
    """One line of `assets/randomise.toml`, whose head explains the columns."""

    name: str
    acts_on: str
    each: str
    unit: str
    distribution: str
    low: float
    high: float
    reason: str

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the parameter."""
        spec = load_spec()
        count = {"cable": len(spec.where("cable")), "actuator": len(spec), "axis": 3, "board": BOARDS}
        return () if self.each == "face" else (count[self.each],)

    def draw(self, rng: np.random.Generator) -> Floats:
        """A value of this line."""
        if self.distribution == "integer":
            return np.asarray(rng.integers(int(self.low), int(self.high) + 1, self.shape), dtype=float)
        if self.distribution == "log-uniform":
            return np.asarray(np.exp(rng.uniform(np.log(self.low), np.log(self.high), self.shape)))
        return np.asarray(rng.uniform(self.low, self.high, self.shape))


@lru_cache(maxsize=1)
def load_lines() -> tuple[Line, ...]:
    """The table.

    Raises:
        DataError: a line has no meaning.
    """
    table = tomllib.loads(asset("randomise.toml").read_text())
    lines = tuple(Line(**row) for row in table["lines"])
    for line in lines:
        if line.distribution not in ("uniform", "log-uniform", "integer") or line.low > line.high:
            raise DataError(f"randomise.toml: {line.name} has no distribution or range that is known.")
    return lines


def draw(rng: np.random.Generator, without: Collection[str] = (), robot: bool = False) -> dict[str, Floats]:
    """Parameters of one episode: every line, but for what acts on `without`.

    Those are drawn too, so that what is left out changes nothing else. What only a robot has is drawn
    after all others, and only for a `robot`.
    """
    lines = [line for line in load_lines() if robot or line.acts_on != "robot"]
    drawn = {line: line.draw(rng) for line in sorted(lines, key=lambda line: line.acts_on == "robot")}
    return {line.name: value for line, value in drawn.items() if line.acts_on not in without}


def material_of(parameters: Parameters) -> Floats:
    """Scales of the skin's constants, (5,) in the order of `eva_sim.skin.forces.MATERIAL`."""
    stiffness, thickness = (float(parameters.get(name, 1.0)) for name in ("stiffness", "thickness"))
    others = [float(parameters.get(name, 1.0)) for name in ("attachment", "ground", "cable_stiffness")]
    return np.array([stiffness * thickness, stiffness * thickness**3, *others])


def figures_of(spec: FaceSpec, parameters: Parameters) -> Figures:
    """The drive of a face with these parameters."""
    table = Figures.of(spec)
    scaled = {
        name: getattr(table, name) * parameters.get(name, 1.0)
        for name in ("friction", "backlash", "rate", "dead_band")
    }
    added = {name: getattr(table, name) + parameters.get(name, 0.0) for name in ("slack", "delay")}
    return Figures(**scaled, **added)


def noise_of(parameters: Parameters, rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Noise on observed landmarks [outer-eye distances]; draws nothing where there is none."""
    size = float(parameters.get("landmark_noise", 0.0))
    return rng.normal(0.0, size, shape) if size else np.zeros(shape)
