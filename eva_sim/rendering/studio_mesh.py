"""One part of the studio in graphics memory: its buffers, its texture and its material."""

from __future__ import annotations

from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sparse
from numpy.typing import NDArray

from eva_sim.contract import Floats
from eva_sim.errors import RenderError
from eva_sim.rendering.renderer import LARGEST
from eva_sim.rendering.studio_light import Material
from eva_sim.rendering.studio_parts import FOLD_DEPTH, StudioPart
from eva_sim.rendering.studio_programs import Programs, as_opengl
from eva_sim.skin.elements import vertex_normals

#: Height of smooth skin in the texture, 0..255; creases are deeper than the skin beside them is high.
_SMOOTH = 192


class Style(NamedTuple):
    """A choice between quality and speed.

    Attributes:
        smooth_edges: whether edges are smoothed.
        shadows: whether the key light casts a shadow.
        subdivided: whether the skin is subdivided.
        texture_side: side of the texture [pixels].
        trilinear: whether neighbouring sizes of the texture are blended, which costs a second look-up.
    """

    smooth_edges: bool
    shadows: bool
    subdivided: bool
    texture_side: int
    trilinear: bool


class View(NamedTuple):
    """A camera, or the key light.

    Attributes:
        projection: clip space from world, (4, 4).
        eye: place of the camera [m].
        strength: of all light.
    """

    projection: Floats
    eye: tuple[float, ...] = (0.0, 0.0, 0.0)
    strength: float = 1.0


class StudioMesh:
    """A part in graphics memory; made and used in the drawing thread only.

    Args:
        part: the part.
        programs: of this process.
        style: of the pictures.
        fold_lines: see `StudioParts`.

    Attributes:
        part: the part.
    """

    def __init__(
        self, part: StudioPart, programs: Programs, style: Style, fold_lines: NDArray[np.float16]
    ) -> None:
        self.part = part
        self._painted = part.texture is not None
        material = Material(
            self._painted, part.two_sided, part.roughness, part.coat, part.glint, part.scatter
        )
        self._programs, self._program = programs, programs.face(material, style.shadows)
        self._levels = {**dict(sorted(part.coarse.items())), LARGEST: part.triangles}
        self._normals = _Normals(part.triangles, len(part.points))
        self._placement: Floats = np.eye(4)
        self._texture: Any = None
        self._height = 0.0, 0.0
        self._moved: NDArray[np.float32] | None = None
        if part.texture is not None:
            self._load_texture(part.texture[::-1], fold_lines, style)
        self._load()

    def _load(self) -> None:
        part, context = self.part, self._programs.context
        normals = vertex_normals(part.points, part.triangles)
        self._places = context.buffer(part.points.astype(np.float32))
        self._directions = context.buffer(
            np.column_stack([normals, np.zeros(len(normals))]).astype(np.float32)
        )
        fixed = np.column_stack([part.colours, part.openness, part.uv])[
            :, slice(3, 6) if self._painted else slice(4)
        ]
        moving = [(self._places, "3f", 0)]
        turning = (self._directions, *(("3f 1f", 1, 2) if self._painted else ("3f 4x", 1)))
        own = (context.buffer(fixed.astype(np.float32)), *(("1f 2f", 3, 4) if self._painted else ("4f", 3)))
        self._faces, self._labels, self._distances, self._caster = {}, {}, {}, None
        for size, triangles in self._levels.items():
            indices = context.buffer(triangles.astype(np.uint32))
            self._faces[size] = context.vertex_array(self._program, [*moving, turning, own], indices)
            self._labels[size] = context.vertex_array(self._programs.labels, moving, indices)
            self._distances[size] = context.vertex_array(self._programs.distances, moving, indices)
        if part.caster is not None:
            outline = context.buffer(part.caster.astype(np.uint32))
            self._caster = context.vertex_array(self._programs.labels, moving, outline)

    def _load_texture(self, paint: NDArray[np.uint8], fold_lines: NDArray[np.float16], style: Style) -> None:
        """Packs paint and fold lines into one texture, so that the shader looks up once."""
        # The root is as even to the eye as the picture's own scale, and the shader squares it at no cost.
        roots = [_resized((paint[..., k] / 255.0) ** 1.1, style.texture_side) for k in range(3)]
        heights, zero = _resized(fold_lines, style.texture_side), _SMOOTH / 255
        scale = max(heights.max() / (1 - zero), -heights.min() / zero, 1e-6)
        packed = np.stack([*roots, heights / scale + zero], axis=2)
        context, side = self._programs.context, (style.texture_side, style.texture_side)
        self._texture = context.texture(side, 4, np.round(255 * np.clip(packed, 0, 1)).astype(np.uint8))
        self._texture.build_mipmaps()
        between = context.LINEAR_MIPMAP_LINEAR if style.trilinear else context.LINEAR_MIPMAP_NEAREST
        self._texture.filter = between, context.LINEAR
        self._height = FOLD_DEPTH * float(scale) if self.part.folds else 0.0, zero

    def place(self, place: Floats | None) -> None:
        """Moves the part to its vertices (V, 3) [m] or its pose (4, 4); None leaves it where it was made.

        Raises:
            RenderError: the part has another number of vertices.
        """
        self._moved = None
        if place is None:
            return
        if place.shape == (4, 4):
            self._placement = place
            return
        if place.shape != self.part.points.shape:
            raise RenderError(f"{self.part.name} has {len(self.part.points)} vertices, not {len(place)}.")
        self._moved = place.astype(np.float32)
        self._places.write(self._moved)

    def turn(self, folds: Floats) -> None:
        """Gives vertices that were placed their normals, by all triangles, and their folds (V,)."""
        if self._moved is not None:
            directions = np.zeros((len(self._moved), 4), np.float32)
            directions[:, :3] = self._normals(self._moved)
            if self.part.folds:
                directions[:, 3] = folds
            self._directions.write(directions)

    def shade(self, view: View, size: int) -> None:
        """Draws the part in colour, into a picture of a size."""
        face = self._program
        face["placement"].write(as_opengl(self._placement))
        face["eye"].value, face["strength"].value = view.eye, view.strength
        if self._texture is not None:
            face["height"].value = self._height
            self._texture.use(0)
        self._draw(self._faces[self._level(size)], view)

    def measure(self, view: View, labels: bool, size: int) -> None:
        """Draws labels or distances, into a picture of a size."""
        if labels:
            self._programs.labels["label"].value = float(self.part.label)
        self._draw((self._labels if labels else self._distances)[self._level(size)], view)

    def cast_shadow(self, view: View) -> None:
        """Draws the part as the key light sees it, if it casts a shadow."""
        if self._caster is not None:
            self._draw(self._caster, view)

    def _level(self, size: int) -> int:
        """Returns the largest picture that is drawn with the same triangles as one of this size."""
        return next(largest for largest in self._levels if size <= largest)

    def _draw(self, array: Any, view: View) -> None:
        # What faces away from the camera is hidden by the part itself.
        context = self._programs.context
        (context.disable if self.part.two_sided else context.enable)(context.CULL_FACE)
        array.program["projection"].write(as_opengl(view.projection @ self._placement))
        array.render()


class _Normals:
    """Normals of a mesh whose vertices move, by two products; their lengths have no meaning."""

    def __init__(self, triangles: NDArray[np.int64], vertices: int) -> None:
        self._triangles, self._vertices = triangles, vertices

    @cached_property
    def _sides(self) -> sparse.csr_matrix:
        """Two sides of each triangle, (2 F, V)."""
        a, b, c = self._triangles.T
        count = len(a)
        rows = np.arange(2 * count)
        ones = np.ones(2 * count, np.float32)
        ends = sparse.csr_matrix((ones, (rows, np.concatenate([b, c]))), shape=(2 * count, self._vertices))
        starts = sparse.csr_matrix((ones, (rows, np.concatenate([a, a]))), shape=(2 * count, self._vertices))
        return ends - starts

    @cached_property
    def _sums(self) -> sparse.csr_matrix:
        """Sums over the triangles around each vertex, (V, F)."""
        count = len(self._triangles)
        where = self._triangles.ravel(), np.repeat(np.arange(count), 3)
        return sparse.csr_matrix((np.ones(3 * count, np.float32), where), shape=(self._vertices, count))

    def __call__(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        sides, count = self._sides @ points, len(self._triangles)
        (a, b, c), (d, e, f) = sides[:count].T, sides[count:].T
        cross = np.empty((count, 3), np.float32)
        cross[:, 0], cross[:, 1], cross[:, 2] = b * f - c * e, c * d - a * f, a * e - b * d
        normals: NDArray[np.float32] = self._sums @ cross
        return normals


def _resized(values: NDArray, side: int) -> NDArray[np.float32]:
    from PIL import Image

    return np.asarray(
        Image.fromarray(values.astype(np.float32)).resize((side, side), Image.Resampling.BICUBIC)
    )
