"""How well landmarks with noise can tell commands: the Cramér-Rao bound.

Landmarks y = f(c) + n of a command c, with noise n of standard deviation s in each coordinate, have the
Fisher information I = J^T J / s^2, where J is the jacobian of f. The covariance of an unbiased estimate of c
is at least I^-1 (Kay, Fundamentals of Statistical Signal Processing: Estimation Theory, 1993, sections 3.7
and 3.9). An estimate that reaches it, normally distributed, has the mean absolute error
sqrt(2 / pi) * sqrt(diag(I^-1)), and its face has the error J I^-1/2 z, with z standard normal. J I^-1/2 is s
times an orthonormal basis of the columns of J, up to a rotation.

Here an actuator that rests is taken as known, and so is one that the face does not show, such as a cable that
is still slack. Both make the floor lower. A learned map may still fall below it a little, since it may be
biased towards frequent commands.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from eva_sim.agents.optimisation.settled_face import SettledFace
from eva_sim.contract import FaceSpec, Floats
from eva_sim.landmarks import POINTS

#: Distance from rest from which an actuator is unknown [command].
_AT_REST = 1e-6
#: Motion of all points together that shows an actuator [outer-eye distances per command]; cables reach 0.3.
_SHOWN = 1e-3
#: Mean absolute error of a guess in the middle of the travel [command]; no bound is larger.
_GUESS = 0.5
#: Draws of the error of a face.
_DRAWS = 2000


class NoiseFloor(NamedTuple):
    """Errors that the noise of landmarks alone makes.

    Attributes:
        travel: mean absolute error of the actuators that move landmarks [fraction of travel].
        landmarks: mean distance of the points of the face [outer-eye distances].
    """

    travel: float
    landmarks: float


def noise_floor(spec: FaceSpec, settled: SettledFace, command: Floats, noise: float) -> NoiseFloor:
    """Computes the errors that no unbiased estimate of a command from noisy landmarks falls below.

    Args:
        spec: of the face.
        settled: maps commands to landmarks.
        command: whose landmarks are seen, (25,).
        noise: standard deviation of each coordinate [outer-eye distances].
    """
    rows = spec.expressive
    jacobian = settled.jacobian(command)
    pulled = np.abs(command - spec.neutral)[rows] > _AT_REST
    shown = jacobian[:, pulled & (np.linalg.norm(jacobian, axis=0) > _SHOWN)]
    if not shown.size:
        return NoiseFloor(0.0, 0.0)
    basis, triangle = np.linalg.qr(shown)
    deviation = noise * np.linalg.norm(np.linalg.inv(triangle), axis=1)  # the root of the diagonal of I^-1
    error = np.minimum(np.sqrt(2 / np.pi) * deviation, _GUESS)
    drawn = np.random.default_rng(0).standard_normal((_DRAWS, basis.shape[1]))
    moved = noise * (drawn @ basis.T).reshape(_DRAWS, len(POINTS), 3)
    return NoiseFloor(float(error.sum() / 2 / len(rows)), float(np.linalg.norm(moved, axis=2).mean()))
