"""Builds `assets/precomputed/warm_start.npz`: the displacement of the skin under each drive alone.

    python -m tools.build_warm_start

Each drive goes through its range by itself, and the skin settles at each value. The displacements are
stored as coefficients of as few modes as describe them to a hundredth of a millimetre.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tqdm import tqdm

from eva_sim.contract import load_spec
from eva_sim.files import write_arrays
from eva_sim.skin.anatomy import Anatomy, Drives, load_anatomy
from eva_sim.skin.block import Block, solver_context
from eva_sim.skin.warm_start import drive_ranges

VALUES, EVALUATIONS = 9, 150  # values along each range, evaluations at each
TRUNCATION = 1e-5  # m, root mean square error of the modes
OUT = Path(__file__).resolve().parents[1] / "assets" / "precomputed" / "warm_start.npz"


def settle_single_drive(anatomy: Anatomy, drive: int) -> np.ndarray:
    """Returns settled displacements (VALUES, V, 3) [m] along the range of one drive, the others at rest."""
    low, high = drive_ranges(anatomy.spec)
    block, out = Block(solver_context(anatomy), None), []
    for value in np.linspace(low[drive], high[drive], VALUES):
        drives = np.zeros((1, len(low)))
        drives[0, drive] = value
        block.step(Drives(drives[:, 0], drives[:, 1:3], drives[:, 3:]), EVALUATIONS)
        out.append(block.points[0] - anatomy.points)
    return np.array(out)


def build_warm_start(anatomy: Anatomy, out: Path) -> None:
    """Writes the warm start of an anatomy."""
    count = len(drive_ranges(anatomy.spec)[0])
    fields = np.array([settle_single_drive(anatomy, drive) for drive in tqdm(range(count), disable=None)])
    flat = fields.reshape(count * VALUES, -1)
    left, values, right = np.linalg.svd(flat, full_matrices=False)
    rest = np.sqrt(np.maximum((values**2).sum() - np.cumsum(values**2), 0) / flat.size * 3)
    rank = int(np.searchsorted(-rest, -TRUNCATION)) + 1
    table = (left[:, :rank] * values[:rank]).reshape(count, VALUES, rank)
    modes = right[:rank].reshape(rank, -1, 3)
    write_arrays(out, modes=modes.astype(np.float32), table=table.astype(np.float32), digest=anatomy.digest)
    print(f"{rank} modes")


if __name__ == "__main__":
    write_arrays(OUT, digest="")  # of no anatomy, so that the old file has no effect on the new one
    build_warm_start(load_anatomy(load_spec()), OUT)
