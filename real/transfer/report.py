"""The transfer report: the difference between twin and robot when both get the same commands.

The detector reads both faces from pictures in the same way, so that its bias cancels. The report compares the
motion of each landmark from its own face's neutral, in mm: open loop, nothing fitted. It also holds the
detector's floor (one face, read twice) and a robot with the twin's own parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eva_sim import make_face
from eva_sim.averaged_landmarks import averaged_landmarks, averaged_neutral
from eva_sim.contract import Face, FaceSpec, Floats
from eva_sim.detector import Detector
from eva_sim.errors import DataError, MediaError, check_seed
from eva_sim.files import atomic_files, check_output_folder, read_json, write_json
from eva_sim.landmarks import REGIONS, Aligner
from eva_sim.media.encoding import decode_jpeg, encode_jpeg
from eva_sim.optional import import_optional
from eva_sim.progress import progress, report
from eva_sim.randomise import Parameters, draw_parameters
from eva_sim.real.transfer.observations import PlanObservations
from eva_sim.real.transfer.plan import TransferPlan, make_plan
from eva_sim.real.transfer.report_page import draw_report
from eva_sim.workers.choice import choose_workers
from eva_sim.workers.jobs import Workers

#: Opens the robot of a seed, ready to move; seed 0 has the twin's own parameters.
OpenRobot = Callable[[int], Face]

#: Side of the pictures [pixels].
SIZE = 480
#: Number of other camera positions from which the twin is read again, for the floor.
CAMERAS = 2
#: Published sim-to-real medians of another tendon face, static, 21 points [mm]: IROS 2024, arXiv 2403.12670.
PUBLISHED = {"brows": 3.27, "eyes": 2.41, "nose": 1.76, "cheeks": 4.01, "mouth": 3.76, "jaw": 8.63}


def run_transfer(
    spec: FaceSpec,
    out: str | Path,
    open_robot: OpenRobot,
    seeds: Sequence[int] = range(1, 6),
    *,
    plan_seed: int = 0,
    own: bool = True,
    resume: bool = True,
    plan: TransferPlan | None = None,
    workers: int | Workers = 1,
) -> dict[str, Any]:
    """Makes the report: `report.json`, and `report.png` with bars and the worst pose.

    Args:
        spec: the face.
        out: folder; made if missing. Each face's pictures are kept there, so that a run can be resumed.
        open_robot: opens a robot, ready to move.
        seeds: seeds of the robots.
        plan_seed: seed of commands and camera positions.
        own: whether to read a robot with the twin's own parameters too (a physical one cannot).
        resume: use the content of the folder; otherwise it must hold no report.
        plan: the commands; by default made from `plan_seed`.
        workers: number of processes, or workers; a face is a job. They do not change the report, and they
            must be able to open the robots, which this process may be the only one to reach.

    Returns:
        The content of `report.json`.

    Raises:
        DataError: the folder holds another report.
        MediaError: a neutral face was not found in its pictures.
    """
    folder, chosen = check_output_folder(out), choose_workers(workers)
    import_optional("matplotlib", "train")  # which draws at the end
    plan = plan or make_plan(spec, check_seed(plan_seed, "plan_seed"))
    _check_folder(folder, plan, resume)
    observations = observe_faces(folder, plan, _face_openers(spec, open_robot, seeds, plan_seed, own), chosen)
    with Detector() as detector:
        again = _read_again(observations["twin"], detector)
    summary = summarise(plan, observations, again)
    with atomic_files(folder) as part:
        write_json(part / "report.json", summary)
        draw_report(part / "report.png", summary, observations)
    return summary


def open_twin(spec: FaceSpec, parameters: Parameters) -> Face:
    """Opens the twin with these parameters."""
    from eva_sim.twin import Twin

    twin = Twin(spec=spec)
    twin.set_parameters(parameters)
    return twin


def robot_opener(spec: FaceSpec, body: str, **options: Any) -> OpenRobot:
    """Returns a function that opens the robot of a seed.

    Args:
        spec: the face.
        body: see `eva_sim.make_face`; `"twin"` is a twin with other parameters.
        **options: of the body. Hidden robots also get the seed and the size of pictures.
    """
    if body == "twin":
        return partial(_open_other_twin, spec)
    if body == "robot":
        return partial(_open_physical_robot, spec, options)
    return partial(_open_hidden_robot, spec, body, options)


def _open_other_twin(spec: FaceSpec, seed: int) -> Face:
    return open_twin(spec, draw_parameters(spec, np.random.default_rng(seed)) if seed else {})


def _open_physical_robot(spec: FaceSpec, options: Mapping[str, Any], seed: int) -> Face:
    return make_face("robot", spec=spec, **options)


def _open_hidden_robot(spec: FaceSpec, body: str, options: Mapping[str, Any], seed: int) -> Face:
    return make_face(body, spec=spec, seed=seed, camera_size=SIZE, **options)


def observe_plan(
    face: Face, plan: TransferPlan, detector: Detector, step: Callable[[], object] = lambda: None
) -> PlanObservations:
    """Sends a plan to a face and reads its pictures; `step` is called after each command.

    Raises:
        MediaError: the neutral face was not found.
    """
    faults = dict.fromkeys(face.reset(0).faults)
    aligner = averaged_neutral(face, detector, lambda reading: _compressed(face))
    landmarks, found, jpegs = list[Floats](), list[bool](), list[bytes]()
    due = set(plan.read.tolist())
    for index, command in enumerate(plan.commands):
        faults |= dict.fromkeys(face.move(command).faults)
        if index in due:
            jpegs.append(encode_jpeg(face.render(SIZE)))
            points = averaged_landmarks(decode_jpeg(jpegs[-1]), detector)
            found.append(points is not None)
            landmarks.append(np.zeros_like(aligner.neutral) if points is None else aligner(points))
        step()
    return PlanObservations(
        aligner.neutral,
        np.array(landmarks),
        np.array(found),
        float(face.outer_eye),
        tuple(jpegs),
        tuple(faults),
    )


def _compressed(face: Face) -> NDArray[np.uint8]:
    """Renders a picture and compresses it as JPEG, as a camera does."""
    return decode_jpeg(encode_jpeg(face.render(SIZE)))


def _face_openers(
    spec: FaceSpec, open_robot: OpenRobot, seeds: Sequence[int], plan_seed: int, own: bool
) -> dict[str, Callable[[], Face]]:
    """Openers of every face of the report, by the name of its file."""
    rng = np.random.default_rng([plan_seed, 1])
    cameras = [{"camera": draw_parameters(spec, rng)["camera"]} for _ in range(CAMERAS)]
    # The robots come first: they are what may be missing.
    openers: dict[str, Callable[[], Face]] = {f"robot-{seed}": partial(open_robot, seed) for seed in seeds}
    openers["twin"] = partial(open_twin, spec, {})
    openers |= {f"camera-{i}": partial(open_twin, spec, camera) for i, camera in enumerate(cameras)}
    if own:
        openers["own"] = partial(open_robot, 0)
    return openers


def _check_folder(folder: Path, plan: TransferPlan, resume: bool) -> None:
    head = folder / "plan.json"
    if head.exists():
        if not resume:
            raise DataError(f"{folder} holds a transfer report; choose another folder or resume it.")
        earlier = read_json(head)
        if not isinstance(earlier, dict) or earlier.get("digest") != plan.digest:
            raise DataError(f"{folder} was made with another plan; choose another folder.")


def _write_head(folder: Path, plan: TransferPlan) -> None:
    """Writes the description of the plan. There is an observation by then: opening a robot may fail."""
    content = {"digest": plan.digest, "names": list(plan.names), "seed": plan.seed}
    write_json(folder / "plan.json", content)


def observe_faces(
    folder: Path, plan: TransferPlan, faces: Mapping[str, Callable[[], Face]], workers: Workers
) -> dict[str, PlanObservations]:
    """Observes each face; observations that the folder holds are not repeated."""
    there = [name for name in faces if _path(folder, name).exists()]
    if there:
        report(f"{folder} holds {len(there)} of {len(faces)} faces; those that are whole are kept.")
    names = list(faces)
    open_observer = partial(_open_observer, folder.absolute(), plan, faces)
    with (
        progress(does="transfer", total=len(faces), unit="faces", workers=workers.count) as bar,
        closing(workers.run_jobs(open_observer, _missing_faces(folder, plan, names, bar.skip))) as observed,
    ):
        for _ in observed:
            bar.update()
    return {name: PlanObservations.read(_path(folder, name), plan) for name in names}


def count_observed_faces(folder: Path) -> int:
    """Number of faces whose observations a folder holds."""
    return len(list(folder.glob("*.npz")))


def _path(folder: Path, name: str) -> Path:
    return folder / f"{name}.npz"


def _missing_faces(
    folder: Path, plan: TransferPlan, names: Sequence[str], skipped: Callable[[int], object]
) -> Iterator[int]:
    """Yields the index of each face whose observations are missing or damaged."""
    for index, name in enumerate(names):
        try:
            PlanObservations.read(_path(folder, name), plan)
            skipped(1)
        except DataError:
            yield index


@contextmanager
def _open_observer(
    folder: Path, plan: TransferPlan, faces: Mapping[str, Callable[[], Face]]
) -> Iterator[Callable[[int], None]]:
    """Opens a detector; yields the function that observes a face, given its index, with it."""
    names = list(faces)
    with Detector() as detector:

        def observe(index: int) -> None:
            name = names[index]
            with (
                progress(does=f"transfer, {name}", total=len(plan.commands), unit="steps") as bar,
                faces[name]() as face,
            ):
                observations = observe_plan(face, plan, detector, bar.update)
            _write_head(folder, plan)
            observations.write(_path(folder, name), plan)

        yield observe


def _read_again(twin: PlanObservations, detector: Detector) -> PlanObservations:
    """Reads the same pictures again, compressed once more and moved by a pixel: the detector's own error."""
    landmarks = twin.landmarks.copy()
    aligner = Aligner(twin.neutral, 1.0)
    found = twin.found.copy()
    for index, jpeg in enumerate(twin.jpegs):
        moved = encode_jpeg(np.roll(decode_jpeg(jpeg), 1, axis=(0, 1)))
        points = averaged_landmarks(decode_jpeg(moved), detector)
        found[index] &= points is not None
        if points is not None:
            landmarks[index] = aligner(points)
    return replace(twin, landmarks=landmarks, found=found)


def motion_errors(twin: PlanObservations, other: PlanObservations) -> Floats:
    """Difference of the landmarks' motion from each face's own neutral, (K, N) [mm]; NaN where not found.

    The twin's outer-eye distance scales both.

    Raises:
        MediaError: no picture shows both faces.
    """
    if not (twin.found & other.found).any():
        raise MediaError("no picture of the plan shows both faces; look at the pictures, then at the camera.")
    difference = (other.landmarks - other.neutral) - (twin.landmarks - twin.neutral)
    error: Floats = 1000 * twin.outer_eye * np.linalg.norm(difference, axis=-1)
    return np.where((twin.found & other.found)[:, None], error, np.nan)


def by_region(error: Floats) -> dict[str, dict[str, float]]:
    """Median and 90th percentile of errors, (..., N), in each region; NaN is left out."""
    return {
        name: {
            "median": float(np.nanmedian(error[..., rows])),
            "p90": float(np.nanpercentile(error[..., rows], 90)),
        }
        for name, rows in REGIONS.items()
    }


def summarise(
    plan: TransferPlan, observations: Mapping[str, PlanObservations], again: PlanObservations
) -> dict[str, Any]:
    """Summarises the observations as the report, all in mm."""
    twin = observations["twin"]
    errors = {name: motion_errors(twin, other) for name, other in observations.items() if name != "twin"}
    robots = sorted(name for name in errors if name.startswith("robot-"))
    cameras = np.stack([error for name, error in errors.items() if name.startswith("camera-")])
    every = np.stack([errors[name] for name in robots])
    moved = 1000 * twin.outer_eye * np.linalg.norm(twin.landmarks - twin.neutral, axis=-1)
    worst = np.unravel_index(int(np.nanargmax(np.nanmean(every, axis=-1))), every.shape[:2])
    return {
        "unit": "mm",
        "poses": len(plan.read), "steps": len(plan.commands), "seed": plan.seed, "plan": plan.digest,
        "moved": by_region(moved[twin.found]),
        "floor": {"same_pose": by_region(motion_errors(twin, again)), "other_camera": by_region(cameras)},
        "own": by_region(errors["own"]) if "own" in errors else None,
        "robots": {name: by_region(errors[name]) for name in robots},
        "settled": by_region(every[:, plan.settled]), "moving": by_region(every[:, ~plan.settled]),
        "all": by_region(every),
        "unread": {name: int((~s.found).sum()) for name, s in observations.items()},
        "faults": {name: list(s.faults) for name, s in observations.items() if s.faults},
        "worst": {"robot": robots[worst[0]], "pose": int(worst[1]), "name": plan.names[worst[1]],
                  "mean": float(np.nanmean(every[worst]))},
        "published": PUBLISHED,
    }  # fmt: skip
