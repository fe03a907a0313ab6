"""What the landmark detector reads from pictures of random faces, against the landmarks of the mesh.

    python -m benchmarks.reading [--json FILE] [--faces 500] [--sizes 128 224] [--seed 3]

Each face settles, and is drawn in every look and size. Motion is counted from the resting face, read in the
same look. For each region: the median distance between the motion that is read and that of the mesh, in
space and in the frontal plane; the median motion of the mesh, and the first over it; and the share of the
mesh's motion in the frontal plane that is read. Depth is a guess of the detector. Then each brow cable pulls
alone.
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
from eva_sim.averaged_landmarks import averaged_landmarks
from eva_sim.contract import Floats
from eva_sim.detector import Detector
from eva_sim.files import write_json
from eva_sim.landmarks import REGIONS, Aligner
from eva_sim.settling import reset_and_hold
from eva_sim.twin import Twin
from eva_sim.twin.head_camera import HeadCamera

#: Style and material of each look.
LOOKS = (("plain", "blue"), ("fast", "blue"), ("fast", "grey"), ("fast", "human"))
BROW_CABLES = ("brow_inner", "brow_outer", "corrugator")
MILLIMETRES = 1000


class View:
    """Reads the twin in one look and size, as motion from rest.

    Args:
        twin: the face.
        detector: in picture mode.
        look: style and material.
        size: side of the picture [pixels].
    """

    def __init__(self, twin: Twin, detector: Detector, look: tuple[str, str], size: int) -> None:
        self._twin, self._detector, self.look, self.size = twin, detector, look, size
        self._camera = HeadCamera(twin.spec, *look)
        twin.reset()
        rest = averaged_landmarks(self._picture(), detector)
        if rest is None:
            raise SystemExit(f"the detector does not find the resting face: {look}, {size} pixels.")
        self._aligner, self._mesh = Aligner.of(rest), Aligner.of(twin.points())
        self.read: list[Floats] = []
        self.made: list[Floats] = []
        self.tried = 0

    def look_once(self) -> None:
        """Draws the face as it is now, and keeps what is read beside what the mesh shows."""
        self.tried += 1
        found = self._detector.landmarks(self._picture())
        if found is not None:
            self.read.append(self._aligner(found) - self._aligner.neutral)
            self.made.append(self._mesh(self._twin.points()) - self._mesh.neutral)

    def _picture(self) -> np.ndarray:
        return self._camera.picture(self._twin.skin.points, self._twin.head.pose, self.size)

    def rows(self) -> Iterator[dict[str, object]]:
        """Yields the figures of each region."""
        read, made = np.array(self.read), np.array(self.made)
        millimetres = MILLIMETRES * self._twin.outer_eye
        for region, points in REGIONS.items():
            error = millimetres * (read[:, points] - made[:, points])
            distance = float(np.median(np.linalg.norm(error, axis=2)))
            motion = millimetres * float(np.median(np.linalg.norm(made[:, points], axis=2)))
            yield {
                "style": self.look[0], "material": self.look[1], "pixels": self.size,
                "found": f"{len(read)} of {self.tried}", "region": region,
                "error_mm": distance,
                "in_plane_mm": float(np.median(np.linalg.norm(error[..., :2], axis=2))),
                "motion_mm": motion, "relative": distance / motion,
                "shown": shown_share(read[:, points], made[:, points]),
            }  # fmt: skip


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
            row[cable] = shown_share(np.array(view.read)[far], made[far])
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
