"""Pictures of synthetic people: one light from a side, one from everywhere, on EGL without a screen."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from eva_sim.contract import Floats
from eva_sim.rendering.drawing_thread import in_drawing_thread
from eva_sim.rendering.studio_programs import programs
from eva_sim.skin.elements import vertex_normals
from tools.crowd.glasses import Glasses
from tools.crowd.head import Shape
from tools.crowd.looks import Look

Picture = NDArray[np.uint8]
_NEAR, _FAR = 0.05, 5.0  # m
#: Blur of the lens [pixels]; it smooths the edges, which are drawn with one sample a pixel.
_BLUR = 0.6
_RINGS, _SECTORS = 40, 48  # of an eyeball, from the pupil to the side

_VERTEX = """#version 330
uniform mat4 projection; uniform mat4 place;
in vec3 point; in vec3 normal; in vec2 uv; in vec4 tint;
out vec3 world; out vec3 facing; out vec2 at; out vec4 mixed; out vec3 local;
void main() {
    vec4 moved = place * vec4(point, 1.0);
    world = moved.xyz; facing = mat3(place) * normal; at = uv; mixed = tint; local = normal;
    gl_Position = projection * moved;
}"""
_LIT = """#version 330
uniform vec3 camera; uniform vec3 light; uniform vec3 light_colour; uniform vec3 ambient; uniform float gloss;
in vec3 world; in vec3 facing; in vec2 at; in vec4 mixed; in vec3 local;
out vec4 pixel;
vec3 lit(vec3 colour, float shine, float width) {
    vec3 n = facing / max(length(facing), 1e-3), v = normalize(camera - world);
    float towards = dot(n, light);
    float diffuse = clamp((towards + 0.25) / 1.25, 0.0, 1.0);
    float sky = 0.72 + 0.28 * n.y;
    float glint = pow(max(dot(n, normalize(light + v)), 0.0), width) * shine * step(0.0, towards);
    return colour * (ambient * sky + light_colour * diffuse) + light_colour * glint;
}
vec4 shown(vec3 linear) { return vec4(pow(clamp(linear, 0.0, 1.0), vec3(1.0 / 2.2)), 1.0); }
"""
_SKIN = (
    _LIT
    + """uniform sampler2D paint;
void main() {
    vec3 colour = pow(texture(paint, at).rgb, vec3(2.2));
    pixel = shown(lit(mix(colour, mixed.rgb, mixed.a), gloss * (1.0 - mixed.a), 28.0));
}"""
)
_EYE = (
    _LIT
    + """uniform vec3 iris_colour; uniform float iris; uniform float pupil;
uniform vec3 white; uniform vec3 up;
void main() {
    float angle = acos(clamp(normalize(local).z, -1.0, 1.0));
    float spokes = 0.85 + 0.15 * sin(23.0 * atan(local.y, local.x)) * sin(9.0 * atan(local.y, local.x) + 1.0);
    vec3 colour = iris_colour * spokes * mix(1.25, 0.75, smoothstep(pupil, iris, angle));
    colour = mix(colour, 0.12 * iris_colour, smoothstep(iris - 0.07, iris, angle));
    colour = mix(vec3(0.004), colour, smoothstep(pupil - 0.02, pupil + 0.02, angle));
    colour = mix(colour, white, smoothstep(iris - 0.02, iris + 0.03, angle));
    float shade = 1.0 - 0.45 * smoothstep(0.05, 0.5, dot(normalize(facing), up));
    pixel = shown(lit(colour * shade, 0.5, 400.0));
}"""
)
#: A pane hides almost nothing, but where it mirrors the light.
_PANE = (
    _LIT
    + """void main() {
    vec3 n = normalize(facing), v = normalize(camera - world);
    float glint = pow(max(dot(n, normalize(light + v)), 0.0), 60.0);
    float grazing = pow(1.0 - abs(dot(n, v)), 5.0);
    pixel = vec4(light_colour, 0.04 + 0.3 * grazing + 0.5 * glint);
}"""
)
_BEHIND_VERTEX = """#version 330
in vec2 point; out vec2 at;
void main() { at = 0.5 + 0.5 * point; gl_Position = vec4(point, 0.99999, 1.0); }"""
_BEHIND = """#version 330
uniform sampler2D paint; in vec2 at; out vec4 pixel;
void main() { pixel = texture(paint, at); }"""


class View(NamedTuple):
    """Where the camera is; it stands upright.

    Attributes:
        distance: to the middle of the face [m].
        aside: of the middle of the picture from that of the face, right and up [m].
        height: of the camera over the eyes [m].
        angle: of view, across [rad].
        size: side of the picture [pixels].
    """

    distance: float
    aside: tuple[float, float]
    height: float
    angle: float
    size: int


class CrowdCamera:
    """Draws one person after another.

    Args:
        triangles: of the drawn vertices, (F, 3).
        uv: of the painted texture, (V, 2).
    """

    def __init__(self, triangles: NDArray[np.intp], uv: Floats) -> None:
        self._drawn: _Drawn = in_drawing_thread(_Drawn, triangles, uv)

    def dress(self, look: Look, eye_radius: float, glasses: Glasses | None = None) -> None:
        """Chooses the look of the next pictures."""
        in_drawing_thread(self._drawn.dress, look, eye_radius, glasses)

    def picture(self, shape: Shape, view: View) -> Picture:
        """Returns a picture of a head, uint8 (size, size, 3)."""
        return in_drawing_thread(self._drawn.picture, shape, view)


class _Drawn:
    """The meshes in graphics memory; made and used in the drawing thread only."""

    def __init__(self, triangles: NDArray[np.intp], uv: Floats) -> None:
        self._context: Any = programs().context
        self._triangles, self._target, self._side = triangles, None, 0
        with self._context as context:
            self._skin = context.program(_VERTEX, _SKIN)
            self._eye = context.program(_VERTEX, _EYE)
            self._pane = context.program(_VERTEX, _PANE)
            behind = context.program(_BEHIND_VERTEX, _BEHIND)
            whole = context.buffer(np.array([-1, -1, 3, -1, -1, 3], np.float32))
            self._behind = context.vertex_array(behind, [(whole, "2f", "point")])
            count = len(uv)
            self._moving = context.buffer(reserve=24 * count)
            self._tints = context.buffer(reserve=16 * count)
            self._head = context.vertex_array(
                self._skin,
                [
                    (self._moving, "3f 3f", "point", "normal"),
                    (context.buffer(np.ascontiguousarray(uv, np.float32)), "2f", "uv"),
                    (self._tints, "4f", "tint"),
                ],
                context.buffer(np.ascontiguousarray(triangles, np.uint32)),
            )
            ball, faces = _eyeball()
            both = np.hstack([ball, ball]).astype(np.float32)
            self._ball = context.vertex_array(
                self._eye,
                [(context.buffer(both), "3f 3f", "point", "normal")],
                context.buffer(np.ascontiguousarray(faces, np.uint32)),
            )

    def dress(self, look: Look, eye_radius: float, glasses: Glasses | None) -> None:
        self._radius = eye_radius
        with self._context as context:
            context.gc()
            self._tints.write(look.tint.astype(np.float32))
            self._paint = _texture(context, look.paint)
            self._scenery = _texture(context, look.scenery)
            self._set_look(look)
            self._glasses = None if glasses is None else self._made(context, glasses)

    def _made(self, context: Any, glasses: Glasses) -> tuple[Any, Any]:
        """Brings glasses into graphics memory: the frame and the panes."""
        made = []
        for program, (points, triangles) in ((self._skin, glasses.frame), (self._pane, glasses.panes)):
            vertices = np.hstack([points, vertex_normals(points, triangles)]).astype(np.float32)
            parts: list[tuple[Any, ...]] = [(context.buffer(vertices), "3f 3f", "point", "normal")]
            if program is self._skin:  # painted by its tint alone
                tint = np.tile([*glasses.colour, 1.0], (len(points), 1)).astype(np.float32)
                parts += [
                    (context.buffer(np.zeros((len(points), 2), np.float32)), "2f", "uv"),
                    (context.buffer(tint), "4f", "tint"),
                ]
            index = context.buffer(np.ascontiguousarray(triangles, np.uint32))
            made.append(context.vertex_array(program, parts, index))
        frame, panes = made
        return frame, panes

    def _set_look(self, look: Look) -> None:
        for program in (self._skin, self._eye, self._pane):
            program["light"].value = tuple(look.light)
            program["light_colour"].value = tuple(look.light_colour)
        for program in (self._skin, self._eye):
            program["ambient"].value = tuple(look.ambient)
        self._skin["gloss"].value = look.gloss
        self._eye["iris_colour"].value = tuple(look.iris_colour)
        self._eye["iris"].value, self._eye["pupil"].value = look.iris, look.pupil
        self._eye["white"].value = tuple(look.white)

    def picture(self, shape: Shape, view: View) -> Picture:
        points = shape.skin.astype(np.float32)
        normals = vertex_normals(shape.skin, self._triangles).astype(np.float32)
        with self._context as context:
            context.gc()
            self._moving.write(np.hstack([points, normals]))
            target = self._open(context, view.size)
            target.use()
            target.clear()
            context.enable(context.DEPTH_TEST)
            context.disable(context.CULL_FACE)
            self._set_view(view)
            self._paint.use(0)
            self._skin["place"].write(np.eye(4, dtype=np.float32))
            self._head.render()
            for eye in shape.eyes:
                place = eye @ np.diag([self._radius] * 3 + [1])
                self._eye["place"].write(np.ascontiguousarray(place.T, np.float32))
                self._eye["up"].value = (0.0, 1.0, 0.0)
                self._ball.render()
            if self._glasses is not None:
                self._skin["place"].write(np.ascontiguousarray(shape.head.T, np.float32))
                self._glasses[0].render()
            self._scenery.use(0)
            self._behind.render()
            if self._glasses is not None:  # last: one sees through them
                context.enable(context.BLEND)
                self._pane["place"].write(np.ascontiguousarray(shape.head.T, np.float32))
                self._glasses[1].render()
                context.disable(context.BLEND)
            raw = target.read(components=3, alignment=1)
        sharp = np.frombuffer(raw, np.uint8).reshape(view.size, view.size, 3)[::-1]
        return np.asarray(Image.fromarray(sharp).filter(ImageFilter.GaussianBlur(_BLUR)))

    def _set_view(self, view: View) -> None:
        projection = np.ascontiguousarray(_projection(view).T, np.float32)
        for program in (self._skin, self._eye, self._pane):
            program["projection"].write(projection)
            program["camera"].value = (view.aside[0], view.height, view.distance)

    def _open(self, context: Any, side: int) -> Any:
        if self._side != side:
            self._side = side
            self._target = context.simple_framebuffer((side, side), 3)
        return self._target


def _projection(view: View) -> Floats:
    """Returns clip space from world, (4, 4); the camera looks at the middle of the picture."""
    scale, depth = 1 / np.tan(view.angle / 2), _NEAR - _FAR
    perspective = np.array(
        [
            [scale, 0, 0, 0],
            [0, scale, 0, 0],
            [0, 0, (_FAR + _NEAR) / depth, 2 * _FAR * _NEAR / depth],
            [0, 0, -1, 0],
        ]
    )
    eye = np.array([view.aside[0], view.height, view.distance])
    down = np.arctan2(view.height - view.aside[1], view.distance)
    cos, sin = np.cos(down), np.sin(down)
    turn = np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])
    place = np.eye(4)
    place[:3, :3], place[:3, 3] = turn, -turn @ eye
    projection: Floats = perspective @ place
    return projection


def _texture(context: Any, picture: Picture) -> Any:
    height, width = picture.shape[:2]
    texture = context.texture((width, height), 3, np.ascontiguousarray(picture[::-1]).tobytes(), alignment=1)
    texture.build_mipmaps()
    texture.repeat_x = texture.repeat_y = False
    return texture


def _eyeball() -> tuple[Floats, NDArray[np.intp]]:
    """Returns the front of a unit sphere around z, dense at the iris: points (V, 3) and triangles (F, 3)."""
    ring, turn = np.meshgrid(
        np.linspace(0, 1, _RINGS), np.linspace(0, 2 * np.pi, _SECTORS + 1), indexing="ij"
    )
    angle = 0.62 * np.pi * ring
    points = np.stack([np.sin(angle) * np.cos(turn), np.sin(angle) * np.sin(turn), np.cos(angle)], axis=-1)
    index = np.arange(angle.size).reshape(angle.shape)
    a, b, c, d = index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]
    faces = np.concatenate([np.stack([a, b, c], -1), np.stack([a, c, d], -1)]).reshape(-1, 3)
    return points.reshape(-1, 3), faces
