"""Builds `assets/precomputed/atlas.npz`: random expressions that the twin has settled in.

    python -m tools.build_atlas [OUT]

Each is approached from neutral, without history, so the rows do not depend on each other.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from tqdm import tqdm

from eva_sim import Face, make_face
from eva_sim.agents.data.babbling import sample_command
from eva_sim.files import write_arrays
from eva_sim.settling import reset_and_hold

ROWS, SEED = 256, 1
OUT = Path(__file__).resolve().parents[1] / "assets" / "precomputed" / "atlas.npz"


def build_atlas(face: Face, out: Path, rows: int = ROWS) -> None:
    """Settles the face in `rows` expressions, the first neutral, and writes them.

    The commands that are written are those that the limits of `robot.toml` leave.
    """
    rng = np.random.default_rng(SEED)
    commands = [face.spec.neutral, *(sample_command(face.spec, rng) for _ in range(rows - 1))]
    readings = [reset_and_hold(face, command) for command in tqdm(commands, disable=None)]
    sent, landmarks = (np.stack([getattr(each, name) for each in readings]) for name in ("sent", "landmarks"))
    write_arrays(out, commands=sent, landmarks=landmarks, digest=face.spec.digest)


if __name__ == "__main__":
    with make_face("twin") as twin:
        build_atlas(twin, Path(sys.argv[1]) if len(sys.argv) > 1 else OUT)
