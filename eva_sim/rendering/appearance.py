"""The visible parts of the face: the skin on its head shell, eyes, lid rims, teeth and mouth."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from eva_sim.contract import FaceSpec, Floats
from eva_sim.files import read_arrays
from eva_sim.head import EYES, JAW_HINGE, HeadPose
from eva_sim.rendering.inner_lips import InnerLips
from eva_sim.rendering.renderer import Part
from eva_sim.skin.ground import rotated_with_jaw
from eva_sim.skin.kernel_cache import kernel

EYE_RADIUS, CORNEA, IRIS, PUPIL = 0.01414, 0.0006, 0.43, 0.19  # m, m, rad, rad
CAVITY, TONGUE = (0.085, 0.012, 0.012), (0.36, 0.085, 0.085)  # linear red, green, blue
LID_RADIUS = 0.0144  # m; the lid's inner edge lies just on the eyeball
CENTRE = np.array([0.0, -0.02, -0.05])  # m; the texture is wrapped around the z axis through this point


def texture_coordinates(points: Floats) -> Floats:
    """Returns texture u, v in 0..1 of points (V, 3), azimuthal equidistant about the face's forward axis."""
    offset = points - CENTRE
    radius = np.linalg.norm(offset[:, :2], axis=1)
    angle = np.arctan2(radius, offset[:, 2]) / np.pi
    coordinates: Floats = 0.5 + 0.5 * angle[:, None] * offset[:, :2] / np.maximum(radius, 1e-9)[:, None]
    return coordinates


class Appearance:
    """Places the visible parts, for a `Renderer`, by the skin's vertices and the head's pose.

    Args:
        spec: the face, whose folder holds meshes and texture.

    Attributes:
        parts: the visible parts, for `Renderer`.

    Raises:
        DataError: a file is missing or damaged.
    """

    def __init__(self, spec: FaceSpec) -> None:
        self._spec, self._arrays = spec, _visual_arrays(spec)
        skin = read_arrays(spec.file("meshes/skin.npz"))
        self._skin_size, self._rest, self._loop = len(skin["points"]), skin["points"], skin["lip_loop"]
        self._inner_lips = InnerLips(skin["triangles"], self._loop, self._arrays["inner_local"])
        self._loops = _lid_loops(skin["points"], skin["lid_margin"])
        self.parts = self._make_parts()

    def place(self, skin: Floats, pose: HeadPose) -> dict[str, Floats]:
        """Returns world vertices (V, 3) or the pose (4, 4) of every part.

        Args:
            skin: the simulated vertices in the head frame, (V, 3) [m].
            pose: of the rigid head.
        """
        arrays, skull = self._arrays, pose.skull
        skin, points = np.ascontiguousarray(skin, float), arrays["head_points"]
        inner, lower_jaw = self._inner_lips(skin), skull @ jaw_pose(pose.jaw)
        outside, cavity = len(points), np.empty_like(arrays["mouth_points"])
        head = np.empty((outside + len(inner), 3))
        _place_head(skin, points, arrays["head_jaw"], arrays["head_lift"], pose.jaw, skull, head)
        head[outside:] = _move(inner, skull)
        last = inner[-len(self._loop) :]
        _place_cavity(
            arrays["mouth_points"], arrays["mouth_jaw"], arrays["mouth_follow"], pose.jaw, last, cavity
        )
        placed = {
            "head": head,
            "mouth": _move(cavity, skull),
            "upper_teeth": skull,
            "lower_teeth": lower_jaw,
            "tongue": lower_jaw,
        }
        for side, eye, angles, loop in zip(("left", "right"), EYES, pose.eyes, self._loops, strict=True):
            placed[f"eye_{side}"] = skull @ eye_pose(eye, angles)
            placed[f"lid_{side}"] = _move(_lid_rim(skin[loop], eye), skull)
        return placed

    def _head(self, paint: np.ndarray) -> Part:
        """The skin on its shell, and the inside of the lips, which has the paint of their edge."""
        arrays = self._arrays
        inner = self._inner_lips(self._rest)
        edge = np.tile(self._rest[self._loop], (len(inner) // len(self._loop), 1))
        uv = texture_coordinates(np.concatenate([arrays["head_points"], edge]))
        rows = np.concatenate([self._loop, len(arrays["head_points"]) + np.arange(len(inner))])
        triangles = np.concatenate([arrays["head_triangles"], rows[arrays["inner_triangles"]]])
        points = np.concatenate([arrays["head_points"], inner])
        return Part("head", points, triangles, 1, uv=uv, texture=paint)

    def _make_parts(self) -> list[Part]:
        from PIL import Image

        arrays = self._arrays
        paint = np.asarray(Image.open(self._spec.file("textures/paint.png")).convert("RGB"))
        parts = [
            self._head(paint),
            Part("mouth", arrays["mouth_points"], arrays["mouth_triangles"], 2, colour=CAVITY, roughness=1.0),
            Part(
                "tongue", arrays["tongue_points"], arrays["tongue_triangles"], 2, colour=TONGUE, roughness=0.4
            ),
            *(self._teeth(name) for name in ("upper_teeth", "lower_teeth")),
        ]
        ball, faces, colours = eyeball()
        for side, eye, loop in zip(("left", "right"), EYES, self._loops, strict=True):
            parts.append(Part(f"eye_{side}", ball, faces, 4, vertex_colours=colours, roughness=0.15))
            parts.append(Part(f"lid_{side}", _lid_rim(self._rest[loop], eye), _band(len(loop)), 5,
                              colour=(0.02, 0.06, 0.2)))  # fmt: skip
        return parts

    def _teeth(self, name: str) -> Part:
        points, triangles, colours = (
            self._arrays[f"{name}_{key}"] for key in ("points", "triangles", "colours")
        )
        return Part(name, points, triangles, 3, vertex_colours=colours, roughness=0.35)


@lru_cache(maxsize=4)
def _visual_arrays(spec: FaceSpec) -> dict[str, np.ndarray]:
    return read_arrays(spec.file("meshes/visual.npz"))


def _lid_loops(points: Floats, margin: np.ndarray) -> list[np.ndarray]:
    """Returns the vertices of the left and right lid margin, in order around the eye."""
    loops = []
    for eye in EYES:
        side = margin[np.linalg.norm(points[margin] - eye, axis=1) < 0.03]
        angle = np.arctan2(points[side, 1] - eye[1], points[side, 0] - eye[0])
        loops.append(side[np.argsort(angle)])
    return loops


@kernel(nogil=True)
def _place_head(skin, points, share, lift, jaw, skull, head):  # type: ignore[no-untyped-def]
    """Writes world vertices of the skin and of the shell around it, whose `points` follow the jaw by a share.

    `lift` is the share of the skull's motion that each vertex follows, so that the neck bends.
    """
    for i in range(len(points)):
        if i < len(skin):
            x, y, z = skin[i, 0], skin[i, 1], skin[i, 2]
        else:
            x, y, z = rotated_with_jaw(points[i], share[i] * jaw)
        own = x, y, z
        for k in range(3):
            moved = skull[k, 0] * x + skull[k, 1] * y + skull[k, 2] * z + skull[k, 3]
            head[i, k] = own[k] + lift[i] * (moved - own[k])


@kernel(nogil=True)
def _place_cavity(points, share, follow, jaw, edge, cavity):  # type: ignore[no-untyped-def]
    """Writes the cavity of the mouth, rings of vertices of which the first is the `edge` inside the lips.

    It turns with the jaw by a share, and follows the edge by another, less and less towards its end.
    """
    count = len(edge)
    moved = np.empty_like(edge)
    for i in range(len(points)):
        turned = rotated_with_jaw(points[i], share[i] * jaw)
        for k in range(3):
            if i < count:
                moved[i, k] = edge[i, k] - turned[k]
            cavity[i, k] = turned[k] + follow[i] * moved[i % count, k]


def _move(points: Floats, pose: Floats) -> Floats:
    moved: Floats = points @ pose[:3, :3].T + pose[:3, 3]
    return moved


def jaw_pose(angle: float) -> Floats:
    """Returns the head-from-jaw transform, (4, 4), at an opening of `angle` [rad]."""
    pose = np.eye(4)
    pose[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    pose[:3, 3] = JAW_HINGE - pose[:3, :3] @ JAW_HINGE
    return pose


def eye_pose(centre: Floats, angles: Floats) -> Floats:
    """Returns the head-from-eye transform, (4, 4): Ry(yaw) Rx(-pitch) about the eye's centre."""
    (sy, sp), (cy, cp) = np.sin(angles), np.cos(angles)
    pose = np.eye(4)
    pose[:3, :3] = [[cy, -sy * sp, sy * cp], [0, cp, sp], [-sy, -cy * sp, cy * cp]]
    pose[:3, 3] = centre
    return pose


def _lid_rim(margin: Floats, eye: Floats) -> Floats:
    """Returns the edge of a lid, from the skin's margin to the eyeball, (2 M, 3)."""
    offset = margin - eye
    inner = eye + offset * (LID_RADIUS / np.sqrt((offset * offset).sum(axis=1, keepdims=True)))
    return np.concatenate([margin, inner])


def _band(count: int) -> np.ndarray:
    i = np.arange(count)
    j = (i + 1) % count
    return np.concatenate([np.stack([i, j, j + count], 1), np.stack([i, j + count, i + count], 1)])


def eyeball(rings: int = 48) -> tuple[Floats, np.ndarray, np.ndarray]:
    """Returns points, triangles and colours of an eye that looks along z."""
    polar, around = np.meshgrid(np.linspace(0, np.pi, rings), np.linspace(0, 2 * np.pi, rings), indexing="ij")
    bulge = EYE_RADIUS + CORNEA * np.clip(1 - (polar / (1.2 * IRIS)) ** 2, 0, 1)
    points = np.stack([np.sin(polar) * np.cos(around), np.sin(polar) * np.sin(around), np.cos(polar)], -1)
    points = (points * bulge[..., None]).reshape(-1, 3)
    i, j = (n.ravel() for n in np.meshgrid(np.arange(rings - 1), np.arange(rings - 1), indexing="ij"))
    a = i * rings + j
    faces = np.concatenate(
        [np.stack([a, a + rings, a + rings + 1], 1), np.stack([a, a + rings + 1, a + 1], 1)]
    )
    angle = polar.ravel()[:, None]
    colours = np.where(angle < PUPIL, (8, 8, 10), np.where(angle < 0.9 * IRIS, (70, 52, 38), (28, 20, 16)))
    colours = np.where(angle < IRIS, colours, (236, 232, 228)).astype(np.uint8)
    return points, faces, colours
