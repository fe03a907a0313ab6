"""Accuracy and speed of the skin: `full` against the converged reference, on a random walk.

    python benchmarks/skin.py --json FILE [--steps 200] [--seed 7]

One random walk of all cables, jaw, lids, eyes and neck drives the whole twin with `full`; the skin's
drives are noted, and the reference solves the same ones along its own path. Distances are over
all vertices and steps. Speed is that of the whole twin without rendering (actuators, PyBullet
head, skin, landmarks), beside a fixed numpy workload, so that machines can be compared.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from eva_sim.files import write_json
from eva_sim.skin.anatomy import Drive
from eva_sim.skin.solver import Reference
from eva_sim.twin import Twin

STEP = 0.12  # standard deviation of a command's change in one control step


def walk(twin: Twin, steps: int, seed: int) -> tuple[list[Drive], np.ndarray, np.ndarray]:
    """Drives, skins (T, V, 3) [m] and seconds per step of the twin on a random walk."""
    rng, command = np.random.default_rng(seed), twin.spec.neutral
    drives, skins, seconds = [], [], []
    twin.reset()
    for _ in tqdm(range(steps), "full", disable=None):
        command = np.clip(command + rng.normal(0, STEP, len(command)), -1, 1).astype(np.float32)
        began = time.perf_counter()
        twin.move(command)
        seconds.append(time.perf_counter() - began)
        pose = twin.head.pose
        drives.append(Drive(pose.jaw, pose.lids, twin.actuators.take_up.copy()))
        skins.append(twin.skin.points.copy())
    return drives, np.array(skins), np.array(seconds)


def numpy_workload() -> float:
    """Seconds of one hundred products of 300 x 300 matrices, the best of five."""
    matrix = np.random.default_rng(0).normal(size=(300, 300))
    best = np.inf
    for _ in range(5):
        began = time.perf_counter()
        for _ in range(100):
            matrix @ matrix
        best = min(best, time.perf_counter() - began)
    return best


def measure(steps: int, seed: int) -> dict[str, Any]:
    with Twin() as twin:
        walk(twin, 5, seed)  # compiles
        drives, skins, seconds = walk(twin, steps, seed)
        reference = Reference(twin.skin.anatomy)
    truth = np.array([reference.step(drive) for drive in tqdm(drives, "reference", disable=None)])
    distance = 1000 * np.linalg.norm(skins - truth, axis=2)
    moved = 1000 * np.linalg.norm(truth - truth[0], axis=2)
    workload = numpy_workload()
    return {
        "steps": steps,
        "seed": seed,
        "vertices": skins.shape[1],
        "rms_mm": float(np.sqrt((distance**2).mean())),
        "p99_mm": float(np.percentile(distance, 99)),
        "max_mm": float(distance.max()),
        "snapped_vertices": int((distance > 1.0).any(0).sum()),
        "largest_move_mm": float(moved.max()),
        "steps_per_second": float(1 / seconds.mean()),
        "median_ms": float(1000 * np.median(seconds)),
        "p99_ms": float(1000 * np.percentile(seconds, 99)),
        "numpy_workload_ms": 1000 * workload,
        "step_over_workload": float(seconds.mean() / workload),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--seed", type=int, default=7)
    given = parser.parse_args()
    figures = measure(given.steps, given.seed)
    table = Table("figure", "value", title="skin: full against reference, one face with physics")
    for name, value in figures.items():
        table.add_row(name, f"{value:.4g}" if isinstance(value, float) else str(value))
    Console().print(table)
    if given.json:
        write_json(given.json, figures)


if __name__ == "__main__":
    main()
