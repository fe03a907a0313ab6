"""The camera in the light of a studio: colour, depth and labels of the face, by ModernGL on EGL.

Two styles share shaders and parts. `"fast"` leaves out what costs most on a processor: multisampling, the
shadow of the key light and the subdivided skin. `"fine"` is for stills and videos. The shaders are in
`assets/shaders/`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from eva_sim.contract import Floats
from eva_sim.errors import RenderError
from eva_sim.files import asset
from eva_sim.rendering.drawing_thread import cause, in_drawing_thread, opengl_advice
from eva_sim.rendering.renderer import CAMERA_POSITION, CAMERA_TARGET, FIELD_OF_VIEW, LARGEST, look_at
from eva_sim.rendering.studio_parts import FOLD_DEPTH, StudioPart, StudioPlacement
from eva_sim.skin.elements import vertex_normals

Picture = NDArray[np.uint8]


class Style(NamedTuple):
    """A choice between quality and speed.

    Attributes:
        samples: of multisampling; 0 for none.
        shadows: whether the key light casts a shadow.
        subdivided: whether the skin is subdivided.
    """

    samples: int
    shadows: bool
    subdivided: bool


STYLES = {"fast": Style(0, False, False), "fine": Style(4, True, True)}


class SoftBox(NamedTuple):
    """A light.

    Attributes:
        place: direction towards it, of any length.
        sharpness: of the spherical Gaussian; larger is smaller.
        colour: linear red, green, blue; the light that a surface receives does not depend on the sharpness.
    """

    place: tuple[float, float, float]
    sharpness: float
    colour: tuple[float, float, float]


#: Key light first, which casts the shadow; then fill, and two rims from behind.
BOXES = (
    SoftBox((-0.55, 0.62, 0.75), 14, (2.35, 2.25, 2.10)),
    SoftBox((0.80, 0.15, 0.60), 6, (0.50, 0.55, 0.62)),
    SoftBox((0.55, 0.55, -0.75), 10, (2.40, 2.50, 2.80)),
    SoftBox((-0.70, 0.20, -0.70), 10, (1.10, 1.20, 1.50)),
)
SKY, FLOOR = (0.62, 0.66, 0.72), (0.30, 0.28, 0.27)  # linear light from above and from below
BACKGROUND, BACKGROUND_EDGE = (0.80, 0.82, 0.85), (0.42, 0.45, 0.50)  # as in the picture, not linear
_NEAR, _FAR = 0.1, 3.0  # m
_SHADOW_SIZE, _SHADOW_HALF_WIDTH = 1024, 0.17  # pixels, m
_SHADOW_CENTRE = (0.0, -0.03, -0.03)  # m
_EGL: Any = {"backend": "egl", "libgl": "libGL.so.1", "libegl": "libEGL.so.1"}
_UNIT = 6.0  # divides sharpness times colour, which gives the radiance of a box


class _Programs:
    """The context of this process and its compiled shaders; made and used in the drawing thread only."""

    def __init__(self) -> None:
        try:
            import moderngl

            # Any: each member of a program has a type of its own, which only the shader says.
            context: Any = moderngl.create_context(standalone=True, **_EGL)
        except ImportError as error:
            raise RenderError(
                f"no picture in studio light can be made ({error}); install eva-sim again, or use 'plain'."
            ) from error
        except Exception as error:  # glcontext raises plain exceptions
            raise RenderError(
                f"no picture can be made: EGL gave no context ({cause(error)}). {opengl_advice()}"
            ) from error
        self.context = context
        context.gc_mode = "context_gc"  # buffers are freed by `gc()`, so in this thread only
        self.background, self.measure = (
            context.program(_shader(f"{name}.vert"), _shader(f"{name}.frag"))
            for name in ("background", "measure")
        )
        self.faces = {shadows: self._face(shadows) for shadows in (False, True)}
        triangle = np.array([-1, -1, 3, -1, -1, 3], np.float32)
        self.behind = context.vertex_array(self.background, [(context.buffer(triangle), "2f", 0)])
        self.background["bright"].value, self.background["dim"].value = BACKGROUND, BACKGROUND_EDGE

    def _face(self, shadows: bool) -> Any:
        """Compiles the program of the face, with or without the key light's shadow."""
        fragment = _shader("face.frag").replace("#version 330", f"#version 330\n#define SHADOWS {shadows:d}")
        face = self.context.program(_shader("face.vert"), fragment)
        _light(face, shadows)
        return face


def _shader(name: str) -> str:
    return asset(f"shaders/{name}").read_text()


def _light(face: Any, shadows: bool) -> None:
    """Sets the lights of the studio, which never change."""
    axes = [np.array(box.place) / np.linalg.norm(box.place) for box in BOXES]
    boxes = [(*axis, box.sharpness) for axis, box in zip(axes, BOXES, strict=True)]
    radiances = [np.array(box.colour) * box.sharpness / _UNIT for box in BOXES]
    face["boxes"].write(np.array(boxes, np.float32))
    face["radiances"].write(np.array(radiances, np.float32))
    face["sky"].value, face["floor_light"].value = SKY, FLOOR
    face["paint"].value, face["fold_lines"].value = 0, 1
    if shadows:
        face["shadow_map"].value = 2
        face["shadow_projection"].write(_gl(_shadow_projection()))


def _shadow_projection() -> Floats:
    pose = look_at(0.6 * np.array(BOXES[0].place) / np.linalg.norm(BOXES[0].place), _SHADOW_CENTRE)
    near, far = 0.1, 1.0
    scale = np.diag([1 / _SHADOW_HALF_WIDTH, 1 / _SHADOW_HALF_WIDTH, -2 / (far - near), 1.0])
    scale[2, 3] = -(far + near) / (far - near)
    projection: Floats = scale @ np.linalg.inv(pose)
    return projection


@lru_cache(maxsize=1)
def _programs() -> _Programs:
    return _Programs()


class StudioRenderer:
    """A camera in front of the face, in the light of a studio.

    Args:
        parts: the visible parts.
        fold_lines: see `StudioParts`.
        style: `"fast"` or `"fine"`.

    Raises:
        RenderError: pictures cannot be made here.
    """

    def __init__(self, parts: Sequence[StudioPart], fold_lines: NDArray[np.float16], style: str) -> None:
        self._style, self._strength = STYLES[style], 1.0
        self.pose = look_at(CAMERA_POSITION, CAMERA_TARGET)
        self._drawn: _Drawn = in_drawing_thread(_Drawn, parts, fold_lines, self._style)

    def colour(self, placed: StudioPlacement, size: int) -> Picture:
        """Returns a picture, uint8 (size, size, 3).

        Args:
            placed: the parts.
            size: side of the picture [pixels].
        """
        _check_size(size)
        return in_drawing_thread(self._drawn.colour, placed, size, self.pose, self._strength)

    def depth(self, placed: StudioPlacement, size: int) -> NDArray[np.float32]:
        """Distance along the viewing axis [m], float32 (size, size); zero where there is nothing."""
        _check_size(size)
        return in_drawing_thread(self._drawn.measure, placed, size, self.pose, False)

    def segmentation(self, placed: StudioPlacement, size: int) -> Picture:
        """Label of the part at each pixel, uint8 (size, size); zero where there is nothing."""
        _check_size(size)
        return in_drawing_thread(self._drawn.measure, placed, size, self.pose, True).astype(np.uint8)

    def move(self, pose: Floats) -> None:
        """Moves the camera; `pose` is world-from-camera, (4, 4), and the camera looks along its -z."""
        self.pose = pose

    def light(self, strength: float) -> None:
        """Scales all light."""
        self._strength = strength


def _check_size(size: int) -> None:
    if not 1 <= size <= LARGEST:
        raise RenderError(f"a picture's side is 1 to {LARGEST} pixels, not {size}.")


class _Mesh(NamedTuple):
    """A part in graphics memory: its buffer of moving vertices, one array per program, and its texture."""

    part: StudioPart
    moving: Any
    face: Any
    measure: Any
    texture: Any


class _Target(NamedTuple):
    """What is drawn into, and what is read: the same without multisampling."""

    drawn: Any
    read: Any


class _Drawn:
    """The parts in graphics memory; made and used in the drawing thread only."""

    def __init__(self, parts: Sequence[StudioPart], fold_lines: NDArray[np.float16], style: Style) -> None:
        self._programs, self._style = _programs(), style
        self._face = self._programs.faces[style.shadows]
        self._targets: dict[tuple[str, int], _Target] = {}
        with self._programs.context:
            self._meshes = [self._load(part) for part in parts]
            self._fold_lines = self._load_texture(fold_lines[..., None], "f2")
            self._shadow_map = self._programs.context.depth_texture((_SHADOW_SIZE, _SHADOW_SIZE))
            self._shadow_map.compare_func = "<="
            self._shadow_target = self._programs.context.framebuffer(depth_attachment=self._shadow_map)

    def colour(self, placed: StudioPlacement, size: int, pose: Floats, strength: float) -> Picture:
        with self._programs.context as context:
            context.gc()
            placements = self._place(placed)
            if self._style.shadows:
                self._cast_shadow(placements)
            target = self._target("colour", size)
            target.drawn.use()
            target.drawn.clear()
            context.disable(context.DEPTH_TEST)
            self._programs.behind.render()
            context.enable(context.DEPTH_TEST)
            self._shade(placements, pose, strength)
            if self._style.samples:
                context.copy_framebuffer(target.read, target.drawn)
            return _read(target.read, size, 3, np.uint8)

    def measure(self, placed: StudioPlacement, size: int, pose: Floats, labels: bool) -> NDArray[np.float32]:
        """Returns labels or distances [m], (size, size)."""
        with self._programs.context as context:
            context.gc()
            context.enable(context.DEPTH_TEST)
            placements, target = self._place(placed), self._target("measure", size)
            target.drawn.use()
            target.drawn.clear()
            self._measure(placements, _perspective() @ np.linalg.inv(pose), -np.linalg.inv(pose)[2], labels)
            return _read(target.read, size, 1, np.float32)[..., 0]

    def _load(self, part: StudioPart) -> _Mesh:
        programs, context = self._programs, self._programs.context
        moving = context.buffer(_vertices(part.points, part.triangles, np.zeros(len(part.points))))
        fixed = context.buffer(np.column_stack([part.colours, part.openness, part.uv]).astype(np.float32))
        indices = context.buffer(part.triangles.astype(np.uint32))
        face = context.vertex_array(
            self._face, [(moving, "3f 3f 1f", 0, 1, 2), (fixed, "4f 2f", 3, 4)], indices
        )
        measure = context.vertex_array(programs.measure, [(moving, "3f 16x", 0)], indices)
        texture = None if part.texture is None else self._load_texture(part.texture[::-1], "f1")
        return _Mesh(part, moving, face, measure, texture)

    def _load_texture(self, values: NDArray, kind: str) -> Any:
        context = self._programs.context
        height, width, components = values.shape
        texture = context.texture(
            (width, height), components, np.ascontiguousarray(values), alignment=1, dtype=kind
        )
        texture.build_mipmaps()
        texture.filter = (context.LINEAR_MIPMAP_LINEAR, context.LINEAR)
        return texture

    def _place(self, placed: StudioPlacement) -> list[bytes]:
        """Writes moving vertices into their buffers; returns world-from-part of each mesh."""
        placements = []
        for mesh in self._meshes:
            name, place = mesh.part.name, placed.parts.get(mesh.part.name, np.eye(4))
            if place.shape == (4, 4):
                placements.append(_gl(place))
                continue
            folds = placed.folds if mesh.part.folds else np.zeros(len(place))
            if place.shape != mesh.part.points.shape:
                raise RenderError(f"{name} has {len(mesh.part.points)} vertices, not {len(place)}.")
            mesh.moving.write(_vertices(place, mesh.part.triangles, folds))
            placements.append(_gl(np.eye(4)))
        return placements

    def _cast_shadow(self, placements: Sequence[bytes]) -> None:
        self._shadow_target.use()
        self._shadow_target.clear()
        self._programs.context.enable(self._programs.context.DEPTH_TEST)
        self._measure(placements, _shadow_projection(), np.zeros(4), True)

    def _measure(
        self, placements: Sequence[bytes], projection: Floats, viewing: Floats, labels: bool
    ) -> None:
        program = self._programs.measure
        program["projection"].write(_gl(projection))
        program["viewing"].value = tuple(viewing)
        for mesh, placement in zip(self._meshes, placements, strict=True):
            program["placement"].write(placement)
            program["label"].value = float(mesh.part.label) if labels else 0.0
            mesh.measure.render()

    def _shade(self, placements: Sequence[bytes], pose: Floats, strength: float) -> None:
        face = self._face
        face["projection"].write(_gl(_perspective() @ np.linalg.inv(pose)))
        face["eye"].value, face["strength"].value = tuple(pose[:3, 3]), strength
        self._fold_lines.use(1)
        self._shadow_map.use(2)
        for mesh, placement in zip(self._meshes, placements, strict=True):
            part = mesh.part
            face["placement"].write(placement)
            face["textured"].value = mesh.texture is not None
            face["roughness"].value, face["coat"].value = part.roughness, part.coat
            face["glint"].value, face["scatter"].value = part.glint, part.scatter
            face["fold_depth"].value = FOLD_DEPTH if part.folds else 0.0
            if mesh.texture is not None:
                mesh.texture.use(0)
            # What faces away from the camera is hidden by the part itself.
            context = self._programs.context
            (context.disable if part.two_sided else context.enable)(context.CULL_FACE)
            mesh.face.render()
        self._programs.context.disable(self._programs.context.CULL_FACE)

    def _target(self, kind: str, size: int) -> _Target:
        """Returns the framebuffers of pictures of a size; the latest of each kind is kept."""
        if (kind, size) not in self._targets:
            context = self._programs.context
            self._targets = {key: value for key, value in self._targets.items() if key[0] != kind}
            if kind == "measure":
                values = context.texture((size, size), 1, dtype="f4")
                read = drawn = context.framebuffer([values], context.depth_renderbuffer((size, size)))
            else:
                read = drawn = context.simple_framebuffer((size, size))
                if self._style.samples:
                    drawn = context.simple_framebuffer((size, size), samples=self._style.samples)
            self._targets[kind, size] = _Target(drawn, read)
        return self._targets[kind, size]


def _vertices(points: Floats, triangles: NDArray[np.int64], folds: Floats) -> NDArray[np.float32]:
    """Returns positions, normals and folds as the shaders read them, float32 (V, 7)."""
    return np.column_stack([points, vertex_normals(points, triangles), folds]).astype(np.float32)


def _read(target: Any, size: int, components: int, kind: Any) -> NDArray[Any]:
    """Returns the pixels of a framebuffer from the top, (size, size, components)."""
    name = "f1" if kind == np.uint8 else "f4"
    raw = target.read(components=components, alignment=1, dtype=name)
    return np.ascontiguousarray(np.frombuffer(raw, kind).reshape(size, size, components)[::-1])


def _gl(matrix: Floats) -> bytes:
    """A matrix as OpenGL wants it: float32, column by column."""
    return matrix.T.astype(np.float32).tobytes()


def _perspective() -> Floats:
    scale = 1 / np.tan(np.radians(FIELD_OF_VIEW) / 2)
    depth = _NEAR - _FAR
    return np.array(
        [
            [scale, 0, 0, 0],
            [0, scale, 0, 0],
            [0, 0, (_FAR + _NEAR) / depth, 2 * _FAR * _NEAR / depth],
            [0, 0, -1, 0],
        ]
    )
