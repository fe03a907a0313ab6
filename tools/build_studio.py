"""Builds what pictures in studio light need beside the meshes.

Textures, fold lines, ambient occlusion, and fewer triangles for small pictures.

python -m tools.build_studio
"""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np

from eva_sim.contract import FaceSpec, load_spec
from eva_sim.files import atomic_path, read_arrays, write_arrays
from eva_sim.rendering.appearance import Appearance
from eva_sim.rendering.studio import StudioRenderer
from eva_sim.rendering.studio_parts import COARSE, FILE, TEXTURES, StudioPart, StudioParts, mesh_digest
from eva_sim.settling import hold, settling_steps
from eva_sim.twin import Twin
from tools.assets.decimation import fewer_triangles
from tools.assets.fold_lines import height_map, line_directions
from tools.assets.openness import measure_openness
from tools.assets.paint import PALETTES, paint_texture

#: The jaw's command while the inside of the mouth is measured, so that it is not black once it opens.
OPEN_JAW = -0.5
INSIDE = ("mouth", "tongue", "upper_teeth", "lower_teeth")
#: Faces whose surface is kept where triangles are left out.
KEPT: tuple[dict[str, float], ...] = (
    {},
    {"jaw": 1.0},
    {"zygomaticus": 1.0, "jaw": -0.5},
    {"brow_inner": 1.0, "brow_outer": 1.0},
)
#: By how many pixels fewer triangles may move the surface, in the largest picture that is drawn with them.
TOLERANCE = 0.3
WIDTH = 0.319  # m that a picture is wide at the face


def build(spec: FaceSpec) -> None:
    """Writes textures and `FILE` into the folder of a face."""
    skin, visual = read_arrays(spec.file("meshes/skin.npz")), read_arrays(spec.file("meshes/visual.npz"))
    for material, palette in PALETTES.items():
        with atomic_path(spec.file("textures/paint.png").with_name(TEXTURES[material])) as part:
            paint_texture(skin, palette).save(part)
    middles = skin["points"][skin["triangles"]].mean(axis=1)
    arrays = {
        "fold_lines": height_map(visual["head_points"]),
        "fold_directions": line_directions(middles).astype(np.float32),
        "digest": mesh_digest(spec),
    }
    path = spec.file("meshes/skin.npz").parent.parent / FILE
    write_arrays(path, **arrays)  # without openness, which needs the rest
    write_arrays(path, **arrays, **_openness(spec), **_coarse(spec))


def _openness(spec: FaceSpec) -> dict[str, np.ndarray]:
    """Openness of all parts at the fine mesh, uint8 (V,) each; that of the mouth is measured with it open."""
    studio = StudioParts(spec)
    # From all around, backs are seen as well.
    bare = [replace(part, openness=np.ones(len(part.points)), two_sided=True) for part in studio.parts]
    renderer = StudioRenderer(bare, studio.fold_lines, "fast")
    with Twin(spec=spec) as twin:
        closed, opened = (_measured(twin, studio, renderer, bare, jaw) for jaw in (-1.0, OPEN_JAW))
    found = {name: opened[name] if name in INSIDE else closed[name] for name in closed}
    outside = len(read_arrays(spec.file("meshes/visual.npz"))["head_points"])
    inner = np.arange(len(Appearance(spec).parts[0].points)) >= outside
    share = studio.at_shown("head", inner.astype(float))
    found["head"] = found["head"] + share * (opened["head"] - found["head"])
    return {f"open_{name}": _byte(_adjusted(name, openness)) for name, openness in found.items()}


def _measured(
    twin: Twin, studio: StudioParts, renderer: StudioRenderer, parts: list[StudioPart], jaw: float
) -> dict[str, np.ndarray]:
    twin.reset()
    hold(twin, twin.spec.command(jaw=jaw), settling_steps(twin.spec))
    return measure_openness(renderer, parts, studio.place(twin.skin.points, twin.head.pose))


def _coarse(spec: FaceSpec) -> dict[str, np.ndarray]:
    """Fewer triangles of the parts that are no grids, uint16 (F', 3) each."""
    studio = StudioParts(spec, fine=False)
    with Twin(spec=spec) as twin:
        placed = []
        for pulls in KEPT:
            twin.reset()
            hold(twin, spec.command(**pulls), settling_steps(spec))
            placed.append(studio.place(twin.skin.points, twin.head.pose).parts)
    found = {}
    for part in (part for part in studio.parts if part.grid is None):
        shapes = [now.get(part.name, part.points) for now in placed]
        rigid = any(shape.shape == (4, 4) for shape in shapes)
        kept = np.array([part.points] if rigid else shapes)
        for size in COARSE:
            fewer = fewer_triangles(kept, part.triangles, TOLERANCE * WIDTH / size)
            found[f"coarse_{part.name}_{size}"] = fewer.astype(np.uint16)
    return found


def _adjusted(name: str, openness: np.ndarray) -> np.ndarray:
    """Eyes and teeth are lit a little more than geometry says, since they are read first."""
    if name.startswith("eye"):
        openness = 0.45 + 0.55 * openness
    return 0.3 + 0.7 * openness**0.35 if name.endswith("teeth") else openness**1.2


def _byte(share: np.ndarray) -> np.ndarray:
    return np.round(255 * share).astype(np.uint8)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.exit(__doc__)
    build(load_spec())
