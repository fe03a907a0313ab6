"""Accuracy and speed of the skin, of every solver offered, beside other engines.

    python benchmarks/skin.py --json FILE [--steps 200] [--seed 7] [--no-peers] [--solvers full fine]

One random walk of all commands drives the whole twin with `full`; the skin's drives are noted, and
each solver goes through them along its own path. Distances are those of all vertices at all steps
from Newton's method converged to 1e-5 N; for "dynamic", from Newton's method with the same inertia and
steps in time, converged to 1e-4 N. A snapped vertex is one that was ever over a millimetre off.
Speeds are medians: of one face (skin alone; whole twin without rendering), and of 256 faces on
walks of their own in lanes on all cores, beside a fixed numpy workload so that machines can be
compared. Peers are the sheets of `benchmarks/peers.py`, which have 20 ms of time to solve where the
skin has a control step of 40 ms, and neither contact nor cables; MuJoCo is timed where it is installed.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # so that it runs as a file, too

import numpy as np
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from benchmarks.peers import mujoco_flex, pybullet_cloth
from eva_sim.actuators import Actuators
from eva_sim.contract import FaceSpec, Floats, load_spec
from eva_sim.files import write_json
from eva_sim.head import Linkage
from eva_sim.skin import newton
from eva_sim.skin.anatomy import Anatomy, Drive, Drives, load_anatomy
from eva_sim.skin.solver import ReferenceSkin, make_skin, make_skins
from eva_sim.twin import Twin

CHANGE = 0.12  # standard deviation of a command's change in one control step
FACES, LANE_STEPS = 256, 30
REST = Drive(0.0, np.zeros(2), np.zeros(12))
MOVING_TOLERANCE = 1e-4  # N
SOLVERS = ("full", "fine", "reduced", "dynamic")


def random_commands(spec: FaceSpec, steps: int, rng: np.random.Generator) -> list[np.ndarray]:
    """A random walk of commands, each (25,)."""
    command, out = spec.neutral, []
    for _ in range(steps):
        command = np.clip(command + rng.normal(0, CHANGE, len(command)), -1, 1).astype(np.float32)
        out.append(command)
    return out


def twin_walk(steps: int, seed: int) -> tuple[list[Drive], Floats]:
    """Drives of the twin's skin on a random walk, and seconds per step of the whole twin (T,)."""
    drives, seconds = [], []
    with Twin() as twin:
        for command in tqdm(
            random_commands(twin.spec, steps, np.random.default_rng(seed)), "twin", disable=None
        ):
            began = time.perf_counter()
            twin.move(command)
            seconds.append(time.perf_counter() - began)
            pose = twin.head.pose
            drives.append(Drive(pose.jaw, pose.lids, twin.actuators.drawn.copy()))
    return drives, np.array(seconds)


def run_drives(skin: Any, drives: list[Drive], name: str) -> tuple[Floats, Floats]:
    """Shapes (T, V, 3) [m] and seconds per step (T,) of one skin."""
    skin.step(drives[0])  # compiles
    skin.reset()
    shapes, seconds = [], []
    for drive in tqdm(drives, name, disable=None):
        began = time.perf_counter()
        skin.step(drive)
        shapes.append(skin.points.copy())
        seconds.append(time.perf_counter() - began)
    return np.array(shapes), np.array(seconds)


class MovingReference:
    """The reference of the skin with mass: Newton's method with inertia, in the steps of `MovingBlock`."""

    def __init__(self, anatomy: Anatomy) -> None:
        spec = anatomy.spec
        self.anatomy, self._substeps, self._dt = anatomy, spec.substeps, spec.physics_dt
        self.reset()

    def reset(self) -> None:
        self.points, self._drive = self.anatomy.points.copy(), REST
        self._speed = np.zeros_like(self.points)

    def step(self, drive: Drive) -> None:
        """One control period, the drives going evenly to where they are wanted."""
        for share in np.arange(1, self._substeps + 1) / self._substeps:
            between = (a + share * (np.asarray(b) - a) for a, b in zip(self._drive, drive, strict=True))
            self._advance(Drive(*between))
        self._drive = drive

    def _advance(self, drive: Drive) -> None:
        carried = self.points + self._dt * self._speed
        load = self.anatomy.load(drive)._replace(inertia=1 / self._dt**2, carried=carried)
        start = carried.copy()
        start[self.anatomy.fixed] = self.anatomy.kinematic_points(drive)[self.anatomy.fixed]
        points, _, _ = newton.solve_equilibrium(self.anatomy, start, load, MOVING_TOLERANCE)
        self._speed, self.points = (points - self.points) / self._dt, points


def error_metrics(shapes: Floats, truth: Floats) -> dict[str, float]:
    """Distances from the reference [mm], and how many vertices were ever over one."""
    distance = 1000 * np.linalg.norm(shapes - truth, axis=2)
    return {
        "rms_mm": float(np.sqrt((distance**2).mean())),
        "p99_mm": float(np.percentile(distance, 99)),
        "max_mm": float(distance.max()),
        "snapped_vertices": int((distance > 1.0).any(0).sum()),
    }


def batch_rate(anatomy: Anatomy, name: str) -> float:
    """Face-control-steps per second of many faces on all cores, from commands to landmark points."""
    spec = anatomy.spec
    actuators, linkage, skins = Actuators(spec, FACES), Linkage(spec), make_skins(anatomy, FACES, name)
    rng, command, seconds = np.random.default_rng(11), np.tile(spec.neutral, (FACES, 1)), []
    for _ in range(LANE_STEPS):
        command = np.clip(command + rng.normal(0, CHANGE, command.shape), -1, 1).astype(np.float32)
        began = time.perf_counter()
        actuators.step(command, skins.tension)
        angles = linkage.angles(actuators.position)
        skins.step(Drives(angles.jaw, angles.lids, actuators.drawn))
        assert np.isfinite(
            skins.landmarks
        ).all()  # the reduced skin computes landmarks only when they are read
        seconds.append(time.perf_counter() - began)
    skins.close()
    return FACES / float(np.median(seconds[3:]))


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


def measure(steps: int, seed: int, peers: bool, names: Sequence[str] = SOLVERS) -> dict[str, Any]:
    """All metrics, as they are printed and written; of the named solvers beside the reference."""
    anatomy = load_anatomy(load_spec())
    twin_walk(5, seed)  # compiles
    drives, twin_seconds = twin_walk(steps, seed)
    truth, reference_seconds = run_drives(ReferenceSkin(anatomy), drives, "reference")
    solvers: list[dict[str, Any]] = [
        {"solver": "reference", **error_metrics(truth, truth), **_speed(reference_seconds)}
    ]
    for name in names:
        own = MovingReference(anatomy) if name == "dynamic" else None
        against = run_drives(own, drives, "reference with inertia")[0] if own else truth
        shapes, seconds = run_drives(make_skin(anatomy, name), drives, name)
        rate = batch_rate(anatomy, name)
        solvers.append(
            {
                "solver": name,
                **error_metrics(shapes, against),
                **_speed(seconds),
                "lanes_faces_per_s": rate,
            }
        )
    workload = numpy_workload()
    metrics: dict[str, Any] = {
        "steps": steps,
        "seed": seed,
        "vertices": len(anatomy.points),
        "largest_move_mm": float(1000 * np.linalg.norm(truth - anatomy.points, axis=2).max()),
        "solvers": solvers,
        "twin_steps_per_s": float(1 / np.mean(twin_seconds)),
        "twin_p99_ms": float(1000 * np.percentile(twin_seconds, 99)),
        "numpy_workload_ms": 1000 * workload,
        "twin_step_over_workload": float(np.mean(twin_seconds) / workload),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
    }
    rates = [row["lanes_faces_per_s"] for row in solvers if row["solver"] == "full"]
    return metrics | {"peers": _peers(rates[0]) if peers and rates else []}


def _speed(seconds: Floats) -> dict[str, float]:
    return {"ms_median": float(1000 * np.median(seconds)), "ms_p99": float(1000 * np.percentile(seconds, 99))}


def _peers(faces_per_second: float) -> list[dict[str, Any]]:
    """Returns times of other engines, and how many face steps in lanes take as long."""
    rows = [row for row in (pybullet_cloth(), mujoco_flex()) if row]
    return [{**row, "lanes_ratio": row["ms_per_control_step"] * faces_per_second / 1000} for row in rows]


def show(metrics: dict[str, Any]) -> None:
    """Prints the metrics as tables."""
    for title, rows in (("solver against reference", metrics["solvers"]), ("peers", metrics["peers"])):
        if rows:
            table = Table(*max(rows, key=len), title=title)
            for row in rows:
                table.add_row(*(_text(value) for value in row.values()))
            Console(width=150).print(table)
    table = Table("metric", "value")
    for name, value in metrics.items():
        if not isinstance(value, list):
            table.add_row(name, _text(value))
    Console().print(table)


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--json", type=Path, help="file for the metrics")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--no-peers", action="store_true", help="leave the other engines out")
    parser.add_argument("--solvers", nargs="+", choices=SOLVERS, default=SOLVERS, help="rows of the table")
    given = parser.parse_args()
    metrics = measure(given.steps, given.seed, not given.no_peers, given.solvers)
    show(metrics)
    if given.json:
        write_json(given.json, metrics)


if __name__ == "__main__":
    main()
