"""Live mirroring, stage by stage: a clip is played as a camera, and every step draws the robot.

    python -m benchmarks.live [--json FILE] [--seconds 20] [--fps 30]

Pictures that come while a step is made are dropped, as a camera drops them. The robot is the twin, drawn as
`eva mirror 0` draws it. A step is one picture of the person that was answered.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from time import perf_counter, sleep
from typing import Any

from rich.console import Console
from rich.table import Table

from eva_sim.agents.mirroring.metrics import tabulate_stages
from eva_sim.agents.mirroring.mirror import mirror
from eva_sim.agents.models.inverse import SHIPPED_MODEL
from eva_sim.agents.models.routes import load_model
from eva_sim.files import asset, write_json
from eva_sim.media.sources import Frames, FrameSource, open_file
from eva_sim.twin import Twin


class ClipAsCamera(FrameSource):
    """Plays the pictures of a clip at a steady rate by the wall clock.

    Args:
        clip: file.
        fps: pictures per second.
        seconds: time after which it ends; a shorter clip is played again.
    """

    live = True

    def __init__(self, clip: Path, fps: float, seconds: float) -> None:
        self.name, self.fps, self._seconds = f"{clip.name} as a camera", fps, seconds
        self._pictures = [picture for _, picture in open_file(clip)]
        self.sent = 0

    def __iter__(self) -> Frames:
        start, last = perf_counter(), -1
        while last + 1 < self._seconds * self.fps:
            due = max(last + 1, int((perf_counter() - start) * self.fps))
            sleep(max(0.0, due / self.fps - (perf_counter() - start)))
            self.sent, last = self.sent + 1, due
            yield due / self.fps, self._pictures[due % len(self._pictures)]


def measure(fps: float, seconds: float) -> dict[str, Any]:
    """Returns rates [1/s], times of all stages [ms], and the load at the beginning."""
    load = os.getloadavg()[0]
    camera = ClipAsCamera(asset("samples/person.mp4"), fps, seconds)
    with Twin(style="fast") as twin, tempfile.TemporaryDirectory() as out:
        metrics = mirror(camera, load_model(asset(SHIPPED_MODEL)), twin, out)
    return {
        "load": load, "cores": os.cpu_count(), "pictures_per_second": fps, "seconds": seconds,
        "answered_per_second": camera.sent / seconds, "stages": metrics["stages"],
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--fps", type=float, default=30.0)
    given = parser.parse_args()
    found = measure(given.fps, given.seconds)
    headings, *rows = tabulate_stages(found["stages"])
    answered = f"{found['answered_per_second']:.1f} of {found['pictures_per_second']:g} pictures/s answered"
    table = Table(*headings, title=f"{answered}; load {found['load']:.1f} on {found['cores']} cores")
    for row in rows:
        table.add_row(*row)
    Console().print(table)
    if given.json:
        write_json(given.json, found)


if __name__ == "__main__":
    main()
