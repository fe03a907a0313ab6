"""The face as a browser draws it: what is fixed is sent once, what moves with every update.

The browser draws with the shaders of the studio, so the page is lit like the stills. The server computes
vertices and normals, and draws nothing.
"""

from __future__ import annotations

import json
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eva_sim.contract import Floats
from eva_sim.landmarks import landmark_rows, load_embedding
from eva_sim.rendering.moving_vertices import MovingVertices
from eva_sim.rendering.renderer import CAMERA_POSITION, CAMERA_TARGET, FIELD_OF_VIEW
from eva_sim.rendering.studio_light import (
    BACKGROUND,
    BACKGROUND_EDGE,
    SHADOW_SIZE,
    shader_constants,
    shader_text,
    shadow_projection,
)
from eva_sim.rendering.studio_parts import StudioPart, StudioParts
from eva_sim.rendering.studio_scene import look_of, pack_texture, parts_by
from eva_sim.skin.anatomy import load_anatomy
from eva_sim.skin.ground import rotate_with_jaw
from eva_sim.skin.kernel_cache import kernel
from eva_sim.twin import Twin

#: Metres that the largest number of a coordinate stands for; the smallest step is 0.02 mm.
PLACE_SCALE = 0.5
#: Displacement that the largest number stands for [m].
DISPLACEMENT_SCALE = 0.05
_LARGEST = 32767
_TEXTURE_SIDE = 1024  # pixels
#: What WebGL 2 wants above a shader of the studio.
_VERSION = "#version 300 es\nprecision highp float;\nprecision highp int;\nprecision highp sampler2DShadow;\n"
_DISPLACED = "#define PAINTED 1\n#define SHADOWS 0\n"
#: Columns of a moving vertex: place, displacement, normal, fold of the skin.
COLUMNS = 8


class LiveScene:
    """Sends a twin's face to browsers.

    Args:
        twin: at rest.
        fine: whether the skin is subdivided, as in stills.

    Attributes:
        size: number of vertices.
    """

    def __init__(self, twin: Twin, fine: bool = False) -> None:
        self._studio = StudioParts(twin.spec, fine=fine)
        self._anatomy = load_anatomy(twin.spec)
        self._rest = np.array(twin.skin.points, float)
        self._corners, self._shares = load_embedding(twin.spec)
        self._vertices = MovingVertices(self._studio.parts)
        self._first = {
            part.name: rows.start for part, rows in zip(self._studio.parts, self._vertices.rows, strict=True)
        }
        self._head = self._vertices.rows[0]
        self.size = len(self._vertices.places)

    def update(self, twin: Twin) -> bytes:
        """Returns all vertices of the face now: int16 (size, `COLUMNS`), shares of their scales.

        The columns are x, y, z [`PLACE_SCALE`], displacement of the skin from rest [`DISPLACEMENT_SCALE`],
        unit normal and fold of the skin.
        """
        skin = np.asarray(twin.skin.points, float)
        placed = self._studio.place(skin, twin.head.pose)
        self._vertices.move_parts(placed.parts)
        self._vertices.update_normals(placed.folds)
        moved = self._studio.of_skin(np.linalg.norm(skin - self._rest, axis=1))
        packed = np.zeros((self.size, COLUMNS), "<i2")
        _pack(self._vertices.places, self._vertices.directions, moved, self._head.start, packed)
        return packed.tobytes()

    def cables(self, twin: Twin) -> Floats:
        """Returns the mouth of each cable's tube and the middle of the skin that it pulls, (C, 2, 3) [m]."""
        cables, pose = self._anatomy.cables, twin.head.pose
        pulled = cables.weight[:, None] * np.asarray(twin.skin.points, float)[cables.vertex]
        ends = np.stack(
            [
                rotate_with_jaw(self._anatomy.exits, self._anatomy.exit_jaw, pose.jaw),
                np.add.reduceat(pulled, cables.start[:-1]),
            ],
            axis=1,
        )
        placed: Floats = ends @ pose.skull[:3, :3].T + pose.skull[:3, 3]
        return placed

    @cached_property
    def fixed(self) -> bytes:
        """What does not move: the length of a JSON header (uint32), the header, and arrays that it names."""
        groups = parts_by(self._studio.parts, look_of)
        triangles = [self._triangles(group) for group in groups]
        casters = [part for part in self._studio.parts if part.caster is not None]
        shadow = np.concatenate([part.caster + self._first[part.name] for part in casters])
        painted = next(part.texture for part in self._studio.parts if part.texture is not None)
        texture, height = pack_texture(painted[::-1], self._studio.fold_lines, _TEXTURE_SIDE)
        columns = [(p.colours, p.openness, p.uv) for p in self._studio.parts]
        arrays = {
            "fixed": np.concatenate([np.column_stack(part) for part in columns]).astype("<f4"),
            "triangles": np.concatenate([*triangles, shadow]).astype("<u4"),
            "texture": texture,
        }
        ends = np.cumsum([0, *(3 * len(each) for each in triangles)]).tolist()
        header = {
            "vertices": self.size, "columns": COLUMNS, "place_scale": PLACE_SCALE,
            "displacement_scale": DISPLACEMENT_SCALE, "texture_side": _TEXTURE_SIDE,
            "groups": [
                self._group(group, ends[i], 3 * len(triangles[i]), height) for i, group in enumerate(groups)
            ],
            "shadow": {
                "first": ends[-1], "count": 3 * len(shadow), "size": SHADOW_SIZE,
                "projection": shadow_projection().T.ravel().tolist(),
                **_shaders("measure.vert", "measure.frag", "#define DISTANCES 1\n"),
            },
            "displacement": _shaders("face.vert", "displacement.frag", _DISPLACED),
            "background": {
                **_shaders("background.vert", "background.frag"),
                "bright": BACKGROUND, "dim": BACKGROUND_EDGE,
            },
            "camera": {"position": CAMERA_POSITION, "target": CAMERA_TARGET, "field_of_view": FIELD_OF_VIEW},
            "mouth": self._mouth_rows(),
        }  # fmt: skip
        return _packed(header, arrays)

    def _group(
        self, parts: list[StudioPart], first: int, count: int, height: tuple[float, float]
    ) -> dict[str, Any]:
        """Describes the parts that one call draws."""
        material, _ = look_of(parts[0])
        constants = shader_constants(material, shadows=True)
        return {
            "first": first, "count": count, "painted": material.painted, "two_sided": material.two_sided,
            "cavity": parts[0].name == "mouth", "height": height,
            "fine": _shaders("face.vert", "face.frag", constants),
            "quick": _shaders("quick.vert", "quick.frag", constants),
        }  # fmt: skip

    def _triangles(self, parts: list[StudioPart]) -> NDArray[np.int64]:
        return np.concatenate([part.triangles + self._first[part.name] for part in parts])

    def _mouth_rows(self) -> list[int]:
        """Returns the vertices next to the middles of the upper and the lower lip."""
        rows = landmark_rows(13, 14)
        nearest = self._corners[rows, self._shares[rows].argmax(axis=1)]
        return (self._head.start + nearest).tolist()


@kernel(nogil=True)
def _pack(places, directions, moved, first, out):  # type: ignore[no-untyped-def]
    """Writes the columns of all vertices, (V, 8), as shares of their scales; the head begins at `first`."""
    for i in range(len(places)):
        x, y, z = directions[i, 0], directions[i, 1], directions[i, 2]
        size = max(np.sqrt(x * x + y * y + z * z), 1e-20)
        for k in range(3):
            share = places[i, k] / PLACE_SCALE
            out[i, k] = _LARGEST * min(max(share, -1.0), 1.0)
            out[i, 4 + k] = _LARGEST * directions[i, k] / size
        out[i, 7] = _LARGEST * min(max(directions[i, 3], -1.0), 1.0)
    for i in range(len(moved)):
        out[first + i, 3] = _LARGEST * min(moved[i] / DISPLACEMENT_SCALE, 1.0)


def _shaders(vertex: str, fragment: str, constants: str = "") -> dict[str, str]:
    """Returns a vertex and a fragment shader of the studio for WebGL 2."""
    return {
        "vertex": _VERSION + shader_text(vertex, constants),
        "fragment": _VERSION + shader_text(fragment, constants),
    }


def _packed(header: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> bytes:
    """Packs a header and arrays; each begins at a multiple of four bytes after the header."""
    blobs, places, at = [], {}, 0
    for name, array in arrays.items():
        blob = array.tobytes()
        places[name] = [at, len(blob)]
        blobs.append(blob + b"\0" * (-len(blob) % 4))
        at += len(blobs[-1])
    text = json.dumps({**header, "arrays": places}).encode()
    text += b" " * (-len(text) % 4)
    return b"".join([len(text).to_bytes(4, "little"), text, *blobs])
