"""Does the face come to rest at the same place by every path?

    python -m benchmarks.equilibria [--json FILE] [--drives 24] [--seed 5]

Random drives, each uniform over its own range, are reached from rest and from another random drive, and
settled by the descent of `full` and by the referee. What lies more than 1 mm from where the referee comes
from rest has snapped to another equilibrium; it is counted over all vertices and drives.
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

from benchmarks.contact import SETTLE, random_drives
from eva_sim.contract import Floats
from eva_sim.files import write_json
from eva_sim.skin.anatomy import Anatomy, Drive, load_anatomy
from eva_sim.skin.solver import Block, Reference, machine_of

SNAPPED = 1.0  # mm


def descended(anatomy: Anatomy, path: list[Drive]) -> Floats:
    """Where the descent comes by one drive after the other, from rest, (V, 3) [m]."""
    block = Block(machine_of(anatomy), None)
    for drive in path:
        block.step(drive.alone, SETTLE)
    return block.points[0].astype(float)


def refereed(anatomy: Anatomy, path: list[Drive], start: Floats | None = None) -> Floats:
    """The same by the referee, from rest or another place (V, 3) [m]."""
    reference = Reference(anatomy)
    if start is not None:
        reference.points = start.copy()
    for drive in path:
        reference.step(drive)
    return reference.points


def halfway(drive: Drive) -> Drive:
    """Half of a drive."""
    return Drive(0.5 * drive.jaw, 0.5 * drive.lids, 0.5 * drive.take_up)


def ends(anatomy: Anatomy, drive: Drive, other: Drive) -> dict[str, Floats]:
    """Where each path ends, (V, 3) [m]; the first is what the others are compared with."""
    descent = descended(anatomy, [drive])
    return {
        "referee, from rest": refereed(anatomy, [drive]),
        "referee, from rest by half the drive": refereed(anatomy, [halfway(drive), drive]),
        "referee, from another face": refereed(anatomy, [drive], descended(anatomy, [other])),
        "referee, after the descent": refereed(anatomy, [drive], descent),
        "descent, from rest": descent,
        "descent, from another face": descended(anatomy, [other, drive]),
    }


def measure(anatomy: Anatomy, count: int, seed: int) -> list[dict[str, Any]]:
    """One row for each path."""
    drives = random_drives(count + 1, seed)
    apart: dict[str, list[Floats]] = {}
    for drive, other in tqdm(list(itertools.pairwise(drives)), "equilibria", disable=None):
        found = ends(anatomy, drive, other)
        truth = next(iter(found.values()))
        for path, points in found.items():
            apart.setdefault(path, []).append(1000 * np.linalg.norm(points - truth, axis=1))
    rows = []
    for path, distances in list(apart.items())[1:]:
        distance = np.array(distances)
        gone = distance > SNAPPED
        rows.append(
            {
                "path": path,
                "rms_mm": float(np.sqrt((distance**2).mean())),
                "p99_mm": float(np.percentile(distance, 99)),
                "max_mm": float(distance.max()),
                "snapped": int(gone.sum()),
                "faces": int(gone.any(1).sum()),
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--drives", type=int, default=24)
    parser.add_argument("--seed", type=int, default=5)
    given = parser.parse_args()
    rows = measure(load_anatomy(), given.drives, given.seed)
    table = Table(*rows[0], title=f"{given.drives} faces, distance to the referee's from rest")
    for row in rows:
        table.add_row(*(f"{value:.3g}" if isinstance(value, float) else str(value) for value in row.values()))
    Console().print(table)
    if given.json:
        write_json(given.json, rows)


if __name__ == "__main__":
    main()
