"""Measures of the mouth: gap of closed lips, crossings of the skin, distance of lips and teeth."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from eva_sim.agents.data.babbling import sample_command
from eva_sim.contract import FaceSpec, Floats
from eva_sim.files import read_arrays
from eva_sim.head import HeadPose
from eva_sim.rendering.appearance import jaw_pose
from eva_sim.rendering.inner_lips import InnerLips
from eva_sim.settling import reset_and_hold
from eva_sim.testing.surface_geometry import crossings, crossings_between
from eva_sim.twin import Twin

#: What parts the lips: patches and bodies (`Actuator.moves`) that rest in a face whose mouth is closed.
PARTING = ("jaw", "levator", "depressor", "zygomaticus")
#: Skin and teeth this near to the edge of the lips belong to the mouth [m].
_AROUND = 0.030
_SAMPLES = np.array([(i, j, 4 - i - j) for i in range(5) for j in range(5 - i)]) / 4  # of a triangle
_ALONG = np.linspace(0, 1, 40, endpoint=False)  # samples of a piece of the edge


class MouthMeasure(NamedTuple):
    """One face.

    Attributes:
        gap: the largest distance of a place on the edge of one lip from the other lip [m].
        crossings: pairs of triangles about the mouth that pass through each other, or through teeth.
        teeth: the smallest distance between lips, their inside included, and teeth [m].
    """

    gap: float
    crossings: int
    teeth: float


class MouthMeter:
    """Measures the mouth of a face.

    Args:
        spec: the face.
    """

    def __init__(self, spec: FaceSpec) -> None:
        skin, self._visual = (read_arrays(spec.file(f"meshes/{name}.npz")) for name in ("skin", "visual"))
        points, triangles, loop = skin["points"], skin["triangles"], skin["lip_loop"]
        corners = np.setdiff1d(loop, skin["lip_pairs"])
        left, right = sorted(corners.tolist(), key=lambda i: -points[i, 0])
        self._lips = [np.array([left, *lip.tolist(), right]) for lip in skin["lip_pairs"].T]
        away = cKDTree(points[loop]).query(points[triangles].mean(axis=1))[0]
        self._triangles: NDArray[np.int64] = triangles[away < _AROUND]
        self._inner = InnerLips(triangles, loop, self._visual["inner_local"])

    def __call__(self, skin: Floats, pose: HeadPose) -> MouthMeasure:
        """Measures one face: its skin (V, 3) [m], and the pose of its head."""
        rows = {"upper": np.eye(4), "lower": jaw_pose(pose.jaw)}
        teeth = {row: self._teeth(row, turn) for row, turn in rows.items()}
        lips = np.concatenate([_sampled(skin, self._triangles), self._inner(skin)])
        through = sum(len(crossings_between((skin, self._triangles), mesh)) for mesh in teeth.values())
        return MouthMeasure(
            self.gap(skin),
            len(crossings(skin, self._triangles)) + through,
            min(float(cKDTree(_sampled(*mesh)).query(lips)[0].min()) for mesh in teeth.values()),
        )

    def gap(self, skin: Floats) -> float:
        """The largest gap along the slit of a face, (V, 3) [m]."""
        upper, lower = (_along(skin[lip]) for lip in self._lips)
        return max(float(cKDTree(a).query(b)[0].max()) for a, b in ((upper, lower), (lower, upper)))

    def _teeth(self, row: str, turn: Floats) -> tuple[Floats, NDArray[np.int64]]:
        points = self._visual[f"{row}_teeth_points"] @ turn[:3, :3].T + turn[:3, 3]
        return points, self._visual[f"{row}_teeth_triangles"]


def _along(path: Floats) -> Floats:
    """Places along a polyline (N, 3)."""
    start, step = path[:-1, None], np.diff(path, axis=0)[:, None]
    return np.concatenate([(start + _ALONG[:, None] * step).reshape(-1, 3), path[-1:]])


def _sampled(points: Floats, triangles: NDArray[np.int64]) -> Floats:
    places: Floats = np.einsum("sk,fkd->fsd", _SAMPLES, points[triangles]).reshape(-1, 3)
    return places


def measure_random_mouths(count: int, seed: int, closed: bool) -> Iterator[MouthMeasure]:
    """Measures random faces, each settled in; with `closed`, all that parts the lips (`PARTING`) rests."""
    rng = np.random.default_rng(seed)
    with Twin() as twin:
        meter = MouthMeter(twin.spec)
        resting = [i for i, actuator in enumerate(twin.spec.actuators) if actuator.moves in PARTING]
        for _ in range(count):
            command = sample_command(twin.spec, rng)
            if closed:
                command[resting] = twin.spec.neutral[resting]
            reset_and_hold(twin, command)
            yield meter(twin.skin.points, twin.head.pose)
