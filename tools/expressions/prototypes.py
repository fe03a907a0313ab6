"""Reads `action_units.toml`: action units as mixtures of face units, and expressions as action units."""

from __future__ import annotations

import tomllib
from typing import NamedTuple

import numpy as np

from eva_sim.contract import FaceSpec, Floats
from eva_sim.errors import DataError
from eva_sim.files import read_arrays
from eva_sim.landmarks import POINTS, landmark_rows

#: Between the eyebrows: x of this point parts the face into its sides.
_MIDDLE = 168
#: Sides by the name's end.
_SIDES = {"left": ("Left",), "right": ("Right",), "": ("Left", "Right")}


class ActionUnit(NamedTuple):
    """An action unit, of one side or of both.

    Attributes:
        name: as in FACS, e.g. `"AU12"`.
        side: `"left"` or `"right"`, the robot's own; empty for both.
    """

    name: str
    side: str

    @classmethod
    def of(cls, text: str) -> ActionUnit:
        """Makes it from its name in the table, e.g. `"AU12_left"`."""
        name, _, side = text.partition("_")
        return cls(name, side)

    def __str__(self) -> str:
        return f"{self.name}_{self.side}" if self.side else self.name


class Prototypes(NamedTuple):
    """The content of the table.

    Attributes:
        mixtures: for each action unit the weights of face units; `*` in their names stands for both sides.
        expressions: for each expression the intensities of its action units, 0 to 1.
        rivals: for some expressions the one for which people take them most often.
    """

    mixtures: dict[str, dict[str, float]]
    expressions: dict[str, dict[ActionUnit, float]]
    rivals: dict[str, str]


def read_prototypes(spec: FaceSpec) -> Prototypes:
    """Reads the table of a face's folder.

    Raises:
        DataError: it is no such table.
    """
    path = spec.file("action_units.toml")
    try:
        table = tomllib.loads(path.read_text())
        mixtures, expressions = table["action_units"], table["expressions"]
        rivals = {name: str(units.pop("unlike")) for name, units in expressions.items() if "unlike" in units}
        parsed = {
            name: {ActionUnit.of(unit): float(intensity) for unit, intensity in units.items()}
            for name, units in expressions.items()
        }
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, KeyError, AttributeError, ValueError) as error:
        raise DataError(f"{path} is no table of action units and expressions: {error!r}.") from error
    for name, rival in rivals.items():
        if rival not in parsed:
            raise DataError(f"{path}, [expressions.{name}]: unlike = {rival!r} is no expression here.")
    for name, units in parsed.items():
        for unit, intensity in units.items():
            if unit.side not in _SIDES or not 0 <= intensity <= 1:
                raise DataError(
                    f"{path}, [expressions.{name}]: {unit} = {intensity}; write AU12, AU12_left or "
                    "AU12_right and an intensity from 0 to 1."
                )
    return Prototypes(mixtures, parsed, rivals)


class FaceUnits:
    """The displacement of the landmarks by each face unit.

    Args:
        spec: the face.
        neutral: its aligned landmarks at rest, (N, 3) [outer-eye distances].

    Raises:
        DataError: the face units are of another landmark set.
    """

    def __init__(self, spec: FaceSpec, neutral: Floats) -> None:
        arrays = read_arrays(spec.file("precomputed/face_units.npz"))
        self._moved = dict(zip(arrays["names"].tolist(), arrays["displacement"].astype(float), strict=True))
        if arrays["displacement"].shape[1:] != (len(POINTS), 3):
            raise DataError("face_units.npz is of other landmarks; run `python -m tools.build_face_units`.")
        across = neutral[:, 0] - neutral[landmark_rows(_MIDDLE)[0], 0]
        self._share = {"": np.ones(len(POINTS)), "left": across > 0, "right": across < 0}

    def displacement(self, unit: ActionUnit, mixture: dict[str, float]) -> Floats:
        """Returns what an action unit does to the landmarks of a person, (N, 3) [outer-eye distances].

        Raises:
            DataError: the mixture names a face unit that there is not.
        """
        total = np.zeros((len(POINTS), 3))
        for name, weight in mixture.items():
            sides = _SIDES[unit.side] if "*" in name else ("",)
            for known in (name.replace("*", side) for side in sides):
                if known not in self._moved:
                    raise DataError(f"action_units.toml: {unit.name} names {known!r}, which is no face unit.")
                total += weight * self._moved[known]
        return total * self._share[unit.side][:, None]
