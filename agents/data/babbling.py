"""Motor babbling: random expressions, recorded, so that a face learns what its muscles do.

After Chen et al., "Smile Like You Mean It", ICRA 2021 (arXiv 2105.12724): one self-recorded data
set, no labels. Each command is held until the servos have arrived; the next one starts from there,
as on a robot, so that the hysteresis of the cables is part of what is learned.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eva_sim import make_face
from eva_sim.agents.data.dataset import DatasetManifest, read_shard, shard_path
from eva_sim.contract import Face, FaceSpec, load_spec
from eva_sim.errors import DataError, EvaError
from eva_sim.files import write_arrays
from eva_sim.landmarks import POINTS
from eva_sim.progress import progress
from eva_sim.settling import settling_steps

OpenFace = Callable[..., Face]

#: Samples in a shard: the unit of work, of resuming and of holding out.
SHARD_SIZE = 50
#: Probability that a pair does the same on both sides, with this much difference [command].
_MIRRORED, _DIFFERENCE = 0.75, 0.05
#: Probability that an active muscle pulls to the end of its travel.
_FULL = 0.15
#: Pairs that work against each other, and how often both may pull.
_ANTAGONISTS, _BOTH = (("zygomaticus", "depressor"), ("brow_outer", "corrugator")), 0.15
#: Standard deviation of what the landmarks do not show: gaze and head pose [command].
_GAZE, _LEAN = 0.3, 0.15


def sample_command(spec: FaceSpec, rng: np.random.Generator) -> NDArray[np.float32]:
    """Draws one random expression.

    How many muscles are active is drawn first, so that strong faces of one muscle and mixed faces
    of many are both common. Mostly symmetric; antagonists seldom pull together; gaze and head pose
    are small and free.

    Returns:
        A command, (25,) in [-1, 1].
    """
    command = spec.neutral
    moves = [a.moves for a in spec.actuators]
    activity = rng.uniform(0.15, 0.75)
    for group in dict.fromkeys(moves[i] for i in spec.where("cable", "jaw", "lid")):
        members = [i for i, name in enumerate(moves) if name == group]
        command[members] = _draw_group(command[members], activity, rng)
    _relax_antagonists(command, spec, rng)
    _move_head(command, spec, rng)
    return command.clip(-1, 1)


def _draw_group(
    neutral: NDArray[np.float32], activity: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """One muscle, both sides."""
    pull = np.where(rng.random(len(neutral)) < _FULL, 1.0, rng.uniform(-1, 1, len(neutral)))
    active = rng.random(len(neutral)) < activity
    if rng.random() < _MIRRORED:
        pull = pull[0] + rng.normal(0, _DIFFERENCE, len(neutral))
        active = active[[0] * len(neutral)]
    return np.where(active, pull, neutral)


def _relax_antagonists(command: NDArray[np.float32], spec: FaceSpec, rng: np.random.Generator) -> None:
    for pair in _ANTAGONISTS:
        if rng.random() < _BOTH:
            continue
        relaxed = pair[rng.integers(2)]
        other = pair[1 - pair.index(relaxed)]
        for side in ("left", "right"):
            loser, winner = spec.index(f"{relaxed}_{side}"), spec.index(f"{other}_{side}")
            if command[winner] > spec.neutral[winner]:
                command[loser] = spec.neutral[loser]


def _move_head(command: NDArray[np.float32], spec: FaceSpec, rng: np.random.Generator) -> None:
    for axis in ("yaw", "pitch"):
        command[[spec.index(f"eye_{side}_{axis}") for side in ("left", "right")]] = rng.normal(0, _GAZE)
    legs = spec.where("leg")
    command[legs] = rng.normal(0, _LEAN, len(legs))


def babble(
    out: str | os.PathLike[str],
    samples: int = 4000,
    seed: int = 0,
    *,
    body: str = "twin",
    options: Mapping[str, Any] | None = None,
    workers: int = 2,
    image_size: int | None = 64,
    resume: bool = True,
    open_face: OpenFace = make_face,
) -> DatasetManifest:
    """Records random expressions into a folder that `eva_sim.agents.data.dataset.load_dataset` reads.

    What is recorded depends on the seed alone, not on interruptions or the number of workers. Run
    from a script, the call belongs under `if __name__ == "__main__":`, since workers are spawned.

    Args:
        out: folder to write; made if missing.
        samples: how many expressions.
        seed: of everything random.
        body: body to open, see `eva_sim.make_face`.
        options: how to open it, e.g. `{"skin": "full"}`; must be JSON.
        workers: processes, each with its own face; 1 works in this process.
        image_size: side of a picture per sample [pixels], or None for none.
        resume: keep the good shards of an earlier run, which may have had fewer samples;
            otherwise the folder must hold none.
        open_face: opens a face from `body` and `options`.

    Raises:
        DataError: the folder holds another data set.
        EvaError: a worker died; what it finished is kept.
    """
    folder, spec = Path(out), load_spec()
    if samples < 1 or workers < 1:
        raise EvaError(f"samples={samples}, workers={workers}: both must be 1 or more.")
    manifest = DatasetManifest(
        digest=spec.digest, points=POINTS, seed=seed, samples=samples, shard_size=SHARD_SIZE,
        settle=settling_steps(spec), image_size=image_size, body=body, options=dict(options or {}),
    )  # fmt: skip
    missing = _prepare(folder, manifest, resume)
    opener = (open_face, body, dict(options or {}))
    finished = _alone if workers == 1 else _together
    with progress(does="babble", total=samples, unit="faces") as bar:
        bar.update(samples - sum(manifest.rows(i) for i in missing))
        for index in finished(folder, manifest, missing, opener, workers):
            bar.update(manifest.rows(index))
    return manifest


def _prepare(folder: Path, manifest: DatasetManifest, resume: bool) -> list[int]:
    """Writes or checks the manifest; which shards are still to be made."""
    if (folder / "manifest.json").exists():
        if not resume:
            raise DataError(f"{folder} holds a data set; choose another folder or resume it.")
        _check_same(DatasetManifest.read(folder), manifest, folder)
    manifest.write(folder)
    return [i for i in range(manifest.shards) if not _good(folder, manifest, i)]


def _check_same(earlier: DatasetManifest, manifest: DatasetManifest, folder: Path) -> None:
    """A run may only go on as it began; it may ask for more samples."""
    told = [name for name in vars(manifest) if getattr(earlier, name) != getattr(manifest, name)]
    if earlier.samples < manifest.samples:
        told.remove("samples")
    if told:
        raise DataError(f"{folder} was recorded with another {', '.join(told)}; choose another folder.")


def _good(folder: Path, manifest: DatasetManifest, index: int) -> bool:
    try:
        read_shard(folder, manifest, index, images=True)
    except DataError:
        return False
    return True


def record_shard(face: Face, folder: Path, manifest: DatasetManifest, index: int) -> None:
    """Records one shard: a run of expressions from neutral, seeded by its index."""
    rng = np.random.default_rng([manifest.seed, index])
    neutral = face.reset(int(rng.integers(2**31))).landmarks
    rows = [_record(face, sample_command(face.spec, rng), manifest) for _ in range(manifest.rows(index))]
    write_arrays(
        shard_path(folder, index),
        **{name: np.stack([row[name] for row in rows]) for name in rows[0]},
        neutral=neutral, outer_eye=face.outer_eye,
        digest=manifest.digest, seed=manifest.seed, index=index,
    )  # fmt: skip


def _record(face: Face, command: NDArray[np.float32], manifest: DatasetManifest) -> dict[str, NDArray[Any]]:
    for _ in range(manifest.settle):
        reading = face.move(command)
    row: dict[str, NDArray[Any]] = {
        "commands": reading.sent, "positions": reading.position, "landmarks": reading.landmarks,
    }  # fmt: skip
    if manifest.image_size is not None:
        row["images"] = face.render(manifest.image_size)
    return row


Opener = tuple[OpenFace, str, dict[str, Any]]
_face: Face | None = None  # of this worker process, open until it ends


def _alone(
    folder: Path, manifest: DatasetManifest, missing: Sequence[int], opener: Opener, workers: int
) -> Iterator[int]:
    if not missing:
        return
    open_face, body, options = opener
    with open_face(body, **options) as face:
        for index in missing:
            record_shard(face, folder, manifest, index)
            yield index


def _together(
    folder: Path, manifest: DatasetManifest, missing: Sequence[int], opener: Opener, workers: int
) -> Iterator[int]:
    """Shards as spawned workers finish them (a fork after the renderer has started hangs)."""
    if not missing:
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(workers, len(missing)), context)
    try:
        jobs = [pool.submit(_work, opener, folder, manifest, index) for index in missing]
        for job in as_completed(jobs):
            yield job.result()
    except BrokenProcessPool as error:
        raise EvaError("a babbling worker died (out of memory?); run again to go on.") from error
    finally:
        pool.shutdown(cancel_futures=True)


def _work(opener: Opener, folder: Path, manifest: DatasetManifest, index: int) -> int:
    global _face
    if _face is None:
        open_face, body, options = opener
        _face = open_face(body, **options)
    record_shard(_face, folder, manifest, index)
    return index
