"""The ground under the skin: bone that the skin slides over, tissue that holds it, and the eyeballs.

The ground under each vertex turns with a share of the jaw: fully at the chin, not at all at the brow.
In the frame of that ground, the position at rest never changes, so a moving jaw creates no stress by
itself. The lift is the distance of a vertex off the ground, negative where it is pressed in. It is a
second-order function of the displacement q from rest, lift = gap + s . q + q . H q / 2, which is fitted
to the head at build time (`tools/assets/regions.py`). It is smooth, needs no look-up tables, and its
second derivative is exact.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from eva_sim.contract import Floats
from eva_sim.head import JAW_HINGE
from eva_sim.skin.energy import compiled, formula
from eva_sim.skin.kernel_cache import kernel

HINGE_Y, HINGE_Z = float(JAW_HINGE[1]), float(JAW_HINGE[2])


class Ground(NamedTuple):
    """Constant arrays, one entry per skin vertex.

    Attributes:
        rest: (V, 3) [m].
        jaw: share of the jaw's turn that the ground follows, (V,).
        tether: stiffness against any displacement from rest, (V,) [N/m].
        backing: stiffness against being lifted off, (V,) [N/m].
        contact: stiffness against being pressed in, (V,) [N/m].
        gap: lift at rest, (V,) [m]; above zero only where an eyelid bridges the edge of its eyeball.
        slope: s, the outward normal, (V, 3).
        curvature: H's entries xx, yy, zz, xy, xz, yz, (V, 6) [1/m].
    """

    rest: Floats
    jaw: Floats
    tether: Floats
    backing: Floats
    contact: Floats
    gap: Floats
    slope: Floats
    curvature: Floats


def rotate_with_jaw(points: Floats, share: Floats, jaw: float) -> Floats:
    """Rotates points (V, 3) about the jaw's hinge by `jaw` [rad] times their `share` (V,)."""
    out = points.copy()
    sine, cosine = np.sin(share * jaw), np.cos(share * jaw)
    y, z = points[:, 1] - HINGE_Y, points[:, 2] - HINGE_Z
    out[:, 1], out[:, 2] = HINGE_Y + cosine * y - sine * z, HINGE_Z + sine * y + cosine * z
    return out


@kernel(forceinline=True)
def rotated_with_jaw(point, angle):  # type: ignore[no-untyped-def]
    """Returns x, y and z of one point (3,), rotated as `rotate_with_jaw` does, for compiled loops."""
    sine, cosine = np.sin(angle), np.cos(angle)
    y, z = point[1] - HINGE_Y, point[2] - HINGE_Z
    return point[0], HINGE_Y + cosine * y - sine * z, HINGE_Z + sine * y + cosine * z


class Turning(NamedTuple):
    """Points that turn about x axes with the jaw and the lids.

    Attributes:
        points: with the jaw closed and the lids open, (N, 3) [m].
        centres: y and z of each point's axis, (N, 2) [m].
        gains: angle of its turn per radian of jaw, left lid and right lid, (N, 3).
    """

    points: Floats
    centres: Floats
    gains: Floats


@compiled
def turn_points(turning, angles, out):  # type: ignore[no-untyped-def]
    """Writes the points (N, 3, L) for angles of jaw, left lid and right lid, (3, L) [rad]."""
    for i in range(len(turning.points)):
        centre_y, centre_z, gains = turning.centres[i, 0], turning.centres[i, 1], turning.gains[i]
        y, z = turning.points[i, 1] - centre_y, turning.points[i, 2] - centre_z
        for m in range(angles.shape[1]):
            angle = gains[0] * angles[0, m] + gains[1] * angles[1, m] + gains[2] * angles[2, m]
            sine, cosine = np.sin(angle), np.cos(angle)
            out[i, 0, m] = turning.points[i, 0]
            out[i, 1, m] = centre_y + cosine * y - sine * z
            out[i, 2, m] = centre_z + sine * y + cosine * z


@formula
def ground_energy(  # type: ignore[no-untyped-def]
    x0, x1, x2, sine, cosine, r0, r1, r2, tether, backing, contact, gap,
    s0, s1, s2, xx, yy, zz, xy, xz, yz,
):  # fmt: skip
    """Returns the energy of a vertex at x on ground turned by (sine, cosine), then its gradient."""
    number = type(tether)
    half, hinge_y, hinge_z = number(0.5), number(HINGE_Y), number(HINGE_Z)
    y, z = x1 - hinge_y, x2 - hinge_z
    q0, q1, q2 = x0 - r0, hinge_y + cosine * y + sine * z - r1, hinge_z - sine * y + cosine * z - r2
    c0, c1, c2 = xx * q0 + xy * q1 + xz * q2, xy * q0 + yy * q1 + yz * q2, xz * q0 + yz * q1 + zz * q2
    lift = gap + q0 * (s0 + half * c0) + q1 * (s1 + half * c1) + q2 * (s2 + half * c2)
    push = lift * (contact if lift < number(0) else backing)
    energy = half * (tether * (q0 * q0 + q1 * q1 + q2 * q2) + lift * push)
    g0, g1, g2 = (
        tether * q0 + push * (s0 + c0),
        tether * q1 + push * (s1 + c1),
        tether * q2 + push * (s2 + c2),
    )
    return energy, g0, cosine * g1 - sine * g2, sine * g1 + cosine * g2


@compiled
def add_ground(x, turn, ground, gradient):  # type: ignore[no-untyped-def]
    """Adds the ground's gradient to `gradient` and returns its energy; `turn` is sine, cosine (V, 2)."""
    total = 0.0
    for i in range(len(x)):
        r, s, c = ground.rest[i], ground.slope[i], ground.curvature[i]
        energy, g0, g1, g2 = ground_energy(
            x[i, 0], x[i, 1], x[i, 2], turn[i, 0], turn[i, 1], r[0], r[1], r[2],
            ground.tether[i], ground.backing[i], ground.contact[i], ground.gap[i],
            s[0], s[1], s[2], c[0], c[1], c[2], c[3], c[4], c[5],
        )  # fmt: skip
        total += energy
        gradient[i, 0] += g0
        gradient[i, 1] += g1
        gradient[i, 2] += g2
    return total


def ground_lift(x: Floats, turn: Floats, ground: Ground) -> tuple[Floats, Floats]:
    """Returns the lift of every vertex, (V,) [m], and its gradient in ground axes, (V, 3)."""
    q = ground_frame(x, turn) - ground.rest
    bent = np.einsum("vij,vj->vi", full_curvature(ground), q)
    return ground.gap + ((ground.slope + 0.5 * bent) * q).sum(1), ground.slope + bent


def ground_frame(x: Floats, turn: Floats) -> Floats:
    """Transforms points (V, 3) to the axes of the ground under them."""
    y, z, (sine, cosine) = x[:, 1] - HINGE_Y, x[:, 2] - HINGE_Z, turn.T
    return np.stack([x[:, 0], HINGE_Y + cosine * y + sine * z, HINGE_Z - sine * y + cosine * z], axis=1)


def full_curvature(ground: Ground) -> Floats:
    """Returns H of every vertex as a matrix, (V, 3, 3) [1/m]."""
    order = np.array([[0, 3, 4], [3, 1, 5], [4, 5, 2]])
    matrices: Floats = ground.curvature[:, order]
    return matrices


def ground_hessian(x: Floats, turn: Floats, ground: Ground) -> Floats:
    """Returns the second derivative of the ground's energy by vertex, (V, 3, 3) [N/m]."""
    lift, slope = ground_lift(x, turn, ground)
    stiffness = np.where(lift < 0, ground.contact, ground.backing)
    blocks = stiffness[:, None, None] * slope[:, :, None] * slope[:, None, :]
    blocks += (stiffness * lift)[:, None, None] * full_curvature(ground)
    blocks += ground.tether[:, None, None] * np.eye(3)
    sine, cosine = turn.T
    to_ground = np.zeros((len(x), 3, 3))
    to_ground[:, 0, 0] = 1.0
    to_ground[:, 1, 1], to_ground[:, 1, 2], to_ground[:, 2, 1], to_ground[:, 2, 2] = (
        cosine,
        sine,
        -sine,
        cosine,
    )
    return np.einsum("vki,vkl,vlj->vij", to_ground, blocks, to_ground)
