"""Speed of the vector environments: steps of 256 copies of Mimic, by skin and by how they are moved.

    python -m benchmarks.vector [--json FILE] [--envs 256] [--steps 40] [--moved walk]

One environment step is one action of one copy; the rate counts them all, targets, rewards and infos
included. `walk` is a random walk of all actuators (standard deviation 0.12 a step, as in
benchmarks/skin.py), `calm` half of that; `uniform` draws every action anew from the whole space, as
an untrained policy may. `cpu_ms_per_step` is the work of a step of all copies, over all cores, which
other processes on the machine disturb less. `extra_solves` is the share of face-steps that needed more
than the usual evaluations, `faults` the share that ended an episode. Bars: `walk` with "full" 4,000
steps a second, "reduced" 20,000.
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
from rich.console import Console
from rich.table import Table

from eva_sim.contract import load_spec
from eva_sim.errors import EvaError
from eva_sim.files import write_json

ID = "EVA/Mimic-v0"
WALKS = {"calm": 0.06, "walk": 0.12, "uniform": None}


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


def measure(skin: str, kind: str, envs: int, steps: int) -> dict[str, Any]:
    """Metrics of one skin under one kind of motion.

    Raises:
        EvaError: this version has no such skin.
    """
    envs_vector: Any = gym.make_vec(ID, num_envs=envs, vectorization_mode="vector_entry_point", skin=skin)
    began = time.perf_counter()
    envs_vector.reset(seed=0)
    reset = time.perf_counter() - began
    path, faults, seconds, spent = draw_actions(kind, steps + 3, envs), 0, [], 0.0
    for number, actions in enumerate(path):  # the first three compile and warm up
        spent = time.process_time() if number == 3 else spent
        began = time.perf_counter()
        info = envs_vector.step(actions)[4]
        seconds += [time.perf_counter() - began] if number >= 3 else []
        faults += int(np.count_nonzero(info.get("_faults", 0)))
    spent = time.process_time() - spent
    extra_solves = int(getattr(envs_vector.twins.skins, "extra_solves", [0])[0])
    envs_vector.close()
    return {
        "skin": skin,
        "moved": kind,
        "envs": envs,
        "steps_per_second": envs * steps / sum(seconds),
        "median_step_ms": 1000 * float(np.median(seconds)),
        "cpu_ms_per_step": 1000 * spent / steps,
        "extra_solves": extra_solves / (envs * len(path)),
        "faults": faults / (envs * len(path)),
        "reset_ms": 1000 * reset,
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "load": os.getloadavg()[0],
        "cores": os.cpu_count(),
    }


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
            rows += [measure(skin, kind, given.envs, given.steps) for kind in given.moved]
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
    Console().print(table)
    if given.json:
        write_json(given.json, rows)


if __name__ == "__main__":
    main()
