"""Reading a babbled data set: shards on disk to arrays.

A data set is a folder. `manifest.json` says how it was made, `face.toml` is a copy of the face's actuator
table, and `shard-0000.npz` and so on hold the samples. It is complete when all its shards are there.
"""

from __future__ import annotations

import dataclasses
import json
import os
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from eva_sim.contract import FaceSpec, parse_spec
from eva_sim.errors import DataError
from eva_sim.files import atomic_path, unreadable, write_json
from eva_sim.landmarks import POINTS

Array = NDArray[np.float32]
#: Name of the copy of the actuator table in the folder.
SPEC_FILE = "face.toml"
#: Parts of a data set that training needs: one to learn from, one that decides when to stop, one to test on.
SHARDS_TO_TRAIN = 3
#: Side of a picture, unless another is asked for [pixels].
PICTURE_SIZE = 64
#: Size of a compressed picture in a shard, as a share of its pixels; at 64 pixels it was 0.30.
PICTURE_SHRINKS_TO = 0.3
_PER_SAMPLE = ("commands", "positions", "landmarks")
_NAMES = (*_PER_SAMPLE, "neutral", "outer_eye", "digest", "seed", "index")
#: What went wrong with each sample, or nothing. Shards of earlier versions lack it.
FAULTS = "faults"


@dataclass(frozen=True)
class DatasetManifest:
    """Settings with which a data set was made; a babbling run resumes only with the same ones.

    Attributes:
        digest: of the `FaceSpec`.
        points: MediaPipe indices of the landmarks.
        seed: of the run; shard k draws from `[seed, k]`.
        samples: in all shards together.
        shard_size: samples in a full shard.
        settle: control steps each command is held.
        image_size: side of the pictures [pixels], or None without.
        body: name of the body.
        options: with which the body was opened.
        neutral_share: share of samples that ask for the neutral face.
    """

    digest: str
    points: tuple[int, ...]
    seed: int
    samples: int
    shard_size: int
    settle: int
    image_size: int | None
    body: str
    options: dict[str, Any]
    neutral_share: float = 0.0

    @property
    def shards(self) -> int:
        """Number of shards."""
        return -(-self.samples // self.shard_size)

    def rows(self, index: int) -> int:
        """Returns the number of samples in one shard; the last may be short."""
        return min(self.shard_size, self.samples - index * self.shard_size)

    def sample_size(self, actuators: int) -> float:
        """Returns about how much of a disk a sample takes [bytes]; numbers hardly shrink, pictures do."""
        numbers = 4.0 * (2 * actuators + 3 * len(self.points))
        return numbers + PICTURE_SHRINKS_TO * 3 * (self.image_size or 0) ** 2

    def babble_command(self, folder: Path, samples: int) -> str:
        """Returns the command that goes on with the data set in a folder, up to a number of samples."""
        size, style = self.image_size or PICTURE_SIZE, self.options.get("style")
        pictures = f" --picture-size {size}" if size != PICTURE_SIZE else ""
        pictures += f" --style {style}" if style else ""
        pictures += f" --neutral {self.neutral_share}" if self.neutral_share else ""
        return f"eva babble --samples {samples} --seed {self.seed}{pictures} --out {folder}"

    def write(self, folder: Path) -> None:
        """Writes `manifest.json` atomically."""
        write_json(folder / "manifest.json", dataclasses.asdict(self))

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Reads `manifest.json`.

        Raises:
            DataError: missing, damaged, or of another landmark set.
        """
        path = folder / "manifest.json"
        if not path.exists():
            raise DataError(f"{folder} holds no data set; record one with `eva babble`.")
        try:
            content = json.loads(path.read_text())
            manifest = cls(**{**content, "points": tuple(content["points"])})
            if min(manifest.samples, manifest.shard_size, manifest.seed + 1, manifest.settle) < 1:
                raise ValueError("a number in it is too small")
        except (ValueError, TypeError, KeyError) as error:
            raise DataError(f"{path} is damaged ({error}); record into a new folder.") from error
        check_landmark_set(manifest.points, str(folder))
        return manifest


def check_landmark_set(points: tuple[int, ...], name: str) -> None:
    """Refuses data of another landmark set.

    Args:
        points: MediaPipe indices of the landmarks.
        name: of the data, for the message.

    Raises:
        DataError: another landmark set.
    """
    if points != POINTS:
        raise DataError(f"{name} was made with another set of landmarks; make it again.")


@dataclass(frozen=True)
class Dataset:
    """Samples of a face that babbled, S of them. Pictures stay on disk until they are asked for.

    Attributes:
        commands: held commands, (S, 25) in [-1, 1]; 25 stands for the number of actuators.
        positions: positions of the actuators, (S, 25) in command units.
        landmarks: aligned, (S, N, 3) [neutral outer-eye distances].
        shard: number of the shard that each sample is from, (S,).
        row: its row in that shard, (S,).
        neutral: landmarks of the neutral face, (N, 3).
        outer_eye: outer-eye distance of the face [m].
        folder: that holds it.
        manifest: settings with which it was made.
        spec: of the face; only its actuator table is known.
    """

    commands: Array
    positions: Array
    landmarks: Array
    shard: NDArray[np.intp]
    row: NDArray[np.intp]
    neutral: Array
    outer_eye: float
    folder: Path
    manifest: DatasetManifest
    spec: FaceSpec

    def __len__(self) -> int:
        return len(self.commands)

    def take(self, selection: NDArray[Any]) -> Dataset:
        """Returns the samples of an index or boolean array."""
        names = (*_PER_SAMPLE, "shard", "row")
        return dataclasses.replace(self, **{name: getattr(self, name)[selection] for name in names})

    def split(self, held_out: float = 0.15, seed: int = 0) -> tuple[Dataset, Dataset]:
        """Returns training and held-out samples; no shard is in both.

        Consecutive samples are not independent (each starts at the last one's face), shards are.

        Raises:
            DataError: fewer than two shards.
        """
        shards = np.unique(self.shard)
        if len(shards) < 2:
            raise self._too_few()
        count = min(max(1, round(held_out * len(shards))), len(shards) - 1)
        chosen = np.random.default_rng(seed).permutation(shards)[:count]
        is_held_out = np.isin(self.shard, chosen)
        return self.take(~is_held_out), self.take(is_held_out)

    def check_size(self) -> None:
        """Checks that there are enough samples to train and to test on.

        Raises:
            DataError: there are not; the message says how to add some.
        """
        if len(self) < SHARDS_TO_TRAIN * self.manifest.shard_size:
            raise self._too_few()

    def _too_few(self) -> DataError:
        least = SHARDS_TO_TRAIN * self.manifest.shard_size
        return DataError(
            f"{self.folder} has {len(self)} samples; training needs {least} or more."
            f" Add some: `{self.manifest.babble_command(self.folder, least)}`."
        )

    def images(self, samples: NDArray[np.intp]) -> NDArray[np.uint8]:
        """Reads the pictures of the given samples, (len(samples), side, side, 3).

        Raises:
            DataError: recorded without pictures, or a shard is damaged.
        """
        side = self.manifest.image_size
        if side is None:
            raise DataError(
                f"{self.folder} was recorded without pictures; record another data set with `eva babble`."
            )
        out = np.empty((len(samples), side, side, 3), np.uint8)
        for shard in np.unique(self.shard[samples]):
            here = np.flatnonzero(self.shard[samples] == shard)
            pictures = read_members(shard_path(self.folder, shard), "images")["images"]
            out[here] = pictures[self.row[samples[here]]]
        return out


def shard_path(folder: Path, index: int) -> Path:
    """Returns the path of shard `index` of a data set."""
    return folder / f"shard-{index:04d}.npz"


def count_shards(folder: Path) -> int:
    """Returns the number of shards in a folder, whole or damaged."""
    return sum(1 for _ in folder.glob("shard-*.npz"))


def write_spec(folder: Path, spec: FaceSpec) -> None:
    """Writes the copy of the actuator table atomically, if it is not there."""
    path, content = folder / SPEC_FILE, spec.text.encode()
    if not path.exists() or path.read_bytes() != content:
        with atomic_path(path) as part:
            part.write_bytes(content)


def read_spec(folder: Path, manifest: DatasetManifest) -> FaceSpec:
    """Reads the actuator table of the face that was recorded.

    Raises:
        DataError: missing, damaged, or not the one of the manifest.
    """
    path = folder / SPEC_FILE
    if not path.exists():
        raise DataError(
            f"{folder} has no {SPEC_FILE}, because an earlier version recorded it; "
            "run `eva babble` on the folder again, which adds it."
        )
    try:
        spec = parse_spec(path.read_bytes().decode())
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is damaged ({error}); run `eva babble` on the folder again.") from error
    if spec.digest != manifest.digest:
        raise DataError(f"{path} is not the table of this data set; run `eva babble` on the folder again.")
    return spec


def load_dataset(folder: str | os.PathLike[str]) -> Dataset:
    """Reads a complete data set, without pictures and without the samples that failed.

    Raises:
        DataError: missing, incomplete, damaged, or of another landmark set.
    """
    root = Path(folder)
    manifest = DatasetManifest.read(root)
    spec = read_spec(root, manifest)
    # Counted first, because a manifest may promise more shards than anyone waits for.
    if lacking := count_missing(root, manifest):
        raise DataError(f"{root} lacks {lacking} of {manifest.shards} parts; {_ways_on(root, manifest)}")
    shards = [read_shard(root, manifest, i) for i in range(manifest.shards)]
    sizes = [manifest.rows(i) for i in range(manifest.shards)]
    everything = Dataset(
        **{name: np.concatenate([shard[name] for shard in shards]) for name in _PER_SAMPLE},
        shard=np.repeat(np.arange(manifest.shards), sizes),
        row=np.concatenate([np.arange(size) for size in sizes]),
        neutral=shards[0]["neutral"],
        outer_eye=float(shards[0]["outer_eye"]),
        folder=root,
        manifest=manifest,
        spec=spec,
    )
    faults = np.concatenate([shard[FAULTS] for shard in shards])
    return everything.take(faults == "")


class FailedSample(NamedTuple):
    """A sample that is no face of its command.

    Attributes:
        command: that was asked for, (25,).
        faults: what went wrong, in words.
    """

    command: Array
    faults: str


def load_failures(folder: str | os.PathLike[str]) -> list[FailedSample]:
    """Reads the samples that failed in the shards that are there.

    Raises:
        DataError: missing, damaged, or of another landmark set.
    """
    root = Path(folder)
    manifest = DatasetManifest.read(root)
    there = [index for index in range(manifest.shards) if shard_path(root, index).exists()]
    shards = (read_shard(root, manifest, index) for index in there)
    samples = (zip(shard["commands"], shard[FAULTS], strict=True) for shard in shards)
    return [FailedSample(command, str(faults)) for rows in samples for command, faults in rows if faults]


def count_missing(folder: Path, manifest: DatasetManifest) -> int:
    """Returns the number of shards that a data set lacks; damaged ones are there."""
    there = count_shards(folder)
    if there < manifest.shards:
        return manifest.shards - there
    return sum(not shard_path(folder, index).exists() for index in range(manifest.shards))


def _ways_on(folder: Path, manifest: DatasetManifest) -> str:
    """Says how to complete a data set, or to end it with what it has, if one can train on that."""
    there = count_shards(folder)
    complete = f"complete it with `{manifest.babble_command(folder, manifest.samples)}`"
    if not SHARDS_TO_TRAIN <= there < manifest.shards:
        return f"{complete}."
    samples = there * manifest.shard_size
    shorter = manifest.babble_command(folder, samples)
    return f"{complete}, or end it with the {samples:,} that it has: `{shorter}`."


def read_shard(
    folder: Path, manifest: DatasetManifest, index: int, images: bool = False
) -> dict[str, NDArray[Any]]:
    """Reads and checks one shard; with `images`, the pictures too.

    Raises:
        DataError: missing, damaged, or not of this data set.
    """
    path = shard_path(folder, index)
    wanted = (*_NAMES, "images") if images and manifest.image_size else _NAMES
    arrays = read_members(path, *wanted, optional=FAULTS)
    origin = (str(arrays["digest"]), int(arrays["seed"]), int(arrays["index"]))
    if origin != (manifest.digest, manifest.seed, index):
        raise DataError(f"{path} belongs to another data set; run `eva babble` on the folder again.")
    if len(arrays["commands"]) != manifest.rows(index):
        raise DataError(f"{path} has another number of samples; run `eva babble` on the folder again.")
    return {FAULTS: np.full(manifest.rows(index), ""), **arrays}


def read_members(path: Path, *names: str, optional: str = "") -> dict[str, NDArray[Any]]:
    """Some arrays of an `.npz`, without unpacking the others; one of them may be missing.

    Raises:
        DataError: missing or damaged.
    """
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            return {name: file[name] for name in (*names, *{optional}.intersection(file))}
    except (OSError, EOFError, ValueError, KeyError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        raise unreadable(path, error, "run `eva babble` on the folder again") from error
