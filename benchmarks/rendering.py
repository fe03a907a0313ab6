"""Speed of drawing: processor and wall time of a picture of the moving face, by style and size.

    python -m benchmarks.rendering [--json FILE] [--pictures 60] [--frames 5000] [--envs 32]

The face moves between two pictures, so every vertex of the skin is written anew. Processor time counts all
threads of the process (llvmpipe draws with several). Other processes on the machine disturb it less than wall
time. The step of the skin is not counted. `memory` is the growth of the process while a row was drawn.

Then: pictures a second of the native vector environment, with skin, targets and rewards; growth of the
process over many frames, after the first tenth; and whether another process draws the same pictures.

Bars, processor time without a graphics card: fast 6 ms at 224 pixels and 3.5 at 128, its labels or distances
2.5 at 224, fine 60 at 480; 300 pictures a second of 96 pixels on two cores.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import resource
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from eva_sim.files import write_json
from eva_sim.twin import Twin
from eva_sim.twin.head_camera import STYLES

#: Kind of picture, style and side [pixels] of each row.
ROWS = (
    ("colour", "plain", 128), ("colour", "plain", 224), ("colour", "plain", 480),
    ("colour", "fast", 96), ("colour", "fast", 128), ("colour", "fast", 224), ("colour", "fast", 480),
    ("colour", "fine", 224), ("colour", "fine", 480), ("colour", "fine", 960),
    ("segmentation", "plain", 224), ("segmentation", "fast", 224),
    ("depth", "plain", 224), ("depth", "fast", 224),
)  # fmt: skip
ENVIRONMENT, ENV_SIZE = "EVA/Mimic-v0", 96
ENVS = (("reduced", "fast"), ("full", "fast"), ("reduced", "plain"))  # skin and style
SIZES = (64, 96, 128)  # of the pictures that are drawn many times; another size needs other framebuffers


def draw(twin: Twin, kind: str, size: int) -> None:
    """Draws one picture of the face as it is now."""
    {"colour": twin.render, "segmentation": twin.segmentation, "depth": twin.depth}[kind](size)


def measure(kind: str, style: str, size: int, pictures: int) -> dict[str, Any]:
    """Returns the metrics of one row."""
    with Twin(style=style) as twin:
        wall, processor, before = [], [], 0
        for number in range(pictures + 3):
            twin.move(_swing(twin, number))
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


def measure_envs(skin: str, style: str, envs: int, steps: int) -> dict[str, Any]:
    """Returns the metrics of a native vector environment that observes pictures."""
    vector: Any = gym.make_vec(
        ENVIRONMENT, envs, "vector_entry_point", skin=skin, style=style, observe="image", image_size=ENV_SIZE
    )
    vector.reset(seed=0)
    rng, action = np.random.default_rng(7), np.tile(vector.twins.spec.neutral, (envs, 1))
    wall = spent = 0.0
    for number in range(steps + 3):  # the first three compile and warm up
        action = np.clip(action + rng.normal(0, 0.12, action.shape), -1, 1).astype(np.float32)
        began, before = time.perf_counter(), time.process_time()
        vector.step(action)
        if number >= 3:
            wall, spent = wall + time.perf_counter() - began, spent + time.process_time() - before
    vector.close()
    return {
        "skin": skin,
        "style": style,
        "pixels": ENV_SIZE,
        "envs": envs,
        "pictures_per_second": envs * steps / wall,
        "cpu_ms": 1000 * spent / (envs * steps),
        "load": os.getloadavg()[0],
    }


def measure_growth(style: str, frames: int) -> dict[str, Any]:
    """Returns how much the process grows over many pictures of a moving face, after the first tenth [MB]."""
    with Twin("reduced", style=style) as twin:
        for number in range(frames):
            if number == frames // 10:
                before = resident()
            twin.move(_swing(twin, number))
            twin.render(SIZES[number % len(SIZES)])
        return {"style": style, "frames": frames, "grown_mb": (resident() - before) / 2**20}


def draw_digest(style: str) -> str:
    """Returns a digest of pictures, labels and distances of a few faces."""
    digest = hashlib.sha256()
    with Twin(style=style) as twin:
        for number in range(0, 12, 4):
            twin.move(_swing(twin, number))
            for array in (twin.render(96), twin.segmentation(96), twin.depth(96)):
                digest.update(array.tobytes())
    return digest.hexdigest()


def equal_elsewhere(style: str) -> bool:
    """Returns whether another process draws the same."""
    program = f"from benchmarks.rendering import draw_digest; print(draw_digest({style!r}))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=300
    )
    return done.stdout.split()[-1] == draw_digest(style)


def _swing(twin: Twin, number: int) -> NDArray[np.float32]:
    """Returns the command of a frame of a face that moves jaw, cheeks and brows."""
    jaw, cheeks, brows = 0.5 + 0.5 * np.sin(number / np.array([3, 5, 4]))
    return twin.spec.command(jaw=jaw - 1, zygomaticus=cheeks, brow_inner=brows)


def resident() -> int:
    """Returns the memory of this process that is in use [bytes]."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--json", type=Path, help="file for the metrics")
    parser.add_argument("--pictures", type=int, default=60)
    parser.add_argument("--frames", type=int, default=5000)
    parser.add_argument("--envs", type=int, default=32)
    given = parser.parse_args()
    rows = [measure(kind, style, size, given.pictures) for kind, style, size in ROWS]
    title = f"median of {given.pictures} pictures; load {rows[0]['load']:.1f} on {os.cpu_count()} cores"
    _print(rows, title, "kind", "style", "pixels", "cpu_ms", "wall_ms", "memory_mb")
    many = [measure_envs(skin, style, given.envs, 20) for skin, style in ENVS]
    title = f"{ENVIRONMENT} by vector_entry_point, {given.envs} copies"
    _print(many, title, "skin", "style", "pixels", "pictures_per_second", "cpu_ms")
    growth = [measure_growth(style, given.frames) for style in ("plain", "fast")]
    _print(growth, "growth of the process", "style", "frames", "grown_mb")
    equal = {style: equal_elsewhere(style) for style in STYLES}
    Console().print("equal in another process:", ", ".join(f"{k}: {v}" for k, v in equal.items()))
    if given.json:
        found = {"pictures": rows, "environments": many, "growth": growth, "equal": equal}
        write_json(given.json, found)


def _print(rows: Sequence[Mapping[str, Any]], title: str, *names: str) -> None:
    table = Table(*names, title=title)
    for row in rows:
        values = (row[name] for name in names)
        table.add_row(*(f"{value:.1f}" if isinstance(value, float) else str(value) for value in values))
    Console().print(table)


if __name__ == "__main__":
    main()
