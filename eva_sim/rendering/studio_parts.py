"""The visible face in studio light: smooth skin with folds, wet eyes, teeth, and a bust."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy.sparse as sparse
from numpy.typing import NDArray

from eva_sim.contract import FaceSpec, Floats
from eva_sim.errors import DataError, RenderError, known_names
from eva_sim.files import read_arrays
from eva_sim.head import HeadPose
from eva_sim.rendering.appearance import CORNEA, EYE_RADIUS, IRIS, PUPIL, Appearance
from eva_sim.rendering.folds import FoldStrain
from eva_sim.rendering.renderer import Part
from eva_sim.rendering.subdivision import subdivide

FILE = "precomputed/studio.npz"
BUST_LABEL = 6  # of the bust in segmentation pictures
#: Texture of the skin by material.
TEXTURES = {"blue": "paint.png", "grey": "paint_grey.png", "human": "paint_human.png"}
#: Linear colour of the lids' edges by material.
_LID_EDGES = {"blue": (0.02, 0.06, 0.2), "grey": (0.10, 0.10, 0.10), "human": (0.20, 0.09, 0.07)}
#: Largest pictures that are drawn with fewer triangles, of the fast style [pixels].
COARSE = (128, 256)
#: Steps between the rows and columns of grids that these are drawn with. Rings of the iris are all kept.
_EYE_STEPS, _BUST_STEPS = {128: (1, 4), 256: (1, 2)}, {128: (1, 2)}
FOLD_DEPTH = 0.0014  # m, of the drawn lines at full fold
#: Outline of the bust: half width, half depth, height, and depth of the middle of its rings [m].
#: A rolled collar about the neck, then shoulders.
_BUST_OUTLINE = (
    (0.0500, 0.0460, -0.1480, -0.105), (0.0535, 0.0500, -0.1335, -0.105), (0.0550, 0.0520, -0.1310, -0.105),
    (0.0568, 0.0538, -0.1312, -0.105), (0.0582, 0.0552, -0.1335, -0.105), (0.0590, 0.0562, -0.1370, -0.105),
    (0.0605, 0.0575, -0.1410, -0.105), (0.0650, 0.0600, -0.1450, -0.104), (0.0730, 0.0640, -0.1490, -0.102),
    (0.0850, 0.0690, -0.1535, -0.100), (0.1000, 0.0740, -0.1585, -0.098), (0.1170, 0.0790, -0.1645, -0.096),
    (0.1340, 0.0830, -0.1720, -0.094), (0.1480, 0.0870, -0.1820, -0.092), (0.1580, 0.0900, -0.1960, -0.090),
    (0.1640, 0.0920, -0.2150, -0.089), (0.1660, 0.0940, -0.2400, -0.088), (0.1660, 0.0950, -0.3000, -0.088),
)  # fmt: skip
#: Fall of the collar from back to front [m per m], and the height below which its rings are level [m].
_COLLAR_SLOPE, _LEVEL_BELOW = 0.16, -0.1600


@dataclass(frozen=True)
class StudioPart:
    """One visible part.

    Attributes:
        name: unique.
        points: (V, 3) [m], in the part's own frame or, when placed by vertices, at rest.
        triangles: (F, 3).
        label: its value in segmentation pictures, from 1.
        colours: linear red, green, blue at each vertex, (V, 3).
        openness: share of the surroundings that each vertex sees, (V,), 0..1.
        uv: (V, 2).
        texture: (H, W, 3) uint8, or None.
        roughness: of the surface, 0..1.
        coat: strength of a clear coat.
        glint: strength of the lights' own reflection, as in a wet eye.
        scatter: how far red light creeps into the shade.
        folds: whether the part has fold lines.
        two_sided: whether its back can be seen.
        grid: rows and columns of the vertices, of a part that is a surface of revolution.
        caster: triangles that cast the shadow of the key light, (F', 3), or None if the part casts none.
        coarse: fewer triangles over the same vertices, by the largest picture drawn with them [pixels].
    """

    name: str
    points: Floats
    triangles: NDArray[np.int64]
    label: int
    colours: Floats
    openness: Floats
    uv: Floats
    texture: NDArray[np.uint8] | None = None
    roughness: float = 0.45
    coat: float = 0.0
    glint: float = 0.0
    scatter: float = 0.0
    folds: bool = False
    two_sided: bool = False
    grid: tuple[int, int] | None = None
    caster: NDArray[np.int64] | None = None
    coarse: Mapping[int, NDArray[np.int64]] = field(default_factory=dict)


class StudioPlacement(NamedTuple):
    """The parts at one moment.

    Attributes:
        parts: per part its world vertices (V, 3) [m] or its pose (4, 4); parts that are missing do not move.
        folds: of the vertices of the head, (V,), see `FoldStrain`.
    """

    parts: dict[str, Floats]
    folds: Floats


class StudioParts:
    """Makes the parts for a `StudioRenderer`, and places them by the skin's vertices and the head's pose.

    Args:
        spec: the face, whose folder holds meshes and textures.
        material: of the skin: `"blue"`, `"grey"` or `"human"`.
        fine: whether the skin is subdivided.

    Attributes:
        parts: the visible parts.
        fold_lines: heights of the fold lines in the texture, (H, W) [fold depths].

    Raises:
        DataError: a file is missing, damaged, or was built for other meshes.
        RenderError: no such material.
    """

    def __init__(self, spec: FaceSpec, material: str = "blue", fine: bool = True) -> None:
        if material not in TEXTURES:
            raise RenderError(f"no material called {material!r}; {known_names(material, list(TEXTURES))}.")
        self._appearance, self._fine = Appearance(spec), fine
        self._baked = _baked(spec)
        self._operators: dict[str, sparse.csr_matrix] = {}
        skin = read_arrays(spec.file("meshes/skin.npz"))
        self._strain = FoldStrain(skin["points"], skin["triangles"], self._baked["fold_directions"])
        self.fold_lines: NDArray[np.float16] = self._baked["fold_lines"]
        self.parts = [
            self._refined(replace(part, colour=_LID_EDGES[material]) if part.name.startswith("lid") else part)
            for part in self._appearance.parts
        ]
        self.parts[0] = replace(self.parts[0], texture=_texture(spec, material))
        self.parts.append(self._opened(bust_part()))

    def place(self, skin: Floats, pose: HeadPose, folds: bool = True) -> StudioPlacement:
        """Returns vertices or poses of all parts.

        Args:
            skin: the simulated vertices in the head frame, (V, 3) [m].
            pose: of the rigid head.
            folds: whether folds are computed, which labels and distances do without.
        """
        placed = self._appearance.place(skin, pose)
        folded = self._strain(skin) if folds else np.zeros(len(skin))
        for name, operator in self._operators.items():
            if placed[name].shape != (4, 4):
                placed[name] = operator @ placed[name]
        return StudioPlacement(placed, self.of_skin(folded))

    def of_skin(self, values: Floats) -> Floats:
        """Returns values (V,) of the simulated vertices at the vertices of the head; zero on its shell."""
        padded = np.zeros(len(self._appearance.parts[0].points))
        padded[: len(values)] = values
        return self.at_shown("head", padded)

    def at_shown(self, name: str, values: Floats) -> Floats:
        """Returns values (V,) of the vertices of a part at the vertices that are shown of it."""
        operator = self._operators.get(name)
        return values if operator is None else operator @ values

    def _refined(self, part: Part) -> StudioPart:
        """Returns the part as the studio shows it."""
        if part.name.startswith("eye"):
            return self._opened(eye_part(part.name, part.label))
        made = _converted(part)
        made = replace(made, two_sided=part.name != "head")
        if part.name == "head":
            # Subdivision keeps the first vertices, so the coarse triangles also cast the fine shadow.
            made = replace(made, caster=made.triangles,
                           roughness=0.5, coat=0.55, scatter=0.1, folds=True)  # fmt: skip
        if self._fine and part.name in ("head", "mouth", "tongue"):
            operator, triangles = subdivide(len(made.points), made.triangles)
            self._operators[part.name] = operator
            made = replace(made, points=operator @ made.points, triangles=triangles,
                           colours=operator @ made.colours, uv=operator @ made.uv)  # fmt: skip
        return self._opened(made)

    def _opened(self, part: StudioPart) -> StudioPart:
        """Adds what was baked; without `fine`, it takes every second row and column of grids."""
        openness = self._baked.get(f"open_{part.name}")
        if openness is not None:  # it is missing while it is being baked
            part = replace(part, openness=openness[: len(part.points)] / 255.0)
        if self._fine:
            return part
        if part.grid is not None:
            steps = _BUST_STEPS if part.label == BUST_LABEL else _EYE_STEPS
            part = every_second(part)
            return replace(part, coarse={size: _thinned(part, *step) for size, step in steps.items()})
        baked = {size: self._baked.get(f"coarse_{part.name}_{size}") for size in COARSE}
        found = {size: triangles for size, triangles in baked.items() if triangles is not None}
        return replace(part, coarse={size: triangles.astype(np.int64) for size, triangles in found.items()})


def mesh_digest(spec: FaceSpec) -> str:
    """Returns the SHA-256 of the meshes that the baked file belongs to."""
    read = (Path(spec.file(f"meshes/{name}.npz")).read_bytes() for name in ("skin", "visual"))
    return hashlib.sha256(b"".join(read)).hexdigest()


@lru_cache(maxsize=4)
def _baked(spec: FaceSpec) -> Mapping[str, NDArray]:
    arrays = read_arrays(spec.file(FILE))
    if str(arrays["digest"]) != mesh_digest(spec):
        raise DataError(f"{FILE} was built for other meshes; run `python -m tools.build_studio`.")
    return arrays


def _texture(spec: FaceSpec, material: str) -> NDArray[np.uint8]:
    from PIL import Image

    return np.asarray(Image.open(spec.file(f"textures/{TEXTURES[material]}")).convert("RGB"))


def _converted(part: Part) -> StudioPart:
    size = len(part.points)
    colours = np.ones((size, 3)) if part.vertex_colours is None else (part.vertex_colours / 255.0) ** 2.2
    return StudioPart(
        part.name, part.points, part.triangles, part.label, colours * part.colour, np.ones(size),
        np.zeros((size, 2)) if part.uv is None else part.uv, part.texture, part.roughness,
    )  # fmt: skip


def bust_part(around: int = 96) -> StudioPart:
    """Returns the bust that carries the head, rings of ellipses in dark satin."""
    width, depth, height, middle = (column[:, None] for column in np.array(_BUST_OUTLINE).T)
    angle = np.linspace(0, -2 * np.pi, around + 1)
    x, z = width * np.cos(angle), depth * np.sin(angle) + middle
    # The collar is lower in front, where the chin comes down with the jaw.
    slope = _COLLAR_SLOPE * np.clip((height - _LEVEL_BELOW) / (height.max() - _LEVEL_BELOW), 0, 1)
    points = np.stack([x, height - slope * (z - middle), z], axis=-1).reshape(-1, 3)
    colours = np.tile([0.018, 0.020, 0.024], (len(points), 1))
    return _revolved("bust", BUST_LABEL, points, colours, x.shape, roughness=0.42, coat=0.25)


def eye_part(name: str, label: int, around: int = 64) -> StudioPart:
    """Returns an eye that looks along z: its front, with iris, limbal ring and a cornea that bulges."""
    rings = np.concatenate(
        [
            np.linspace(0, 1.1 * PUPIL, 6),
            np.linspace(1.15 * PUPIL, 1.12 * IRIS, 16),
            np.linspace(1.2 * IRIS, 1.75, 12),
        ]
    )
    polar, angle = np.meshgrid(rings, np.linspace(0, 2 * np.pi, around + 1), indexing="ij")
    radius = EYE_RADIUS + CORNEA * np.clip(1 - (polar / (1.2 * IRIS)) ** 2, 0, 1)
    unit = np.stack([np.sin(polar) * np.cos(angle), np.sin(polar) * np.sin(angle), np.cos(polar)], axis=-1)
    points = (unit * radius[..., None]).reshape(-1, 3)
    colours = _eye_colours(polar.ravel() / IRIS, angle.ravel())
    return _revolved(name, label, points, colours, polar.shape, roughness=0.3, coat=0.8, glint=1.0)


def _revolved(
    name: str, label: int, points: Floats, colours: Floats, grid: tuple[int, ...], **surface: float
) -> StudioPart:
    """Returns the part whose vertices form a grid, row by row; its last column closes the ring."""
    size, (rows, columns) = len(points), grid
    triangles, open_all = _grid_triangles(rows, columns), np.ones(size)
    part = StudioPart(name, points, triangles, label, colours, open_all, np.zeros((size, 2)))
    return replace(part, grid=(rows, columns), **surface)  # type: ignore[arg-type]


def _grid_triangles(rows: int, columns: int) -> NDArray[np.int64]:
    row, column = (n.ravel() for n in np.indices((rows - 1, columns - 1)))
    a = row * columns + column
    return np.concatenate(
        [np.stack([a, a + columns, a + columns + 1], 1), np.stack([a, a + columns + 1, a + 1], 1)]
    )


def every_second(part: StudioPart) -> StudioPart:
    """Returns a part that is a grid with every second row and column of it, and the last ones."""
    assert part.grid is not None
    rows, columns = (_every(2, count) for count in part.grid)
    kept = (rows[:, None] * part.grid[1] + columns).ravel()
    return replace(
        part, points=part.points[kept], triangles=_grid_triangles(len(rows), len(columns)),
        colours=part.colours[kept], openness=part.openness[kept], uv=part.uv[kept],
        grid=(len(rows), len(columns)),
    )  # fmt: skip


def _thinned(part: StudioPart, row_step: int, column_step: int) -> NDArray[np.int64]:
    """Returns triangles between every n-th row and every n-th column of a part that is a grid."""
    assert part.grid is not None
    rows, columns = (_every(step, n) for step, n in zip((row_step, column_step), part.grid, strict=True))
    kept = rows[:, None] * part.grid[1] + columns
    return kept.ravel()[_grid_triangles(*kept.shape)]


def _every(step: int, count: int) -> NDArray[np.int64]:
    return np.unique([*range(0, count, step), count - 1])


def _eye_colours(radius: Floats, angle: Floats) -> Floats:
    """Returns linear colours (V, 3) at a radius [iris radii] and an angle [rad]."""
    rng = np.random.default_rng(3)
    waves = [
        np.sin(k * angle + rng.uniform(0, 2 * np.pi)) * rng.uniform(0.3, 1) for k in rng.integers(9, 60, 14)
    ]
    streaks = np.sum(waves, axis=0)
    streaks /= np.abs(streaks).max()
    outwards = np.clip((radius - 0.4) / 0.6, 0, 1)[:, None]
    iris = (1 - outwards) * [0.115, 0.062, 0.026] + outwards * [0.050, 0.028, 0.013]
    iris *= 1 + 0.45 * streaks[:, None] * np.sin(np.pi * outwards)
    iris *= 1 + 0.9 * np.exp(-(((radius - 0.5) / 0.09) ** 2))[:, None]
    iris *= 1 - 0.85 * smooth_step(0.80, 0.95, radius)[:, None]
    white = (1 - 0.35 * smooth_step(1.5, 3.6, radius))[:, None] * [0.60, 0.575, 0.55]
    white *= np.array([1, 0.96, 0.94]) ** (2 * smooth_step(1.6, 3.4, radius)[:, None])
    inside = np.where((radius < PUPIL / IRIS)[:, None], 0.0015, iris)
    colours: Floats = inside + (white - inside) * smooth_step(0.96, 1.08, radius)[:, None]
    return colours


def smooth_step(low: float, high: float, x: Floats) -> Floats:
    """Returns 0 below `low`, 1 above `high`, and a cubic between."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)
