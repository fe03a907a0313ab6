"""Writes glTF 2.0 files in one piece (.glb): meshes with morph targets, materials and animations.

trimesh writes glTF as well, but neither morph targets nor animations.
"""

from __future__ import annotations

import io
import json
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

#: Numbers by which glTF calls the types of arrays and their shapes.
_TYPES = {"float32": 5126, "uint32": 5125}
_SHAPES = {(): "SCALAR", (2,): "VEC2", (3,): "VEC3", (4,): "VEC4"}
_MAGIC, _JSON, _BINARY = b"glTF", b"JSON", b"BIN\0"


class GltfBuilder:
    """Collects the parts of one scene.

    Attributes:
        document: what the file says, as glTF names it.
    """

    def __init__(self) -> None:
        self.document: dict[str, Any] = {
            "asset": {"version": "2.0", "generator": "eva-sim"}, "scene": 0, "scenes": [{"nodes": []}],
        }  # fmt: skip
        self._bytes = bytearray()

    def add(self, kind: str, **item: Any) -> int:
        """Appends an item to a list of the document, such as `"nodes"`; returns its number."""
        items: list[Any] = self.document.setdefault(kind, [])
        items.append(item)
        return len(items) - 1

    def add_root(self, node: int) -> None:
        """Puts a node into the scene."""
        self.document["scenes"][0]["nodes"].append(node)

    def add_array(self, values: NDArray[Any]) -> int:
        """Stores float32 or uint32 numbers, (N,) or (N, 2 to 4); returns the number of their accessor."""
        rows = values.reshape(len(values), -1)
        return self.add(
            "accessors", bufferView=self._store(np.ascontiguousarray(values).tobytes()), count=len(values),
            componentType=_TYPES[values.dtype.name], type=_SHAPES[values.shape[1:]],
            min=rows.min(axis=0).tolist(), max=rows.max(axis=0).tolist(),
        )  # fmt: skip

    def add_texture(self, picture: NDArray[np.uint8]) -> int:
        """Stores a picture, uint8 (height, width, 3), as PNG; returns the number of its texture."""
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "PNG")
        view = self._store(file.getvalue())
        return self.add("textures", source=self.add("images", bufferView=view, mimeType="image/png"))

    def pack(self) -> bytes:
        """Returns the file."""
        binary = bytes(self._bytes)
        document = {**self.document, "buffers": [{"byteLength": len(binary)}]}
        text = json.dumps(document, separators=(",", ":"), allow_nan=False).encode()
        text += b" " * (-len(text) % 4)
        parts = ((text, _JSON), (binary, _BINARY))
        chunks = [struct.pack("<I4s", len(part), kind) + part for part, kind in parts]
        return struct.pack("<4sII", _MAGIC, 2, 12 + sum(map(len, chunks))) + b"".join(chunks)

    def _store(self, data: bytes) -> int:
        view = self.add("bufferViews", buffer=0, byteOffset=len(self._bytes), byteLength=len(data))
        self._bytes += data + b"\0" * (-len(data) % 4)
        return view
