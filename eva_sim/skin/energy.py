"""Elastic energy of the shell, with exact gradient and Hessian, compiled.

Membrane: incompressible neo-Hookean in plane stress, per rest area and thickness
W = mu/2 (tr C + 1/det C - 3), with C the 2 x 2 right Cauchy-Green tensor. It stays finite under any
rigid motion and depends on the 3D embedding only through C, so no triangle can invert.

Bending: a hinge per interior edge, E = 1/2 k b^2 with b = 2 tan((theta - theta0) / 2). For small angles
b is the change of angle; it grows without bound as the skin folds flat, which prevents that. The stiffness
is k = D l^2 / A with D = E t^3 / 12 (1 - nu^2), l the rest edge and A its two rest areas. That is the
stiffness of a plate on equilateral triangles (docs/validation.md; the factor 3 of Grinspun et al.,
Discrete Shells, SCA 2003, belongs to a sum over other areas).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eva_sim.contract import Floats
from eva_sim.skin.kernel_cache import kernel

POISSON = 0.5  # silicone is nearly incompressible
compiled = kernel(nogil=True, error_model="numpy", fastmath={"contract", "arcp", "nsz"})
#: A formula of scalars in the precision of its arguments. The double-precision reference, the single face
#: and the lanes all compile the same formula.
formula = kernel(forceinline=True, error_model="numpy", fastmath={"contract", "arcp", "nsz"})


class Shell(NamedTuple):
    """A shell at rest; a tuple of arrays, so that compiled code can take it as one argument.

    Attributes:
        triangles: (F, 3).
        inverse: inverse of each rest triangle's upper triangular edge matrix, entries 00, 01, 11,
            (F, 3) [1/m].
        membrane: mu t A of each triangle, (F,) [J].
        hinges: edge ends, then the two opposite corners, (H, 4).
        rest: sine and cosine of each hinge's rest angle, (H, 2).
        bending: hinge stiffness, (H,) [J].
    """

    triangles: NDArray[np.uint32]
    inverse: Floats
    membrane: Floats
    hinges: NDArray[np.uint32]
    rest: Floats
    bending: Floats

    @classmethod
    def of(cls, points: Floats, triangles: NDArray[np.int64], young: float, thickness: float) -> Shell:
        """Builds a shell whose stress-free shape is `points`.

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
        along, height = (u * w).sum(1) / length, 2 * area / length
        hinges, beside = _find_hinges(triangles)
        rigidity = young * thickness**3 / (12 * (1 - POISSON**2))
        edge = np.linalg.norm(points[hinges[:, 0]] - points[hinges[:, 1]], axis=1)
        return cls(
            triangles=triangles.astype(np.uint32),  # unsigned: no checks for negative indices when compiled
            inverse=np.stack([1 / length, -along / (length * height), 1 / height], axis=1),
            membrane=young / (2 * (1 + POISSON)) * thickness * area,
            hinges=hinges.astype(np.uint32),
            rest=_angles(points, hinges),
            bending=rigidity * edge**2 / (area[beside[:, 0]] + area[beside[:, 1]]),
        )

    def energy(self, points: Floats) -> tuple[float, Floats]:
        """Stored energy [J] and its gradient (V, 3) [N]."""
        gradient = np.zeros_like(points)
        return float(add_shell(points, self, gradient)), gradient


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


def _angles(points: Floats, hinges: NDArray[np.int64]) -> Floats:
    """Sine and cosine of the angle between the two triangles of each hinge, (H, 2)."""
    a, b, c, d = (points[hinges[:, k]] for k in range(4))
    n, m = np.cross(b - a, c - a), np.cross(d - a, b - a)
    along = (b - a) / np.linalg.norm(b - a, axis=1, keepdims=True)
    angle = np.arctan2((np.cross(n, m) * along).sum(1), (n * m).sum(1))
    return np.stack([np.sin(angle), np.cos(angle)], axis=1)


@formula
def membrane_energy(x0, x1, x2, y0, y1, y2, z0, z1, z2, q00, q01, q11, weight):  # type: ignore[no-untyped-def]
    """Returns the energy of a triangle with corners x, y, z, then its gradient by x, y and z."""
    number = type(weight)
    one, half, three = number(1), number(0.5), number(3)
    u0, u1, u2, w0, w1, w2 = y0 - x0, y1 - x1, y2 - x2, z0 - x0, z1 - x1, z2 - x2
    a0, a1, a2 = u0 * q00, u1 * q00, u2 * q00  # the deformation gradient's two columns
    b0, b1, b2 = u0 * q01 + w0 * q11, u1 * q01 + w1 * q11, u2 * q01 + w2 * q11
    caa = a0 * a0 + a1 * a1 + a2 * a2
    cbb = b0 * b0 + b1 * b1 + b2 * b2
    cab = a0 * b0 + a1 * b1 + a2 * b2
    r = one / (caa * cbb - cab * cab)
    # dW/dF = F (I - adj(C) / det^2), with d(det C)/dC = adj(C)
    s = r * r
    pa, pab, pb = weight * (one - cbb * s), weight * cab * s, weight * (one - caa * s)
    p0, p1, p2 = pa * a0 + pab * b0, pa * a1 + pab * b1, pa * a2 + pab * b2
    r0, r1, r2 = pab * a0 + pb * b0, pab * a1 + pb * b1, pab * a2 + pb * b2
    g3, g4, g5 = p0 * q00 + r0 * q01, p1 * q00 + r1 * q01, p2 * q00 + r2 * q01
    g6, g7, g8 = r0 * q11, r1 * q11, r2 * q11
    energy = half * weight * (caa + cbb + r - three)
    return energy, -g3 - g6, -g4 - g7, -g5 - g8, g3, g4, g5, g6, g7, g8


@formula
def bending_energy(a0, a1, a2, b0, b1, b2, c0, c1, c2, d0, d1, d2, sin0, cos0, stiffness):  # type: ignore[no-untyped-def]
    """Returns the energy of a hinge with edge a-b and opposite corners c and d, then its gradient."""
    number = type(stiffness)
    one, two, half, quarter = number(1), number(2), number(0.5), number(0.25)
    e0, e1, e2 = b0 - a0, b1 - a1, b2 - a2
    u0, u1, u2 = c0 - a0, c1 - a1, c2 - a2
    v0, v1, v2 = d0 - a0, d1 - a1, d2 - a2
    n0, n1, n2 = e1 * u2 - e2 * u1, e2 * u0 - e0 * u2, e0 * u1 - e1 * u0
    m0, m1, m2 = v1 * e2 - v2 * e1, v2 * e0 - v0 * e2, v0 * e1 - v1 * e0
    ee, nn, mm = e0 * e0 + e1 * e1 + e2 * e2, n0 * n0 + n1 * n1 + n2 * n2, m0 * m0 + m1 * m1 + m2 * m2
    both = nn * mm
    shared = one / (ee * both)  # one division in place of three
    over_e, over_both = shared * both, shared * ee
    over_n, over_m, length, scale = over_both * mm, over_both * nn, np.sqrt(ee), np.sqrt(over_both)
    # Both normals stand on the edge. n x m = -e (n . v), because m = v x e.
    sine = -(n0 * v0 + n1 * v1 + n2 * v2) * length * scale
    cosine = (n0 * m0 + n1 * m1 + n2 * m2) * scale
    bent = two * (sine * cos0 - cosine * sin0) / (one + cosine * cos0 + sine * sin0 + number(1e-12))
    pull = -stiffness * bent * (one + quarter * bent * bent) * length
    fn, fm = pull * over_n, pull * over_m
    s, t = (u0 * e0 + u1 * e1 + u2 * e2) * over_e, (v0 * e0 + v1 * e1 + v2 * e2) * over_e
    s1, t1 = one - s, one - t
    # The opposite corners turn their triangle about the edge; the ends take up the reaction.
    g6, g7, g8 = fn * n0, fn * n1, fn * n2
    h6, h7, h8 = fm * m0, fm * m1, fm * m2
    return (
        half * stiffness * bent * bent,
        -s1 * g6 - t1 * h6, -s1 * g7 - t1 * h7, -s1 * g8 - t1 * h8,
        -s * g6 - t * h6, -s * g7 - t * h7, -s * g8 - t * h8,
        g6, g7, g8, h6, h7, h8,
    )  # fmt: skip


@formula
def triangle_energy(x, corners, inverse, weight):  # type: ignore[no-untyped-def]
    """`membrane_energy` on rows of x (V, 3)."""
    i, j, k = corners[0], corners[1], corners[2]
    return membrane_energy(
        x[i, 0], x[i, 1], x[i, 2], x[j, 0], x[j, 1], x[j, 2], x[k, 0], x[k, 1], x[k, 2],
        inverse[0], inverse[1], inverse[2], weight,
    )  # fmt: skip


@formula
def hinge_energy(x, corners, rest, stiffness):  # type: ignore[no-untyped-def]
    """`bending_energy` on rows of x (V, 3)."""
    a, b, c, d = corners[0], corners[1], corners[2], corners[3]
    return bending_energy(
        x[a, 0], x[a, 1], x[a, 2], x[b, 0], x[b, 1], x[b, 2], x[c, 0], x[c, 1], x[c, 2],
        x[d, 0], x[d, 1], x[d, 2], rest[0], rest[1], stiffness,
    )  # fmt: skip


@compiled
def add_shell(x, shell, gradient):  # type: ignore[no-untyped-def]
    """Adds the shell's gradient to `gradient` (V, 3) and returns its energy."""
    total = 0.0
    for f in range(len(shell.triangles)):
        corners = shell.triangles[f]
        element = triangle_energy(x, corners, shell.inverse[f], shell.membrane[f])
        total += element[0]
        add_corners(gradient, corners, element)
    for h in range(len(shell.hinges)):
        corners = shell.hinges[h]
        element = hinge_energy(x, corners, shell.rest[h], shell.bending[h])
        total += element[0]
        add_corners(gradient, corners, element)
    return total


@formula
def add_corners(gradient, corners, element):  # type: ignore[no-untyped-def]
    """Adds the gradient of an element (energy first, then gradient) to the rows of its corners."""
    for n in range(len(element) - 1):
        gradient[corners[n // 3], n % 3] += element[n + 1]


@compiled
def shell_hessian(x, shell, step):  # type: ignore[no-untyped-def]
    """Blocks of the second derivative: membrane (F, 9, 9) and bending (H, 12, 12) [N/m].

    Central differences of the exact gradients with a step of `step` [m]; rounding leaves seven digits.
    """
    faces = np.empty((len(shell.triangles), 9, 9))
    hinges = np.empty((len(shell.hinges), 12, 12))
    near, order = np.empty((4, 3)), np.arange(4).astype(np.uint32)
    for f in range(len(faces)):
        for corner in range(3):
            near[corner] = x[shell.triangles[f, corner]]
        for n in range(9):
            c, k = n // 3, n % 3
            near[c, k] += step
            plus = triangle_energy(near, order, shell.inverse[f], shell.membrane[f])
            near[c, k] -= 2 * step
            minus = triangle_energy(near, order, shell.inverse[f], shell.membrane[f])
            near[c, k] += step
            for m in range(9):
                faces[f, m, n] = (plus[m + 1] - minus[m + 1]) / (2 * step)
    for h in range(len(hinges)):
        for corner in range(4):
            near[corner] = x[shell.hinges[h, corner]]
        for n in range(12):
            c, k = n // 3, n % 3
            near[c, k] += step
            plus = hinge_energy(near, order, shell.rest[h], shell.bending[h])
            near[c, k] -= 2 * step
            minus = hinge_energy(near, order, shell.rest[h], shell.bending[h])
            near[c, k] += step
            for m in range(12):
                hinges[h, m, n] = (plus[m + 1] - minus[m + 1]) / (2 * step)
    return faces, hinges
