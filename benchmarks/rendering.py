"""Speed of drawing: processor and wall time of a picture of the moving face, by style and size.

    python -m benchmarks.rendering [--json FILE] [--pictures 60]

The face moves between two pictures, so every vertex of the skin is written anew. Processor time counts all
threads of the process (llvmpipe draws with several). Other processes on the machine disturb it less than wall
time. The step of the skin is not counted. `memory` is the growth of the process while a row was drawn.
"""

from __future__ import annotations

import argparse
import os
import resource
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from eva_sim.files import write_json
from eva_sim.twin import Twin

#: Kind of picture, style and side [pixels] of each row.
ROWS = (
    ("colour", "plain", 128), ("colour", "plain", 224), ("colour", "plain", 480),
    ("colour", "fast", 96), ("colour", "fast", 128), ("colour", "fast", 224), ("colour", "fast", 480),
    ("colour", "fine", 224), ("colour", "fine", 480), ("colour", "fine", 960),
    ("segmentation", "plain", 224), ("segmentation", "fast", 224),
    ("depth", "plain", 224), ("depth", "fast", 224),
)  # fmt: skip


def draw(twin: Twin, kind: str, size: int) -> None:
    """Draws one picture of the face as it is now."""
    {"colour": twin.render, "segmentation": twin.segmentation, "depth": twin.depth}[kind](size)


def measure(kind: str, style: str, size: int, pictures: int) -> dict[str, Any]:
    """Returns the metrics of one row."""
    with Twin(style=style) as twin:
        swing = 0.5 + 0.5 * np.sin(np.arange(pictures + 3)[:, None] / (3, 5, 4))
        commands = [twin.spec.command(jaw=a - 1, zygomaticus=b, brow_inner=c) for a, b, c in swing]
        wall, processor, before = [], [], 0
        for number, command in enumerate(commands):
            twin.move(command)
            began, spent = time.perf_counter(), time.process_time()
            draw(twin, kind, size)
            wall.append(time.perf_counter() - began)
            processor.append(time.process_time() - spent)
            before = resident() if number == 2 else before  # the first three compile and warm up
        grown = resident() - before
    return {
        "kind": kind,
        "style": style,
        "pixels": size,
        "cpu_ms": 1000 * float(np.median(processor[3:])),
        "wall_ms": 1000 * float(np.median(wall[3:])),
        "memory_mb": grown / 2**20,
        "load": os.getloadavg()[0],
        "cores": os.cpu_count(),
    }


def resident() -> int:
    """Returns the memory of this process that is in use [bytes]."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--json", type=Path, help="file for the metrics")
    parser.add_argument("--pictures", type=int, default=60)
    given = parser.parse_args()
    rows = [measure(kind, style, size, given.pictures) for kind, style, size in ROWS]
    title = f"median of {given.pictures} pictures; load {rows[0]['load']:.1f} on {os.cpu_count()} cores"
    table = Table("picture", "style", "pixels", "cpu [ms]", "wall [ms]", "memory [MB]", title=title)
    for row in rows:
        numbers = (f"{row[name]:.1f}" for name in ("cpu_ms", "wall_ms", "memory_mb"))
        table.add_row(row["kind"], row["style"], str(row["pixels"]), *numbers)
    Console().print(table)
    if given.json:
        write_json(given.json, rows)


if __name__ == "__main__":
    main()
