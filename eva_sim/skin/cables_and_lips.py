"""Forces at single places of the skin: the pull of the cables, and the contact between the lips."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eva_sim.contract import Floats
from eva_sim.skin.energy import compiled, formula

THREAD_RELEASE = 0.06  # rad of jaw; from there on the threads between the lips are slack [choice]


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
    """Pairs of lip vertices: they bear on each other, and elastic threads close them.

    The forces are zero at rest. A thread pulls in proportion to the distance from rest, then no harder.

    Attributes:
        pairs: upper and lower vertex, (P, 2).
        gap: from the lower to the upper vertex at rest, (P, 3) [m].
        contact: stiffness of the contact [N/m].
        thread: stiffness of a thread [N/m].
        yields: distance from rest from which a thread pulls no harder, (P,) [m].
    """

    pairs: NDArray[np.int64]
    gap: Floats
    contact: float
    thread: float
    yields: Floats


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


@formula
def thread_yields(yields, jaw):  # type: ignore[no-untyped-def]
    """Returns the distance from which threads pull no harder [m]; the jaw slackens them as it opens."""
    number = type(yields)
    return yields * max(number(0), number(1) - jaw / number(THREAD_RELEASE))


@formula
def lip_force(dx, dy, dz, gx, gy, gz, ny, nz, contact, thread, yields):  # type: ignore[no-untyped-def]
    """Returns the force of the lower on the upper vertex of a pair along -x, -y, -z [N], and its energy.

    The upper one is at `d` from the lower, at rest at `g` in a frame that turns with half the jaw, by `n`.
    """
    number = type(thread)
    wx, wy, wz = dx - gx, dy - (ny * gy - nz * gz), dz - (nz * gy + ny * gz)
    pressed = min(number(0), wy * ny + wz * nz)
    distance = np.sqrt(wx * wx + wy * wy + wz * wz)
    taut = min(yields, distance)
    pull = thread * taut / max(distance, number(1e-9))
    energy = thread * taut * (distance - number(0.5) * taut) + number(0.5) * contact * pressed * pressed
    return pull * wx, pull * wy + contact * pressed * ny, pull * wz + contact * pressed * nz, energy


@compiled
def add_lips(x, lips, jaw, gradient):  # type: ignore[no-untyped-def]
    """Adds the gradient of the forces between the lips to `gradient` (V, 3) and returns their energy."""
    total = 0.0
    ny, nz = lip_normal(jaw)
    for p in range(len(lips.pairs)):
        up, low = lips.pairs[p]
        fx, fy, fz, energy = lip_force(
            x[up, 0] - x[low, 0], x[up, 1] - x[low, 1], x[up, 2] - x[low, 2],
            lips.gap[p, 0], lips.gap[p, 1], lips.gap[p, 2], ny, nz, lips.contact, lips.thread,
            thread_yields(lips.yields[p], jaw),
        )  # fmt: skip
        gradient[up, 0] += fx
        gradient[up, 1] += fy
        gradient[up, 2] += fz
        gradient[low, 0] -= fx
        gradient[low, 1] -= fy
        gradient[low, 2] -= fz
        total += energy
    return total
