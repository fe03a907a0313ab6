"""The transfer report: how far twin and robot are apart when both are told the same.

Both faces are read alike, by the detector from their pictures, so that its bias falls away. What is
compared is how far each landmark moved from its own face's neutral, in mm: open loop, nothing fitted.
Beside it stand the detector's floor (one face, read twice) and a robot with the twin's own parameters.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eva_sim.averaged_landmarks import averaged_landmarks, averaged_neutral
from eva_sim.contract import Face, Floats, load_spec
from eva_sim.detector import Detector
from eva_sim.errors import DataError, MediaError
from eva_sim.files import read_arrays, read_json, write_arrays, write_json
from eva_sim.landmarks import REGIONS, Aligner
from eva_sim.media.encoding import decode_jpeg, encode_jpeg
from eva_sim.progress import progress
from eva_sim.randomise import Parameters, draw_parameters
from eva_sim.real.transfer.plan import TransferPlan, make_plan

#: Opens the robot with a seed's parameters, ready to move; seed 0 has the twin's own.
OpenRobot = Callable[[int], Face]

#: Side of the pictures that are read [pixels].
SIZE = 480
#: Other places of the camera from which the twin is read again, for the floor.
CAMERAS = 2
#: Published sim-to-real medians of another tendon face, static, 21 points [mm]: IROS 2024, arXiv 2403.12670.
PUBLISHED = {"brows": 3.27, "eyes": 2.41, "nose": 1.76, "cheeks": 4.01, "mouth": 3.76, "jaw": 8.63}


@dataclass(frozen=True)
class PlanObservations:
    """What the camera saw of one face that followed a plan. K pictures.

    Attributes:
        neutral: its resting landmarks, (N, 3) [outer-eye distances].
        landmarks: (K, N, 3) [outer-eye distances], aligned to that neutral; zero where not found.
        found: whether there was a face in the picture, (K,).
        outer_eye: of the neutral face [m], as the face itself says.
        jpegs: the pictures.
        faults: that the face told, each once.
    """

    neutral: Floats
    landmarks: Floats
    found: NDArray[np.bool_]
    outer_eye: float
    jpegs: tuple[bytes, ...]
    faults: tuple[str, ...]

    def write(self, path: Path, plan: TransferPlan) -> None:
        """Atomically, with the digest of its plan."""
        write_arrays(
            path, neutral=self.neutral, landmarks=self.landmarks, found=self.found, plan=plan.digest,
            outer_eye=self.outer_eye,
            jpegs=np.frombuffer(b"".join(self.jpegs), np.uint8), faults=json.dumps(self.faults),
            sizes=np.array([len(j) for j in self.jpegs]),
        )  # fmt: skip

    @classmethod
    def read(cls, path: Path, plan: TransferPlan) -> PlanObservations:
        """What `write` wrote.

        Raises:
            DataError: missing, damaged or of another plan.
        """
        arrays = read_arrays(path)
        if str(arrays.get("plan")) != plan.digest:
            raise DataError(f"{path} is of another plan; choose another folder.")
        ends = np.cumsum(arrays["sizes"])
        whole = arrays["jpegs"].tobytes()
        jpegs = tuple(whole[end - size : end] for end, size in zip(ends, arrays["sizes"], strict=True))
        faults = tuple(json.loads(str(arrays["faults"])))
        eye = float(arrays["outer_eye"])
        return cls(arrays["neutral"], arrays["landmarks"], arrays["found"], eye, jpegs, faults)


def run_transfer(
    out: str | Path,
    open_robot: OpenRobot,
    robots: int = 5,
    *,
    seed: int = 0,
    own: bool = True,
    resume: bool = True,
    plan: TransferPlan | None = None,
) -> dict[str, Any]:
    """Makes the report: `report.json`, and `report.png` with bars and the worst pose.

    Args:
        out: folder; made if missing. Each face's pictures are kept there, so that a run can be resumed.
        open_robot: opens a robot, ready to move.
        robots: how many; their seeds are 1, 2, ...
        seed: of commands and camera places.
        own: whether to read a robot with the twin's own parameters too (a physical one cannot).
        resume: use what the folder holds; otherwise it must hold nothing.
        plan: what all are told; by default made from `seed`.

    Returns:
        The content of `report.json`.

    Raises:
        DataError: the folder holds another report.
        MediaError: a neutral face was not found in its pictures.
    """
    from eva_sim.real.transfer.report_page import draw_report

    folder, plan = Path(out), plan or make_plan(seed)
    _prepare(folder, plan, resume)
    with Detector() as detector:
        seen = see_all(folder, plan, detector, _faces(open_robot, robots, seed, own))
        again = _read_again(seen["twin"], detector)
    report = summarise(plan, seen, again)
    write_json(folder / "report.json", report)
    draw_report(folder / "report.png", report, seen)
    return report


def open_twin(parameters: Parameters) -> Face:
    """The twin with these parameters."""
    from eva_sim.twin import Twin

    twin = Twin()
    twin.set_parameters(parameters)
    return twin


def robot_opener(body: str, **options: Any) -> OpenRobot:
    """Opens robots by the name of their body; `"twin"` is a twin with other parameters.

    Args:
        body: see `eva_sim.make_face`.
        **options: of the body. Those that hide a twin are also given its seed, and the pictures' size.
    """
    from eva_sim import make_face

    if body == "twin":
        return lambda seed: open_twin(
            draw_parameters(load_spec(), np.random.default_rng(seed)) if seed else {}
        )
    if body == "robot":
        return lambda seed: make_face(body, **options)
    return lambda seed: make_face(body, robot=seed, size=SIZE, **options)


def observe_plan(
    face: Face, plan: TransferPlan, detector: Detector, step: Callable[[], object] = lambda: None
) -> PlanObservations:
    """Tells a face a plan and reads its pictures; `step` is called after each command.

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
    eye = float(face.outer_eye)
    return PlanObservations(
        aligner.neutral, np.array(landmarks), np.array(found), eye, tuple(jpegs), tuple(faults)
    )


def _compressed(face: Face) -> NDArray[np.uint8]:
    """A picture that went through JPEG, as a camera's does."""
    return decode_jpeg(encode_jpeg(face.render(SIZE)))


def _faces(open_robot: OpenRobot, robots: int, seed: int, own: bool) -> dict[str, Callable[[], Face]]:
    """Every face that is read, by the name of its file."""
    rng = np.random.default_rng([seed, 1])

    places = [{"camera": draw_parameters(load_spec(), rng)["camera"]} for _ in range(CAMERAS)]
    faces: dict[str, Callable[[], Face]] = {"twin": partial(open_twin, {})}
    faces |= {f"camera-{i}": partial(open_twin, place) for i, place in enumerate(places)}
    if own:
        faces["own"] = partial(open_robot, 0)
    return faces | {f"robot-{i}": partial(open_robot, i) for i in range(1, robots + 1)}


def _prepare(folder: Path, plan: TransferPlan, resume: bool) -> None:
    head = folder / "plan.json"
    if head.exists():
        if not resume:
            raise DataError(f"{folder} holds a transfer report; choose another folder or resume it.")
        if read_json(head).get("digest") != plan.digest:
            raise DataError(f"{folder} was made with another plan; choose another folder.")
    write_json(head, {"digest": plan.digest, "names": list(plan.names), "seed": plan.seed})


def see_all(
    folder: Path, plan: TransferPlan, detector: Detector, faces: Mapping[str, Callable[[], Face]]
) -> dict[str, PlanObservations]:
    """What the camera sees of each face, one after the other; what the folder holds is not done again."""
    seen = {}
    with progress(does="transfer", total=len(faces) * len(plan.commands), unit="steps") as bar:
        for name, opened in faces.items():
            bar.set_postfix_str(name, refresh=False)
            path = folder / f"{name}.npz"
            try:
                seen[name] = PlanObservations.read(path, plan)
                bar.update(len(plan.commands))
            except DataError:
                with opened() as face:
                    seen[name] = observe_plan(face, plan, detector, bar.update)
                seen[name].write(path, plan)
    return seen


def _read_again(twin: PlanObservations, detector: Detector) -> PlanObservations:
    """The same pictures, compressed once more and moved by a pixel: what the detector alone does."""
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
    """How differently the landmarks moved from each one's neutral, (K, N) [mm]; NaN where not found.

    Both are measured with the twin's ruler.

    Raises:
        MediaError: no picture shows both faces.
    """
    if not (twin.found & other.found).any():
        raise MediaError("no picture of the plan shows both faces; look at the pictures, then at the camera.")
    apart = (other.landmarks - other.neutral) - (twin.landmarks - twin.neutral)
    error: Floats = 1000 * twin.outer_eye * np.linalg.norm(apart, axis=-1)
    return np.where((twin.found & other.found)[:, None], error, np.nan)


def by_region(error: Floats) -> dict[str, dict[str, float]]:
    """Median and 90th percentile of (..., N) errors in each region, NaN left out."""
    return {
        name: {
            "median": float(np.nanmedian(error[..., rows])),
            "p90": float(np.nanpercentile(error[..., rows], 90)),
        }
        for name, rows in REGIONS.items()
    }


def summarise(
    plan: TransferPlan, seen: Mapping[str, PlanObservations], again: PlanObservations
) -> dict[str, Any]:
    """The report, all in mm."""
    twin = seen["twin"]
    apart = {name: motion_errors(twin, other) for name, other in seen.items() if name != "twin"}
    robots = sorted(name for name in apart if name.startswith("robot-"))
    cameras = np.stack([error for name, error in apart.items() if name.startswith("camera-")])
    every = np.stack([apart[name] for name in robots])
    moved = 1000 * twin.outer_eye * np.linalg.norm(twin.landmarks - twin.neutral, axis=-1)
    worst = np.unravel_index(int(np.nanargmax(np.nanmean(every, axis=-1))), every.shape[:2])
    return {
        "unit": "mm",
        "poses": len(plan.read), "steps": len(plan.commands), "seed": plan.seed, "plan": plan.digest,
        "moved": by_region(moved[twin.found]),
        "floor": {"same_pose": by_region(motion_errors(twin, again)), "other_camera": by_region(cameras)},
        "own": by_region(apart["own"]) if "own" in apart else None,
        "robots": {name: by_region(apart[name]) for name in robots},
        "settled": by_region(every[:, plan.settled]), "moving": by_region(every[:, ~plan.settled]),
        "all": by_region(every),
        "unread": {name: int((~s.found).sum()) for name, s in seen.items()},
        "faults": {name: list(s.faults) for name, s in seen.items() if s.faults},
        "worst": {"robot": robots[worst[0]], "pose": int(worst[1]), "name": plan.names[worst[1]],
                  "mean": float(np.nanmean(every[worst]))},
        "published": PUBLISHED,
    }  # fmt: skip
