"""Speed of the vector environments: steps of 256 copies of Mimic, by skin and by how they are moved.

    python -m benchmarks.vector [--json FILE] [--envs 256] [--steps 40] [--moved walk random]

One environment step is one action of one copy; the rate counts them all, targets, rewards and infos
included. `walk` is a random walk of all actuators (standard deviation 0.12 a step, as in
benchmarks/skin.py), `calm` half of that; `random` draws every action anew from the whole space, as
an untrained policy may. They take turns, step by step, so other work on the machine slows all of them.
`cpu_ms_per_step` is the work of a step of all copies, over all cores, which other processes disturb less.
`rate_over_walk` and `rate_over_walk_by_cpu` compare with the walk, by time and by work. `extra_solves` is
the share of face-steps that needed more than the usual evaluations, `faults` the share that ended an
episode. Distances are those of all vertices of some faces after the last step from Newton's method,
converged; a snapped vertex is over a millimetre off. Bars: "full" 4,000 steps a second on a walk, and
0.6 of that with random actions; "reduced" 20,000.
"""

from __future__ import annotations

import argparse
import os
import resource
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import gymnasium as gym
import numpy as np
from llvmlite import binding
from rich.console import Console
from rich.table import Table

from benchmarks.skin import error_metrics
from eva_sim.contract import Floats, load_spec
from eva_sim.errors import EvaError
from eva_sim.files import write_json
from eva_sim.skin.anatomy import Drive
from eva_sim.skin.solver import ReferenceSkin
from eva_sim.twin import Twins

ID = "EVA/Mimic-v0"
WALKS = {"calm": 0.06, "walk": 0.12, "random": None}
WARM_UP = 3  # steps that compile and fill caches
CHECKED = 12  # faces that are compared with the reference


def draw_actions(kind: str, steps: int, count: int) -> np.ndarray:
    """Actions, (steps, count, 25)."""
    rng, size, action = np.random.default_rng(7), WALKS[kind], np.tile(load_spec().neutral, (count, 1))
    path = []
    for _ in range(steps):
        step = (
            rng.uniform(-1, 1, action.shape) if size is None else action + rng.normal(0, size, action.shape)
        )
        action = np.clip(step, -1, 1).astype(np.float32)
        path.append(action)
    return np.array(path)


class Run:
    """The copies under one kind of motion, and what is measured of them.

    Raises:
        EvaError: this version has no such skin.
    """

    def __init__(self, skin: str, kind: str, envs: int, steps: int) -> None:
        self.skin, self.kind, self.count = skin, kind, envs
        self.envs: Any = gym.make_vec(ID, num_envs=envs, vectorization_mode="vector_entry_point", skin=skin)
        began = time.perf_counter()
        self.envs.reset(seed=0)
        self.reset_time = time.perf_counter() - began
        self.path = draw_actions(kind, steps + WARM_UP, envs)
        self.times: list[tuple[float, float]] = []  # of each step: passed, and spent by all threads [s]
        self.faults = 0

    def step(self, number: int) -> None:
        """Makes one step of all copies."""
        began, spent = time.perf_counter(), time.process_time()
        info = self.envs.step(self.path[number])[4]
        self.times.append((time.perf_counter() - began, time.process_time() - spent))
        self.faults += int(np.count_nonzero(info.get("_faults", 0)))

    def mean_times(self) -> Floats:
        """Time that a step takes, and that all threads spend on it, without the first, (2,) [s]."""
        mean: Floats = np.mean(self.times[WARM_UP:], axis=0)
        return mean

    def metrics(self, walk: Run | None) -> dict[str, Any]:
        """What is printed and written."""
        passed, spent = self.mean_times()
        over_walk = [None, None] if walk is None else (walk.mean_times() / self.mean_times()).tolist()
        steps, twins = self.count * len(self.path), self.envs.twins
        return {
            "skin": self.skin,
            "moved": self.kind,
            "envs": self.count,
            "steps_per_second": self.count / float(passed),
            "rate_over_walk": over_walk[0],
            "rate_over_walk_by_cpu": over_walk[1],
            "median_step_ms": 1000 * float(np.median(self.times[WARM_UP:], axis=0)[0]),
            "cpu_ms_per_step": 1000 * float(spent),
            "extra_solves": int(getattr(twins.skins, "extra_solves", [0])[0]) / steps,
            "faults": self.faults / steps,
            **distance_from_reference(twins),
            "reset_ms": 1000 * self.reset_time,
            "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "load": os.getloadavg()[0],
            "cores": os.cpu_count(),
            "vectors": vector_width(),
        }


def distance_from_reference(twins: Twins) -> dict[str, float]:
    """Distances of some faces from where Newton's method takes them from there, see `error_metrics`."""
    faces = np.linspace(0, twins.faces - 1, min(CHECKED, twins.faces)).astype(int).tolist()
    shapes, truth = twins.skins.points[faces].astype(float), []
    for face, points in zip(faces, shapes, strict=True):
        reference, pose = ReferenceSkin(twins.skins.anatomy), twins.pose(face)
        reference.points = points
        reference.step(Drive(pose.jaw, pose.lids, twins.actuators.drawn[face]))
        truth.append(reference.points)
    return error_metrics(shapes, np.array(truth))


def vector_width() -> str:
    """The widest vector instructions of this machine that compiled functions use."""
    features = binding.get_host_cpu_features()
    known = {"avx512f": "AVX-512", "avx2": "AVX2"}
    return next((name for feature, name in known.items() if features.get(feature)), "other")


def measure(skin: str, kinds: list[str], envs: int, steps: int) -> list[dict[str, Any]]:
    """Metrics of one skin, a row for each kind of motion; they take turns.

    Raises:
        EvaError: this version has no such skin.
    """
    runs = {kind: Run(skin, kind, envs, steps) for kind in kinds}
    for number in range(steps + WARM_UP):
        for run in runs.values():
            run.step(number)
    rows = [run.metrics(runs.get("walk")) for run in runs.values()]
    for run in runs.values():
        run.envs.close()
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--json", type=Path, help="file for the metrics")
    parser.add_argument("--envs", type=int, default=256)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--moved", nargs="+", choices=list(WALKS), default=list(WALKS))
    given = parser.parse_args()
    rows = []
    for skin in ("full", "reduced"):
        try:
            rows += measure(skin, given.moved, given.envs, given.steps)
        except EvaError as error:
            Console(stderr=True).print(f"{skin}: {error}")
    table = Table(
        "metric",
        *(f"{row['skin']}, {row['moved']}" for row in rows),
        title=f"{ID} by vector_entry_point; peak memory is of the process so far",
    )
    for name in list(rows[0])[2:]:
        values = (row[name] for row in rows)
        table.add_row(name, *(f"{v:.4g}" if isinstance(v, float) else str(v) for v in values))
    Console(width=150).print(table)
    if given.json:
        write_json(given.json, rows)


if __name__ == "__main__":
    main()
