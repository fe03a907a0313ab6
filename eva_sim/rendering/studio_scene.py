"""The parts of the studio in graphics memory: buffers, textures, and few calls that draw them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from eva_sim.rendering.moving_vertices import MovingVertices
from eva_sim.rendering.renderer import LARGEST
from eva_sim.rendering.studio_light import Material
from eva_sim.rendering.studio_parts import FOLD_DEPTH, StudioPart, StudioPlacement
from eva_sim.rendering.studio_programs import Programs

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


class _Call(NamedTuple):
    """One call that draws parts.

    Attributes:
        arrays: vertices and triangles, by the largest picture that is drawn with them [pixels].
        two_sided: whether what faces away from the camera is drawn; otherwise the part itself hides it.
        texture: paint and fold lines, or None.
        height: of the fold lines [m], and their zero, in the scale of the texture.
    """

    arrays: dict[int, Any]
    two_sided: bool
    texture: Any = None
    height: tuple[float, float] = (0.0, 0.0)


class StudioScene:
    """All parts in graphics memory; made and used in the drawing thread only.

    Parts of one material are drawn by one call, for labels and distances all parts by two.

    Args:
        parts: the parts.
        programs: of this process.
        style: of the pictures.
        fold_lines: see `StudioParts`.
    """

    def __init__(
        self,
        parts: Sequence[StudioPart],
        programs: Programs,
        style: Style,
        fold_lines: NDArray[np.float16],
    ) -> None:
        self._parts, self._programs, self._style = parts, programs, style
        self._vertices = MovingVertices(parts)
        self._first = {part.name: rows.start for part, rows in zip(parts, self._vertices.rows, strict=True)}
        self._levels = sorted({LARGEST}.union(*(part.coarse for part in parts)))
        buffer = programs.context.buffer
        self._places, self._directions = (
            buffer(self._vertices.places),
            buffer(self._vertices.directions),
        )
        fixed = [(p.colours, p.openness, p.uv, np.full(len(p.points), p.label)) for p in parts]
        columns = [np.column_stack(part) for part in fixed]
        self._fixed = buffer(np.concatenate(columns).astype(np.float32))
        self._faces = [self._face_call(group, fold_lines) for group in parts_by(parts, look_of)]
        self._labels, self._distances = (
            [self._measure_call(program, group) for group in parts_by(parts, lambda part: part.two_sided)]
            for program in (programs.labels, programs.distances)
        )
        casters = [
            replace(part, triangles=part.caster, coarse={}) for part in parts if part.caster is not None
        ]
        self._casters = self._measure_call(programs.distances, casters)

    def move_parts(self, placed: StudioPlacement, folds: bool) -> None:
        """Moves all parts; without `folds` for labels, distances and shadows only.

        Raises:
            RenderError: a part has another number of vertices.
        """
        self._vertices.move_parts(placed.parts)
        self._places.write(self._vertices.places)
        if folds:
            self._vertices.update_normals(placed.folds)
            self._directions.write(self._vertices.directions)

    def draw_colours(self, size: int) -> None:
        """Draws all parts in colour, into a picture of a size."""
        for call in self._faces:
            array = self._chosen(call, size)
            if call.texture is not None:
                call.texture.use(0)
                array.program["height"].value = call.height
            array.render()

    def draw_labels_or_distances(self, labels: bool, size: int) -> None:
        """Draws labels or distances, into a picture of a size."""
        for call in self._labels if labels else self._distances:
            self._chosen(call, size).render()

    def cast_shadow(self) -> None:
        """Draws the parts that cast a shadow, as the key light sees them."""
        self._chosen(self._casters, LARGEST).render()

    def _chosen(self, call: _Call, size: int) -> Any:
        """Returns the triangles for a picture of a size, and chooses whether their backs are drawn."""
        context = self._programs.context
        (context.disable if call.two_sided else context.enable)(context.CULL_FACE)
        return next(array for largest, array in call.arrays.items() if size <= largest)

    def _face_call(self, parts: Sequence[StudioPart], fold_lines: NDArray[np.float16]) -> _Call:
        """Returns the call that draws the parts of one material in colour."""
        (material, _), paint = look_of(parts[0]), parts[0].texture
        program = self._programs.face(material, self._style.shadows)
        painted, tinted = ("12x 1f 2f 4x", 3, 4), ("4f 12x", 3)
        own = (self._fixed, *(painted if material.painted else tinted))
        turning = (self._directions, *(("3f 1f", 1, 2) if material.painted else ("3f 4x", 1)))
        arrays = self._arrays(program, [(self._places, "3f", 0), turning, own], parts)
        if paint is None:
            return _Call(arrays, material.two_sided)
        return _Call(arrays, material.two_sided, *self._load_texture(paint[::-1], fold_lines))

    def _measure_call(self, program: Any, parts: Sequence[StudioPart]) -> _Call:
        """Returns the call that draws labels or distances of parts."""
        buffers: list[Any] = [(self._places, "3f", 0)]
        if program is self._programs.labels:
            buffers.append((self._fixed, "24x 1f", 1))
        return _Call(self._arrays(program, buffers, parts), parts[0].two_sided)

    def _arrays(self, program: Any, buffers: list[Any], parts: Sequence[StudioPart]) -> dict[int, Any]:
        """Returns vertices and triangles of parts, by the largest picture that they are for [pixels]."""
        context, arrays = self._programs.context, {}
        for size in self._levels:
            triangles = [_for_size(part, size) + self._first[part.name] for part in parts]
            indices = context.buffer(np.concatenate(triangles).astype(np.uint32))
            arrays[size] = context.vertex_array(program, buffers, indices)
        return arrays

    def _load_texture(
        self, paint: NDArray[np.uint8], fold_lines: NDArray[np.float16]
    ) -> tuple[Any, tuple[float, float]]:
        """Packs paint and fold lines into one texture, so that the shader looks up once; and their height."""
        context, side = self._programs.context, self._style.texture_side
        packed, height = pack_texture(paint, fold_lines, side)
        texture = context.texture((side, side), 4, packed)
        texture.build_mipmaps()
        between = context.LINEAR_MIPMAP_LINEAR if self._style.trilinear else context.LINEAR_MIPMAP_NEAREST
        texture.filter = between, context.LINEAR
        return texture, height


def pack_texture(
    paint: NDArray[np.uint8], fold_lines: NDArray[np.float16], side: int
) -> tuple[NDArray[np.uint8], tuple[float, float]]:
    """Packs paint and fold lines into one texture.

    Args:
        paint: from the bottom, (H, W, 3).
        fold_lines: from the bottom, (H', W') [fold depths].
        side: of the texture [pixels].

    Returns:
        The texture, uint8 (side, side, 4): square roots of linear red, green and blue, and height. And the
        scale of the height [m] and its zero, 0..1.
    """
    # The root is as even to the eye as the picture's own scale, and the shader squares it at no cost.
    roots = [_resized((paint[..., k] / 255.0) ** 1.1, side) for k in range(3)]
    heights, zero = _resized(fold_lines, side), _SMOOTH / 255
    scale = max(heights.max() / (1 - zero), -heights.min() / zero, 1e-6)
    packed = np.stack([*roots, heights / scale + zero], axis=2)
    texture = np.round(255 * np.clip(packed, 0, 1)).astype(np.uint8)
    return texture, (FOLD_DEPTH * float(scale), zero)


def look_of(part: StudioPart) -> tuple[Material, int]:
    """Returns what the parts that one call draws in colour have in common."""
    material = Material(
        part.texture is not None, part.two_sided, part.roughness, part.coat, part.glint, part.scatter
    )
    return material, id(part.texture)


def parts_by(parts: Sequence[StudioPart], key: Callable[[StudioPart], Hashable]) -> list[list[StudioPart]]:
    """Returns the parts that have the same key, in the order of the first of each."""
    groups: dict[Hashable, list[StudioPart]] = {}
    for part in parts:
        groups.setdefault(key(part), []).append(part)
    return list(groups.values())


def _for_size(part: StudioPart, size: int) -> NDArray[np.int64]:
    """Returns the triangles of a part in pictures up to a size [pixels]."""
    return next((part.coarse[largest] for largest in sorted(part.coarse) if size <= largest), part.triangles)


def _resized(values: NDArray, side: int) -> NDArray[np.float32]:
    from PIL import Image

    return np.asarray(
        Image.fromarray(values.astype(np.float32)).resize((side, side), Image.Resampling.BICUBIC)
    )
