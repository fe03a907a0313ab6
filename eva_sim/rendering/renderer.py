"""The camera: colour, depth and labels of the face, by pyrender on EGL, without a screen.

`drawing_thread.py` holds the one context of a process. Moving vertices are written into pyrender's
buffers, so no frame allocates any.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eva_sim.contract import Floats
from eva_sim.errors import ArgumentError, RenderError
from eva_sim.rendering.drawing_thread import cause, context, in_drawing_thread, load_pyrender
from eva_sim.skin.elements import vertex_normals

Picture = NDArray[np.uint8]
CAMERA_POSITION, CAMERA_TARGET = (0.0, -0.03, 0.75), (0.0, -0.045, 0.0)  # m
FIELD_OF_VIEW = 24.0  # degrees
LARGEST = 4096  # pixels; every OpenGL 3.3 library draws pictures of this side
AMBIENT = 0.30
# Fill, key and rim light: position, intensity.
LIGHTS = {"fill": ((0.7, 0.1, 0.8), 1.6), "key": ((-0.5, 0.6, 0.9), 3.2), "rim": ((0.1, 0.9, -0.5), 2.5)}


@dataclass(frozen=True)
class Part:
    """One visible part.

    Attributes:
        name: unique.
        points: (V, 3) [m], in the part's own frame or, when placed by vertices, at rest.
        triangles: (F, 3).
        label: its value in segmentation pictures, from 1.
        colour: linear red, green, blue.
        vertex_colours: (V, 3) uint8 instead.
        uv: (V, 2), with `texture` (H, W, 3) uint8 instead.
        roughness: of the surface, 0..1.
    """

    name: str
    points: Floats
    triangles: NDArray[Any]
    label: int
    colour: tuple[float, float, float] = (1.0, 1.0, 1.0)
    vertex_colours: NDArray[np.uint8] | None = None
    uv: Floats | None = None
    texture: NDArray[np.uint8] | None = None
    roughness: float = 0.45


class Renderer:
    """A camera in front of the face.

    Args:
        parts: the visible parts.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        self._render = load_pyrender()
        self._parts = {part.name: part for part in parts}
        self._scene = self._render.Scene(ambient_light=[AMBIENT] * 3, bg_color=[0.86, 0.88, 0.90, 1.0])
        self._nodes = {p.name: self._scene.add(self._mesh(p), name=p.name) for p in parts}
        camera = self._render.PerspectiveCamera(yfov=np.radians(FIELD_OF_VIEW), znear=0.1, zfar=3.0)
        self.pose, self._strength = look_at(CAMERA_POSITION, CAMERA_TARGET), 1.0
        self._camera = self._scene.add(camera, pose=self.pose, name="camera")
        self._scene._directional_light_nodes = _ByName()
        for name, (place, strength) in LIGHTS.items():
            light = self._render.DirectionalLight(intensity=strength, name=name)
            self._scene.add(light, pose=look_at(place, (0, 0, 0)), name=name)

    def colour(self, placed: Mapping[str, Floats], size: int) -> Picture:
        """Returns a picture, uint8 (size, size, 3).

        Args:
            placed: per part its world vertices (V, 3) [m] or its pose (4, 4).
            size: side of the picture [pixels].
        """
        return np.ascontiguousarray(self._run(placed, size, 0)[0][..., :3])

    def depth(self, placed: Mapping[str, Floats], size: int) -> NDArray[np.float32]:
        """Distance along the viewing axis [m], float32 (size, size); zero where there is nothing."""
        return np.ascontiguousarray(self._run(placed, size, self._render.RenderFlags.DEPTH_ONLY))

    def segmentation(self, placed: Mapping[str, Floats], size: int) -> Picture:
        """Label of the part at each pixel, uint8 (size, size); zero where there is nothing."""
        flags = self._render.RenderFlags.SEG
        nodes = {self._nodes[name]: [part.label] * 3 for name, part in self._parts.items()}
        return np.ascontiguousarray(self._run(placed, size, flags, nodes)[0][..., 0])

    def move(self, pose: Floats) -> None:
        """Moves the camera; `pose` is world-from-camera, (4, 4), and the camera looks along its -z."""
        self.pose = pose

    def light(self, strength: float) -> None:
        """Scales the intensity of every light of `LIGHTS`."""
        self._strength = strength

    def unproject(self, pixels: Floats, depth: Floats, size: int) -> Floats:
        """Returns world points (N, 3) [m] of pixels (N, 2) from the top left, at depths (N,) [m]."""
        half = np.tan(np.radians(FIELD_OF_VIEW) / 2)
        x, y = (2 * pixels[:, 0] / size - 1) * half, (1 - 2 * pixels[:, 1] / size) * half
        points = np.stack([x * depth, y * depth, -depth], axis=1)
        world: Floats = points @ self.pose[:3, :3].T + self.pose[:3, 3]
        return world

    def tint(self, name: str, colours: NDArray[np.uint8]) -> None:
        """Replaces the texture or colours of a part by vertex colours, (V, 3) uint8."""
        part = self._parts[name]
        self._parts[name] = Part(part.name, part.points, part.triangles, part.label, vertex_colours=colours)
        in_drawing_thread(self._replace, name)

    def _replace(self, name: str) -> None:
        self._scene.remove_node(self._nodes[name])
        self._nodes[name] = self._scene.add(self._mesh(self._parts[name]), name=name)

    def _mesh(self, part: Part) -> Any:
        r, texture = self._render, None
        if part.texture is not None:
            texture = r.Texture(source=part.texture, source_channels="RGB")
        material = r.MetallicRoughnessMaterial(
            baseColorFactor=[*map(float, part.colour), 1.0],
            baseColorTexture=texture,
            metallicFactor=0.0,
            roughnessFactor=float(part.roughness),
            doubleSided=True,
        )
        return r.Mesh([
            r.Primitive(
                positions=part.points.astype(np.float32),
                normals=vertex_normals(part.points, part.triangles).astype(np.float32),
                texcoord_0=None if part.uv is None else part.uv.astype(np.float32),
                color_0=None if part.vertex_colours is None else _opaque(part.vertex_colours),
                indices=part.triangles.astype(np.uint32),
                material=material,
                mode=4,
            )
        ])  # fmt: skip

    def _run(self, placed: Mapping[str, Floats], size: int, flags: int, nodes: Any = None) -> Any:
        return in_drawing_thread(self._draw, placed, check_picture_size(size), flags, nodes)

    def _draw(self, placed: Mapping[str, Floats], size: int, flags: int, nodes: Any) -> Any:
        """Arranges the scene and draws it; in the drawing thread, so that pictures do not mix."""
        here = context()
        here.make_current()
        here.renderer._sorted_mesh_nodes = _by_name
        self._scene.set_pose(self._camera, self.pose)
        self._scene.ambient_light = np.full(3, AMBIENT * self._strength)
        for node in self._scene.directional_light_nodes:
            node.light.intensity = LIGHTS[node.name][1] * self._strength
        try:
            for name, place in placed.items():
                if place.shape == (4, 4):
                    self._scene.set_pose(self._nodes[name], place)
                else:
                    self._shape(name, place)
            return here.render(self._scene, size, flags, nodes)
        except Exception as error:
            raise RenderError(f"the picture could not be made ({cause(error)}).") from error

    def _shape(self, name: str, points: Floats) -> None:
        """Moves the vertices of a part, in its graphics buffer if that exists."""
        primitive = self._nodes[name].mesh.primitives[0]
        primitive.positions = points.astype(np.float32)
        primitive.normals = vertex_normals(points, self._parts[name].triangles).astype(np.float32)
        if not primitive._in_context():
            return
        import OpenGL.GL as gl

        columns = [primitive.positions, primitive.normals]
        columns += [c for c in (primitive.texcoord_0, primitive.color_0) if c is not None]
        data = np.ascontiguousarray(np.hstack(columns), dtype=np.float32)
        gl.glBindBuffer(gl.GL_ARRAY_BUFFER, primitive._buffers[0])
        gl.glBufferSubData(gl.GL_ARRAY_BUFFER, 0, data.nbytes, data)
        gl.glBindBuffer(gl.GL_ARRAY_BUFFER, 0)


def check_picture_size(size: int) -> int:
    """Returns the side of a picture [pixels].

    Raises:
        ArgumentError: it is no whole number.
        RenderError: it is too small or too large.
    """
    try:
        side = operator.index(size)
    except TypeError:
        raise ArgumentError(f"a picture's side is a whole number of pixels, not {size!r}.") from None
    if not 1 <= side <= LARGEST:
        raise RenderError(f"a picture's side is 1 to {LARGEST} pixels, not {side}.")
    return side


def _by_name(scene: Any) -> list[Any]:
    """Returns the meshes in the order of their names.

    pyrender draws opaque meshes in the order of their addresses. Where two touch, as lid and skin do, the
    first one is visible, so pictures would differ between processes.
    """
    return sorted(scene.mesh_nodes, key=lambda node: node.name)


class _ByName(set):
    """A set of nodes in the order of their names, also after pyrender's union with other sets.

    pyrender keeps lights in a plain set, whose order depends on addresses. The last bit of the sum over
    lights depends on that order, so pictures would differ between processes.
    """

    def __iter__(self) -> Iterator[Any]:
        return iter(sorted(super().__iter__(), key=lambda node: node.name))

    def __ror__(self, other: Any) -> _ByName:
        return _ByName([*other, *self])


def _opaque(colours: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.hstack([colours / 255.0, np.ones((len(colours), 1))]).astype(np.float32)


def look_at(position: Any, target: Any) -> Floats:
    """Returns the world-from-camera pose (4, 4) of an upright camera that looks at a target."""
    position, target = np.asarray(position, dtype=float), np.asarray(target, dtype=float)
    z = (position - target) / np.linalg.norm(position - target)
    across = np.hypot(z[0], z[2])
    x = z[2] / across, 0.0, -z[0] / across
    y = z[1] * x[2], z[2] * x[0] - z[0] * x[2], -z[1] * x[0]
    pose = np.eye(4)
    pose[:3, 0], pose[:3, 1], pose[:3, 2], pose[:3, 3] = x, y, z, position
    return pose
