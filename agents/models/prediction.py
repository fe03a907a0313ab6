"""What all routes from landmarks to commands share: checks, threads, and whole commands."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch
from torch import Tensor

from eva_sim.agents.models.baselines import Array
from eva_sim.contract import FaceSpec, Floats
from eva_sim.errors import DataError
from eva_sim.landmarks import POINTS
from eva_sim.torch_threads import one_torch_thread

_FEW = 16  # faces for which a network takes a millisecond or so


def check_landmarks(landmarks: Floats) -> Array:
    """Checks aligned landmarks and returns them as float32, (N, 3) or (B, N, 3).

    Raises:
        DataError: another shape, or not finite.
    """
    points = np.asarray(landmarks, dtype=np.float32)
    if points.ndim not in (2, 3) or points.shape[-2:] != (len(POINTS), 3):
        raise DataError(f"landmarks have shape (N, 3) or (B, N, 3), N = {len(POINTS)}, not {points.shape}.")
    if not np.isfinite(points).all():
        raise DataError("landmarks hold values that are not finite; mask lost frames first.")
    return points


def threads_for(count: int) -> AbstractContextManager[None]:
    """Limits torch to one thread for the block, if a network sees only a few faces there."""
    return one_torch_thread() if count <= _FEW else nullcontext()


def predict_commands(spec: FaceSpec, landmarks: Floats, network: Callable[[Tensor], Tensor]) -> Array:
    """Predicts the commands that make the given faces; gaze and head pose rest.

    Args:
        spec: of the face.
        landmarks: aligned, (N, 3) or (B, N, 3) [outer-eye distances].
        network: flat landmarks, (B, 3 N), to the M actuators that move landmarks, (B, M), not clipped.

    Returns:
        float32 (25,) or (B, 25) in [-1, 1].

    Raises:
        DataError: another shape, or not finite.
    """
    points = check_landmarks(landmarks)
    flat = points.reshape(-1, 3 * len(POINTS))
    with torch.inference_mode(), threads_for(len(flat)):
        output = network(torch.tensor(flat))
    return whole_commands(spec, output).reshape(*points.shape[:-2], len(spec))


def whole_commands(spec: FaceSpec, output: Tensor) -> Array:
    """Returns whole commands, (B, 25), of the actuators that move landmarks, (B, M); the others rest."""
    commands = np.tile(spec.neutral, (len(output), 1))
    commands[:, spec.expressive] = output.numpy().clip(-1, 1)
    return commands
