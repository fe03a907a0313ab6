"""Finds the commands of `assets/expressions.toml`, the named expressions at three intensities.

    python -m tools.find_expressions [--out FILE]

`assets/action_units.toml` says which action units make an expression. Each action unit is imitated by the
robot, and an optimisation through the twin finds the command of their sum. An expression is exaggerated
away from the one for which people take it most often, where the table names that.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from eva_sim.contract import FaceSpec, Floats
from eva_sim.expressions import INTENSITIES
from eva_sim.files import atomic_path
from eva_sim.landmarks import POINTS
from eva_sim.limits.command_search import CommandSearch
from eva_sim.progress import progress
from eva_sim.twin import Twin
from tools.expressions.head_and_gaze import rigid_part, set_head_and_gaze
from tools.expressions.imitation import Imitator, shows
from tools.expressions.prototypes import ActionUnit, Prototypes, read_prototypes

OUT = Path(__file__).resolve().parents[1] / "assets" / "expressions.toml"
#: Share of the difference from its rival that is added to an expression. A caricature is named
#: right more often than the face itself (Calder et al., Cognition 76(2), 2000).
CARICATURE = 0.3
#: Decimals of a command in the table: 0.01 is 0.6 degrees of a servo.
_DECIMALS = 2
_HEADER = """\
# Commands of named expressions: -1 relaxed .. 1 full travel, see `eva actuators`. A name without its side
# sets both. What is not named rests. Three numbers are for slight, medium and full intensity. Written by
# `python -m tools.find_expressions` from action_units.toml; a later run writes over changes.
"""


class Found(NamedTuple):
    """An expression that was found.

    Attributes:
        commands: (3, 25), one for each of `INTENSITIES`.
        likeness: cosine between the full face and its target.
    """

    commands: Floats
    likeness: float


class Finder:
    """Finds the commands of expressions.

    Args:
        imitator: of the face's action units.
        prototypes: which action units make an expression.
    """

    def __init__(self, imitator: Imitator, prototypes: Prototypes) -> None:
        self._imitator, self._spec, self._prototypes = imitator, imitator.spec, prototypes
        self._rules = CommandSearch(imitator.spec, 1.0)

    def find(self, name: str) -> Found:
        """Finds one expression at all intensities."""
        units, target = self._prototypes.expressions[name], self._target(name)
        able = {i for unit in self._usable(units) for i in self._imitator.imitate(unit).actuators}
        full = self._imitator.solve(target, sorted(able))
        able = {i for i in able if shows(full[i] - self._spec.neutral[i])}
        commands = []
        for intensity in INTENSITIES:
            command = self._imitator.solve(intensity * target, sorted(able))
            weaker = {unit: intensity * share for unit, share in units.items()}
            set_head_and_gaze(self._spec, weaker, command)
            commands.append(command if any(unit.side for unit in units) else self._symmetric(command))
        made = self._imitator.displacement(commands[-1])
        table = np.array([self._rounded(command) for command in commands])
        return Found(table, self._imitator.likeness(made, target))

    def _rounded(self, command: Floats) -> Floats:
        """Returns the command for the table, (25,): the nearest one, or else one that keeps the rules."""
        nearest, scale = command.round(_DECIMALS), 10**_DECIMALS
        if not self._rules.excess(nearest).any():
            return nearest
        rest = self._spec.neutral
        towards_rest: Floats = (rest + np.trunc(scale * (command - rest)) / scale).round(_DECIMALS)
        return towards_rest

    def _target(self, name: str) -> Floats:
        """Returns the displacement of the landmarks that the full expression should have, (N, 3)."""
        face, rival = self._sum(name), self._prototypes.rivals.get(name)
        return face if rival is None else face + CARICATURE * (face - self._sum(rival))

    def _sum(self, name: str) -> Floats:
        """Returns the sum of the robot's versions of an expression's action units, (N, 3)."""
        total = np.zeros((len(POINTS), 3))
        for unit, share in self._usable(self._prototypes.expressions[name]).items():
            total += share * self._imitator.imitate(unit).displacement
        return total

    def _usable(self, units: dict[ActionUnit, float]) -> dict[ActionUnit, float]:
        return {unit: share for unit, share in units.items() if self._imitator.imitate(unit).usable}

    def _symmetric(self, command: Floats) -> Floats:
        """Returns the mean of the command and its mirror image, for the actuators of the skin."""
        names, out = self._spec.names, command.copy()
        for row in self._spec.expressive:
            name = names[row]
            if name.endswith("_left"):
                pair = [row, names.index(name.removesuffix("left") + "right")]
                out[pair] = command[pair].mean()
        return out


def write_table(found: dict[str, Found], spec: FaceSpec, out: Path) -> None:
    """Writes the commands as TOML, atomically."""
    sections = [f"[{name}]\n{_lines(spec, each.commands)}" for name, each in found.items()]
    with atomic_path(out) as part:
        part.write_text(_HEADER + "\n" + "\n".join(sections))


def _lines(spec: FaceSpec, commands: Floats) -> str:
    """Returns `actuator = [slight, medium, full]` for each actuator, or pair of them, that does not rest."""
    lines, moved = {}, np.abs(commands - spec.neutral).max(0) >= 0.5 * 10**-_DECIMALS
    for row in np.flatnonzero(moved):
        name, values = spec.names[row], commands[:, row]
        pair = [i for i, n in enumerate(spec.names) if n.rpartition("_")[0] == name.rpartition("_")[0]]
        both = name.endswith(("_left", "_right")) and len(pair) == 2
        if both and np.array_equal(*commands[:, pair].T):
            name = name.rpartition("_")[0]
        lines[name] = f"{name} = [{', '.join(f'{v + 0.0:g}' for v in values)}]\n"
    return "".join(lines.values())


def print_report(imitator: Imitator, prototypes: Prototypes, found: dict[str, Found]) -> None:
    """Prints how well the robot imitates each action unit, and how alike the expressions are."""
    console = Console()
    table = Table("action unit", "likeness", "by", title="Action units as this face makes them")
    for unit in dict.fromkeys(u for units in prototypes.expressions.values() for u in units):
        made, part = imitator.imitate(unit), rigid_part(unit)
        by = [part] if part else []
        by += [imitator.spec.names[i] for i in made.actuators] if made.usable else []
        table.add_row(str(unit), f"{made.likeness:.2f}", " ".join(by) or "left out")
    console.print(table)
    table = Table("expression", "likeness to its target", title="Expressions")
    for name, each in found.items():
        table.add_row(name, f"{each.likeness:.2f}")
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, default=OUT, help="table to write")
    given = parser.parse_args()
    with Twin() as twin:
        prototypes = read_prototypes(twin.spec)
        imitator = Imitator(twin, prototypes.mixtures)
        finder = Finder(imitator, prototypes)
        names = progress(prototypes.expressions, "find", unit="expressions")
        found = {name: finder.find(name) for name in names}
        write_table(found, twin.spec, given.out)
    print_report(imitator, prototypes, found)


if __name__ == "__main__":
    main()
