"""Forces at single places of the skin: the pull of the cables, and the contact between the lips."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eva_sim.contract import Floats
from eva_sim.skin.energy import compiled


class Cables(NamedTuple):
    """Cables that pull the weighted centre of a patch towards the mouth of their Bowden tube.

    Attributes:
        start: index of each cable's first entry in `vertex` and `weight`, (C + 1,).
        vertex: vertices of the patches, (K,).
        weight: share of each vertex; the shares of a cable have sum one, (K,).
        length: distance from patch centre to tube at rest, plus slack, (C,) [m].
        stiffness: of the free end of a cable [N/m].
    """

    start: NDArray[np.int64]
    vertex: NDArray[np.int64]
    weight: Floats
    length: Floats
    stiffness: float


class Lips(NamedTuple):
    """Pairs of lip vertices whose gap along their common normal must not become smaller than at rest.

    Attributes:
        pairs: upper and lower vertex, (P, 2).
        gap: at rest along the normal, (P,) [m].
        stiffness: [N/m].
    """

    pairs: NDArray[np.int64]
    gap: Floats
    stiffness: float


@compiled
def cable_state(x, c, cables, exits, take_up, direction):  # type: ignore[no-untyped-def]
    """Returns distance from patch to exit [m] and tension [N] of cable c.

    The unit vector from exit to patch is written into `direction`.
    """
    direction[:] = -exits[c]
    for n in range(cables.start[c], cables.start[c + 1]):
        for k in range(3):
            direction[k] += cables.weight[n] * x[cables.vertex[n], k]
    length = np.sqrt(direction[0] ** 2 + direction[1] ** 2 + direction[2] ** 2)
    direction /= max(length, 1e-9)
    return length, cables.stiffness * max(0.0, length - cables.length[c] + take_up[c])


@compiled
def tensions(x, cables, exits, take_up):  # type: ignore[no-untyped-def]
    """Returns the tension of every cable, (C,) [N]."""
    out, direction = np.empty(len(take_up)), np.empty(3)
    for c in range(len(out)):
        out[c] = cable_state(x, c, cables, exits, take_up, direction)[1]
    return out


@compiled
def add_cables(x, cables, exits, take_up, gradient):  # type: ignore[no-untyped-def]
    """Adds the cables' gradient to `gradient` (V, 3) and returns their energy."""
    total, direction = 0.0, np.empty(3)
    for c in range(len(take_up)):
        tension = cable_state(x, c, cables, exits, take_up, direction)[1]
        total += 0.5 * tension * tension / cables.stiffness
        for n in range(cables.start[c], cables.start[c + 1]):
            for k in range(3):
                gradient[cables.vertex[n], k] += tension * cables.weight[n] * direction[k]
    return total


@compiled
def lip_normal(jaw):  # type: ignore[no-untyped-def]
    """Returns y and z of the normal from lower to upper lip, halfway between skull and jaw."""
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
