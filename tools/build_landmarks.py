"""Builds `assets/precomputed/landmark_embedding.npz`: the position of each MediaPipe point on the skin.

    python -m tools.build_landmarks

The landmark detector reads pictures of the neutral robot from several sides. Every point is projected back
onto the skin, averaged, made symmetric, and assigned to a triangle. Points of the
upper and lower lip and of the lids only go to triangles of their own side of the slit.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from eva_sim.contract import FaceSpec, load_spec
from eva_sim.detector import Detector, canonical_face
from eva_sim.errors import MediaError
from eva_sim.files import read_arrays, write_arrays
from eva_sim.head import HeadPose
from eva_sim.landmarks import POINTS
from eva_sim.rendering.appearance import Appearance
from eva_sim.rendering.renderer import CAMERA_POSITION, CAMERA_TARGET, Renderer, look_at

OUT = Path(__file__).resolve().parents[1] / "assets" / "precomputed" / "landmark_embedding.npz"
SIZE, YAWS = 640, (-0.35, -0.2, -0.1, 0.0, 0.1, 0.2, 0.35)
UPPER_LIP = (191, 80, 81, 82, 13, 312, 311, 310, 415, 185, 40, 39, 37, 0, 267, 269, 270, 409)
LOWER_LIP = (95, 88, 178, 87, 14, 317, 402, 318, 324, 146, 91, 181, 84, 17, 314, 405, 321, 375)
UPPER_LID = (246, 161, 160, 159, 158, 157, 173, 466, 388, 387, 386, 385, 384, 398)
LOWER_LID = (7, 163, 144, 145, 153, 154, 155, 249, 390, 373, 374, 380, 381, 382)
REST = HeadPose(np.eye(4), 0.0, np.zeros((2, 2)), np.zeros(2), 0.0)


class Samples:
    """Dense barycentric samples of the skin, to find the triangle nearest to a point."""

    def __init__(self, points: np.ndarray, triangles: np.ndarray) -> None:
        steps = np.array([(i, j, 8 - i - j) for i in range(9) for j in range(9 - i)]) / 8
        self.points = np.einsum("sk,fkd->fsd", steps, points[triangles]).reshape(-1, 3)
        self.triangle = np.repeat(np.arange(len(triangles)), len(steps))
        self.shares = np.tile(steps, (len(triangles), 1))

    def nearest(self, at: np.ndarray, allowed: np.ndarray) -> int:
        """Sample nearest to a point among those of the allowed triangles, (F,) bool."""
        chosen = np.flatnonzero(allowed[self.triangle])
        return int(chosen[cKDTree(self.points[chosen]).query(at)[1]])


def detect_landmarks(spec: FaceSpec) -> np.ndarray:
    """Detects the landmarks on pictures of the neutral robot; head frame, (N, 3) [m]."""
    appearance, detector = Appearance(spec), Detector("picture")
    skin = read_arrays(spec.file("meshes/skin.npz"))["points"]
    placed, camera = appearance.place(skin, REST), Renderer(appearance.parts)
    detections = []
    for yaw in YAWS:
        turn = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
        camera.move(look_at(turn @ np.array(CAMERA_POSITION), CAMERA_TARGET))
        picture, depth = camera.colour(placed, SIZE), camera.depth(placed, SIZE)
        for flipped in (False, True):
            face = detector.detect(np.ascontiguousarray(picture[:, ::-1]) if flipped else picture)
            if face is None:
                continue
            pixels = face[list(POINTS), :2] * [1, -1]
            if flipped:
                pixels[:, 0] = SIZE - pixels[:, 0]
            at = np.clip(pixels.astype(int), 0, SIZE - 1)
            world = camera.unproject(pixels, depth[at[:, 1], at[:, 0]], SIZE)
            world[depth[at[:, 1], at[:, 0]] == 0] = np.nan
            detections.append(world[mirror_partners()] if flipped else world)
    if not detections:
        raise MediaError("the detector does not find the robot's neutral face.")
    print(f"{len(detections)} of {2 * len(YAWS)} pictures read")
    return np.nanmedian(np.stack(detections), axis=0)


def mirror_partners() -> np.ndarray:
    """Row of each landmark's mirror image, (N,), read off MediaPipe's symmetric average face."""
    average = canonical_face()
    return np.asarray(cKDTree(average).query(average * [-1, 1, 1])[1])


def embed_landmarks(spec: FaceSpec, points: np.ndarray) -> dict[str, np.ndarray]:
    """Pins landmarks (N, 3) [m] to skin triangles, exactly symmetric."""
    skin, partner = read_arrays(spec.file("meshes/skin.npz")), mirror_partners()
    points = 0.5 * (points + points[partner] * [-1, 1, 1])
    samples = Samples(skin["points"], skin["triangles"])
    corners, shares = np.zeros((len(points), 3), int), np.zeros((len(points), 3))
    for row, index in enumerate(POINTS):
        if row <= partner[row]:
            near = samples.nearest(points[row], _allowed(skin, index))
            corners[row] = skin["triangles"][samples.triangle[near]]
            shares[row] = samples.shares[near]
            if row != partner[row]:
                corners[partner[row]], shares[partner[row]] = skin["mirror"][corners[row]], shares[row]
    return {"points": np.array(POINTS), "corners": corners, "shares": shares}


def _allowed(skin: dict[str, np.ndarray], index: int) -> np.ndarray:
    """Triangles that a landmark may sit on, (F,) bool."""
    triangles = skin["triangles"]
    jaw = skin["jaw_weight"][triangles].mean(1)
    gain = skin["lid_gain"][triangles]
    if index in UPPER_LIP or index in LOWER_LIP:
        return jaw < 0.5 if index in UPPER_LIP else jaw > 0.5
    if index in UPPER_LID or index in LOWER_LID:
        return (gain > 0).any(1) if index in UPPER_LID else (gain < 0).any(1)
    return np.ones(len(triangles), bool)


if __name__ == "__main__":
    spec = load_spec()
    built = embed_landmarks(spec, detect_landmarks(spec))
    write_arrays(OUT, **built)
    print(f"{len(built['points'])} landmarks on the skin")
