"""Motor babbling: a face makes random expressions and records commands, positions and landmarks.

After Chen et al., "Smile Like You Mean It", ICRA 2021 (arXiv 2105.12724): one self-recorded data set,
no labels. Each command is held until the servos have arrived. The next one starts from there, as on a
robot, so that the hysteresis of the cables is in the data.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eva_sim import make_face
from eva_sim.agents.data.dataset import (
    FAULTS,
    PICTURE_SIZE,
    DatasetManifest,
    count_missing,
    count_shards,
    read_shard,
    shard_path,
    write_spec,
)
from eva_sim.contract import Face, FaceSpec
from eva_sim.errors import DataError, EvaError, PhysicsError, check_seed
from eva_sim.files import check_free_space, check_output_folder, remove_leftovers, write_arrays
from eva_sim.landmarks import POINTS
from eva_sim.limits.command_limits import CommandLimits
from eva_sim.progress import progress, report
from eva_sim.settling import hold, settling_steps
from eva_sim.workers.choice import choose_workers
from eva_sim.workers.jobs import ThisProcess, Workers

#: Opens a face from `body` and options; the face is used in a `with` block.
OpenFace = Callable[..., AbstractContextManager[Face]]
Opener = tuple[OpenFace, str, dict[str, Any]]

#: Samples in a shard, the unit of work, of resuming and of holding out.
SHARD_SIZE = 50
#: Probability that both sides do the same, and the standard deviation of their difference [command].
_SYMMETRIC, _DIFFERENCE = 0.75, 0.05
#: Probability that an active actuator goes to the end of its travel.
_FULL = 0.15
#: Skin patches (`Actuator.moves`) whose actuators work against each other, and how often both may pull.
_ANTAGONISTS, _BOTH = (("zygomaticus", "depressor"), ("brow_outer", "corrugator")), 0.15
#: Standard deviation of gaze and of the neck legs, which the landmarks do not show [command].
_GAZE, _LEG = 0.3, 0.15


def sample_command(spec: FaceSpec, rng: np.random.Generator) -> NDArray[np.float32]:
    """Draws one random expression.

    The share of active actuators is drawn first, so that strong faces of one actuator and mixed faces of
    many are both common. Faces are mostly symmetric, antagonists seldom pull together, and gaze and head
    pose are small and free.

    Returns:
        A command, (25,) in [-1, 1], within the limits of the face.
    """
    command = spec.neutral
    activity = rng.uniform(0.15, 0.75)
    for patch in dict.fromkeys(spec.actuators[i].moves for i in spec.expressive):
        members = _moving(spec, patch)
        command[members] = _draw_patch(command[members], activity, rng)
    _relax_antagonists(command, spec, rng)
    _draw_gaze_and_pose(command, spec, rng)
    allowed: NDArray[np.float32] = _limits(spec).within(command.clip(-1, 1).astype(float)).astype(np.float32)
    return allowed


@lru_cache(maxsize=8)
def _limits(spec: FaceSpec) -> CommandLimits:
    return CommandLimits(spec)


def _moving(spec: FaceSpec, patch: str) -> list[int]:
    """Indices of the actuators that move one patch or body."""
    return [i for i, actuator in enumerate(spec.actuators) if actuator.moves == patch]


def _draw_patch(
    neutral: NDArray[np.float32], activity: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Draws the commands of the actuators of one patch, usually left and right."""
    pull = np.where(rng.random(len(neutral)) < _FULL, 1.0, rng.uniform(-1, 1, len(neutral)))
    active = rng.random(len(neutral)) < activity
    if rng.random() < _SYMMETRIC:
        pull = pull[0] + rng.normal(0, _DIFFERENCE, len(neutral))
        active = active[[0] * len(neutral)]
    return np.where(active, pull, neutral)


def _relax_antagonists(command: NDArray[np.float32], spec: FaceSpec, rng: np.random.Generator) -> None:
    for pair in _ANTAGONISTS:
        sides = [{spec.actuators[i].side: i for i in _moving(spec, patch)} for patch in pair]
        if not all(sides) or rng.random() < _BOTH:
            continue
        chosen = int(rng.integers(2))
        relaxed, other = sides[chosen], sides[1 - chosen]
        for side in relaxed.keys() & other.keys():
            if command[other[side]] > spec.neutral[other[side]]:
                command[relaxed[side]] = spec.neutral[relaxed[side]]


def _draw_gaze_and_pose(command: NDArray[np.float32], spec: FaceSpec, rng: np.random.Generator) -> None:
    for axis in dict.fromkeys(spec.actuators[i].moves for i in spec.where("eye")):
        command[_moving(spec, axis)] = rng.normal(0, _GAZE)  # both eyes turn together
    legs = spec.where("leg")
    command[legs] = rng.normal(0, _LEG, len(legs))


@dataclass(frozen=True)
class BabblingPlan:
    """A data set to be recorded: its folder is prepared, and its shards may be recorded in any order.

    Attributes:
        folder: of the data set; it holds the manifest and the actuator table.
        manifest: settings of the data set.
    """

    folder: Path
    manifest: DatasetManifest

    def missing_shards(self, skipped: Callable[[int], object] = lambda samples: None) -> Iterator[int]:
        """Yields the index of each shard that is missing or damaged; each of the others is read once.

        Args:
            skipped: called with the number of samples of each other shard.
        """
        for index in range(self.manifest.shards):
            if _is_complete(self.folder, self.manifest, index):
                skipped(self.manifest.rows(index))
            else:
                yield index


def plan_babbling(
    out: str | os.PathLike[str],
    samples: int = 4000,
    seed: int = 0,
    *,
    body: str = "twin",
    options: Mapping[str, Any] | None = None,
    image_size: int | None = PICTURE_SIZE,
    neutral_share: float = 0.0,
    resume: bool = True,
    open_face: OpenFace = make_face,
    spec: FaceSpec | None = None,
) -> BabblingPlan:
    """Prepares a folder for a data set, without recording it; `babble` does both.

    Use it to record with processes of your own, also on several computers that share a disk. Any process may
    record any missing shard::

        plan = plan_babbling("out/data", 4000)
        for index in plan.missing_shards():
            with make_face("twin") as face:
                record_shard(face, plan.folder, plan.manifest, index)

    Args:
        out: folder to write; made if missing.
        samples: number of expressions.
        seed: of all random numbers.
        body: body to open, see `eva_sim.make_face`.
        options: with which it is opened, e.g. `{"skin": "full"}`; must be JSON.
        image_size: side of a picture per sample [pixels], or None for none.
        neutral_share: share of samples that ask for the neutral face.
        resume: keep the good shards of an earlier run, which may have had fewer samples, or more if it
            was stopped; otherwise the folder must hold none.
        open_face: opens a face from `body` and `options`.
        spec: of that face, if known; otherwise the face is opened to read it.

    Raises:
        DataError: the folder holds another data set, or cannot be written.
        EvaError: there are no samples, or the seed is negative.
    """
    folder = Path(out)
    if samples < 1:
        raise EvaError(f"samples={samples}; ask for 1 or more.")
    if not 0 <= neutral_share <= 1:
        raise EvaError(f"neutral_share={neutral_share}; choose a share from 0 to 1.")
    check_seed(seed)
    check_output_folder(folder)
    settings: dict[str, Any] = {
        "points": POINTS, "seed": seed, "samples": samples, "shard_size": SHARD_SIZE,
        "image_size": image_size, "body": body, "options": dict(options or {}),
        "neutral_share": neutral_share,
    }  # fmt: skip
    _check_folder(folder, settings, resume)  # before a face is opened
    if spec is None:
        with open_face(body, **settings["options"]) as face:
            spec = face.spec
    manifest = DatasetManifest(digest=spec.digest, settle=settling_steps(spec), **settings)
    _prepare(folder, manifest, spec, resume)
    return BabblingPlan(folder, manifest)


def babble(
    out: str | os.PathLike[str],
    samples: int = 4000,
    seed: int = 0,
    *,
    body: str = "twin",
    options: Mapping[str, Any] | None = None,
    workers: int | Workers = 2,
    image_size: int | None = PICTURE_SIZE,
    neutral_share: float = 0.0,
    resume: bool = True,
    open_face: OpenFace = make_face,
    spec: FaceSpec | None = None,
) -> DatasetManifest:
    """Records random expressions into a folder that `eva_sim.agents.data.dataset.load_dataset` reads.

    The recorded data depend on the seed alone, not on interruptions or on the workers. Run from a script,
    the call belongs under `if __name__ == "__main__":`, since processes are spawned.

    Args:
        out: as all arguments that are not listed here, see `plan_babbling`.
        samples: number of expressions.
        seed: of all random numbers.
        body: body to open.
        options: with which it is opened.
        workers: number of processes, each with its own face; 1 works in this process. Or other workers,
            such as `RayWorkers`.
        image_size: side of a picture per sample [pixels], or None for none.
        neutral_share: share of samples that ask for the neutral face.
        resume: keep the good shards of an earlier run.
        open_face: opens a face from `body` and `options`.
        spec: of that face, if known.

    Raises:
        DataError: the folder holds another data set.
        EvaError: a worker died; the shards it finished are kept.
    """
    chosen = choose_workers(workers)
    with _opened_once(open_face) as lend_face:
        opener = lend_face if isinstance(chosen, ThisProcess) else open_face, body, dict(options or {})
        plan = plan_babbling(
            out, samples, seed, body=body, options=options, image_size=image_size,
            neutral_share=neutral_share, resume=resume, open_face=opener[0], spec=spec,
        )  # fmt: skip
        with (
            progress(does="babble", total=plan.manifest.samples, unit="faces", workers=chosen.count) as bar,
            contextlib.closing(_record_missing(plan, opener, chosen, bar.skip)) as recorded,
        ):
            for index in recorded:
                bar.update(plan.manifest.rows(index))
    return plan.manifest


@contextlib.contextmanager
def _opened_once(open_face: OpenFace) -> Iterator[OpenFace]:
    """Yields an `open_face` whose first call opens a face; each call lends that face until the block ends."""
    faces = list[Face]()
    with contextlib.ExitStack() as opened:

        def lend_face(body: str, **options: Any) -> AbstractContextManager[Face]:
            if not faces:
                faces.append(opened.enter_context(open_face(body, **options)))
            return nullcontext(faces[0])

        yield lend_face


def _record_missing(
    plan: BabblingPlan, opener: Opener, workers: Workers, skipped: Callable[[int], object]
) -> Generator[int, None, None]:
    """Records the shards that the folder lacks, and yields each once it is done."""
    missing = plan.missing_shards(skipped)
    first = next(missing, None)
    if first is None:
        return  # no face is opened
    report(
        f"Recording begins. Progress is told after every {plan.manifest.shard_size} expressions; the first "
        "take up to a minute, because the skin is compiled or loaded."
    )
    there = replace(plan, folder=plan.folder.absolute())  # workers may be in another folder
    jobs = workers.run_jobs(partial(_open_recorder, opener, there), chain([first], missing))
    with contextlib.closing(jobs) as recorded:
        yield from recorded


def _check_folder(folder: Path, settings: Mapping[str, Any], resume: bool) -> None:
    """Refuses a folder that holds a data set with other settings.

    More samples may be asked for. A data set that was stopped may also be ended with fewer.
    """
    if not (folder / "manifest.json").exists():
        return
    if not resume:
        raise DataError(f"{folder} holds a data set; choose another folder or resume it.")
    earlier = DatasetManifest.read(folder)
    different = [name for name, value in settings.items() if getattr(earlier, name) != value]
    if earlier.samples < settings["samples"] or ("samples" in different and count_missing(folder, earlier)):
        different.remove("samples")
    if "digest" in different:
        raise DataError(
            f"{folder} was recorded on a face with another face.toml (other digest); choose another folder."
        )
    if different:
        recorded = ", ".join(f"{name}={getattr(earlier, name)!r}" for name in different)
        asked = ", ".join(f"{name}={settings[name]!r}" for name in different)
        raise DataError(f"{folder} was recorded with {recorded}, not {asked}; choose another folder.")


def _prepare(folder: Path, manifest: DatasetManifest, spec: FaceSpec, resume: bool) -> None:
    """Checks the folder and its disk, and writes manifest and actuator table."""
    _check_folder(folder, vars(manifest), resume)
    there = count_shards(folder)
    size = manifest.sample_size(len(spec)) * (manifest.samples - there * manifest.shard_size)
    check_free_space(folder, size, f"{manifest.samples:,} samples")
    if there:
        so_far = f"{min(there, manifest.shards):,} of {manifest.shards:,}"
        report(f"{folder} holds {so_far} parts; those that are whole are kept.")
    remove_leftovers(folder)
    write_spec(folder, spec)
    manifest.write(folder)


def _is_complete(folder: Path, manifest: DatasetManifest, index: int) -> bool:
    if not shard_path(folder, index).exists():
        return False
    try:
        read_shard(folder, manifest, index, images=True)
    except DataError:
        return False
    return True


def record_shard(face: Face, folder: Path, manifest: DatasetManifest, index: int) -> None:
    """Records one shard: a run of expressions from neutral, seeded by its index.

    Raises:
        DataError: the face is not the one of the manifest.
    """
    if face.spec.digest != manifest.digest:
        raise DataError(f"{folder} belongs to a face with another face.toml (other spec digest).")
    rng = np.random.default_rng([manifest.seed, index])
    neutral = face.reset(int(rng.integers(2**31))).landmarks
    rows = [_record(face, _draw(face.spec, manifest, rng), manifest) for _ in range(manifest.rows(index))]
    write_arrays(
        shard_path(folder, index),
        **{name: np.stack([row[name] for row in rows]) for name in rows[0]},
        neutral=neutral, outer_eye=face.outer_eye,
        digest=manifest.digest, seed=manifest.seed, index=index,
    )  # fmt: skip


def _draw(spec: FaceSpec, manifest: DatasetManifest, rng: np.random.Generator) -> NDArray[np.float32]:
    """Draws the command of a sample."""
    if manifest.neutral_share and rng.random() < manifest.neutral_share:
        return spec.neutral
    return sample_command(spec, rng)


def _record(face: Face, command: NDArray[np.float32], manifest: DatasetManifest) -> dict[str, NDArray[Any]]:
    """Returns a sample. One that failed says why; after a skin that could not be solved the face rests."""
    try:
        reading = hold(face, command, manifest.settle)
        faults = reading.faults or (() if reading.found else ("no landmarks were read",))
    except PhysicsError as error:
        reading, faults = replace(face.reset(), sent=command), (str(error),)
    row: dict[str, NDArray[Any]] = {
        "commands": reading.sent, "positions": reading.position, "landmarks": reading.landmarks,
        FAULTS: np.array("; ".join(faults)),
    }  # fmt: skip
    if manifest.image_size is not None:
        row["images"] = face.render(manifest.image_size)
    return row


@contextlib.contextmanager
def _open_recorder(opener: Opener, plan: BabblingPlan) -> Iterator[Callable[[int], None]]:
    """Opens a face; yields the function that records a shard with it."""
    open_face, body, options = opener
    with open_face(body, **options) as face:
        yield partial(record_shard, face, plan.folder, plan.manifest)
