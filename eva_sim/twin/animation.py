"""The twin's motion as an animation in glTF, for Blender, game engines and viewers in browsers.

Skin, lids and the inside of the mouth are morph targets in the frame of the skull, found as principal
components of their motion. Skull, jaw and eyes turn as rigid nodes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.transform import Rotation

from eva_sim.contract import Floats, Reading
from eva_sim.errors import DataError
from eva_sim.files import atomic_path
from eva_sim.rendering.gltf import GltfBuilder
from eva_sim.rendering.studio_parts import StudioPart, StudioParts
from eva_sim.skin.elements import vertex_normals
from eva_sim.twin.twin import Twin

#: Longest animation [control steps]: 100 s.
LONGEST = 2500
#: Morph targets are added until no vertex is further off than this, or there are so many [m, 1].
TOLERANCE, MOST_TARGETS = 1e-4, 64
#: Number of frames, evenly picked, of which the morph targets are made.
_PICKED = 300


class AnimationSummary(NamedTuple):
    """What was written.

    Attributes:
        frames: number of frames.
        targets: number of morph targets of the head.
        error: largest distance of a vertex from the twin's [m].
    """

    frames: int
    targets: int
    error: float


class AnimatedTwin(Twin):
    """A twin that keeps the shape of its face after every step."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._frames: list[dict[str, Floats]] = []
        self._studio = StudioParts(self.spec, fine=False)

    def move(self, command: ArrayLike) -> Reading:
        reading = super().move(command)
        skull = self.head.pose.skull
        placed = self._studio.place(self.skin.points, self.head.pose, folds=False).parts
        kept = {name: _seen_from(skull, place).astype(np.float32) for name, place in placed.items()}
        self._frames.append({**kept, _SKULL: skull.astype(np.float32)})
        return reading

    def write_animation(self, path: Path) -> AnimationSummary:
        """Writes the steps since the twin was opened as `.glb`.

        Raises:
            DataError: there are none, or more than `LONGEST`.
        """
        frames = self._frames
        if not 0 < len(frames) <= LONGEST:
            raise DataError(
                f"an animation has 1 to {LONGEST} frames, not {len(frames)}; choose a shorter recording."
            )
        motion = {name: np.stack([frame[name] for frame in frames]) for name in frames[0]}
        writer = _AnimationWriter(self._studio.parts, motion, self.spec.control_dt)
        with atomic_path(path) as part:
            part.write_bytes(writer.builder.pack())
        return AnimationSummary(len(frames), *writer.fits["head"])


_SKULL = "skull"


class _AnimationWriter:
    """Builds the scene.

    Args:
        parts: visible parts.
        motion: of each part in the frame of the skull, vertices (T, V, 3) [m] or poses (T, 4, 4), and of
            the skull in the world.
        period: of the frames [s].
    """

    def __init__(self, parts: list[StudioPart], motion: dict[str, Floats], period: float) -> None:
        self.builder, self._motion = GltfBuilder(), motion
        self.fits: dict[str, tuple[int, float]] = {}
        times = (period * np.arange(len(motion[_SKULL]))).astype(np.float32)
        self._times = self.builder.add_array(times)
        self._animation: dict[str, list[Any]] = {"channels": [], "samplers": []}
        moving = [part for part in parts if part.name in motion]
        skull = self.builder.add("nodes", name=_SKULL, children=[self._node(part) for part in moving])
        self._turn(skull, motion[_SKULL])
        self.builder.add_root(skull)
        for part in parts:
            if part.name not in motion:
                self.builder.add_root(self._node(part))
        self.builder.add("animations", name="face", **self._animation)

    def _node(self, part: StudioPart) -> int:
        """Adds a part, and its motion."""
        place = self._motion.get(part.name)
        if place is None or place.shape[1:] == (4, 4):
            node = self.builder.add("nodes", name=part.name, mesh=self._mesh(part, part.points))
            if place is not None:
                self._turn(node, place)
            return node
        targets, weights, error = find_targets(place)
        self.fits[part.name] = len(targets), error
        node = self.builder.add("nodes", name=part.name, mesh=self._mesh(part, place[0], targets))
        if len(targets):
            self._channel(node, "weights", weights.ravel())
        return node

    def _mesh(self, part: StudioPart, points: Floats, targets: Floats | None = None) -> int:
        arrays = {
            "POSITION": points,
            "NORMAL": _unit_normals(points, part),
        }
        arrays |= _painted(part)
        stored = {name: self.builder.add_array(array.astype(np.float32)) for name, array in arrays.items()}
        triangles = self.builder.add_array(part.triangles.astype(np.uint32).ravel())
        mesh = {"attributes": stored, "indices": triangles, "material": self._material(part)}
        if targets is None or not len(targets):
            return self.builder.add("meshes", name=part.name, primitives=[mesh])
        mesh["targets"] = [self._target(part, points, target) for target in targets]
        return self.builder.add("meshes", name=part.name, primitives=[mesh], weights=[0.0] * len(targets))

    def _target(self, part: StudioPart, points: Floats, target: Floats) -> dict[str, int]:
        turned = _unit_normals(points + target, part) - _unit_normals(points, part)
        return {
            "POSITION": self.builder.add_array(target),
            "NORMAL": self.builder.add_array(turned.astype(np.float32)),
        }

    def _material(self, part: StudioPart) -> int:
        surface: dict[str, Any] = {"metallicFactor": 0.0, "roughnessFactor": part.roughness}
        if (texture := _texture(part)) is not None:
            surface["baseColorTexture"] = {"index": self.builder.add_texture(texture)}
        elif _one_colour(part):
            surface["baseColorFactor"] = [*part.colours[0].tolist(), 1.0]
        return self.builder.add(
            "materials", name=part.name, pbrMetallicRoughness=surface, doubleSided=part.two_sided
        )

    def _turn(self, node: int, poses: Floats) -> None:
        """Animates a node by poses, (T, 4, 4)."""
        turns = Rotation.from_matrix(poses[:, :3, :3]).as_quat()
        flips = np.sign(np.sum(turns[1:] * turns[:-1], axis=1))
        turns[1:] *= np.cumprod(np.where(flips < 0, -1, 1))[:, None]  # the short way from frame to frame
        shifts = poses[:, :3, 3]
        # Where nothing plays, the first frame is shown.
        self.builder.document["nodes"][node] |= {
            "rotation": turns[0].tolist(),
            "translation": shifts[0].tolist(),
        }
        self._channel(node, "rotation", turns.astype(np.float32))
        self._channel(node, "translation", np.ascontiguousarray(shifts, np.float32))

    def _channel(self, node: int, path: str, values: Floats) -> None:
        sampler = {
            "input": self._times, "output": self.builder.add_array(values), "interpolation": "LINEAR",
        }  # fmt: skip
        self._animation["samplers"].append(sampler)
        number = len(self._animation["samplers"]) - 1
        self._animation["channels"].append({"sampler": number, "target": {"node": node, "path": path}})


def find_targets(motion: Floats) -> tuple[Floats, Floats, float]:
    """Finds morph targets of moving vertices, by their principal components about the first frame.

    Args:
        motion: vertices, (T, V, 3) [m].

    Returns:
        Targets (K, V, 3) [m], their weights (T, K) in -1..1, and the largest distance from a vertex [m].
    """
    moves = (motion - motion[0]).reshape(len(motion), -1)
    picked = moves[np.unique(np.linspace(0, len(moves) - 1, _PICKED).astype(int))].astype(float)
    values, vectors = np.linalg.eigh(picked @ picked.T)
    kept = np.flatnonzero(values > 1e-9 * max(values[-1], 1e-12))[::-1][:MOST_TARGETS]
    axes = ((vectors[:, kept] / np.sqrt(values[kept])).T @ picked).astype(np.float32)
    weights, count = moves @ axes.T, 0
    while (error := float(np.linalg.norm(moves.reshape(motion.shape), axis=-1).max())) > TOLERANCE:
        if count == len(kept):
            break
        moves -= np.outer(weights[:, count], axes[count])  # what is left is not within the targets so far
        count += 1
    weights, axes = weights[:, :count], axes[:count]
    scale = np.abs(weights).max(axis=0, initial=1e-12)
    targets = (axes * scale[:, None]).reshape(count, *motion.shape[1:])
    return targets, weights / scale, error


def _one_colour(part: StudioPart) -> bool:
    return bool(np.ptp(part.colours, axis=0).max() < 1e-6)


def _texture(part: StudioPart) -> NDArray[np.uint8] | None:
    """Returns the picture on a part; an eye's is its grid, since few viewers draw colours of vertices."""
    if part.texture is not None or part.grid is None or _one_colour(part):
        return part.texture
    picture = 255 * np.clip(part.colours, 0, 1) ** (1 / 2.2)
    return picture.round().astype(np.uint8).reshape(*part.grid, 3)


def _painted(part: StudioPart) -> dict[str, Floats]:
    """Returns coordinates in the picture of `_texture`, or colours, of all vertices."""
    if part.texture is not None:
        return {"TEXCOORD_0": part.uv * [1, -1] + [0, 1]}  # rows of a picture count from above
    if _one_colour(part):
        return {}
    if part.grid is None:
        return {"COLOR_0": part.colours}
    rows, columns = np.indices(part.grid).reshape(2, -1)
    return {"TEXCOORD_0": np.stack([columns + 0.5, rows + 0.5], axis=1) / part.grid[::-1]}


def _seen_from(skull: Floats, place: Floats) -> Floats:
    """Returns vertices (V, 3) or a pose (4, 4) in the frame of the skull."""
    if place.shape == (4, 4):
        return np.linalg.inv(skull) @ place
    return (place - skull[:3, 3]) @ skull[:3, :3]


def _unit_normals(points: Floats, part: StudioPart) -> Floats:
    normals = vertex_normals(np.asarray(points, float), part.triangles)
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
