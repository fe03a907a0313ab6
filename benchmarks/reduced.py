"""Accuracy and speed of the reduced skin.

    python -m benchmarks.reduced --json FILE [--steps 200] [--seed 7]

A random walk of all cables, jaw and lids (as in `benchmarks/skin.py`) drives the twin with `full`; the
reference solves the drives of that walk, each converged, and the reduced skin gets the same drives.
Speed is in faces per second at several batch sizes and threads, up to landmarks and up to vertices.
"""

from __future__ import annotations

import argparse
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from eva_sim.contract import Floats, load_spec
from eva_sim.files import write_json
from eva_sim.landmarks import load_embedding
from eva_sim.skin.anatomy import Anatomy, Drive, Drives, drive_ranges, load_anatomy
from eva_sim.skin.reduced import ReducedSkins
from eva_sim.skin.solver import ReferenceSkin
from eva_sim.twin import Twin

STEP = 0.12  # standard deviation of a command's change in one control step
BATCHES, THREADS, SECONDS = (1, 64, 1024, 4096), (1, 2), 1.0


def twin_walk(steps: int, seed: int) -> list[Drive]:
    """Drives that a twin meets on a random walk of its commands."""
    rng, drives = np.random.default_rng(seed), []
    with Twin() as twin:
        command = twin.spec.neutral
        for _ in tqdm(range(steps), "walk", disable=None):
            command = np.clip(command + rng.normal(0, STEP, len(command)), -1, 1).astype(np.float32)
            twin.move(command)
            pose = twin.head.pose
            drives.append(Drive(pose.jaw, pose.lids, twin.actuators.take_up.copy()))
    return drives


def stack_drives(drives: list[Drive]) -> Drives:
    """Many drives as those of many faces."""
    return Drives(*(np.array(part) for part in zip(*drives, strict=True)))


def accuracy(anatomy: Anatomy, drives: list[Drive]) -> dict[str, float]:
    """Errors against the reference, converged for each drive along its own path [mm, N]."""
    reference, skins = ReferenceSkin(anatomy), ReducedSkins(anatomy, len(drives))
    truth, tension = [], []
    for drive in tqdm(drives, "reference", disable=None):
        reference.step(drive)
        truth.append(reference.points)
        tension.append(reference.tension)
    skins.step(stack_drives(drives))
    return skin_errors(skins, np.array(truth), np.array(tension))


def skin_errors(skins: ReducedSkins, truth: Floats, tension: Floats) -> dict[str, float]:
    """Errors of skins against settled vertices (N, V, 3) [m] and tensions (N, 12) [N]."""
    corners, shares = load_embedding(skins.anatomy.spec)
    points = np.einsum("pk,npkd->npd", shares, truth[:, corners])
    vertex = 1000 * np.linalg.norm(skins.points - truth, axis=2)
    landmark = 1000 * np.linalg.norm(skins.landmarks - points, axis=2)
    return {
        "rms_mm": _rms(vertex),
        "p99_mm": float(np.percentile(vertex, 99)),
        "max_mm": float(vertex.max()),
        "landmark_rms_mm": _rms(landmark),
        "landmark_p99_mm": float(np.percentile(landmark, 99)),
        "tension_rms_n": _rms(skins.tension - tension),
        "tension_itself_rms_n": _rms(tension),
    }


def _rms(error: Floats) -> float:
    return float(np.sqrt((error**2).mean()))


def faces_per_second(anatomy: Anatomy, batch: int, threads: int, quantity: str = "landmarks") -> float:
    """Faces per second of a batch, from numpy drives to numpy `quantity`, `"landmarks"` or `"points"`.

    Of the quickest of many calls, so that what else runs on the machine counts less.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    (low, high), skins = drive_ranges(anatomy.spec), ReducedSkins(anatomy, batch)
    values = np.random.default_rng(0).uniform(low, high, (batch, len(low)))
    drives, best, end = (
        Drives(values[:, 0], values[:, 1:3], values[:, 3:]),
        np.inf,
        time.perf_counter() + SECONDS,
    )
    while time.perf_counter() < end:
        began = time.perf_counter()
        skins.step(drives)
        getattr(skins, quantity)
        best = min(best, time.perf_counter() - began)
    torch.set_num_threads(before)
    return batch / best


def speed_rows(anatomy: Anatomy) -> list[dict[str, Any]]:
    """`faces_per_second` for every batch, number of threads and result."""
    return [
        {"batch": batch, "threads": threads, "landmarks": faces_per_second(anatomy, batch, threads),
         "points": faces_per_second(anatomy, batch, threads, "points")}
        for threads in THREADS for batch in BATCHES
    ]  # fmt: skip


def show(metrics: dict[str, Any]) -> None:
    """Prints what was measured."""
    table = Table("error", "value", title="reduced skin against the converged reference")
    for name, value in metrics["accuracy"].items():
        table.add_row(name, f"{value:.4g}")
    Console().print(table)
    table = Table("batch", "threads", "to landmarks", "to vertices", title="faces per second")
    for row in metrics["speed"]:
        table.add_row(
            str(row["batch"]), str(row["threads"]), f"{row['landmarks']:,.0f}", f"{row['points']:,.0f}"
        )
    Console().print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--json", type=Path, help="file for the metrics")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--seed", type=int, default=7)
    given = parser.parse_args()
    anatomy = load_anatomy(load_spec())
    metrics = {
        "steps": given.steps, "seed": given.seed,
        "accuracy": accuracy(anatomy, twin_walk(given.steps, given.seed)), "speed": speed_rows(anatomy),
        "machine": f"{platform.machine()}, Python {platform.python_version()}, torch {torch.__version__}",
    }  # fmt: skip
    show(metrics)
    if given.json:
        write_json(given.json, metrics)


if __name__ == "__main__":
    main()
