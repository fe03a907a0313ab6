"""The quasi-Newton descent that both the single face and the lanes run.

L-BFGS (Nocedal, Math. Comp. 35, 1980) over a constant scalar matrix, the same for x, y and z, which
is factored once (Liu, Bouaziz and Kavan, ACM TOG 36(3), 2017); cables that are taut enter that
matrix by the inversion lemma. What was learned is kept from step to step. Every face takes the same
number of evaluations, whoever its neighbours are, so that results do not depend on them.
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
from eva_sim.skin.forces import cable_ways, evaluate
from eva_sim.skin.lanes import (
    LANES,
    PANEL,
    ROW,
    add_outer,
    add_scaled,
    clear,
    copy,
    dot,
    empty,
    pull_panel,
    pull_panel_flat,
    push_panel,
    push_panel_flat,
    scale,
    set_scaled,
    subtract,
    width,
)

MEMORY = 4  # pairs of L-BFGS
# Shares of each stiffness in the scalar matrix, which knows no direction: too little overshoots, too much
# creeps [measured: fewest evaluations on a random walk].
MEMBRANE, BENDING, BACKING, CONTACT = 3.0, 1.0, 0.33, 0.12
SUFFICIENT = 1e-4  # of the decrease that the slope promises (Armijo)


class Metric(NamedTuple):
    """Approximate second derivative in the solver's order; see `metric_of`.

    Attributes:
        start, row, value: the factor L below its panels of PANEL columns each: where a panel's rows
            begin, (P + 1,), the rows, (K,), and their entries, (K, PANEL).
        corner: L within each panel, row by row, (P, PANEL * PANEL); below its diagonal.
        inverse: of the diagonal D, filled up with ones, (P * PANEL,).
        reply: displacement of each free vertex per newton on each patch, (C, F) [m/N].
        give: of each patch per newton on each patch, (C, C) [m/N].
    """

    start: NDArray[np.int64]
    row: NDArray[np.int64]
    value: Floats
    corner: Floats
    inverse: Floats
    reply: Floats
    give: Floats


class Memory(NamedTuple):
    """What L-BFGS learned: steps, the changes of force they made, and one over their products.

    Attributes:
        steps, changes: fields of MEMORY * F vertices.
        scale: (MEMORY, L); zero where there is nothing to learn from.
        head: the pair to be written next, (1,).
    """

    steps: Floats
    changes: Floats
    scale: Floats
    head: NDArray[np.int64]


class Scratch(NamedTuple):
    """Room to work in, so that no step allocates: fields of V vertices, and one row."""

    force: Floats
    trial: Floats
    trial_force: Floats
    way: Floats
    row: Floats


def memory_of(free: int, faces: int | None) -> Memory:
    """An empty memory for one face (None) or LANES faces."""
    lanes = LANES if faces else 1
    return Memory(
        empty(MEMORY * free, faces), empty(MEMORY * free, faces),
        np.zeros((MEMORY, lanes), np.float32), np.zeros(1, np.int64),
    )  # fmt: skip


def scratch_of(vertices: int, faces: int | None) -> Scratch:
    """Room for one face (None) or LANES faces."""
    force, trial, trial_force, way = (empty(vertices, faces) for _ in range(4))
    return Scratch(force, trial, trial_force, way, np.zeros((1, ROW), np.float32))


def metric_of(anatomy: Anatomy, inertia: float = 0.0) -> tuple[Metric, NDArray[np.intp]]:
    """The metric, and the solver's order of vertices: free ones as the factor wants them, then fixed.

    Args:
        anatomy: the skin.
        inertia: 1/h^2 of a step h in time, zero for none [1/s2].
    """
    free, single = anatomy.free, np.float32
    matrix = scalar_matrix(anatomy) + inertia * sparse.diags(anatomy.mass)
    factor = Factor(sparse.csc_matrix(matrix[free][:, free]))
    order = np.concatenate([free[factor.order], anatomy.fixed])
    patches = anatomy.patches[:, order[: len(free)]]
    reply = np.stack(
        [
            factor.solve(np.tile(anatomy.patches[c, free, None], 3))[factor.order, 0]
            for c in range(len(patches))
        ]
    )
    metric = Metric(
        *_panels(factor),
        reply.astype(single), np.einsum("cf,df->cd", patches, reply).astype(single),
    )  # fmt: skip
    return metric, order


def _panels(factor: Factor) -> tuple[NDArray, NDArray, Floats, Floats, Floats]:
    """The factor in panels of neighbouring columns, which mostly have the same rows.

    A row is then fetched once for PANEL columns; where one has no entry there is a zero. The last
    panel is filled up with columns of nothing.
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
    """One stiffness for every direction: membrane, bending and ground, (V, V) [N/m]."""
    points, triangles, ground = anatomy.points, anatomy.triangles, anatomy.ground
    shape = laplacian(points, triangles)
    shear = YOUNG / (2 * (1 + POISSON)) * THICKNESS
    rigidity = YOUNG * THICKNESS**3 / (12 * (1 - POISSON**2))
    bending = shape @ sparse.diags(rigidity / vertex_areas(points, triangles)) @ shape
    hold = ground.tether + BACKING * ground.backing + CONTACT * ground.contact
    return sparse.csr_matrix(MEMBRANE * shear * shape + BENDING * bending + sparse.diags(hold))


@compiled
def _substitute(x, metric):  # type: ignore[no-untyped-def]
    """Solves L D L^T x = b in place on a field that has PANEL - 1 vertices more than the factor."""
    start, row, value, corner = metric.start, metric.row, metric.value, metric.corner
    panels = len(corner)
    if x.ndim == 2:
        for p in range(panels):
            push_panel(x, p * PANEL, corner[p], row, value, start[p], start[p + 1])
        for p in range(panels - 1, -1, -1):
            pull_panel(
                x,
                p * PANEL,
                metric.inverse,
                metric.corner[p],
                metric.row,
                metric.value,
                start[p],
                start[p + 1],
            )
    else:
        for p in range(panels):
            push_panel_flat(x, p * PANEL, corner[p], row, value, start[p], start[p + 1])
        for p in range(panels - 1, -1, -1):
            pull_panel_flat(
                x,
                p * PANEL,
                metric.inverse,
                metric.corner[p],
                metric.row,
                metric.value,
                start[p],
                start[p + 1],
            )


@compiled
def _tighten(way, tension, stiffness, soft, metric, tight):  # type: ignore[no-untyped-def]
    """Per face, (K^-1 + give)^-1 of the taut cables into `tight` (C, C, L), with K their stiffness.

    Written as K^1/2 (1 + K^1/2 give K^1/2)^-1 K^1/2, so that slack cables drop out as zeros.
    """
    cables, lanes = tension.shape
    matrix = np.empty((cables, cables))
    for m in range(lanes):
        for c in range(cables):
            for d in range(cables):
                taut = tension[c, m] > 0 and tension[d, m] > 0
                along = (
                    way[c, 0, m] * way[d, 0, m] + way[c, 1, m] * way[d, 1, m] + way[c, 2, m] * way[d, 2, m]
                )
                matrix[c, d] = (stiffness[m] * soft[m] * metric.give[c, d] * along if taut else 0.0) + (
                    c == d
                )
        inverse = np.linalg.inv(matrix)
        for c in range(cables):
            for d in range(cables):
                taut = tension[c, m] > 0 and tension[d, m] > 0
                tight[c, d, m] = np.float32(stiffness[m] * inverse[c, d]) if taut else np.float32(0)


@compiled
def _precondition(x, metric, parts, way, tight, soft, count, row):  # type: ignore[no-untyped-def]
    """Turns a force into the step that would answer it, in place (Woodbury's inversion lemma)."""
    _substitute(x, metric)
    scale(x, soft, count, row)
    cables, lanes = way.shape[0], way.shape[2]
    stretch, pull = np.zeros((cables, lanes), np.float32), np.zeros((3, lanes), np.float32)
    for c in range(cables):
        for n in range(parts.start[c], parts.start[c + 1]):
            i, share = parts.vertex[n], parts.weight[n]
            if i < count:
                for k in range(3):
                    for m in range(lanes):
                        moved = x[i, k * LANES + m] if x.ndim == 2 else x[3 * i + k]
                        stretch[c, m] += share * moved * way[c, k, m]
    for c in range(cables):
        pull[:] = np.float32(0)
        for d in range(cables):
            for m in range(lanes):
                for k in range(3):
                    pull[k, m] -= soft[m] * tight[c, d, m] * stretch[d, m] * way[c, k, m]
        if np.abs(pull).max() > np.float32(0):
            add_outer(x, metric.reply[c], pull, count, row)


@compiled
def _newton_way(way, memory, metric, parts, ways, tight, soft, count, row):  # type: ignore[no-untyped-def]
    """Applies the approximate inverse second derivative to the force in `way` (two-loop recursion)."""
    size, lanes = memory.scale.shape
    share, some = np.empty((size, lanes), np.float32), np.empty(lanes, np.float32)
    for back in range(size):
        p = (memory.head[0] - 1 - back) % size
        dot(memory.steps, p * count, way, 0, count, row, some)
        for m in range(lanes):
            share[p, m] = some[m] * memory.scale[p, m]
            some[m] = -share[p, m]
        add_scaled(way, some, memory.changes, p * count, count, row)
    _precondition(way, metric, parts, ways, tight, soft, count, row)
    for forth in range(size):
        p = (memory.head[0] + forth) % size
        dot(memory.changes, p * count, way, 0, count, row, some)
        for m in range(lanes):
            some[m] = share[p, m] - some[m] * memory.scale[p, m]
        add_scaled(way, some, memory.steps, p * count, count, row)


@compiled
def descend(x, count, parts, metric, loads, memory, scratch, evaluations, residual):  # type: ignore[no-untyped-def]
    """Moves the free vertices of x downhill with a fixed number of evaluations of the energy.

    A trial that does not go down is not taken, but what it says of the curvature is learned.

    Args:
        x: field of V vertices, in place.
        count: free vertices F, the first in the order.
        parts: `Elements`.
        metric: `Metric`.
        loads: `Loads`.
        memory: `Memory`; goes on learning.
        scratch: `Scratch`.
        evaluations: of energy and force.
        residual: root mean square force left on a free vertex, (L,) [N]; written.
    """
    force, trial, trial_force, way, row = scratch
    lanes, size = len(residual), len(memory.scale)
    energy, new = np.empty(lanes, np.float32), np.empty(lanes, np.float32)
    some, slope, product = (
        np.empty(lanes, np.float32),
        np.empty(lanes, np.float32),
        np.empty(lanes, np.float32),
    )
    one, taken, length = np.ones(lanes, np.float32), np.ones(lanes, np.float32), np.ones(lanes, np.float32)
    cables = len(parts.length)
    ways, tension = np.empty((cables, 3, lanes), np.float32), np.empty((cables, lanes), np.float32)
    tight = np.empty((cables, cables, lanes), np.float32)
    cable_ways(x, parts, loads, ways, tension)
    soft = np.empty(lanes, np.float32)
    for m in range(lanes):  # a metric too soft overshoots, so the stiffest of a face's scales counts
        soft[m] = np.float32(1) / loads.material[:4, m].max()
    _tighten(ways, tension, parts.stiffness * loads.material[4], soft, metric, tight)
    evaluate(x, parts, loads, force, energy)
    for _ in range(evaluations - 1):
        copy(way, force, count)
        _newton_way(way, memory, metric, parts, ways, tight, soft, count, row)
        p = memory.head[0]
        first = p * count
        for m in range(lanes):
            some[m] = -length[m]
        set_scaled(memory.steps, first, some, way, count, row)
        copy(trial, x, len(x) // (width(x) if x.ndim == 1 else 1))
        add_scaled(trial, one, memory.steps, first, count, row)
        evaluate(trial, parts, loads, trial_force, new)
        subtract(memory.changes, first, trial_force, force, count)
        dot(memory.steps, first, force, 0, count, row, slope)
        dot(memory.steps, first, memory.changes, first, count, row, product)
        for m in range(lanes):
            down = new[m] <= energy[m] + np.float32(SUFFICIENT) * slope[m] + np.float32(1e-6) * abs(energy[m])
            learned = product[m] > np.float32(0) and product[m] < np.float32(np.inf)
            if not learned and not down:
                clear(memory.changes, first, m, count)
            memory.scale[p, m] = np.float32(1) / product[m] if learned else np.float32(0)
            taken[m] = np.float32(1) if down else np.float32(0)
            length[m] = np.float32(1) if down or learned else np.float32(0.25) * length[m]
            if down:
                energy[m] = new[m]
        memory.head[0] = (p + 1) % size
        add_scaled(x, taken, memory.steps, first, count, row)
        add_scaled(force, taken, memory.changes, first, count, row)
    dot(force, 0, force, 0, count, row, some)
    for m in range(lanes):
        residual[m] = np.sqrt(some[m] / np.float32(count))
