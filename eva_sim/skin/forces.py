"""Energy and forces of the whole skin in single precision, for one face or LANES faces at once.

The formulas are those of the double-precision reference (`energy.py`, `ground.py`); only the loops
around them differ. With many faces a lane is a face. With one face a lane is an element. The widest
instructions are used in both cases. See `lanes.py` for the shape of fields.
"""

from __future__ import annotations

import numpy as np

from eva_sim.skin.cables_and_lips import lip_force, thread_yields
from eva_sim.skin.energy import bending_energy, compiled, membrane_energy
from eva_sim.skin.ground import ground_energy
from eva_sim.skin.lane_instructions import LANES, ROW, add_row


@compiled
def evaluate(x, elements, loads, force, energy):  # type: ignore[no-untyped-def]
    """Writes the gradient of the energy at x into the field `force`, and the energies (L,) [J]."""
    energy[:] = np.float32(0)
    if x.ndim == 2:
        force[:, :] = np.float32(0)
        _triangles(x, elements, loads.material, force, energy)
        _hinges(x, elements, loads.material, force, energy)
        _ground(x, elements, loads, force, energy)
        _inertia(x, elements, loads, force, energy)
        _lips(x, elements, loads.jaw, force, energy)
        _cables(x, elements, loads, force, energy)
    else:
        force[:] = np.float32(0)
        total = _triangle_groups(x, elements, loads.material[0, 0], force)
        total += _hinge_groups(x, elements, loads.material[1, 0], force)
        total += _ground_groups(x, elements, loads, force)
        total += _flat_inertia(x, elements, loads, force)
        total += _flat_lips(x, elements, loads.jaw[0], force)
        total += _flat_cables(x, elements, loads, force)
        energy[0] = total


@compiled
def _triangles(x, elements, material, force, energy):  # type: ignore[no-untyped-def]
    g = np.empty((3, ROW), np.float32)
    for n in range(len(elements.triangles)):
        i, j, k = elements.triangles[n, 0], elements.triangles[n, 1], elements.triangles[n, 2]
        q0, q1 = elements.membrane[n, 0], elements.membrane[n, 1]
        q2, weight = elements.membrane[n, 2], elements.membrane[n, 3]
        for m in range(LANES):
            (e, g[0, m], g[0, LANES + m], g[0, 2 * LANES + m], g[1, m], g[1, LANES + m], g[1, 2 * LANES + m],
             g[2, m], g[2, LANES + m], g[2, 2 * LANES + m]) = membrane_energy(
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
def _hinges(x, elements, material, force, energy):  # type: ignore[no-untyped-def]
    g = np.empty((4, ROW), np.float32)
    for n in range(len(elements.hinges)):
        i, j = elements.hinges[n, 0], elements.hinges[n, 1]
        k, o = elements.hinges[n, 2], elements.hinges[n, 3]
        sine, cosine, stiffness = elements.bending[n, 0], elements.bending[n, 1], elements.bending[n, 2]
        for m in range(LANES):
            (e, g[0, m], g[0, LANES + m], g[0, 2 * LANES + m], g[1, m], g[1, LANES + m], g[1, 2 * LANES + m],
             g[2, m], g[2, LANES + m], g[2, 2 * LANES + m], g[3, m], g[3, LANES + m],
             g[3, 2 * LANES + m]) = bending_energy(
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
    """Exact to the last bit of single precision below 0.5 rad; the library's sine is not vectorised."""
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
def _ground(x, elements, loads, force, energy):  # type: ignore[no-untyped-def]
    g = np.empty((1, ROW), np.float32)
    for i in range(len(x)):
        c = elements.ground[i]
        for m in range(LANES):
            angle = c[0] * loads.jaw[m]
            held, based = loads.material[2, m], loads.material[3, m]
            e, g[0, m], g[0, LANES + m], g[0, 2 * LANES + m] = ground_energy(
                x[i, m], x[i, LANES + m], x[i, 2 * LANES + m], _sine(angle), _cosine(angle),
                c[1], c[2], c[3], c[4] * held, c[5] * based, c[6] * based, c[7],
                c[8], c[9], c[10], c[11], c[12], c[13], c[14], c[15], c[16],
            )  # fmt: skip
            energy[m] += e
        add_row(force, i, g, 0)


@compiled
def _inertia(x, elements, loads, force, energy):  # type: ignore[no-untyped-def]
    if loads.inertia.max() == np.float32(0):
        return
    half = np.float32(0.5)
    for i in range(len(x)):
        for m in range(ROW):
            stiffness = elements.inertia[i] * loads.inertia[m % LANES]
            away = x[i, m] - loads.carried[i, m]
            force[i, m] += stiffness * away
            energy[m % LANES] += half * stiffness * away * away


@compiled
def _lips(x, elements, jaw, force, energy):  # type: ignore[no-untyped-def]
    half, gap = np.float32(0.5), elements.lip_gap
    for p in range(len(elements.lips)):
        up, low = elements.lips[p, 0], elements.lips[p, 1]
        for m in range(LANES):
            y, z = LANES + m, 2 * LANES + m
            ny, nz = _cosine(half * jaw[m]), _sine(half * jaw[m])
            fx, fy, fz, stored = lip_force(
                x[up, m] - x[low, m], x[up, y] - x[low, y], x[up, z] - x[low, z],
                gap[p, 0], gap[p, 1], gap[p, 2], ny, nz,
                elements.lip_contact, elements.lip_thread, thread_yields(elements.lip_yields[p], jaw[m]),
            )  # fmt: skip
            for column, pull in ((m, fx), (y, fy), (z, fz)):
                force[up, column] += pull
                force[low, column] -= pull
            energy[m] += stored


@compiled
def cable_directions(x, elements, loads, direction, tension):  # type: ignore[no-untyped-def]
    """Writes unit vectors from exit to patch into `direction` (C, 3, L), and `tension` (C, L) [N]."""
    for c in range(len(tension)):
        for m in range(tension.shape[1]):
            w0, w1, w2 = -loads.exits[c, 0, m], -loads.exits[c, 1, m], -loads.exits[c, 2, m]
            for n in range(elements.start[c], elements.start[c + 1]):
                i, share = elements.vertex[n], elements.weight[n]
                if x.ndim == 2:
                    w0 += share * x[i, m]
                    w1 += share * x[i, LANES + m]
                    w2 += share * x[i, 2 * LANES + m]
                else:
                    w0 += share * x[3 * i]
                    w1 += share * x[3 * i + 1]
                    w2 += share * x[3 * i + 2]
            length = np.sqrt(w0 * w0 + w1 * w1 + w2 * w2)
            direction[c, 0, m], direction[c, 1, m], direction[c, 2, m] = w0 / length, w1 / length, w2 / length
            stretch = max(np.float32(0), length - elements.length[c] + loads.take_up[c, m])
            tension[c, m] = elements.stiffness * loads.material[4, m] * stretch


@compiled
def _cables(x, elements, loads, force, energy):  # type: ignore[no-untyped-def]
    direction = np.empty((len(elements.length), 3, LANES), np.float32)
    tension = np.empty((len(elements.length), LANES), np.float32)
    cable_directions(x, elements, loads, direction, tension)
    half = np.float32(0.5)
    for c in range(len(tension)):
        for m in range(LANES):
            energy[m] += half * tension[c, m] ** 2 / (elements.stiffness * loads.material[4, m])
        for n in range(elements.start[c], elements.start[c + 1]):
            i, share = elements.vertex[n], elements.weight[n]
            for k in range(3):
                for m in range(LANES):
                    force[i, k * LANES + m] += share * tension[c, m] * direction[c, k, m]


@compiled
def _triangle_groups(x, elements, scale, force):  # type: ignore[no-untyped-def]
    u, g = np.empty((9, LANES), np.float32), np.empty((9, LANES), np.float32)
    total = np.zeros(LANES, np.float32)
    for n in range(len(elements.triangles)):
        corners, c = elements.triangles[n], elements.membrane[n]
        for m in range(LANES):
            for k in range(9):
                u[k, m] = x[3 * corners[k // 3, m] + k % 3]
        for m in range(LANES):
            (e, g[0, m], g[1, m], g[2, m], g[3, m], g[4, m], g[5, m], g[6, m], g[7, m],
             g[8, m]) = membrane_energy(
                u[0, m], u[1, m], u[2, m], u[3, m], u[4, m], u[5, m], u[6, m], u[7, m], u[8, m],
                c[0, m], c[1, m], c[2, m], c[3, m] * scale,
            )  # fmt: skip
            total[m] += e
        for m in range(LANES):
            for k in range(9):
                force[3 * corners[k // 3, m] + k % 3] += g[k, m]
    return total.sum()


@compiled
def _hinge_groups(x, elements, scale, force):  # type: ignore[no-untyped-def]
    u, g = np.empty((12, LANES), np.float32), np.empty((12, LANES), np.float32)
    total = np.zeros(LANES, np.float32)
    for n in range(len(elements.hinges)):
        corners, c = elements.hinges[n], elements.bending[n]
        for m in range(LANES):
            for k in range(12):
                u[k, m] = x[3 * corners[k // 3, m] + k % 3]
        for m in range(LANES):
            (e, g[0, m], g[1, m], g[2, m], g[3, m], g[4, m], g[5, m], g[6, m], g[7, m], g[8, m],
             g[9, m], g[10, m], g[11, m]) = bending_energy(
                u[0, m], u[1, m], u[2, m], u[3, m], u[4, m], u[5, m], u[6, m], u[7, m], u[8, m],
                u[9, m], u[10, m], u[11, m], c[0, m], c[1, m], c[2, m] * scale,
            )  # fmt: skip
            total[m] += e
        for m in range(LANES):
            for k in range(12):
                force[3 * corners[k // 3, m] + k % 3] += g[k, m]
    return total.sum()


@compiled
def _ground_groups(x, elements, loads, force):  # type: ignore[no-untyped-def]
    u, g = np.zeros((3, LANES), np.float32), np.empty((3, LANES), np.float32)
    total = np.zeros(LANES, np.float32)
    jaw, held, based = loads.jaw[0], loads.material[2, 0], loads.material[3, 0]
    vertices = len(x) // 3
    for n in range(len(elements.ground)):
        c, first = elements.ground[n], n * LANES
        here = min(LANES, vertices - first)
        for m in range(here):
            for k in range(3):
                u[k, m] = x[3 * (first + m) + k]
        for m in range(LANES):
            angle = c[0, m] * jaw
            e, g[0, m], g[1, m], g[2, m] = ground_energy(
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
def _flat_inertia(x, elements, loads, force):  # type: ignore[no-untyped-def]
    total = np.float32(0)
    if loads.inertia[0] > np.float32(0):
        for n in range(len(x)):
            stiffness, away = elements.inertia[n // 3] * loads.inertia[0], x[n] - loads.carried[n]
            force[n] += stiffness * away
            total += np.float32(0.5) * stiffness * away * away
    return total


@compiled
def _flat_lips(x, elements, jaw, force):  # type: ignore[no-untyped-def]
    half, total, gap = np.float32(0.5), np.float32(0), elements.lip_gap
    ny, nz = _cosine(half * jaw), _sine(half * jaw)
    for p in range(len(elements.lips)):
        up, low = 3 * elements.lips[p, 0], 3 * elements.lips[p, 1]
        fx, fy, fz, stored = lip_force(
            x[up] - x[low], x[up + 1] - x[low + 1], x[up + 2] - x[low + 2], gap[p, 0], gap[p, 1], gap[p, 2],
            ny, nz, elements.lip_contact, elements.lip_thread, thread_yields(elements.lip_yields[p], jaw),
        )  # fmt: skip
        for k, pull in ((0, fx), (1, fy), (2, fz)):
            force[up + k] += pull
            force[low + k] -= pull
        total += stored
    return total


@compiled
def _flat_cables(x, elements, loads, force):  # type: ignore[no-untyped-def]
    direction = np.empty((len(elements.length), 3, 1), np.float32)
    tension = np.empty((len(elements.length), 1), np.float32)
    cable_directions(x, elements, loads, direction, tension)
    total = np.float32(0)
    for c in range(len(tension)):
        total += np.float32(0.5) * tension[c, 0] ** 2 / (elements.stiffness * loads.material[4, 0])
        for n in range(elements.start[c], elements.start[c + 1]):
            for k in range(3):
                force[3 * elements.vertex[n] + k] += elements.weight[n] * tension[c, 0] * direction[c, k, 0]
    return total
