"""What the landmark detector reads from pictures of random faces, against the landmarks of the mesh.

    python -m benchmarks.reading [--json FILE] [--faces 500] [--sizes 128 224] [--seed 3]

Each face settles, and is drawn in every look and size. Motion is counted from the resting face, read in the
same look: as the detector reads it, and corrected as that of a robot is (`eva_sim.reading_correction`). For
each region: the median distance between the motion that is read and that of the mesh, in space and in the
frontal plane; the median motion of the mesh, and the first over it; and the share of the mesh's motion in the
frontal plane that is read. Depth is a guess of the detector. Then each brow cable pulls alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from eva_sim.agents.data.babbling import sample_command
from eva_sim.contract import Floats
from eva_sim.detector import Detector
from eva_sim.files import write_json
from eva_sim.landmarks import REGIONS
from eva_sim.reading_correction import robot_correction
from eva_sim.settling import reset_and_hold
from eva_sim.twin import Twin
from tools.build_robot_reading import LOOKS, LookReader

BROW_CABLES = ("brow_inner", "brow_outer", "corrugator")
MILLIMETRES = 1000


class View(LookReader):
    """Reads the twin in one look and size, and tells how far that is from the mesh."""

    def motions(self) -> Iterator[tuple[str, Floats]]:
        """Yields the motion that is read, (S, N, 3) [outer-eye distances]: by the detector, and corrected."""
        read = np.array(self.read)
        yield "detected", read
        yield "corrected", robot_correction(self.twin.spec)(read)

    def rows(self) -> Iterator[dict[str, object]]:
        """Yields the figures of each region."""
        made = MILLIMETRES * self.twin.outer_eye * np.array(self.made)
        for reading, motion in self.motions():
            read = MILLIMETRES * self.twin.outer_eye * motion
            for region, points in REGIONS.items():
                error = read[:, points] - made[:, points]
                distance, moved = median_length(error), median_length(made[:, points])
                yield {
                    "style": self.look[0], "material": self.look[1], "pixels": self.size,
                    "found": f"{len(read)} of {self.tried}", "reading": reading, "region": region,
                    "error_mm": distance, "in_plane_mm": median_length(error[..., :2]),
                    "motion_mm": moved, "relative": distance / moved,
                    "shown": shown_share(read[:, points], made[:, points]),
                }  # fmt: skip


def median_length(vectors: Floats) -> float:
    """Returns the median length of vectors, (..., D)."""
    return float(np.median(np.linalg.norm(vectors, axis=-1)))


def shown_share(read: Floats, made: Floats) -> float:
    """Returns the factor of the mesh's motion (..., 3) that is nearest to the motion read, in x and y."""
    seen, true = read[..., :2], made[..., :2]
    return float((seen * true).sum() / (true * true).sum())


def measure(twin: Twin, views: list[View], commands: list[Floats]) -> None:
    """Shows each command to all views."""
    for command in tqdm(commands, unit="face", disable=None):
        reset_and_hold(twin, command)
        for view in views:
            view.look_once()


def lone_brows(twin: Twin, detector: Detector, size: int) -> list[dict[str, object]]:
    """Returns the share of a brow's motion that is read when one of its cables pulls alone."""
    rows: list[dict[str, object]] = []
    for look in LOOKS:
        row: dict[str, object] = {"style": look[0], "material": look[1], "pixels": size}
        for cable in BROW_CABLES:
            view = View(twin, detector, look, size)
            measure(
                twin, [view], [twin.spec.command(**{f"{cable}_{side}": 1.0}) for side in ("left", "right")]
            )
            made = np.array(view.made)
            far = np.linalg.norm(made, axis=2) > 0.5 * np.linalg.norm(made, axis=2).max(1, keepdims=True)
            for reading, read in view.motions():
                row[f"{cable}, {reading}"] = shown_share(read[far], made[far])
        rows.append(row)
    return rows


def print_table(title: str, rows: list[dict[str, object]]) -> None:
    table = Table(*rows[0], title=title)
    for row in rows:
        table.add_row(*(f"{v:.2f}" if isinstance(v, float) else str(v) for v in row.values()))
    Console(width=120).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--json", type=Path, help="file for the metrics")
    parser.add_argument("--faces", type=int, default=500)
    parser.add_argument("--sizes", type=int, nargs="+", default=[128, 224])
    parser.add_argument("--seed", type=int, default=3)
    given = parser.parse_args()
    rng = np.random.default_rng(given.seed)
    with Twin() as twin, Detector() as detector:
        views = [View(twin, detector, look, size) for size in given.sizes for look in LOOKS]
        measure(twin, views, [sample_command(twin.spec, rng) for _ in range(given.faces)])
        regions = [row for view in views for row in view.rows()]
        brows = [row for size in given.sizes for row in lone_brows(twin, detector, size)]
    print_table(f"{given.faces} random faces", regions)
    print_table("one brow cable alone: share of its motion that is read", brows)
    if given.json:
        write_json(given.json, {"regions": regions, "lone_brows": brows})


if __name__ == "__main__":
    main()
