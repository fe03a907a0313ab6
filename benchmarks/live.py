"""Live mirroring, stage by stage: a clip is played as a camera, and every step draws the robot.

    python -m benchmarks.live [--json FILE] [--seconds 20] [--fps 30]

The clip's pictures are stamped one control period apart, so that each of them asks for a control step, and
come by the wall clock. Pictures that come while no one waits for them are dropped, as a camera drops them.
The robot is the twin, drawn as `eva mirror 0` draws it.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from eva_sim.agents.mirroring.metrics import tabulate_stages
from eva_sim.agents.mirroring.mirror import mirror
from eva_sim.agents.mirroring.stage_times import ANSWER, MOVE, summarise_times
from eva_sim.agents.models.inverse import SHIPPED_MODEL
from eva_sim.agents.models.routes import load_model
from eva_sim.files import asset, write_json
from eva_sim.media.clip_as_camera import ClipAsCamera
from eva_sim.twin import Twin

#: How long a picture waits in the camera until it is taken.
WAIT = "wait in the camera"


def measure(fps: float, seconds: float) -> dict[str, Any]:
    """Returns the rate of answered pictures [1/s], times of all stages [ms], and the load at the beginning.

    A picture reaches the skin when it has waited in the camera, was answered, and the servos' delay has
    passed; `picture_to_skin_ms` sums the 95th percentiles.
    """
    load = os.getloadavg()[0]
    with Twin(style="fast") as twin, tempfile.TemporaryDirectory() as out:
        period = twin.spec.control_dt
        camera = ClipAsCamera(asset("samples/person.mp4"), fps, seconds, period)
        metrics = mirror(camera, load_model(asset(SHIPPED_MODEL)), twin, out)
        time = np.load(Path(out) / "traces.npz")["time"]
        delay = twin.spec.column("delay").max() * period
    stages = {WAIT: summarise_times([*camera.waits]), **metrics["stages"]}
    answered, duration = stages[ANSWER]["count"], (time[-1] - time[0]) / period / fps
    return {
        "load": load, "cores": os.cpu_count(), "pictures_per_second": fps, "seconds": seconds,
        "answered_per_second": (answered - 1) / duration, "stages": stages,
        "picture_to_skin_ms": 1000 * float(delay) + sum(stages[name]["p95"] for name in (WAIT, ANSWER, MOVE)),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--fps", type=float, default=30.0)
    given = parser.parse_args()
    found = measure(given.fps, given.seconds)
    headings, *rows = tabulate_stages(found["stages"])
    title = f"{found['answered_per_second']:.1f} of {found['pictures_per_second']:g} pictures/s answered"
    table = Table(*headings, title=f"{title}; load {found['load']:.1f} on {found['cores']} cores")
    for row in rows:
        table.add_row(*row)
    console = Console()
    console.print(table)
    console.print(f"picture to skin: at most {found['picture_to_skin_ms']:.0f} ms, 95 % of each stage")
    if given.json:
        write_json(given.json, found)


if __name__ == "__main__":
    main()
