"""Does the face come to rest at the same place by every path?

    python -m benchmarks.equilibria [--json FILE] [--drives 24] [--newton 6] [--seed 5]

Random drives, each uniform over its own range, are reached from rest and from another random drive, by the
descent to its end, by the few evaluations of `full` and, for the first NEWTON drives, by Newton's
method alone, which takes long from rest. What lies more than 1 mm from where the referee confirms the
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
from eva_sim.contract import Floats
from eva_sim.files import write_json
from eva_sim.skin.anatomy import Anatomy, Drive, load_anatomy
from eva_sim.skin.block import Block, machine_of
from eva_sim.skin.solver import Reference, Skin

SNAPPED = 1.0  # mm
STEPS = 25  # of a walk from one face to another, and as many to hold it: a second each


def descended(anatomy: Anatomy, path: list[Drive]) -> Floats:
    """Where the descent comes by one drive after the other, from rest, (V, 3) [m]."""
    block = Block(machine_of(anatomy), None)
    for drive in path:
        come_to_rest(block, drive)
    return block.points[0].astype(float)


def refereed(anatomy: Anatomy, drive: Drive, start: Floats | None = None) -> Floats:
    """Where the referee comes from rest or another place (V, 3) [m]."""
    reference = Reference(anatomy)
    if start is not None:
        reference.points = start
    return reference.step(drive)


def walked(anatomy: Anatomy, start: Drive, end: Drive) -> Floats:
    """Where the skin comes as the twin drives it, in `STEPS` equal steps from one drive to the next."""
    skin = Skin(anatomy)
    for share in [*np.linspace(0, 1, STEPS), *np.ones(STEPS)]:
        skin.step(Drive(*((1 - share) * a + share * b for a, b in zip(start, end, strict=True))))
    return skin.points


def ends(anatomy: Anatomy, drive: Drive, other: Drive, newton: bool) -> dict[str, Floats]:
    """Where each path ends, (V, 3) [m]; the first is what the others are compared with."""
    descent = descended(anatomy, [drive])
    found = {
        "descent from rest, then referee": refereed(anatomy, drive, descent),
        "descent from rest": descent,
        "descent from another face": descended(anatomy, [other, drive]),
        "full, in steps from another face": walked(anatomy, other, drive),
    }
    return found | ({"referee from rest": refereed(anatomy, drive)} if newton else {})


def measure(anatomy: Anatomy, count: int, newton: int, seed: int) -> list[dict[str, Any]]:
    """One row for each path."""
    drives = random_drives(count + 1, seed)
    apart: dict[str, list[Floats]] = {}
    for n, (drive, other) in enumerate(itertools.pairwise(tqdm(drives, "equilibria", disable=None))):
        found = ends(anatomy, drive, other, n < newton)
        truth = next(iter(found.values()))
        for path, points in list(found.items())[1:]:
            apart.setdefault(path, []).append(1000 * np.linalg.norm(points - truth, axis=1))
    return [{"path": path, **figures(np.array(distance))} for path, distance in apart.items()]


def figures(distance: Floats) -> dict[str, Any]:
    """Of distances (K, V) [mm]."""
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
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--drives", type=int, default=24)
    parser.add_argument("--newton", type=int, default=6)
    parser.add_argument("--seed", type=int, default=5)
    given = parser.parse_args()
    rows = measure(load_anatomy(), given.drives, given.newton, given.seed)
    table = Table(*rows[0], title="distance to where the referee confirms the descent from rest")
    for row in rows:
        table.add_row(*(f"{value:.3g}" if isinstance(value, float) else str(value) for value in row.values()))
    Console().print(table)
    if given.json:
        write_json(given.json, rows)


if __name__ == "__main__":
    main()
