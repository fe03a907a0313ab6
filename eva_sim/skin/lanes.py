"""Linear algebra on the vertices of one face, or of sixteen faces side by side.

A *field* holds three numbers per vertex. For one face it is flat, (3 N,). For many faces it has rows,
(N, 3 LANES); each row is LANES values of x, then of y, then of z. A triangle, or an entry of the factor,
is then loaded once for LANES faces. Compiled code branches on the number of dimensions. Numba resolves
that branch at compile time, so one algorithm serves both.

The instructions on rows are in `lane_instructions.py`.
"""

from __future__ import annotations

import numpy as np

from eva_sim.skin.energy import compiled
from eva_sim.skin.kernel_cache import kernel
from eva_sim.skin.lane_instructions import (
    LANES,
    ROW,
    TOGETHER,
    add_mode_rows,
    add_modes_rows,
    add_outer_row,
    add_outer_rows,
    add_scaled_rows,
    dot_rows,
    pair_rows,
    scale_rows,
    step_rows,
)

CHUNK = 100  # vertices of a field that fit into the fastest cache


_summing = kernel(nogil=True, error_model="numpy", fastmath={"contract", "reassoc", "nsz"})


@_summing
def _flat_dot(a, first, b, start, count):  # type: ignore[no-untyped-def]
    total = np.float32(0)
    for n in range(3 * count):
        total += a[3 * first + n] * b[3 * start + n]
    return total


@compiled
def dot(a, first, b, start, count, row, out):  # type: ignore[no-untyped-def]
    """Writes, per face, the scalar product of `count` vertices of fields a and b into `out` (L,).

    The vertices start at `first` in a and at `start` in b. `row` is a buffer of one row, (1, ROW).
    """
    if b.ndim == 2:
        dot_rows(row, a, first, b, start, count)
        _sum_row(row, 0, out)
    else:
        out[0] = _flat_dot(a, first, b, start, count)


@compiled
def add_scaled(out, scale, a, first, count, row):  # type: ignore[no-untyped-def]
    """Adds, per face, scale times `count` vertices of field a (from vertex `first`) to field `out`."""
    if out.ndim == 2:
        _fill_row(row, scale)
        add_scaled_rows(out, row, a, first, count)
    else:
        share = scale[0]
        for n in range(3 * count):
            out[n] += share * a[3 * first + n]


@compiled
def set_step(steps, first, trial, scale, direction, x, count, row):  # type: ignore[no-untyped-def]
    """Writes, per face, scale times `direction` into field `steps` from vertex `first`, and x after it.

    The latter goes into field `trial`. Both are of the first `count` vertices of the other fields.
    """
    if x.ndim == 2:
        _fill_row(row, scale)
        step_rows(steps, first, trial, row, direction, x, count)
    else:
        for n in range(3 * count):
            step = scale[0] * direction[n]
            steps[3 * first + n] = step
            trial[n] = x[n] + step


@compiled
def set_change(changes, first, after, before, steps, count, rows, slope, product):  # type: ignore[no-untyped-def]
    """Writes `count` vertices of after - before into field `changes`, both from vertex `first`.

    Also writes, per face, the scalar products of the steps there with `before` into `slope`, and with the
    changes into `product`, both (L,). `rows` is a buffer of two rows, (2, ROW).
    """
    if after.ndim == 2:
        pair_rows(rows, changes, first, after, before, steps, count)
        _sum_row(rows, 0, slope)
        _sum_row(rows, 1, product)
    else:
        for n in range(3 * count):
            changes[3 * first + n] = after[n] - before[n]
        slope[0] = _flat_dot(steps, first, before, 0, count)
        product[0] = _flat_dot(steps, first, changes, first, count)


@compiled
def scale(x, factor, count, row):  # type: ignore[no-untyped-def]
    """Multiplies, per face, `count` vertices of field x by `factor` (L,)."""
    if x.ndim == 2:
        _fill_row(row, factor)
        scale_rows(x, row, count)
    else:
        for n in range(3 * count):
            x[n] *= factor[0]


@compiled
def add_outer(x, weights, vectors, count):  # type: ignore[no-untyped-def]
    """Adds, per face, weights (C, count) times vectors (C, 3, L) to `count` vertices of field x."""
    if x.ndim == 2:
        whole = len(weights) - len(weights) % TOGETHER
        for c in range(0, whole, TOGETHER):
            add_outer_rows(x, weights, c, count, vectors, 0, count)
        for c in range(whole, len(weights)):
            add_outer_row(x, weights, c, count, vectors, 0, count)
    else:
        for c in range(len(weights)):
            s0, s1, s2 = vectors[c, 0, 0], vectors[c, 1, 0], vectors[c, 2, 0]
            if s0 != 0 or s1 != 0 or s2 != 0:
                for i in range(count):
                    x[3 * i] += weights[c, i] * s0
                    x[3 * i + 1] += weights[c, i] * s1
                    x[3 * i + 2] += weights[c, i] * s2


@compiled
def add_modes(x, modes, change, count):  # type: ignore[no-untyped-def]
    """Adds, per face, modes (R, 3 count) with shares `change` (R, L) to `count` vertices of field x."""
    if x.ndim == 2:
        whole = len(modes) - len(modes) % TOGETHER
        for first in range(0, count, CHUNK):  # all modes of a chunk, while it is in the fastest cache
            last = min(first + CHUNK, count)
            for r in range(0, whole, TOGETHER):
                add_modes_rows(x, modes, r, modes.shape[1], change, first, last)
            for r in range(whole, len(modes)):
                add_mode_rows(x, modes, r, modes.shape[1], change, first, last)
    else:
        for r in range(len(modes)):
            share = change[r, 0]
            for n in range(3 * count):
                x[n] += share * modes[r, n]


@compiled
def embed_field(field, corners, shares, points):  # type: ignore[no-untyped-def]
    """Writes points within triangles of a field's vertices, (L, P, 3); corners and shares are (P, 3)."""
    lanes, flat = len(points), field.ravel()
    for p in range(len(corners)):
        for k in range(3):
            for m in range(lanes):
                total = 0.0
                for c in range(3):
                    total += shares[p, c] * flat[(3 * corners[p, c] + k) * lanes + m]
                points[m, p, k] = total


@compiled
def clear(field, first, lane, count):  # type: ignore[no-untyped-def]
    """Sets one face's `count` vertices of a field from vertex `first` to zero."""
    for i in range(first, first + count):
        for k in range(3):
            if field.ndim == 2:
                field[i, k * LANES + lane] = np.float32(0)
            else:
                field[3 * i + k] = np.float32(0)


@compiled
def copy(out, a, count):  # type: ignore[no-untyped-def]
    """Copies the first `count` vertices of field a into field `out`."""
    target, source = out.ravel(), a.ravel()
    for n in range(count * width(a)):
        target[n] = source[n]


@compiled
def width(field):  # type: ignore[no-untyped-def]
    """Returns the numbers per vertex."""
    return ROW if field.ndim == 2 else 3


@compiled
def _sum_row(rows, n, out):  # type: ignore[no-untyped-def]
    for lane in range(LANES):
        out[lane] = rows[n, lane] + rows[n, LANES + lane] + rows[n, 2 * LANES + lane]


@compiled
def _fill_row(row, scale):  # type: ignore[no-untyped-def]
    for lane in range(LANES):
        row[0, lane] = row[0, LANES + lane] = row[0, 2 * LANES + lane] = scale[lane]


def empty_field(vertices: int, faces: int | None) -> np.ndarray:
    """Makes a field of zeros for one face (None) or LANES faces, aligned to cache lines."""
    size = 3 * vertices * (LANES if faces else 1)
    room = np.zeros(size + 16, dtype=np.float32)
    start = (-room.ctypes.data % 64) // 4
    field = room[start : start + size]
    return field.reshape(vertices, ROW) if faces else field
