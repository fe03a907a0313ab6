"""Elastic energy of the shell and its exact gradient, compiled.

Membrane: incompressible neo-Hookean in plane stress, per rest area and thickness
W = mu/2 (tr C + 1/det C - 3), with C the 2 x 2 right Cauchy-Green tensor. It stays finite under any
rigid motion and depends on the 3D embedding only through C, so no triangle can invert.

Bending: a hinge per interior edge, E = 1/2 k (theta - theta0)^2 with k = 3 D l^2 / A (Grinspun et al.,
Discrete Shells, SCA 2003), D = E t^3 / 12 (1 - nu^2), l the rest edge and A the two rest areas.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from eva_sim.contract import Floats

POISSON = 0.5  # silicone is nearly incompressible
_compiled = numba.njit(cache=True, fastmath=False)


@dataclass(frozen=True)
class Shell:
    """A shell at rest.

    Attributes:
        triangles: (F, 3).
        inverse: inverse of each rest triangle's 2 x 2 edge matrix, (F, 2, 2) [1/m].
        membrane: mu t A of each triangle, (F,) [J].
        hinges: edge ends, then the two opposite corners, (H, 4).
        angle: rest angle of each hinge, (H,) [rad].
        bending: hinge stiffness, (H,) [J].
    """

    triangles: NDArray[np.int64]
    inverse: Floats
    membrane: Floats
    hinges: NDArray[np.int64]
    angle: Floats
    bending: Floats

    @classmethod
    def of(cls, points: Floats, triangles: NDArray[np.int64], young: float, thickness: float) -> Shell:
        """A shell whose stress-free shape is `points`.

        Args:
            points: (V, 3) [m].
            triangles: (F, 3), consistently oriented.
            young: Young's modulus [Pa].
            thickness: [m].
        """
        a, b, c = (points[triangles[:, i]] for i in range(3))
        u, w = b - a, c - a
        area = 0.5 * np.linalg.norm(np.cross(u, w), axis=1)
        length = np.linalg.norm(u, axis=1)
        along = (u * w).sum(1) / length
        edges = np.zeros((len(triangles), 2, 2))
        edges[:, 0, 0], edges[:, 0, 1], edges[:, 1, 1] = length, along, 2 * area / length
        shear = young / (2 * (1 + POISSON))
        hinges, beside = _find_hinges(triangles)
        rigidity = young * thickness**3 / (12 * (1 - POISSON**2))
        edge = np.linalg.norm(points[hinges[:, 0]] - points[hinges[:, 1]], axis=1)
        return cls(
            triangles=triangles,
            inverse=np.linalg.inv(edges),
            membrane=shear * thickness * area,
            hinges=hinges,
            angle=_angles(points, hinges),
            bending=3 * rigidity * edge**2 / area[beside].sum(1),
        )

    def energy(self, points: Floats) -> tuple[float, Floats]:
        """Energy [J] and its gradient (V, 3) [N] at `points` (V, 3) [m]."""
        points = np.ascontiguousarray(points, dtype=float)
        gradient = np.zeros_like(points)
        total = _membrane(points, self.triangles, self.inverse, self.membrane, gradient)
        total += _bend(points, self.hinges, self.angle, self.bending, gradient)
        return total, gradient


def _find_hinges(triangles: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Interior edges with their opposite corners (H, 4), and the two triangles beside each (H, 2)."""
    seen: dict[tuple[int, int], tuple[int, int]] = {}
    hinges, beside = [], []
    for number, corners in enumerate(triangles.tolist()):
        for i in range(3):
            a, b, opposite = corners[i], corners[(i + 1) % 3], corners[(i + 2) % 3]
            if (b, a) in seen:
                other, far = seen[b, a]
                hinges.append((b, a, far, opposite))
                beside.append((other, number))
            seen[a, b] = number, opposite
    shape = np.array(hinges, dtype=np.int64).reshape(-1, 4), np.array(beside, dtype=np.int64).reshape(-1, 2)
    return shape


@_compiled
def _membrane(x, triangles, inverse, weight, gradient):  # type: ignore[no-untyped-def]
    total = 0.0
    for f in range(len(triangles)):
        i, j, k = triangles[f]
        q = inverse[f]
        u, w = x[j] - x[i], x[k] - x[i]
        f0, f1 = u * q[0, 0] + w * q[1, 0], u * q[0, 1] + w * q[1, 1]
        c00, c11, c01 = np.dot(f0, f0), np.dot(f1, f1), np.dot(f0, f1)
        det = c00 * c11 - c01 * c01
        total += 0.5 * weight[f] * (c00 + c11 + 1.0 / det - 3.0)
        # dW/dF = F (I - adj(C) / det^2), with d(det C)/dC = adj(C)
        r = 1.0 / (det * det)
        p0 = weight[f] * (f0 * (1.0 - c11 * r) + f1 * (c01 * r))
        p1 = weight[f] * (f1 * (1.0 - c00 * r) + f0 * (c01 * r))
        gu, gw = p0 * q[0, 0] + p1 * q[0, 1], p0 * q[1, 0] + p1 * q[1, 1]
        gradient[j] += gu
        gradient[k] += gw
        gradient[i] -= gu + gw
    return total


@_compiled
def _hinge(x, hinge):  # type: ignore[no-untyped-def]
    """Angle, edge and the two (unnormalised) normals of a hinge."""
    a, b, c, d = hinge
    e = x[b] - x[a]
    n = np.cross(e, x[c] - x[a])
    m = np.cross(x[d] - x[a], e)
    length = np.sqrt(np.dot(e, e))
    angle = np.arctan2(np.dot(np.cross(n, m), e) / length, np.dot(n, m))
    return angle, e, n, m, length


@_compiled
def _angles(x, hinges):  # type: ignore[no-untyped-def]
    out = np.empty(len(hinges))
    for h in range(len(hinges)):
        out[h] = _hinge(x, hinges[h])[0]
    return out


@_compiled
def _bend(x, hinges, rest, stiffness, gradient):  # type: ignore[no-untyped-def]
    total = 0.0
    for h in range(len(hinges)):
        a, b, c, d = hinges[h]
        angle, e, n, m, length = _hinge(x, hinges[h])
        bent = angle - rest[h]
        bent -= 2 * np.pi * np.round(bent / (2 * np.pi))  # a fold of half a turn is no jump
        total += 0.5 * stiffness[h] * bent * bent
        force = stiffness[h] * bent
        nn, mm = n / np.dot(n, n), m / np.dot(m, m)
        # The opposite corners turn their triangle about the edge; the ends take up the reaction.
        s, t = np.dot(x[c] - x[a], e) / length**2, np.dot(x[d] - x[a], e) / length**2
        gc, gd = -length * nn, -length * mm
        gradient[c] += force * gc
        gradient[d] += force * gd
        gradient[a] -= force * ((1.0 - s) * gc + (1.0 - t) * gd)
        gradient[b] -= force * (s * gc + t * gd)
    return total
