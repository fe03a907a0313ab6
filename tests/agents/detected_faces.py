"""Faces as the detector would find them, for tests of mirroring."""

from __future__ import annotations

import numpy as np

from eva_sim.detector import BLEND_SHAPES, DetectedFace
from eva_sim.landmarks import landmark_rows


def detected(landmarks: np.ndarray, gaze: tuple[float, float] = (0.0, 0.0)) -> DetectedFace:
    """A face with the given landmarks, (N, 3), whose irises are off the middle of their eyes, right and up.

    Args:
        landmarks: in any unit.
        gaze: shift of both irises [outer-eye distances].
    """
    corners = landmarks[landmark_rows(362, 263, 133, 33)].reshape(2, 2, 3)
    size = np.linalg.norm(corners[0, 1] - corners[1, 1])
    irises = corners.mean(1) + size * np.array([*gaze, 0.04])
    return DetectedFace(landmarks, irises, np.zeros(len(BLEND_SHAPES)))
