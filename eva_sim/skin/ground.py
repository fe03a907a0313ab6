"""What the skin lies on: bone it may slide over but not enter, tissue that holds it, eyeballs.

The ground under each vertex turns with a share of the jaw: all of it at the chin, none at the
brow. In that vertex's own ground frame, rest is always the same place, so a moving jaw creates no
stress by itself. Penetration is measured on one smooth distance field of the rest face, by a
triquadratic B-spline, and counted from each vertex's own rest depth.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eva_sim.contract import Floats
from eva_sim.head import EYES, JAW_HINGE
from eva_sim.skin.energy import compiled

HINGE_Y, HINGE_Z = float(JAW_HINGE[1]), float(JAW_HINGE[2])
_EYE_X, _EYE_Y, _EYE_Z = float(EYES[0, 0]), float(EYES[0, 1]), float(EYES[0, 2])


class Ground(NamedTuple):
    """Constant arrays, one entry per skin vertex, and the distance grid.

    Attributes:
        rest: (V, 3) [m].
        jaw: share of the jaw's turn that the ground follows, (V,).
        tether: stiffness against any displacement from rest, (V,) [N/m].
        backing: stiffness against being lifted off, (V,) [N/m].
        contact: stiffness against being pushed in, (V,) [N/m].
        depth: distance field at rest, (V,) [m].
        eyelid: 1 where the eyeball is the ground instead, (V,).
        reach: for eyelids, the least distance from the eye's centre, (V,) [m].
        grid: distance [m] on a regular grid, (X, Y, Z).
        origin: its first node, (3,) [m].
        cell: its spacing [m].
    """

    rest: Floats
    jaw: Floats
    tether: Floats
    backing: Floats
    contact: Floats
    depth: Floats
    eyelid: NDArray[np.int64]
    reach: Floats
    grid: Floats
    origin: Floats
    cell: float


def turned(points: Floats, share: Floats, jaw: float) -> Floats:
    """Points (V, 3) after a jaw opening of `jaw` [rad], each following it by `share` (V,)."""
    out = points.copy()
    sine, cosine = np.sin(share * jaw), np.cos(share * jaw)
    y, z = points[:, 1] - HINGE_Y, points[:, 2] - HINGE_Z
    out[:, 1], out[:, 2] = HINGE_Y + cosine * y - sine * z, HINGE_Z + sine * y + cosine * z
    return out


@compiled
def _spline(u, size):  # type: ignore[no-untyped-def]
    """Nearest node, the three quadratic B-spline weights around it, and their slopes."""
    u = min(max(u, 1.0), size - 2.0)
    base = int(np.floor(u + 0.5))
    f = u - base
    return base - 1, 0.5 * (0.5 - f) ** 2, 0.75 - f * f, 0.5 * (0.5 + f) ** 2, f - 0.5, -2.0 * f, f + 0.5


@compiled
def distance(grid, origin, cell, p0, p1, p2, slope):  # type: ignore[no-untyped-def]
    """Distance field at a point [m]; its gradient goes into `slope` (3,). Constant beyond the grid."""
    i, wx0, wx1, wx2, dx0, dx1, dx2 = _spline((p0 - origin[0]) / cell, grid.shape[0])
    j, wy0, wy1, wy2, dy0, dy1, dy2 = _spline((p1 - origin[1]) / cell, grid.shape[1])
    k, wz0, wz1, wz2, dz0, dz1, dz2 = _spline((p2 - origin[2]) / cell, grid.shape[2])
    value = s0 = s1 = s2 = 0.0
    for a in range(3):
        wx = wx0 if a == 0 else (wx1 if a == 1 else wx2)
        dx = dx0 if a == 0 else (dx1 if a == 1 else dx2)
        for b in range(3):
            wy = wy0 if b == 0 else (wy1 if b == 1 else wy2)
            dy = dy0 if b == 0 else (dy1 if b == 1 else dy2)
            n0, n1, n2 = grid[i + a, j + b, k], grid[i + a, j + b, k + 1], grid[i + a, j + b, k + 2]
            line = wz0 * n0 + wz1 * n1 + wz2 * n2
            value += wx * wy * line
            s0 += dx * wy * line
            s1 += wx * dy * line
            s2 += wx * wy * (dz0 * n0 + dz1 * n1 + dz2 * n2)
    slope[0], slope[1], slope[2] = s0 / cell, s1 / cell, s2 / cell
    return value


@compiled
def depths(points, grid, origin, cell):  # type: ignore[no-untyped-def]
    """Distance field at many points (V, 3) -> (V,)."""
    out, slope = np.empty(len(points)), np.empty(3)
    for i in range(len(points)):
        out[i] = distance(grid, origin, cell, points[i, 0], points[i, 1], points[i, 2], slope)
    return out


@compiled
def ground_force(i, x0, x1, x2, sine, cosine, ground, slope, g):  # type: ignore[no-untyped-def]
    """Energy of vertex i at (x0, x1, x2); its gradient goes into g[:3]. `slope` is scratch."""
    y, z = x1 - HINGE_Y, x2 - HINGE_Z
    p1, p2 = HINGE_Y + cosine * y + sine * z, HINGE_Z - sine * y + cosine * z
    d0, d1, d2 = x0 - ground.rest[i, 0], p1 - ground.rest[i, 1], p2 - ground.rest[i, 2]
    tether = ground.tether[i]
    energy = 0.5 * tether * (d0 * d0 + d1 * d1 + d2 * d2)
    g0, g1, g2 = tether * d0, tether * d1, tether * d2
    if ground.eyelid[i] == 1:
        side = _EYE_X if ground.rest[i, 0] > 0 else -_EYE_X
        slope[0], slope[1], slope[2] = x0 - side, p1 - _EYE_Y, p2 - _EYE_Z
        length = np.sqrt(slope[0] ** 2 + slope[1] ** 2 + slope[2] ** 2)
        lift = length - ground.reach[i]
        stiffness = ground.contact[i] / length if lift < 0.0 else 0.0
        energy += 0.5 * stiffness * length * lift * lift
    else:
        lift = distance(ground.grid, ground.origin, ground.cell, x0, p1, p2, slope) - ground.depth[i]
        stiffness = ground.contact[i] if lift < 0.0 else ground.backing[i]
        energy += 0.5 * stiffness * lift * lift
    g0 += stiffness * lift * slope[0]
    g1 += stiffness * lift * slope[1]
    g2 += stiffness * lift * slope[2]
    g[0], g[1], g[2] = g0, cosine * g1 - sine * g2, sine * g1 + cosine * g2
    return energy


@compiled
def add_ground(x, turn, ground, gradient):  # type: ignore[no-untyped-def]
    """Adds the ground's gradient to `gradient` and returns its energy; `turn` is sine, cosine (V, 2)."""
    total, slope, g = 0.0, np.empty(3), np.empty(3)
    for i in range(len(x)):
        total += ground_force(i, x[i, 0], x[i, 1], x[i, 2], turn[i, 0], turn[i, 1], ground, slope, g)
        for k in range(3):
            gradient[i, k] += g[k]
    return total


@compiled
def ground_hessian(x, turn, ground, step):  # type: ignore[no-untyped-def]
    """Second derivative blocks (V, 3, 3) [N/m], by central differences of the exact gradient."""
    out, slope, plus, minus, p = np.empty((len(x), 3, 3)), np.empty(3), np.empty(3), np.empty(3), np.empty(3)
    for i in range(len(x)):
        s, c = turn[i, 0], turn[i, 1]
        for n in range(3):
            p[:] = x[i]
            p[n] += step
            ground_force(i, p[0], p[1], p[2], s, c, ground, slope, plus)
            p[n] -= 2 * step
            ground_force(i, p[0], p[1], p[2], s, c, ground, slope, minus)
            for m in range(3):
                out[i, m, n] = (plus[m] - minus[m]) / (2 * step)
    return out
