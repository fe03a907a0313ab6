"""What acts on the skin at places of its own: twelve cables, and the lips on each other."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eva_sim.contract import Floats
from eva_sim.skin.energy import compiled


class Cables(NamedTuple):
    """Cables that pull the weighted centre of a patch towards the mouth of their Bowden tube.

    Attributes:
        start: where each cable's patch begins in the next two, (C + 1,).
        vertex: patch vertices, (K,).
        weight: their shares, one in sum per cable, (K,).
        length: from patch centre to tube at rest, plus slack, (C,) [m].
        stiffness: of the free end [N/m].
    """

    start: NDArray[np.int64]
    vertex: NDArray[np.int64]
    weight: Floats
    length: Floats
    stiffness: float


class Lips(NamedTuple):
    """Pairs of lip vertices that must not come nearer along their common normal than at rest.

    Attributes:
        pairs: upper and lower vertex, (P, 2).
        gap: at rest along the normal, (P,) [m].
        stiffness: [N/m].
    """

    pairs: NDArray[np.int64]
    gap: Floats
    stiffness: float


@compiled
def cable_state(x, c, cables, exits, take_up, way):  # type: ignore[no-untyped-def]
    """Distance from patch to exit [m] and tension [N] of cable c; unit vector from exit into `way`."""
    way[:] = -exits[c]
    for n in range(cables.start[c], cables.start[c + 1]):
        for k in range(3):
            way[k] += cables.weight[n] * x[cables.vertex[n], k]
    length = np.sqrt(way[0] ** 2 + way[1] ** 2 + way[2] ** 2)
    way /= max(length, 1e-9)
    return length, cables.stiffness * max(0.0, length - cables.length[c] + take_up[c])


@compiled
def tensions(x, cables, exits, take_up):  # type: ignore[no-untyped-def]
    """Tension of every cable, (C,) [N]."""
    out, way = np.empty(len(take_up)), np.empty(3)
    for c in range(len(out)):
        out[c] = cable_state(x, c, cables, exits, take_up, way)[1]
    return out


@compiled
def add_cables(x, cables, exits, take_up, gradient):  # type: ignore[no-untyped-def]
    """Adds the cables' gradient to `gradient` (V, 3) and returns their energy."""
    total, way = 0.0, np.empty(3)
    for c in range(len(take_up)):
        tension = cable_state(x, c, cables, exits, take_up, way)[1]
        total += 0.5 * tension * tension / cables.stiffness
        for n in range(cables.start[c], cables.start[c + 1]):
            for k in range(3):
                gradient[cables.vertex[n], k] += tension * cables.weight[n] * way[k]
    return total


@compiled
def lip_normal(jaw):  # type: ignore[no-untyped-def]
    """From lower to upper lip, half-way between skull and jaw: y and z."""
    return np.cos(0.5 * jaw), np.sin(0.5 * jaw)


@compiled
def add_lips(x, lips, jaw, gradient):  # type: ignore[no-untyped-def]
    """Adds the gradient of the lips' contact to `gradient` (V, 3) and returns its energy."""
    total = 0.0
    ny, nz = lip_normal(jaw)
    for p in range(len(lips.pairs)):
        u, low = lips.pairs[p]
        gap = (x[u, 1] - x[low, 1]) * ny + (x[u, 2] - x[low, 2]) * nz
        pressed = min(0.0, gap - lips.gap[p])
        force = lips.stiffness * pressed
        gradient[u, 1] += force * ny
        gradient[u, 2] += force * nz
        gradient[low, 1] -= force * ny
        gradient[low, 2] -= force * nz
        total += 0.5 * force * pressed
    return total
