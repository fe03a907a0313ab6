"""Response of the skin to each cable alone, drawn in slowly and let out again.

    python -m benchmarks.response [--json FILE] [--picture docs/pictures/response.png]

Each of the twelve commands goes up and down in small steps, settled at each, through actuators and skin:
once as the actuators are, once without friction and backlash. Shown is the displacement of the cable's
patch. The android Affetto answers in hysteretic sigmoids (Ishihara, Ota and Asada, Frontiers in Robotics
and AI 2018): `r2` says how well a generalised logistic explains each branch, `loop_mm` and `loop_command`
how far the branches lie apart, and `start` and `end` how steep the curves are at their ends, as a share
of their steepest: a straight line, which a logistic also fits, has ones.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.optimize import least_squares
from tqdm import tqdm

from eva_sim.actuators import Actuators
from eva_sim.contract import FaceSpec, Floats, load_spec
from eva_sim.files import write_json
from eva_sim.plots import write_plot
from eva_sim.skin.anatomy import Anatomy, Drives, load_anatomy
from eva_sim.skin.batch import Skins

END = 0.05  # of the range, over which the slope at an end is taken
PLACES, WAIT = 41, 12  # commands on the way up, and control steps at each
BOUNDS = (-100, -100, 0, -2, -4), (100, 100, 100, 3, 4)  # mm, mm, and the logistic's three others
FREE = {"friction": 0.0, "backlash": 0.0}


class Loops(NamedTuple):
    """Displacements of N faces, one cable each.

    Attributes:
        command: share of the servo's range, up and down again, (T,).
        moved: displacement of the patch, (T, N) [mm].
    """

    command: Floats
    moved: Floats


def with_cable_constants(spec: FaceSpec, cable: dict[str, float]) -> FaceSpec:
    """The table with some of its cable constants replaced."""
    return replace(spec, cable=MappingProxyType({**spec.cable, **cable}))


def measure_loops(
    anatomy: Anatomy, specs: list[FaceSpec], cables: list[int], places: int = PLACES, wait: int = WAIT
) -> Loops:
    """Draws one cable of each face up and lets it down.

    Args:
        anatomy: of all faces.
        specs: each face's actuators, N.
        cables: which one each face moves, N.
        places: commands on the way up.
        wait: control steps at each.
    """
    chains, skins = [Actuators(spec) for spec in specs], Skins(anatomy, len(specs), "fine")
    ramp = np.linspace(0, 1, places)
    command, out = np.concatenate([ramp, ramp[-2::-1]]), []
    for share in tqdm(command, "response", disable=None):
        for _ in range(wait):
            for chain, cable, tension in zip(chains, cables, skins.tension, strict=True):
                chain.step(_only(chain.spec, cable, share), tension)
            skins.step(_drives(chains))
        moved = skins.points - anatomy.points
        out.append([1000 * np.linalg.norm(anatomy.patches[c] @ moved[n]) for n, c in enumerate(cables)])
    skins.close()
    return Loops(command, np.array(out))


def _only(spec: FaceSpec, cable: int, share: float) -> Floats:
    """The neutral command but for one cable, at a share of its range."""
    command = spec.neutral.copy()
    command[spec.where("cable")[cable]] = 2 * share - 1
    return command


def _drives(chains: list[Actuators]) -> Drives:
    """Jaw and lids at rest, and what each chain takes in."""
    count = len(chains)
    return Drives(np.zeros(count), np.zeros((count, 2)), np.array([chain.take_up for chain in chains]))


# --- shape of a loop ----------------------------------------------------------------------------------


def logistic(command: Floats, low: float, high: float, rate: float, middle: float, skew: float) -> Floats:
    """Richards' generalised logistic curve."""
    rise: Floats = np.exp(-np.exp(skew) * np.logaddexp(0, -rate * (command - middle)))
    return low + (high - low) * rise


def explained_variance(command: Floats, moved: Floats) -> float:
    """Share of the variance of a branch (T,) that the best generalised logistic explains, R^2."""
    best = np.inf
    for rate in (5.0, 10.0, 20.0):
        start = [moved.min(), moved.max(), rate, 0.5, 0.0]
        found = least_squares(lambda p: logistic(command, *p) - moved, start, bounds=BOUNDS, max_nfev=2000)
        best = min(best, 2 * found.cost)
    return float(1 - best / ((moved - moved.mean()) ** 2).sum())


def loop_metrics(command: Floats, moved: Floats) -> dict[str, float]:
    """Metrics of one loop, from commands (T,) and displacements (T,) [mm]."""
    top = len(command) // 2
    up, down, ramp = moved[: top + 1], moved[top:][::-1], command[: top + 1]
    half = 0.5 * moved.max()
    steepest = np.gradient(up, ramp).max()
    return {
        "travel_mm": float(moved.max()),
        "r2_up": explained_variance(ramp, up),
        "r2_down": explained_variance(ramp, down),
        "loop_mm": float(np.abs(up - down).max()),
        "loop_command": float(np.interp(half, up, ramp) - np.interp(half, down, ramp)),
        "start": float((np.interp(END, ramp, up) - up[0]) / END / steepest),
        "end": float((up[-1] - np.interp(1 - END, ramp, up)) / END / steepest),
    }


def measure(anatomy: Anatomy) -> tuple[Loops, list[dict[str, Any]]]:
    """Loops of all cables, with and then without friction, and their metrics."""
    spec = anatomy.spec
    names = [spec.actuators[i].name for i in spec.where("cable")]
    both = [spec] * len(names) + [with_cable_constants(spec, FREE)] * len(names)
    loops = measure_loops(anatomy, both, 2 * list(range(len(names))))
    rows = []
    for n, (name, moved) in enumerate(zip(2 * names, loops.moved.T, strict=True)):
        rows.append({"cable": name, "friction": n < len(names), **loop_metrics(loops.command, moved)})
    return loops, rows


def draw_loops(loops: Loops, rows: list[dict[str, Any]], path: Path) -> None:
    """One panel for each cable of the left side."""
    with write_plot(path, figsize=(9, 5.2), layout="constrained") as figure:
        panels = figure.subplots(2, 3, sharex=True).ravel()
        count = len(rows) // 2
        for panel, number in zip(panels, range(0, count, 2), strict=True):
            panel.plot(loops.command, loops.moved[:, count + number], "0.6", label="no friction, no backlash")
            panel.plot(loops.command, loops.moved[:, number], "C0", label="as it is")
            panel.set_title(rows[number]["cable"].removesuffix("_left").replace("_", " "), fontsize=10)
            panel.grid(alpha=0.3)
        panels[0].legend(fontsize=8)
        figure.supxlabel("command, share of the servo's range", fontsize=10)
        figure.supylabel("displacement of the patch [mm]", fontsize=10)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--json", type=Path, help="file for the metrics")
    parser.add_argument("--picture", type=Path, help="file for the curves")
    given = parser.parse_args()
    loops, rows = measure(load_anatomy(load_spec()))
    table = Table(*rows[0], title="patch displacement over command, up and down")
    for row in rows:
        table.add_row(*(f"{value:.4g}" if isinstance(value, float) else str(value) for value in row.values()))
    Console(width=130).print(table)
    if given.picture:
        draw_loops(loops, rows, given.picture)
    if given.json:
        write_json(given.json, rows)


if __name__ == "__main__":
    main()
