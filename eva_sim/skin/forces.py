"""Energy and forces of the whole skin in single precision, for one face or LANES faces at once.

The formulas are those of the double-precision referee (`energy.py`, `ground.py`); only the loops
around them differ. With many faces a lane is a face; with one face a lane is an element, so that
the widest instructions are used either way. See `lanes.py` for the shape of fields.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eva_sim.contract import Floats
from eva_sim.skin.anatomy import Anatomy
from eva_sim.skin.energy import bend, compiled, membrane
from eva_sim.skin.ground import hold
from eva_sim.skin.lanes import LANES, ROW, add_row

#: Columns of `Material`, which scales the anatomy's constants per face.
MATERIAL = ("membrane", "bending", "attachment", "ground", "cable")


class Elements(NamedTuple):
    """The anatomy in single precision, vertices in the solver's order (free ones first).

    For many faces each row is an element; for one face LANES elements lie side by side, as
    (groups, columns, LANES), the last group filled up with elements of no weight.

    Attributes:
        triangles, membrane: corners (F, 3); inverse edge matrix and weight (F, 4).
        hinges, bending: corners (H, 4); sine and cosine of the rest angle and stiffness (H, 3).
        ground: jaw share, rest, tether, backing, contact, gap, slope, curvature, (V, 17).
        inertia: each vertex's mass [kg], (V,).
        lips, lip_gap, lip_stiffness: pairs (P, 2), gap at rest (P,) [m], [N/m].
        start, vertex, weight, length, stiffness: the cables, as in `pulls.Cables`.
    """

    triangles: NDArray[np.uint32]
    membrane: Floats
    hinges: NDArray[np.uint32]
    bending: Floats
    ground: Floats
    inertia: Floats
    lips: NDArray[np.int64]
    lip_gap: Floats
    lip_stiffness: np.float32
    start: NDArray[np.int64]
    vertex: NDArray[np.int64]
    weight: Floats
    length: Floats
    stiffness: np.float32


class Loads(NamedTuple):
    """What differs between faces; the last axis is the face.

    Attributes:
        jaw: opening, (L,) [rad].
        exits: of the cables, (12, 3, L) [m].
        take_up: (12, L) [m].
        material: scales in the order of `MATERIAL`, (5, L).
        inertia: 1/h^2 with inertia, 0 without, (L,) [1/s2].
        carried: field of where each vertex would be if nothing pulled; read only with inertia.
    """

    jaw: Floats
    exits: Floats
    take_up: Floats
    material: Floats
    inertia: Floats
    carried: Floats


def elements(anatomy: Anatomy, order: NDArray[np.intp], many: bool) -> Elements:
    """The anatomy for `evaluate`; `order` lists the anatomy's vertices in the solver's order."""
    place = np.argsort(order)
    shell, ground, cables = anatomy.shell, anatomy.ground, anatomy.cables
    held = np.column_stack(
        [ground.jaw, ground.rest, ground.tether, ground.backing, ground.contact, ground.gap,
         ground.slope, ground.curvature]
    )[order]  # fmt: skip
    arrange = _rows if many else _groups
    triangles, membranes = arrange(place[shell.triangles], np.column_stack([shell.inverse, shell.membrane]))
    hinges, bending = arrange(place[shell.hinges], np.column_stack([shell.rest, shell.bending]))
    single = np.float32
    return Elements(
        triangles, membranes, hinges, bending,
        held.astype(single) if many else _groups(np.zeros((len(held), 1), int), held)[1],
        anatomy.mass[order].astype(single),
        place[anatomy.lips.pairs], anatomy.lips.gap.astype(single), single(anatomy.lips.stiffness),
        cables.start, place[cables.vertex], cables.weight.astype(single), cables.length.astype(single),
        single(cables.stiffness),
    )  # fmt: skip


def _rows(corners: NDArray, constants: Floats) -> tuple[NDArray[np.uint32], Floats]:
    return corners.astype(np.uint32), constants.astype(np.float32)


def _groups(corners: NDArray, constants: Floats) -> tuple[NDArray[np.uint32], Floats]:
    """Elements side by side; the last column, a weight, is zero in those that only fill up."""
    missing = -len(corners) % LANES
    filled = np.concatenate([corners, np.repeat(corners[-1:], missing, axis=0)])
    numbers = np.concatenate([constants, np.repeat(constants[-1:], missing, axis=0)])
    numbers[len(constants) :, -1] = 0.0
    shape = (-1, LANES)
    return (
        np.ascontiguousarray(filled.reshape(*shape, corners.shape[1]).transpose(0, 2, 1)).astype(np.uint32),
        np.ascontiguousarray(numbers.reshape(*shape, numbers.shape[1]).transpose(0, 2, 1)).astype(np.float32),
    )


@compiled
def evaluate(x, parts, loads, force, energy):  # type: ignore[no-untyped-def]
    """Writes the gradient of the energy at x into the field `force`, and the energies (L,) [J]."""
    energy[:] = np.float32(0)
    if x.ndim == 2:
        force[:, :] = np.float32(0)
        _triangles(x, parts, loads.material, force, energy)
        _hinges(x, parts, loads.material, force, energy)
        _ground(x, parts, loads, force, energy)
        _inertia(x, parts, loads, force, energy)
        _lips(x, parts, loads.jaw, force, energy)
        _cables(x, parts, loads, force, energy)
    else:
        force[:] = np.float32(0)
        total = _triangle_groups(x, parts, loads.material[0, 0], force)
        total += _hinge_groups(x, parts, loads.material[1, 0], force)
        total += _ground_groups(x, parts, loads, force)
        total += _flat_inertia(x, parts, loads, force)
        total += _flat_lips(x, parts, loads.jaw[0], force)
        total += _flat_cables(x, parts, loads, force)
        energy[0] = total


@compiled
def _triangles(x, parts, material, force, energy):  # type: ignore[no-untyped-def]
    g = np.empty((3, ROW), np.float32)
    for n in range(len(parts.triangles)):
        i, j, k = parts.triangles[n, 0], parts.triangles[n, 1], parts.triangles[n, 2]
        q0, q1, q2, weight = (
            parts.membrane[n, 0], parts.membrane[n, 1], parts.membrane[n, 2], parts.membrane[n, 3],
        )  # fmt: skip
        for m in range(LANES):
            (e, g[0, m], g[0, LANES + m], g[0, 2 * LANES + m], g[1, m], g[1, LANES + m], g[1, 2 * LANES + m],
             g[2, m], g[2, LANES + m], g[2, 2 * LANES + m]) = membrane(
                x[i, m], x[i, LANES + m], x[i, 2 * LANES + m],
                x[j, m], x[j, LANES + m], x[j, 2 * LANES + m],
                x[k, m], x[k, LANES + m], x[k, 2 * LANES + m],
                q0, q1, q2, weight * material[0, m],
            )  # fmt: skip
            energy[m] += e
        add_row(force, i, g, 0)
        add_row(force, j, g, 1)
        add_row(force, k, g, 2)


@compiled
def _hinges(x, parts, material, force, energy):  # type: ignore[no-untyped-def]
    g = np.empty((4, ROW), np.float32)
    for n in range(len(parts.hinges)):
        i, j, k, o = parts.hinges[n, 0], parts.hinges[n, 1], parts.hinges[n, 2], parts.hinges[n, 3]
        sine, cosine, stiffness = parts.bending[n, 0], parts.bending[n, 1], parts.bending[n, 2]
        for m in range(LANES):
            (e, g[0, m], g[0, LANES + m], g[0, 2 * LANES + m], g[1, m], g[1, LANES + m], g[1, 2 * LANES + m],
             g[2, m], g[2, LANES + m], g[2, 2 * LANES + m], g[3, m], g[3, LANES + m],
             g[3, 2 * LANES + m]) = bend(
                x[i, m], x[i, LANES + m], x[i, 2 * LANES + m],
                x[j, m], x[j, LANES + m], x[j, 2 * LANES + m],
                x[k, m], x[k, LANES + m], x[k, 2 * LANES + m],
                x[o, m], x[o, LANES + m], x[o, 2 * LANES + m],
                sine, cosine, stiffness * material[1, m],
            )  # fmt: skip
            energy[m] += e
        add_row(force, i, g, 0)
        add_row(force, j, g, 1)
        add_row(force, k, g, 2)
        add_row(force, o, g, 3)


@compiled
def _sine(angle):  # type: ignore[no-untyped-def]
    """To the last bit of single precision below half a radian; the library's is not done in lanes."""
    square = angle * angle
    return angle * (
        np.float32(1)
        - square * (np.float32(1 / 6) - square * (np.float32(1 / 120) - square * np.float32(1 / 5040)))
    )


@compiled
def _cosine(angle):  # type: ignore[no-untyped-def]
    square = angle * angle
    return np.float32(1) - square * (
        np.float32(1 / 2)
        - square * (np.float32(1 / 24) - square * (np.float32(1 / 720) - square * np.float32(1 / 40320)))
    )


@compiled
def _ground(x, parts, loads, force, energy):  # type: ignore[no-untyped-def]
    g = np.empty((1, ROW), np.float32)
    for i in range(len(x)):
        c = parts.ground[i]
        for m in range(LANES):
            angle = c[0] * loads.jaw[m]
            held, based = loads.material[2, m], loads.material[3, m]
            e, g[0, m], g[0, LANES + m], g[0, 2 * LANES + m] = hold(
                x[i, m], x[i, LANES + m], x[i, 2 * LANES + m], _sine(angle), _cosine(angle),
                c[1], c[2], c[3], c[4] * held, c[5] * based, c[6] * based, c[7],
                c[8], c[9], c[10], c[11], c[12], c[13], c[14], c[15], c[16],
            )  # fmt: skip
            energy[m] += e
        add_row(force, i, g, 0)


@compiled
def _inertia(x, parts, loads, force, energy):  # type: ignore[no-untyped-def]
    if loads.inertia.max() == np.float32(0):
        return
    half = np.float32(0.5)
    for i in range(len(x)):
        for m in range(ROW):
            stiffness = parts.inertia[i] * loads.inertia[m % LANES]
            away = x[i, m] - loads.carried[i, m]
            force[i, m] += stiffness * away
            energy[m % LANES] += half * stiffness * away * away


@compiled
def _lips(x, parts, jaw, force, energy):  # type: ignore[no-untyped-def]
    half, none = np.float32(0.5), np.float32(0)
    for p in range(len(parts.lips)):
        up, low = parts.lips[p, 0], parts.lips[p, 1]
        for m in range(LANES):
            ny, nz = _cosine(half * jaw[m]), _sine(half * jaw[m])
            y, z = LANES + m, 2 * LANES + m
            gap = (x[up, y] - x[low, y]) * ny + (x[up, z] - x[low, z]) * nz
            pressed = min(none, gap - parts.lip_gap[p])
            push = parts.lip_stiffness * pressed
            force[up, y] += push * ny
            force[up, z] += push * nz
            force[low, y] -= push * ny
            force[low, z] -= push * nz
            energy[m] += half * push * pressed


@compiled
def cable_ways(x, parts, loads, way, tension):  # type: ignore[no-untyped-def]
    """Unit vectors from exit to patch into `way` (C, 3, L), and tensions (C, L) [N]; slack ones have none."""
    for c in range(len(tension)):
        for m in range(tension.shape[1]):
            w0, w1, w2 = -loads.exits[c, 0, m], -loads.exits[c, 1, m], -loads.exits[c, 2, m]
            for n in range(parts.start[c], parts.start[c + 1]):
                i, share = parts.vertex[n], parts.weight[n]
                if x.ndim == 2:
                    w0 += share * x[i, m]
                    w1 += share * x[i, LANES + m]
                    w2 += share * x[i, 2 * LANES + m]
                else:
                    w0 += share * x[3 * i]
                    w1 += share * x[3 * i + 1]
                    w2 += share * x[3 * i + 2]
            length = np.sqrt(w0 * w0 + w1 * w1 + w2 * w2)
            way[c, 0, m], way[c, 1, m], way[c, 2, m] = w0 / length, w1 / length, w2 / length
            stretch = max(np.float32(0), length - parts.length[c] + loads.take_up[c, m])
            tension[c, m] = parts.stiffness * loads.material[4, m] * stretch


@compiled
def _cables(x, parts, loads, force, energy):  # type: ignore[no-untyped-def]
    way = np.empty((len(parts.length), 3, LANES), np.float32)
    tension = np.empty((len(parts.length), LANES), np.float32)
    cable_ways(x, parts, loads, way, tension)
    half = np.float32(0.5)
    for c in range(len(tension)):
        for m in range(LANES):
            energy[m] += half * tension[c, m] ** 2 / (parts.stiffness * loads.material[4, m])
        for n in range(parts.start[c], parts.start[c + 1]):
            i, share = parts.vertex[n], parts.weight[n]
            for k in range(3):
                for m in range(LANES):
                    force[i, k * LANES + m] += share * tension[c, m] * way[c, k, m]


@compiled
def _triangle_groups(x, parts, scale, force):  # type: ignore[no-untyped-def]
    u, g = np.empty((9, LANES), np.float32), np.empty((9, LANES), np.float32)
    total = np.zeros(LANES, np.float32)
    for n in range(len(parts.triangles)):
        corners, c = parts.triangles[n], parts.membrane[n]
        for m in range(LANES):
            for k in range(9):
                u[k, m] = x[3 * corners[k // 3, m] + k % 3]
        for m in range(LANES):
            (e, g[0, m], g[1, m], g[2, m], g[3, m], g[4, m], g[5, m], g[6, m], g[7, m], g[8, m]) = membrane(
                u[0, m], u[1, m], u[2, m], u[3, m], u[4, m], u[5, m], u[6, m], u[7, m], u[8, m],
                c[0, m], c[1, m], c[2, m], c[3, m] * scale,
            )  # fmt: skip
            total[m] += e
        for m in range(LANES):
            for k in range(9):
                force[3 * corners[k // 3, m] + k % 3] += g[k, m]
    return total.sum()


@compiled
def _hinge_groups(x, parts, scale, force):  # type: ignore[no-untyped-def]
    u, g = np.empty((12, LANES), np.float32), np.empty((12, LANES), np.float32)
    total = np.zeros(LANES, np.float32)
    for n in range(len(parts.hinges)):
        corners, c = parts.hinges[n], parts.bending[n]
        for m in range(LANES):
            for k in range(12):
                u[k, m] = x[3 * corners[k // 3, m] + k % 3]
        for m in range(LANES):
            (e, g[0, m], g[1, m], g[2, m], g[3, m], g[4, m], g[5, m], g[6, m], g[7, m], g[8, m],
             g[9, m], g[10, m], g[11, m]) = bend(
                u[0, m], u[1, m], u[2, m], u[3, m], u[4, m], u[5, m], u[6, m], u[7, m], u[8, m],
                u[9, m], u[10, m], u[11, m], c[0, m], c[1, m], c[2, m] * scale,
            )  # fmt: skip
            total[m] += e
        for m in range(LANES):
            for k in range(12):
                force[3 * corners[k // 3, m] + k % 3] += g[k, m]
    return total.sum()


@compiled
def _ground_groups(x, parts, loads, force):  # type: ignore[no-untyped-def]
    u, g = np.zeros((3, LANES), np.float32), np.empty((3, LANES), np.float32)
    total = np.zeros(LANES, np.float32)
    jaw, held, based = loads.jaw[0], loads.material[2, 0], loads.material[3, 0]
    vertices = len(x) // 3
    for n in range(len(parts.ground)):
        c, first = parts.ground[n], n * LANES
        here = min(LANES, vertices - first)
        for m in range(here):
            for k in range(3):
                u[k, m] = x[3 * (first + m) + k]
        for m in range(LANES):
            angle = c[0, m] * jaw
            e, g[0, m], g[1, m], g[2, m] = hold(
                u[0, m], u[1, m], u[2, m], _sine(angle), _cosine(angle), c[1, m], c[2, m], c[3, m],
                c[4, m] * held, c[5, m] * based, c[6, m] * based, c[7, m],
                c[8, m], c[9, m], c[10, m], c[11, m], c[12, m], c[13, m], c[14, m], c[15, m], c[16, m],
            )  # fmt: skip
            total[m] += e if m < here else np.float32(0)
        for m in range(here):
            for k in range(3):
                force[3 * (first + m) + k] += g[k, m]
    return total.sum()


@compiled
def _flat_inertia(x, parts, loads, force):  # type: ignore[no-untyped-def]
    total = np.float32(0)
    if loads.inertia[0] > np.float32(0):
        for n in range(len(x)):
            stiffness, away = parts.inertia[n // 3] * loads.inertia[0], x[n] - loads.carried[n]
            force[n] += stiffness * away
            total += np.float32(0.5) * stiffness * away * away
    return total


@compiled
def _flat_lips(x, parts, jaw, force):  # type: ignore[no-untyped-def]
    half, total = np.float32(0.5), np.float32(0)
    ny, nz = _cosine(half * jaw), _sine(half * jaw)
    for p in range(len(parts.lips)):
        up, low = 3 * parts.lips[p, 0], 3 * parts.lips[p, 1]
        gap = (x[up + 1] - x[low + 1]) * ny + (x[up + 2] - x[low + 2]) * nz
        pressed = min(np.float32(0), gap - parts.lip_gap[p])
        push = parts.lip_stiffness * pressed
        force[up + 1] += push * ny
        force[up + 2] += push * nz
        force[low + 1] -= push * ny
        force[low + 2] -= push * nz
        total += half * push * pressed
    return total


@compiled
def _flat_cables(x, parts, loads, force):  # type: ignore[no-untyped-def]
    way = np.empty((len(parts.length), 3, 1), np.float32)
    tension = np.empty((len(parts.length), 1), np.float32)
    cable_ways(x, parts, loads, way, tension)
    total = np.float32(0)
    for c in range(len(tension)):
        total += np.float32(0.5) * tension[c, 0] ** 2 / (parts.stiffness * loads.material[4, 0])
        for n in range(parts.start[c], parts.start[c + 1]):
            for k in range(3):
                force[3 * parts.vertex[n] + k] += parts.weight[n] * tension[c, 0] * way[c, k, 0]
    return total
