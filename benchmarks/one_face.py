"""Time of a control step of one face, alone and while all cores are busy.

    python -m benchmarks.one_face --json FILE [--steps 500] [--seed 7]

A random walk of all commands drives a `Twin` with each skin. Measured are the whole step (`Twin.move`) and
the skin's part of it, first alone, then beside one busy process per core. No environment variable is set:
that of a user counts. Means tell how long a run takes; medians what most steps take.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from eva_sim.contract import Floats
from eva_sim.files import write_json
from eva_sim.skin.anatomy import Drive
from eva_sim.twin import Twin

SKINS = ("full", "reduced")
STEP = 0.12  # standard deviation of a command's change in one control step
WARM_UP = 20  # steps that are not counted


def step_times(skin: str, steps: int, seed: int) -> dict[str, float]:
    """Mean and median time of a whole step and of the skin's part, along a random walk [ms]."""
    rng, whole, part = np.random.default_rng(seed), list[float](), list[float]()
    with Twin(skin=skin) as twin:
        command = twin.spec.neutral
        for _ in range(steps + WARM_UP):
            command = np.clip(command + rng.normal(0, STEP, len(command)), -1, 1).astype(np.float32)
            whole.append(_seconds(twin.move, command))
            pose = twin.head.pose
            drive = Drive(pose.jaw, pose.lids, twin.actuators.drawn.copy())
            state = twin.skin.save()
            part.append(_seconds(twin.skin.step, drive))
            twin.skin.restore(state)
    return {**_summary("move", np.array(whole)), **_summary("skin", np.array(part))}


def _seconds(function: Any, argument: Any) -> float:
    began = time.perf_counter()
    function(argument)
    return time.perf_counter() - began


def _summary(name: str, seconds: Floats) -> dict[str, float]:
    counted = 1000 * seconds[WARM_UP:]
    return {f"{name}_mean_ms": float(counted.mean()), f"{name}_median_ms": float(np.median(counted))}


@contextmanager
def busy_cores() -> Iterator[None]:
    """Keeps every core busy with a process of its own."""
    count = os.cpu_count() or 1
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        time.sleep(0.5)
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def measure(steps: int, seed: int) -> list[dict[str, Any]]:
    """One row for each skin, alone and busy."""
    rows: list[dict[str, Any]] = [
        {"skin": skin, "cores": "idle", **step_times(skin, steps, seed)} for skin in SKINS
    ]
    with busy_cores():
        rows += [{"skin": skin, "cores": "busy", **step_times(skin, steps, seed)} for skin in SKINS]
    return rows


def show(rows: list[dict[str, Any]]) -> None:
    """Prints what was measured."""
    columns = [name for name in rows[0] if name.endswith("_ms")]
    heads = [name.removesuffix("_ms").replace("_", " ") for name in columns]
    table = Table("skin", "cores", *heads, title="one face, ms a control step")
    for row in rows:
        table.add_row(row["skin"], row["cores"], *(f"{row[name]:.3f}" for name in columns))
    Console().print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--json", type=Path, help="file for the metrics")
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--seed", type=int, default=7)
    given = parser.parse_args()
    rows = measure(given.steps, given.seed)
    show(rows)
    if given.json:
        machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
        write_json(given.json, {"steps": given.steps, "seed": given.seed, "rows": rows, "machine": machine})


if __name__ == "__main__":
    main()
