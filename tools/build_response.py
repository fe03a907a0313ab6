"""Builds `assets/precomputed/warm_start.npz`: how the skin answers each drive alone.

    python -m tools.build_response

Every drive goes through its range by itself, settled at each place; the displacements are kept as
coefficients of as few modes as explain them to a hundredth of a millimetre.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tqdm import tqdm

from eva_sim.files import write_arrays
from eva_sim.skin.anatomy import Anatomy, Drives, load_anatomy
from eva_sim.skin.block import Block, machine_of
from eva_sim.skin.response import ranges

PLACES, SETTLE = 9, 150  # along each range; evaluations at each
ENOUGH = 1e-5  # m, root mean square of what the modes leave out
OUT = Path(__file__).resolve().parents[1] / "assets" / "precomputed" / "warm_start.npz"


def alone(anatomy: Anatomy, drive: int) -> np.ndarray:
    """Settled displacements (PLACES, V, 3) [m] along the range of one drive, the others at rest."""
    low, high = ranges()
    block, out = Block(machine_of(anatomy), None), []
    for value in np.linspace(low[drive], high[drive], PLACES):
        given = np.zeros((1, len(low)))
        given[0, drive] = value
        block.step(Drives(given[:, 0], given[:, 1:3], given[:, 3:]), SETTLE)
        out.append(block.points[0] - anatomy.points)
    return np.array(out)


def build(anatomy: Anatomy, out: Path) -> None:
    """Writes the response of an anatomy."""
    count = len(ranges()[0])
    fields = np.array([alone(anatomy, drive) for drive in tqdm(range(count), disable=None)])
    flat = fields.reshape(count * PLACES, -1)
    left, values, right = np.linalg.svd(flat, full_matrices=False)
    rest = np.sqrt(np.maximum((values**2).sum() - np.cumsum(values**2), 0) / flat.size * 3)
    rank = int(np.searchsorted(-rest, -ENOUGH)) + 1
    table = (left[:, :rank] * values[:rank]).reshape(count, PLACES, rank)
    modes = right[:rank].reshape(rank, -1, 3)
    write_arrays(out, modes=modes.astype(np.float32), table=table.astype(np.float32), digest=anatomy.digest)
    print(f"{rank} modes")


if __name__ == "__main__":
    write_arrays(OUT, digest="")  # of no anatomy: an old response must not lead the new one
    build(load_anatomy(), OUT)
