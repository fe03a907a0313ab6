"""A face's `robot.toml`: the physical side of its actuators, and which of them may pull together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from eva_sim.contract import FaceSpec
from eva_sim.errors import DataError, known_names
from eva_sim.files import asset
from eva_sim.robot_bounds import find_mistakes
from eva_sim.tables import read_table

NAME = "robot.toml"


@lru_cache(maxsize=8)
def robot_config(spec: FaceSpec) -> Mapping[str, Any]:
    """The face's `robot.toml`, parsed.

    Raises:
        DataError: the face's folder has no such file, or a value in it is outside `eva_sim.robot_bounds`.
    """
    path = spec.file(NAME)
    table = read_table(path)
    for mistake in find_mistakes(table, {actuator.kind for actuator in spec.actuators}):
        raise DataError(f"{path}, {mistake}. Compare it with assets/{NAME}.")
    return table


def has_robot_config(spec: FaceSpec) -> bool:
    """Whether the face has a `robot.toml`; a face that is only simulated needs none."""
    return spec.folder is not None and (spec.folder / NAME).exists()


class PullRule(NamedTuple):
    """Actuators of one side that may not all pull with all their might.

    Attributes:
        protects: what would be overloaded, in words.
        members: indices of the actuators, in the order of the table.
        weights: of each member's share of travel, greater than 0; their sum, weighted, may not exceed 1.
    """

    protects: str
    members: tuple[int, ...]
    weights: tuple[float, ...]

    def pair_limit(self, one: int, other: int) -> float:
        """Returns the greatest sum of two members' shares of travel by this rule; 2 if it allows both."""
        weight = dict(zip(self.members, self.weights, strict=True))
        first, second = sorted((weight.get(one, 0.0), weight.get(other, 0.0)))
        return 2.0 if second <= 0 else 1 + min(1.0, max(0.0, 1 - first) / second)


@lru_cache(maxsize=8)
def pull_rules(spec: FaceSpec) -> tuple[PullRule, ...]:
    """Reads the exclusions and overloads of `robot.toml`: each rule for each side.

    An exclusion is a `pair` of actuators (without their side) and the `limit` of the sum of their shares of
    travel. An overload has a weight for each of its actuators, and says what it `protects`. Actuators of EVA
    that the face lacks pull nothing; a rule of which fewer than two are left is left out.

    Raises:
        DataError: a rule names an actuator that neither the face nor EVA has.
    """
    config = robot_config(spec)
    rules = [
        *(("a cable", _weights_of_pair(row)) for row in config.get("exclusions", ())),
        *((row["protects"], row["weights"]) for row in config.get("overloads", ())),
    ]
    for protects, weights in rules:
        _check_names(spec, protects, weights)
    named = (
        _on_one_side(spec, protects, weights, side)
        for protects, weights in rules
        for side in ("left", "right")
    )
    return tuple(rule for rule in named if len(rule.members) >= 2)


def _weights_of_pair(row: Mapping[str, Any]) -> dict[str, float]:
    one, other = row["pair"]
    return dict.fromkeys((one, other), 64 / int(64 * float(row["limit"])))  # the firmware counts in 64ths


def _check_names(spec: FaceSpec, protects: str, names: Iterable[str]) -> None:
    """Refuses a misspelt actuator, whose cable would be without protection."""
    known = list(dict.fromkeys((*spec.two_sided_names, *spec.names, *_names_of_eva())))
    for name in names:
        if name not in known:
            raise DataError(
                f"{NAME}: the rule that protects {protects} names {name!r}, which is no actuator of this "
                f"face nor of EVA; {known_names(name, known, 'face.toml')}."
            )


@lru_cache(maxsize=1)
def _names_of_eva() -> tuple[str, ...]:
    """Names of EVA's actuators, with and without their sides."""
    names = [str(row["name"]) for row in read_table(asset("face.toml"))["actuators"]]
    return tuple(dict.fromkeys((*(name.removesuffix("_left") for name in names), *names)))


def _on_one_side(spec: FaceSpec, protects: str, weights: Mapping[str, float], side: str) -> PullRule:
    known = (*spec.names, *spec.two_sided_names)
    named = {_on_side(spec, name, side): float(weight) for name, weight in weights.items() if name in known}
    members = tuple(sorted(named))
    return PullRule(protects, members, tuple(named[member] for member in members))


def _on_side(spec: FaceSpec, name: str, side: str) -> int:
    """Index of an actuator on one side, or of one in the middle."""
    return spec.index(f"{name}_{side}" if name in spec.two_sided_names else name)
