"""How well synthetic people are mirrored, whose true expression, gaze and head pose are known.

    python -m benchmarks.crowd out/crowd [--part tuning] [--out DIR] [--people 6] [--resume] [--workers 2]
        [--passes 8]

`tools.build_crowd` films the people (docs/crowd.md). Each is mirrored by the reduced twin as a clip is, from
what the detector read, without pictures. `report.json` has all figures, `report.png` shows them. The figures
of each person are kept in the folder `people` of the report; `--resume` goes on with the next person.

With `--passes` clips are played forth and back, as if people went on for longer, and all figures are of the
last pass.

The robot acts later than the person. Its curves are shifted by the delay at which they fit best: one for all
measurements of a person's face and gaze, and one for the head, which is predicted and so acts sooner. `best`
is the nearest face in the robot's reach, by search through the twin, for every 20th step. `asked` is the face
that mirroring asks of the robot when it is told the person's true face: what perfect reading would leave.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.crowd_people import (
    CrowdPerson,
    Mirrored,
    NearestFaces,
    UnseenTwin,
    mirror_person,
    played_again,
    read_person,
)
from benchmarks.crowd_report import Metrics, draw_plot, print_tables, summarise
from eva_sim.agents.mirroring.controller import MirrorTrace
from eva_sim.agents.mirroring.metrics import ANGLES, measure_both
from eva_sim.agents.mirroring.retargeting import Retargeter
from eva_sim.agents.models.inverse import SHIPPED_MODEL
from eva_sim.agents.models.routes import load_model
from eva_sim.contract import Floats
from eva_sim.errors import DataError
from eva_sim.files import asset, check_output_folder, read_json, write_json
from eva_sim.landmarks import REGIONS, Aligner, face_measurements
from eva_sim.progress import progress
from eva_sim.workers.choice import choose_workers

#: Measurements of the head.
HEAD = ANGLES[:3]
#: Longest delay that is tried [control steps].
_LONGEST = 12
#: Control steps between two for which the nearest face is searched.
EVERY = 20
#: A true measurement that varies less than this has no correlation [standard deviation; outer-eye distances,
#: and rad of angles].
_STILL, _STILL_ANGLE = 0.003, 0.02
#: Lids that are closed further than this hide the gaze.
_CLOSED = 0.5
_RANGE = (1, 99)  # percentiles between which a range is taken


def measure_person(
    person: CrowdPerson, mirrored: Mirrored, nearest: NearestFaces, retarget: Retargeter
) -> Metrics:
    """Returns all figures of one person."""
    trace, frame = mirrored.trace, mirrored.trace.frame
    seen = np.array([face is not None for face in person.faces])[frame]
    truth = {name: curve[frame] for name, curve in person.measurements().items()}
    read, robot = measure_both(trace)
    delay = find_delay(truth, robot, [name for name in truth if name not in ANGLES])
    head_delay = find_delay(truth, robot, HEAD)
    return {
        "rests": person.rests, "tuning": person.tuning, "detected": float(seen.mean()),
        "held_back": float((seen & ~trace.found)[seen].mean()), "delay": delay, "head_delay": head_delay,
        "neutral": neutral_errors(person, mirrored),
        "measurements": {
            name: compare_curves(
                name, truth[name], read[name], robot[name],
                head_delay if name in HEAD else delay, person.blink[frame],
            )
            for name in truth
        },
        **compare_reach(person, trace, delay, nearest, retarget),
    }  # fmt: skip


def neutral_errors(person: CrowdPerson, mirrored: Mirrored) -> dict[str, float | None]:
    """Returns the mean distance of the landmarks of the estimated neutral face from the true one.

    `resting` is the error of the median of the frames in which the person rests: that of the detector alone.
    All in outer-eye distances.
    """
    truth = Aligner(person.neutral, 1.0)

    def error(face: Floats) -> Floats:
        return truth(face) - person.neutral

    found = error(mirrored.rest.landmarks)
    resting = [face.landmarks for face, rests in zip(person.faces, person.rest, strict=True)
               if rests and face is not None]  # fmt: skip
    floor = None
    if resting:
        floor = float(np.linalg.norm(error(np.median(truth(np.array(resting)), axis=0)), axis=1).mean())
    return {
        "error": float(np.linalg.norm(found, axis=1).mean()),
        "frontal": float(np.linalg.norm(found[:, :2], axis=1).mean()),
        "resting": floor,
    }


def find_delay(truth: Mapping[str, Floats], robot: Mapping[str, Floats], names: Iterable[str]) -> int:
    """Returns the delay of the robot at which named measurements fit best, if they vary [control steps]."""
    varying = [name for name in names if truth[name].std() >= _least(name)]
    if not varying:
        return 0
    fits = [
        np.mean([_correlation(*delayed(truth[name], robot[name], delay)) for name in varying])
        for delay in range(_LONGEST + 1)
    ]
    return int(np.argmax(fits))


def delayed(truth: Floats, later: Floats, delay: int) -> tuple[Floats, Floats]:
    """Returns both where they overlap when the second one is `delay` steps late."""
    return truth[: len(truth) - delay], later[delay:]


def compare_curves(
    name: str, truth: Floats, read: Floats, robot: Floats, delay: int, blink: Floats
) -> dict[str, float | None]:
    """Compares one measurement of the person, true and as read, with that of the robot."""
    shown = blink < _CLOSED if name.startswith("gaze") else np.ones(len(truth), bool)

    def pair(curve: Floats, late: int) -> tuple[Floats, Floats]:
        wanted, made = delayed(truth, curve, late)
        return wanted[shown[: len(wanted)]], made[shown[: len(wanted)]]

    wanted, made = pair(robot, delay)
    if wanted.std() < _least(name):
        return {"robot": None, "read": None, "share": None, "slope": None}
    return {
        "robot": _correlation(wanted, made),
        "read": max(_correlation(*pair(read, late)) for late in range(delay + 1)),
        "share": _range(made) / _range(wanted),
        "slope": float(np.polyfit(wanted, made, 1)[0]),
    }


def compare_reach(
    person: CrowdPerson, trace: MirrorTrace, delay: int, nearest: NearestFaces, retarget: Retargeter
) -> Metrics:
    """Compares the robot's landmarks and ranges with those of the nearest faces that it can make.

    Args:
        person: whose true motion on the robot's face at rest is wanted.
        trace: what the robot did.
        delay: of the robot [control steps].
        nearest: finds the nearest faces.
        retarget: tells which faces mirroring asks for.
    """
    at = np.arange(0, len(trace.frame) - delay, EVERY)
    motion, made = person.displacement[trace.frame[at]], trace.robot[at + delay]
    wanted = retarget.neutral + motion
    best = nearest(wanted, trace.commands[at + delay])
    asked = np.array([retarget(person.neutral + each, person.neutral) for each in motion])
    faces = {"robot": made, "asked": asked, "best": best}
    regions = {
        name: {whose: _distance(each - wanted, rows) for whose, each in faces.items()}
        for name, rows in REGIONS.items()
    }
    curves = [face_measurements(faces) for faces in (wanted, made, best)]
    reach = {}
    for name in curves[0]:
        true, own, reached = (float(np.ptp(each[name])) for each in curves)
        moved = curves[0][name].std() > _STILL
        reach[name] = {
            "reachable": reached / true if moved else None,
            "reached": own / reached if moved else None,
        }
    return {"regions": regions, "reach": reach}


def _least(name: str) -> float:
    return _STILL_ANGLE if name in ANGLES else _STILL


def _distance(difference: Floats, rows: np.ndarray) -> float:
    return float(np.linalg.norm(difference[:, rows], axis=2).mean())


def _correlation(a: Floats, b: Floats) -> float:
    return float(np.corrcoef(a, b)[0, 1]) if a.std() > 0 and b.std() > 0 else 0.0


def _range(curve: Floats) -> float:
    return float(np.ptp(np.percentile(curve, _RANGE)))


def choose_people(folder: Path, part: str, most: int | None) -> list[Path]:
    """Returns the files of the people of one part.

    Raises:
        DataError: there are none.
    """
    files = sorted(folder.glob("person_*.npz"))
    wanted = [file for file in files if part == "all" or read_person(file).tuning == (part == "tuning")]
    if not wanted:
        raise DataError(f"{folder} has no people of the part {part}; film them with tools.build_crowd.")
    return wanted[:most]


def keep_settings(file: Path, settings: dict[str, Any], resume: bool) -> None:
    """Writes with which settings people are measured, so that only such figures are put together.

    Raises:
        DataError: an interrupted run that is to go on had others.
    """
    if resume and file.exists() and (before := read_json(file)) != settings:
        raise DataError(
            f"{file.parent} was measured with {before}, not {settings}; "
            "leave out --resume, or choose another --out."
        )
    write_json(file, settings)


@contextmanager
def _open_bench(
    files: list[Path], model: Path, reports: list[Path], passes: int
) -> Iterator[Callable[[int], None]]:
    """Yields what mirrors and measures the person of a place in the lists."""
    route = load_model(model)
    with UnseenTwin() as twin:
        nearest, retarget = NearestFaces(twin), Retargeter.of_model(twin.spec, route)

        def measure(place: int) -> None:
            person = played_again(read_person(files[place]), passes)
            last = len(person.time) // passes * (passes - 1)
            mirrored = mirror_person(person, route, twin).from_frame(last)
            write_json(reports[place], measure_person(person, mirrored, nearest, retarget))

        yield measure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path, help="of the people's files")
    parser.add_argument("--part", choices=("tuning", "test", "all"), default="test")
    parser.add_argument("--people", type=int, help="only the first so many")
    parser.add_argument(
        "--model", type=Path, help="folder of a model of any route (default: the shipped one)"
    )
    parser.add_argument("--out", type=Path, default=Path("out/crowd_report"), help="folder of the report")
    parser.add_argument("--resume", action="store_true", help="keep the people of an interrupted run")
    parser.add_argument("--passes", type=int, default=1, help="how often each clip is played")
    parser.add_argument("--workers", type=int, default=1, help="number of processes")
    given = parser.parse_args()
    if given.passes < 1:
        parser.error("--passes is at least 1")
    out = check_output_folder(given.out)
    settings = {"folder": str(given.folder.resolve()), "model": str(given.model), "passes": given.passes}
    keep_settings(out / "people" / "settings.json", settings, given.resume)
    files = choose_people(given.folder, given.part, given.people)
    reports = [out / "people" / f"{file.stem}.json" for file in files]
    missing = [place for place, each in enumerate(reports) if not (given.resume and each.exists())]
    bench = partial(_open_bench, files, given.model or asset(SHIPPED_MODEL), reports, given.passes)
    with closing(choose_workers(given.workers).run_jobs(bench, missing)) as measured:
        for _ in progress(measured, "mirror", unit="people", total=len(missing)):
            pass
    people = {each.stem: read_json(each) for each in reports}
    summary = summarise(people)
    print_tables(summary)
    write_json(out / "report.json", {"part": given.part, "summary": summary, "people": people})
    draw_plot(people, out / "report.png")


if __name__ == "__main__":
    try:
        main()
    except DataError as error:
        sys.exit(str(error))
