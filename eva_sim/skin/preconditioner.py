"""The constant initial matrix of the descent: a scalar stiffness of the skin, factored once.

The matrix is the same for x, y and z (Liu, Bouaziz and Kavan, ACM TOG 36(3), 2017). `descent.py` adds the
taut cables to it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.sparse as sparse
from numpy.typing import NDArray

from eva_sim.contract import Floats
from eva_sim.skin.anatomy import THICKNESS, YOUNG, Anatomy
from eva_sim.skin.elements import laplacian, vertex_areas
from eva_sim.skin.energy import POISSON, compiled
from eva_sim.skin.factor import Factor
from eva_sim.skin.lane_instructions import PANEL, pull_panel, push_panel

# Weight of each stiffness in the scalar matrix, which has no direction. A smaller weight overshoots, a
# larger one converges slowly [measured: fewest evaluations on a random walk].
MEMBRANE, BENDING, BACKING, CONTACT, THREADS = 3.0, 1.0, 0.33, 0.12, 0.5


class Preconditioner(NamedTuple):
    """Approximate second derivative, factored, in the solver's order; see `make_preconditioner`.

    Attributes:
        start, row, value: the factor L below its panels of PANEL columns each: index of each panel's first
            row, (P + 1,), the rows, (K,), and their entries, (K, PANEL).
        corner: L within each panel below its diagonal, row by row, (P, PANEL * PANEL).
        inverse: inverse of the diagonal D, filled up with ones, (P * PANEL,).
        reply: displacement of each free vertex per newton on each patch, (C, F) [m/N].
        give: displacement of each patch per newton on each patch, (C, C) [m/N].
    """

    start: NDArray[np.int64]
    row: NDArray[np.int64]
    value: Floats
    corner: Floats
    inverse: Floats
    reply: Floats
    give: Floats


def make_preconditioner(anatomy: Anatomy, inertia: float = 0.0) -> tuple[Preconditioner, NDArray[np.intp]]:
    """Factors the scalar stiffness matrix.

    Args:
        anatomy: the skin.
        inertia: 1/h^2 for a time step h, zero for a skin without mass [1/s2].

    Returns:
        The preconditioner, and the solver's order of the vertices: free ones in the factor's order, then
        prescribed ones.
    """
    free = anatomy.free
    matrix = scalar_matrix(anatomy) + inertia * sparse.diags(anatomy.mass)
    factor = Factor(sparse.csc_matrix(matrix[free][:, free]))
    reply, give = cable_replies(anatomy, factor)
    return Preconditioner(*_panels(factor), reply, give), np.concatenate([free[factor.order], anatomy.fixed])


def cable_replies(anatomy: Anatomy, factor: Factor) -> tuple[Floats, Floats]:
    """Returns `reply` and `give` of a preconditioner, from the factored matrix of the skin."""
    sides = anatomy.patches[:, anatomy.free]
    reply = np.stack([factor.solve(np.tile(side[:, None], 3))[factor.order, 0] for side in sides])
    give = np.einsum("cf,df->cd", sides[:, factor.order], reply)
    return reply.astype(np.float32), give.astype(np.float32)


def _panels(factor: Factor) -> tuple[NDArray, NDArray, Floats, Floats, Floats]:
    """Arranges the factor in panels of PANEL neighbouring columns, which mostly have the same rows.

    A row is then loaded once for PANEL columns. Missing entries are zero, and the last panel is filled up
    with zero columns.
    """
    lower, count = factor.lower, len(factor.diagonal)
    starts, rows, values, corners = [0], [], [], []
    inverse = np.ones(count + -count % PANEL, np.float32)
    inverse[:count] = 1 / factor.diagonal
    for first in range(0, count, PANEL):
        columns = lower[:, first : first + PANEL]
        used = np.unique(columns.indices)
        below = used[used >= first + PANEL]
        dense = np.zeros((len(below), PANEL))
        dense[:, : columns.shape[1]] = columns[below].toarray()
        corner = np.zeros((PANEL, PANEL))
        inside = columns[first : first + PANEL].toarray()
        corner[: inside.shape[0], : inside.shape[1]] = inside
        starts.append(starts[-1] + len(below))
        rows.append(below)
        values.append(dense)
        corners.append(corner.ravel())
    return (
        np.array(starts), np.concatenate(rows).astype(np.int64),
        np.concatenate(values).astype(np.float32), np.array(corners, np.float32), inverse,
    )  # fmt: skip


def scalar_matrix(anatomy: Anatomy) -> sparse.csr_matrix:
    """Builds the stiffness of membrane, bending, ground and lips, the same for x, y and z, (V, V) [N/m]."""
    points, triangles, ground = anatomy.points, anatomy.triangles, anatomy.ground
    laplace = laplacian(points, triangles)
    shear = YOUNG / (2 * (1 + POISSON)) * THICKNESS
    rigidity = YOUNG * THICKNESS**3 / (12 * (1 - POISSON**2))
    bending = laplace @ sparse.diags(rigidity / vertex_areas(points, triangles)) @ laplace
    held = ground.tether + BACKING * ground.backing + CONTACT * ground.contact
    apart = _differences(anatomy.lips.pairs, len(points))
    threads = anatomy.lips.thread * apart.T @ apart
    return sparse.csr_matrix(
        MEMBRANE * shear * laplace + BENDING * bending + sparse.diags(held) + THREADS * threads
    )


def _differences(pairs: NDArray[np.int64], vertices: int) -> sparse.csr_matrix:
    """The matrix (P, V) that takes the second from the first vertex of each pair."""
    rows, signs = np.repeat(np.arange(len(pairs)), 2), np.tile([1.0, -1.0], len(pairs))
    return sparse.csr_matrix((signs, (rows, pairs.ravel())), shape=(len(pairs), vertices))


@compiled
def substitute(x, preconditioner):  # type: ignore[no-untyped-def]
    """Solves L D L^T x = b in place on a field that has PANEL - 1 vertices more than the factor."""
    start, row, value = preconditioner.start, preconditioner.row, preconditioner.value
    corner, inverse = preconditioner.corner, preconditioner.inverse
    panels = len(corner)
    if x.ndim == 2:
        for p in range(panels):
            push_panel(x, p * PANEL, corner[p], row, value, start[p], start[p + 1])
        for p in range(panels - 1, -1, -1):
            pull_panel(x, p * PANEL, inverse, corner[p], row, value, start[p], start[p + 1])
    else:
        for p in range(panels):
            _push_panel_flat(x, p * PANEL, corner[p], row, value, start[p], start[p + 1])
        for p in range(panels - 1, -1, -1):
            _pull_panel_flat(x, p * PANEL, inverse, corner[p], row, value, start[p], start[p + 1])


@compiled
def _push_panel_flat(x, first, corner, rows, values, start, stop):  # type: ignore[no-untyped-def]
    """The same as `push_panel`, for one face."""
    f = 3 * first
    for k in range(1, PANEL):
        for j in range(k):
            share = corner[PANEL * k + j]
            x[f + 3 * k] -= share * x[f + 3 * j]
            x[f + 3 * k + 1] -= share * x[f + 3 * j + 1]
            x[f + 3 * k + 2] -= share * x[f + 3 * j + 2]
    a0, a1, a2, b0, b1, b2 = x[f], x[f + 1], x[f + 2], x[f + 3], x[f + 4], x[f + 5]
    c0, c1, c2, d0, d1, d2 = x[f + 6], x[f + 7], x[f + 8], x[f + 9], x[f + 10], x[f + 11]
    for n in range(start, stop):
        i, a, b, c, d = 3 * rows[n], values[n, 0], values[n, 1], values[n, 2], values[n, 3]
        x[i] -= a * a0 + b * b0 + c * c0 + d * d0
        x[i + 1] -= a * a1 + b * b1 + c * c1 + d * d1
        x[i + 2] -= a * a2 + b * b2 + c * c2 + d * d2


@compiled
def _pull_panel_flat(x, first, inverse, corner, rows, values, start, stop):  # type: ignore[no-untyped-def]
    """The same as `pull_panel`, for one face."""
    f, none = 3 * first, np.float32(0)
    a0 = a1 = a2 = b0 = b1 = b2 = c0 = c1 = c2 = d0 = d1 = d2 = none
    for n in range(start, stop):
        i, a, b, c, d = 3 * rows[n], values[n, 0], values[n, 1], values[n, 2], values[n, 3]
        x0, x1, x2 = x[i], x[i + 1], x[i + 2]
        a0, a1, a2 = a0 + a * x0, a1 + a * x1, a2 + a * x2
        b0, b1, b2 = b0 + b * x0, b1 + b * x1, b2 + b * x2
        c0, c1, c2 = c0 + c * x0, c1 + c * x1, c2 + c * x2
        d0, d1, d2 = d0 + d * x0, d1 + d * x1, d2 + d * x2
    known = (a0, a1, a2, b0, b1, b2, c0, c1, c2, d0, d1, d2)
    for n in range(3 * PANEL):
        x[f + n] = inverse[first + n // 3] * x[f + n] - known[n]
    for k in range(PANEL - 2, -1, -1):
        for j in range(k + 1, PANEL):
            share = corner[PANEL * j + k]
            x[f + 3 * k] -= share * x[f + 3 * j]
            x[f + 3 * k + 1] -= share * x[f + 3 * j + 1]
            x[f + 3 * k + 2] -= share * x[f + 3 * j + 2]
