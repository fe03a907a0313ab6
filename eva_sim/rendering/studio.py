"""The camera in the light of a studio: colour, depth and labels of the face, by ModernGL on EGL.

Two styles share shaders and parts. `"fast"` leaves out what costs most on a processor: the shadow of the key
light, smooth edges and the subdivided skin. `"fine"` is for stills and videos. The shaders are in
`assets/shaders/`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from eva_sim.contract import Floats
from eva_sim.rendering.drawing_thread import in_drawing_thread
from eva_sim.rendering.renderer import (
    CAMERA_POSITION,
    CAMERA_TARGET,
    FIELD_OF_VIEW,
    check_picture_size,
    look_at,
)
from eva_sim.rendering.studio_light import SHADOW_SIZE, shadow_projection
from eva_sim.rendering.studio_parts import StudioPart, StudioPlacement
from eva_sim.rendering.studio_programs import View, programs
from eva_sim.rendering.studio_scene import StudioScene, Style

Picture = NDArray[np.uint8]


STYLES = {
    "fast": Style(smooth_edges=False, shadows=False, subdivided=False, texture_side=1024, trilinear=False),
    "fine": Style(smooth_edges=True, shadows=True, subdivided=True, texture_side=2048, trilinear=True),
}
_NEAR, _FAR = 0.1, 3.0  # m
#: Components and type of pixels as they are read; labels are bytes, because numbers take longer to draw.
_PIXELS: dict[str, tuple[int, Any]] = {
    "colour": (3, np.uint8),
    "labels": (1, np.uint8),
    "distances": (1, np.float32),
}
_OPENGL_TYPES: dict[Any, str] = {np.uint8: "f1", np.float32: "f4"}


class Shot(NamedTuple):
    """One picture to be made.

    Attributes:
        placed: the parts.
        pose: of the camera, world-from-camera, (4, 4).
        strength: of all light.
    """

    placed: StudioPlacement
    pose: Floats
    strength: float = 1.0


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
        self._strength, self.pose = 1.0, look_at(CAMERA_POSITION, CAMERA_TARGET)
        self._drawn: _Drawn = in_drawing_thread(_Drawn, parts, fold_lines, STYLES[style])

    def colour(self, placed: StudioPlacement, size: int) -> Picture:
        """Returns a picture, uint8 (size, size, 3).

        Args:
            placed: the parts.
            size: side of the picture [pixels].
        """
        size = check_picture_size(size)
        return in_drawing_thread(self._drawn.colour, Shot(placed, self.pose, self._strength), size)

    def colours(self, shots: Iterable[Shot], size: int) -> list[Picture]:
        """Returns a picture of each, while the next one is prepared.

        Args:
            shots: what is drawn; they are asked for one by one, in the drawing thread.
            size: side of the pictures [pixels].
        """
        size = check_picture_size(size)
        return in_drawing_thread(self._drawn.colours, shots, size)

    def depth(self, placed: StudioPlacement, size: int) -> NDArray[np.float32]:
        """Distance along the viewing axis [m], float32 (size, size); zero where there is nothing."""
        size = check_picture_size(size)
        return in_drawing_thread(self._drawn.measure, placed, size, self.pose, "distances")

    def segmentation(self, placed: StudioPlacement, size: int) -> Picture:
        """Label of the part at each pixel, uint8 (size, size); zero where there is nothing."""
        size = check_picture_size(size)
        return in_drawing_thread(self._drawn.measure, placed, size, self.pose, "labels")

    def move(self, pose: Floats) -> None:
        """Moves the camera; `pose` is world-from-camera, (4, 4), and the camera looks along its -z."""
        self.pose = pose

    def light(self, strength: float) -> None:
        """Scales all light."""
        self._strength = strength


class _Target(NamedTuple):
    """What is drawn into, the same as a texture, and what is read; the first and the last may be one."""

    drawn: Any
    texture: Any
    read: Any


class _Drawn:
    """The parts in graphics memory; made and used in the drawing thread only."""

    def __init__(self, parts: Sequence[StudioPart], fold_lines: NDArray[np.float16], style: Style) -> None:
        self._programs, self._style = programs(), style
        self._targets: dict[tuple[str, int], _Target] = {}  # the latest size of each kind
        with self._programs.context as context:
            self._scene = StudioScene(parts, self._programs, style, fold_lines)
            self._shadow_map = context.depth_texture((SHADOW_SIZE, SHADOW_SIZE))
            self._shadow_map.compare_func = "<="
            shadow = context.framebuffer(depth_attachment=self._shadow_map)
            self._shadow = _Target(shadow, self._shadow_map, shadow)

    def colour(self, shot: Shot, size: int) -> Picture:
        """Draws one picture."""
        with self._programs.context as context:
            context.gc()
            target = self._target("colour", size)
            self._scene.move_parts(shot.placed, folds=True)
            self._shade(shot, target, size)
            return _read(target.read, size, *_PIXELS["colour"])

    def colours(self, shots: Iterable[Shot], size: int) -> list[Picture]:
        """Draws each picture; while other threads fill it, the parts of the next one are placed."""
        pictures: list[Picture] = []
        with self._programs.context as context:
            context.gc()
            target, drawn = self._target("colour", size), False
            for shot in shots:
                self._scene.move_parts(shot.placed, folds=True)
                if drawn:
                    pictures.append(_read(target.read, size, *_PIXELS["colour"]))
                self._shade(shot, target, size)
                self._programs.hand_over()
                drawn = True
            if drawn:
                pictures.append(_read(target.read, size, *_PIXELS["colour"]))
        return pictures

    def _shade(self, shot: Shot, target: _Target, size: int) -> None:
        context = self._programs.context
        if self._style.shadows:
            self._cast_shadow()
        self._begin(target)
        self._programs.set_view(View(_projection(shot.pose), tuple(shot.pose[:3, 3]), shot.strength))
        self._scene.draw_colours(size)
        context.disable(context.CULL_FACE)
        self._programs.background.render()  # last, so only where nothing hides it
        if self._style.smooth_edges:
            target.read.use()
            target.texture.use(0)
            context.disable(context.DEPTH_TEST)
            self._programs.edges.render()

    def _begin(self, target: _Target) -> None:
        target.drawn.use()
        target.drawn.clear()
        self._programs.context.enable(self._programs.context.DEPTH_TEST)
        self._programs.context.depth_func = "<="

    def measure(self, placed: StudioPlacement, size: int, pose: Floats, kind: str) -> NDArray[Any]:
        """Returns `"labels"`, uint8, or `"distances"`, float32 [m], (size, size)."""
        with self._programs.context as context:
            context.gc()
            self._scene.move_parts(placed, folds=False)
            target = self._target(kind, size)
            self._begin(target)
            self._programs.set_view(View(_projection(pose)))
            self._scene.draw_labels_or_distances(kind == "labels", size)
            return _read(target.read, size, *_PIXELS[kind])[..., 0]

    def _cast_shadow(self) -> None:
        self._begin(self._shadow)
        self._programs.set_view(View(shadow_projection()))
        self._scene.cast_shadow()
        self._shadow_map.use(1)

    def _target(self, kind: str, size: int) -> _Target:
        """Returns the framebuffers of pictures of a size; the latest of each kind is kept."""
        if (kind, size) not in self._targets:
            context = self._programs.context
            self._targets = {key: value for key, value in self._targets.items() if key[0] != kind}
            side = size, size
            components, value = _PIXELS[kind]
            # Three components are drawn as four in any case.
            texture = context.texture(side, 4 if components == 3 else 1, dtype=_OPENGL_TYPES[value])
            drawn = read = context.framebuffer([texture], context.depth_renderbuffer(side))
            if kind == "colour" and self._style.smooth_edges:
                texture.repeat_x = texture.repeat_y = False
                read = context.framebuffer([context.renderbuffer(side)])
            self._targets[kind, size] = _Target(drawn, texture, read)
        return self._targets[kind, size]


def _read(target: Any, size: int, components: int, kind: Any) -> NDArray[Any]:
    """Returns the pixels of a framebuffer from the top, (size, size, components)."""
    raw = target.read(components=components, alignment=1, dtype=_OPENGL_TYPES[kind])
    return np.ascontiguousarray(np.frombuffer(raw, kind).reshape(size, size, components)[::-1])


def _projection(pose: Floats) -> Floats:
    """Returns the clip space of a camera from the world, (4, 4)."""
    view = np.eye(4)
    view[:3, :3], view[:3, 3] = pose[:3, :3].T, -pose[:3, 3] @ pose[:3, :3]
    projection: Floats = _PERSPECTIVE @ view
    return projection


def _perspective() -> Floats:
    scale, depth = 1 / np.tan(np.radians(FIELD_OF_VIEW) / 2), _NEAR - _FAR
    return np.array(
        [
            [scale, 0, 0, 0],
            [0, scale, 0, 0],
            [0, 0, (_FAR + _NEAR) / depth, 2 * _FAR * _NEAR / depth],
            [0, 0, -1, 0],
        ]
    )


_PERSPECTIVE = _perspective()
