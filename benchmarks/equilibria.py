"""Does the face come to rest at the same place by every path?

    python -m benchmarks.equilibria [--json FILE] [--drives 24] [--newton 6] [--seed 5]

Random drives, each uniform over its own range, are reached from rest and from another random drive, by the
descent to its end, by the few evaluations of `full` and, for the first NEWTON drives, by Newton's
method alone, which takes long from rest. What lies more than 1 mm from where the reference confirms the
descent from rest has snapped to another equilibrium; it is counted over all vertices and drives.
"""

from __future__ import annotations

import argparse
import itertools
import os
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from benchmarks.contact import come_to_rest, random_drives
from eva_sim.contract import Floats, load_spec
from eva_sim.files import write_json
from eva_sim.skin.anatomy import Anatomy, Drive, load_anatomy
from eva_sim.skin.block import Block, solver_context
from eva_sim.skin.solver import ReferenceSkin, Skin

SNAPPED = 1.0  # mm
STEPS = 25  # of a walk from one face to another, and as many to hold it: a second each


def reached_by_descent(anatomy: Anatomy, path: list[Drive]) -> Floats:
    """Returns where the descent comes by one drive after the other, from rest, (V, 3) [m]."""
    block = Block(solver_context(anatomy), None)
    for drive in path:
        come_to_rest(block, drive)
    return block.points[0].astype(float)


def reached_by_newton(anatomy: Anatomy, drive: Drive, start: Floats | None = None) -> Floats:
    """Returns where Newton's method comes from rest or another place, (V, 3) [m]."""
    reference = ReferenceSkin(anatomy)
    if start is not None:
        reference.points = start
    reference.step(drive)
    return reference.points


def reached_in_steps(anatomy: Anatomy, start: Drive, end: Drive) -> Floats:
    """Returns where the skin comes in `STEPS` equal steps from one drive to the next, as in the twin."""
    skin = Skin(anatomy)
    for share in [*np.linspace(0, 1, STEPS), *np.ones(STEPS)]:
        skin.step(Drive(*((1 - share) * a + share * b for a, b in zip(start, end, strict=True))))
    return skin.points


def path_ends(anatomy: Anatomy, drive: Drive, other: Drive, newton: bool) -> dict[str, Floats]:
    """Returns where each path ends, (V, 3) [m]; the others are compared with the first."""
    descent = reached_by_descent(anatomy, [drive])
    ends = {
        "descent from rest, then reference": reached_by_newton(anatomy, drive, descent),
        "descent from rest": descent,
        "descent from another face": reached_by_descent(anatomy, [other, drive]),
        "full, in steps from another face": reached_in_steps(anatomy, other, drive),
    }
    return ends | ({"reference from rest": reached_by_newton(anatomy, drive)} if newton else {})


def measure(anatomy: Anatomy, count: int, newton: int, seed: int) -> list[dict[str, Any]]:
    """One row for each path."""
    drives = random_drives(anatomy.spec, count + 1, seed)
    apart: dict[str, list[Floats]] = {}
    for n, (drive, other) in enumerate(itertools.pairwise(tqdm(drives, "equilibria", disable=None))):
        ends = path_ends(anatomy, drive, other, n < newton)
        truth = next(iter(ends.values()))
        for path, points in list(ends.items())[1:]:
            apart.setdefault(path, []).append(1000 * np.linalg.norm(points - truth, axis=1))
    return [{"path": path, **distance_metrics(np.array(distance))} for path, distance in apart.items()]


def distance_metrics(distance: Floats) -> dict[str, Any]:
    """Summarises distances (K, V) [mm]."""
    gone = distance > SNAPPED
    return {
        "faces": len(distance),
        "rms_mm": float(np.sqrt((distance**2).mean())),
        "p99_mm": float(np.percentile(distance, 99)),
        "max_mm": float(distance.max()),
        "snapped_vertices": int(gone.sum()),
        "snapped_faces": int(gone.any(1).sum()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--json", type=Path, help="file for the metrics")
    parser.add_argument("--drives", type=int, default=24)
    parser.add_argument("--newton", type=int, default=6)
    parser.add_argument("--seed", type=int, default=5)
    given = parser.parse_args()
    rows = measure(load_anatomy(load_spec()), given.drives, given.newton, given.seed)
    table = Table(*rows[0], title="distance to where the reference confirms the descent from rest")
    for row in rows:
        table.add_row(*(f"{value:.3g}" if isinstance(value, float) else str(value) for value in row.values()))
    Console().print(table)
    if given.json:
        write_json(given.json, rows)


if __name__ == "__main__":
    main()
