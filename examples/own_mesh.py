"""A head of your own: a folder with EVA's tables and a mesh with fuller cheeks, which smiles beside EVA.

    python examples/own_mesh.py --out out/own_mesh

The script writes the folder `head`, opens it as `Twin(spec=load_spec(folder))`, and writes `smiles.png`. A
folder that is there already is opened as it is: change its tables and meshes, and look again.
docs/tutorials/own_head.md lists what a folder may hold.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from eva_sim.contact_sheet import draw_contact_sheet, save_picture
from eva_sim.contract import load_spec
from eva_sim.errors import DataError, EvaError
from eva_sim.files import atomic_folder, read_arrays, write_arrays
from eva_sim.settling import reset_and_hold
from eva_sim.twin import Twin
from eva_sim.twin.pictures import set_view

#: Middle of a cheek, to the side and up from between the eyes, and the reach of the change [m].
CHEEK, REACH = (0.042, -0.045), 0.022


def fuller_cheeks(points: NDArray, triangles: NDArray, by: float) -> NDArray:
    """Moves vertices (V, 3) near both cheeks outwards by up to `by` [m], and leaves all others.

    Contact, cables and landmarks need no change: each vertex keeps its place among its neighbours.
    """
    beside, below = np.abs(points[:, 0]) - CHEEK[0], points[:, 1] - CHEEK[1]
    weight = np.exp(-(beside**2 + below**2) / REACH**2)
    return points + by * weight[:, None] * normals(points, triangles)


def normals(points: NDArray, triangles: NDArray) -> NDArray:
    """Outward unit normals of the vertices, (V, 3)."""
    a, b, c = (points[triangles[:, corner]] for corner in range(3))
    out = np.zeros_like(points)
    for corner in range(3):
        np.add.at(out, triangles[:, corner], np.cross(b - a, c - a))
    return out / np.linalg.norm(out, axis=1, keepdims=True)


def make_head(folder: Path, by: float = 0.006) -> Path:
    """Copies EVA's folder and changes its mesh.

    Raises:
        DataError: the folder exists.
    """
    if folder.exists():
        raise DataError(f"{folder} exists; remove it, or name another with --out.")
    eva, left_out = load_spec().file("face.toml").parent, shutil.ignore_patterns("models", "samples")
    with atomic_folder(folder) as part:
        shutil.copytree(eva, part, ignore=left_out, dirs_exist_ok=True)
        path = part / "meshes/skin.npz"
        arrays = read_arrays(path)
        changed = fuller_cheeks(arrays["points"], arrays["triangles"], by)
        write_arrays(path, **(arrays | {"points": changed}))
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("out/own_mesh"))
    out = parser.parse_args().out
    folder = out / "head"
    if not folder.exists():
        make_head(folder)
    heads, tiles = {"EVA": load_spec(), str(folder): load_spec(folder)}, []
    for name, spec in heads.items():
        with Twin(spec=spec) as twin:
            set_view(twin, "half-side")
            reset_and_hold(twin, spec.command(zygomaticus=0.8))
            tiles.append((name, twin.render(480)))
    save_picture(draw_contact_sheet(tiles, columns=2), out / "smiles.png")
    print(out / "smiles.png")


if __name__ == "__main__":
    try:
        main()
    except EvaError as error:
        raise SystemExit(f"own_mesh: {error}") from None
