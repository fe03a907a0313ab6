"""Finds the actuators that overload a cable, a patch or the skin together, and the rules that prevent it.

    python -m tools.scan_limits [--check 2000] [--seed 0] [--dry-run]

The twin settles under every pair and triple of cables and jaw at their ends, both sides alike, without
limits. Those above a limit of `[ratings]` in `assets/robot.toml` are printed. Then a grid of partial pulls is
settled, and each quantity that was exceeded gets one rule: a weighted sum of shares of travel that may not
exceed 1. A linear programme chooses the weights: no harmful face of the grid is allowed, and as few harmless
ones as possible are not. The rules are written to the end of `assets/robot.toml`. At last random legal
commands are settled.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from itertools import combinations, product
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.optimize import linprog

from eva_sim.contract import FaceSpec, Floats, load_spec
from eva_sim.files import atomic_path
from eva_sim.limits.command_limits import CommandLimits
from eva_sim.progress import progress
from eva_sim.robot_config import pull_rules, robot_config
from eva_sim.twin import Twins
from eva_sim.twin.overloads import Overloads

ROBOT = Path(__file__).resolve().parents[1] / "assets" / "robot.toml"
MARK = "# Overloads found in the twin by `python -m tools.scan_limits`, which writes all that follows."
_TEXT = """\
{mark}
# The weighted sum of these shares of travel may not exceed 1, on each side. Alone each actuator may go to its
# end.
"""
#: Number of shares of travel in the grid of a rule, by the number of its actuators.
_GRID = {2: 13, 3: 9, 4: 6}
#: Share of a limit that the rules aim at: sides may differ, other cables pull a little, and friction
#: remembers.
_AIM = 0.94
#: Share of its own value by which another actuator must raise a quantity to be in its rule.
_MATTERS = 0.05
#: Distance between harmful faces of the grid and a rule's bound, so that faces between them are not allowed.
_BETWEEN = 0.03
#: Faces that are settled at once, and control steps until they are.
_FACES, _STEPS = 64, 16


_GAINS = """\
# Tension of each cable alone at its end, and what others add at theirs [N]; hosts whose boards measure no
# load model the servos' heat by it."""
#: What a rule protects, and the weight of each actuator of the scan.
Rule = tuple[str, Floats]


class Scan(NamedTuple):
    """Settled faces.

    Attributes:
        shares: of travel of each actuator in the scan, (N, M).
        loads: each quantity as a share of its limit, (N, Q).
    """

    shares: Floats
    loads: Floats


class Scanner:
    """Settles faces whose sides do the same.

    Args:
        spec: the face.
        actuators: names of the cables and the jaw, without side.
    """

    def __init__(self, spec: FaceSpec, actuators: Sequence[str]) -> None:
        self.spec, self.actuators = spec, tuple(actuators)
        self.twins = Twins(_FACES, spec=spec, limits=False)
        self.overloads = Overloads(self.twins.skins.anatomy)

    def __call__(self, shares: Floats) -> Scan:
        """Settles faces at these shares of travel, (N, M), from rest."""
        commands = np.tile(self.spec.neutral, (len(shares), 1))
        for column, name in enumerate(self.actuators):
            own = self.spec.indices_of(name)
            rest = self.spec.neutral[own]
            commands[:, own] = rest + shares[:, [column]] * (1 - rest)
        return Scan(shares, self.settled(commands))

    def settled(self, commands: NDArray[np.float32]) -> Floats:
        """Returns the loads of settled commands (N, A), as shares of the limits, (N, Q)."""
        found = []
        for begin in progress(range(0, len(commands), _FACES), "settle", unit="batch"):
            part = commands[begin : begin + _FACES]
            asked = np.tile(self.spec.neutral, (_FACES, 1))
            asked[: len(part)] = part
            self.twins.reset()
            for _ in range(_STEPS):
                self.twins.move(asked)
            found.append(
                self.overloads.shares(self.twins.skins.points, self.twins.skins.tension)[: len(part)]
            )
        return np.concatenate(found)


def groups_at_their_ends(count: int, sizes: Sequence[int]) -> Floats:
    """Every group of these sizes at its end, shares (N, M)."""
    rows = [np.isin(np.arange(count), group) for size in sizes for group in combinations(range(count), size)]
    return np.array(rows, dtype=float)


def rule_of(scan: Scan, load: Floats) -> Floats | None:
    """The weights (M,) of the rule for one quantity, (N,) as share of its limit; None if none is needed."""
    harmful = load > _AIM
    if not harmful.any():
        return None
    bad, good = scan.shares[harmful], scan.shares[~harmful]
    members, spared = bad.shape[1], len(good)
    cost = np.concatenate([np.full(members, 1e-3), np.ones(spared)])
    rows = np.block([[-bad, np.zeros((len(bad), spared))], [good, -np.eye(spared)]])
    bounds = np.concatenate([np.full(len(bad), -1 - _BETWEEN), np.ones(spared)])
    found = linprog(cost, A_ub=rows, b_ub=bounds, bounds=[(0, 1)] * members + [(0, None)] * spared)
    if not found.success:
        raise SystemExit(
            f"no rule holds this load within its limit ({found.message}); shorten a cable's travel."
        )
    weights: Floats = np.ceil(100 * found.x[:members] - 1e-6) / 100  # upwards: never more is allowed
    return np.minimum(weights, 1.0)


def find_rules(scanner: Scanner, ends: Scan, rules: list[Rule]) -> list[Rule]:
    """Returns the rules that are needed besides those that there are, what each protects and its weights."""
    found: list[Rule] = []
    scans: dict[tuple[int, ...], Scan] = {}
    for quantity in scanner.overloads.one_side:
        members = members_of(ends, quantity)
        if len(members) < 2 or ends.loads[:, quantity].max() <= _AIM:
            continue
        if members not in scans:
            grid = np.zeros((_GRID[len(members)] ** len(members), len(scanner.actuators)))
            grid[:, members] = list(product(np.linspace(0, 1, _GRID[len(members)]), repeat=len(members)))
            scans[members] = scanner(grid)
        shares, loads = scans[members]
        allowed = np.all([shares @ weights <= 1 for _, weights in [*rules, *found]], axis=0)
        weights = rule_of(Scan(shares[allowed][:, members], loads[allowed]), loads[allowed, quantity])
        if weights is not None:
            row = np.zeros(len(scanner.actuators))
            row[list(members)] = weights
            found.append((scanner.overloads.names[quantity].removesuffix("_left"), row))
    return found


def exclusions(scanner: Scanner) -> list[Rule]:
    """The pairs of `robot.toml` that a person chose, as rules."""
    out: list[Rule] = []
    for pair in robot_config(scanner.spec)["exclusions"]:
        out.append(("pair", np.isin(scanner.actuators, pair["pair"]) / pair["limit"]))
    return out


def members_of(ends: Scan, quantity: int) -> tuple[int, ...]:
    """The actuators that raise a quantity by `_MATTERS` of its limit when they join some pair or single."""
    loads = {
        tuple(np.flatnonzero(row).tolist()): load
        for row, load in zip(ends.shares, ends.loads[:, quantity], strict=True)
    }
    raised = np.zeros((ends.shares.shape[1], 2))
    for group, load in loads.items():
        for own in group:
            others = tuple(member for member in group if member != own)
            raised[own] = np.maximum(raised[own], [load > 0.6, load - loads.get(others, load)])
    most = [raised[own, 1] if raised[own, 0] else 0.0 for own in range(len(raised))]
    chosen = [own for own in np.argsort(most)[::-1][: max(_GRID)].tolist() if most[own] > _MATTERS]
    return tuple(sorted(chosen))


def print_groups(scanner: Scanner, ends: Scan) -> None:
    """Prints the pairs and triples above a limit that no smaller group explains, worst first."""
    table = Table("together at their ends", "overloaded", "share of its limit", title="groups above a limit")
    seen: list[tuple[set[int], int]] = []
    rows = []
    for row, loads in zip(ends.shares, ends.loads, strict=True):
        group = set(np.flatnonzero(row).tolist())
        for quantity in scanner.overloads.one_side:
            if loads[quantity] > 1 and not any(q == quantity and part <= group for part, q in seen):
                seen.append((group, quantity))
                rows.append((loads[quantity], group, quantity))
    for load, group, quantity in sorted(rows, key=lambda row: -row[0]):
        together = ", ".join(scanner.actuators[member] for member in sorted(group))
        table.add_row(together, scanner.overloads.names[quantity], f"{load:.2f}")
    Console().print(table)


def tension_gains(scanner: Scanner, ends: Scan) -> dict[str, dict[str, float]]:
    """Tension of each cable alone at its end, and what each other actuator at its end adds [N]."""
    loads = {
        tuple(np.flatnonzero(row).tolist()): load for row, load in zip(ends.shares, ends.loads, strict=True)
    }
    gains: dict[str, dict[str, float]] = {}
    for own, name in enumerate(scanner.actuators):
        if f"cable {name}_left" in scanner.overloads.names:
            quantity = scanner.overloads.names.index(f"cable {name}_left")
            newtons = {
                other: scanner.overloads.limits[quantity] * (loads[tuple(sorted({own, column}))][quantity])
                for column, other in enumerate(scanner.actuators)
            }
            alone = newtons[name]
            added = {
                other: pull - alone for other, pull in newtons.items() if pull - alone > _MATTERS * alone
            }
            gains[name] = {key: round(float(value), 1) for key, value in {name: alone, **added}.items()}
    return gains


def write(
    found: Sequence[Rule], gains: dict[str, dict[str, float]], names: Sequence[str], path: Path
) -> None:
    """Replaces the overloads at the end of a robot.toml."""
    lines = [path.read_text().split(MARK)[0].rstrip() + "\n\n" + _TEXT.format(mark=MARK)]
    for protects, weights in found:
        inside = ", ".join(
            f"{name} = {weight:g}" for name, weight in zip(names, weights, strict=True) if weight > 0
        )
        lines.append(f'[[overloads]]\nprotects = "{protects}"\nweights = {{ {inside} }}\n')
    lines.append(f"\n{_GAINS}\n[tension]\n")
    for name, row in gains.items():
        lines.append(f"{name} = {{ {', '.join(f'{other} = {pull:g}' for other, pull in row.items())} }}\n")
    with atomic_path(path) as part:
        part.write_text("".join(lines))


def legal_commands(spec: FaceSpec, count: int, seed: int) -> NDArray[np.float32]:
    """Random commands on the bounds of the rules: ends and shares of travel, brought within all rules."""
    rng = np.random.default_rng(seed)
    commands = np.where(
        rng.random((count, len(spec))) < 0.6, rng.choice([-1.0, 1.0], (count, len(spec))),
        rng.uniform(-1, 1, (count, len(spec))),
    )  # fmt: skip
    return CommandLimits(spec).within(commands).astype(np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description="Find which actuators overload the face together.")
    parser.add_argument("--check", type=int, default=2000, help="random legal commands to settle at last")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--dry-run", action="store_true", help="write nothing")
    options = parser.parse_args()
    spec = load_spec()
    cables = [
        name for name in spec.two_sided_names if spec.actuators[spec.indices_of(name)[0]].kind == "cable"
    ]
    scanner = Scanner(spec, [*cables, *(spec.names[i] for i in spec.where("jaw"))])
    ends = scanner(groups_at_their_ends(len(scanner.actuators), (1, 2, 3)))
    print_groups(scanner, ends)
    found = find_rules(scanner, ends, exclusions(scanner))
    for protects, weights in found:
        print(f"{protects}: {dict(zip(scanner.actuators, weights.tolist(), strict=True))}")
    if not options.dry_run:
        write(found, tension_gains(scanner, ends), scanner.actuators, ROBOT)
        robot_config.cache_clear()
        pull_rules.cache_clear()
    loads = scanner.settled(legal_commands(spec, options.check, options.seed))
    worst = dict(zip(scanner.overloads.names, loads.max(0).round(3).tolist(), strict=True))
    print(f"{options.check} random commands within the rules, worst shares of the limits: {worst}")


if __name__ == "__main__":
    main()
