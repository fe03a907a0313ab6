"""Weights of the hinges of a shell: the energy 1/2 b' Q b with b the hinge angles and Q (H, H).

`Shell.bending` is a diagonal Q. `averaged_weights` is the triangle-averaged shape operator of Gingold et
al., A Discrete Model for Inelastic Deformation of Thin Shells (2004). `consistent_weights` is this
project's own. It is exact for every constant curvature and in equilibrium under every constant moment, on
any mesh except for triangles near a conic. These are the two halves of the patch test. No choice of
diagonal weights has both, except on equilateral triangles.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.sparse as sparse

from benchmarks.patches import Flags, Ints
from eva_sim.contract import Floats
from eva_sim.skin.energy import POISSON

#: Kirchhoff plate of unit rigidity, acting on (kxx, kyy, 2 kxy).
PLATE = np.array([[1, POISSON, 0], [POISSON, 1, 0], [0, 0, (1 - POISSON) / 2]])

#: Below this share of the largest compliance, a curvature found from angles is set to zero.
CONIC = 0.01


class Sides(NamedTuple):
    """The three sides of every triangle; side k lies opposite corner k.

    Attributes:
        length: (F, 3) [m].
        area: (F,) [m2].
        normal: outward, in the triangle's own plane, (F, 3, 2).
        bubble: slope across a side, at its middle, of the function that vanishes at the corners and has
            a given curvature; acts on (ktt, knn, 2 ktn) along and across the side, (F, 3, 3) [m].
        hinge: number of the hinge there, or -1 at a free edge, (F, 3).
        twin: the same side seen from its other triangle, as a number 3 f + k, (F, 3).
    """

    length: Floats
    area: Floats
    normal: Floats
    bubble: Floats
    hinge: Ints
    twin: Ints


def hinge_sides(points: Floats, triangles: Ints, hinges: Ints) -> Sides:
    """Sides of triangles (F, 3) on points (V, 3) with hinges (H, 4) as in `Shell`."""
    corner = points[triangles]
    along = np.roll(corner, 1, axis=1) - np.roll(corner, -1, axis=1)  # from corner k+1 to k+2
    length = np.linalg.norm(along, axis=2)
    area = 0.5 * np.linalg.norm(np.cross(along[:, 0], along[:, 1]), axis=1)
    height = 2 * area[:, None] / length
    foot = ((corner - np.roll(corner, -1, axis=1)) * along).sum(2) / length
    bubble = np.stack([-foot * (length - foot), height**2, 0.5 * height * (length - 2 * foot)], axis=2)
    return Sides(
        length, area, _normals(along), bubble / (2 * height[..., None]), *_numbers(triangles, hinges)
    )


def _normals(along: Floats) -> Floats:
    """Outward normals of side vectors (F, 3, 3) in a frame whose x lies along side 0, (F, 3, 2)."""
    unit = along / np.linalg.norm(along, axis=2, keepdims=True)
    up = np.cross(along[:, 0], along[:, 1])
    up /= np.linalg.norm(up, axis=1, keepdims=True)
    second = np.cross(up, unit[:, 0])
    x, y = (unit * unit[:, :1]).sum(2), (unit * second[:, None]).sum(2)
    return np.stack([y, -x], axis=2)


def _numbers(triangles: Ints, hinges: Ints) -> tuple[Ints, Ints]:
    """Hinge and twin of every side, both (F, 3)."""
    start, end = np.roll(triangles, -1, axis=1).ravel(), np.roll(triangles, 1, axis=1).ravel()
    place = {pair: n for n, pair in enumerate(zip(start.tolist(), end.tolist(), strict=True))}
    hinge, twin = np.full(len(start), -1), np.arange(len(start))
    for number, (a, b) in enumerate(hinges[:, :2].tolist()):
        one, other = place[a, b], place[b, a]
        hinge[[one, other]], twin[[one, other]] = number, (other, one)
    return hinge.reshape(-1, 3), twin.reshape(-1, 3)


def angle_gradient(points: Floats, hinges: Ints) -> sparse.csr_matrix:
    """Hinge angles that small heights over a flat mesh in the xy plane cause, (H, V) [1/m]."""
    a, b, c, d = (points[hinges[:, k], :2] for k in range(4))
    edge = b - a
    length = np.linalg.norm(edge, axis=1)
    left, right = _cross(edge, c - a) / length, _cross(d - a, edge) / length  # heights of c and d
    s, t = (((p - a) * edge).sum(1) / length**2 for p in (c, d))
    slope = np.stack([-(1 - s) / left - (1 - t) / right, -s / left - t / right, 1 / left, 1 / right], 1)
    row = np.repeat(np.arange(len(hinges)), 4)
    return sparse.csr_matrix((slope.ravel(), (row, hinges.ravel())), shape=(len(hinges), len(points)))


def _cross(u: Floats, w: Floats) -> Floats:
    return u[:, 0] * w[:, 1] - u[:, 1] * w[:, 0]


def halved_on_mirrors(side: Sides, inner: Flags) -> Floats:
    """Returns the share of each hinge that belongs to `inner` triangles, (F,) -> (H,)."""
    return np.bincount(side.hinge.ravel() + 1, np.repeat(0.5 * inner, 3))[1:].astype(float)


def averaged_weights(side: Sides, inner: Flags) -> sparse.csr_matrix:
    """Returns weights by the mean slope of both neighbours at each side of a triangle; D = 1 J."""
    curvature = _divergence(side) @ (0.5 * _picked(side))
    return sparse.csr_matrix(curvature.T @ _plates(side.area * inner) @ curvature)


def consistent_weights(side: Sides, inner: Flags, penalty: float = 1.0) -> sparse.csr_matrix:
    """Returns weights that pass both halves of the patch test on any mesh; D = 1 J.

    A triangle's three hinge angles fix the one constant curvature that causes them (its fit). The slope
    across a side is the mean of what the fits of its two triangles say there; the divergence theorem
    makes curvatures of these slopes. Since each side has a single slope, constant moments are in
    equilibrium. Fit and divergence agree for constant curvature, so a penalty on their difference
    costs no accuracy; it leaves no hinge angle without energy (Bergan and Nygard 1984 build plate
    elements of such a pair). A triangle with a free edge takes the fit of least energy; so does one
    whose corners and neighbours lie near a conic, where some curvature causes no angles.
    """
    fit = _fits(side)
    own = _rotated(side) @ fit
    swap = sparse.csr_matrix((np.ones(side.twin.size), (np.arange(side.twin.size), side.twin.ravel())))
    alone = sparse.diags((side.hinge < 0).astype(float).ravel())  # a free edge is its own twin
    slope = 0.5 * (_picked(side) + own - swap @ own) + alone @ own
    curvature = _divergence(side) @ slope
    plates = _plates(side.area * inner)
    rest = fit - curvature
    return sparse.csr_matrix(curvature.T @ plates @ curvature + penalty * rest.T @ plates @ rest)


def _picked(side: Sides) -> sparse.csr_matrix:
    """Hinge angle at each side, zero at free edges, (3 F, H)."""
    row = np.flatnonzero(side.hinge.ravel() >= 0)
    shape = side.hinge.size, int(side.hinge.max()) + 1
    return sparse.csr_matrix((np.ones(len(row)), (row, side.hinge.ravel()[row])), shape=shape)


def _blocks(blocks: Floats) -> sparse.csr_matrix:
    """Square blocks (F, 3, 3) on a diagonal."""
    count = np.arange(len(blocks) + 1)
    return sparse.bsr_matrix((blocks, count[:-1], count), shape=(3 * len(blocks),) * 2).tocsr()


def _plates(area: Floats) -> sparse.csr_matrix:
    return _blocks(area[:, None, None] * PLATE)


def _divergence(side: Sides) -> sparse.csr_matrix:
    """Maps slopes across the sides to the curvature (kxx, kyy, 2 kxy) of each triangle."""
    n0, n1 = side.normal[..., 0], side.normal[..., 1]
    return _blocks(np.stack([n0 * n0, n1 * n1, 2 * n0 * n1], axis=1)
                   * (side.length / side.area[:, None])[:, None])  # fmt: skip


def _turned(side: Sides, bubble: Floats) -> Floats:
    """Bubbles (F, 3, 3) along and across the sides, to act on (kxx, kyy, 2 kxy) of the triangle."""
    n0, n1 = side.normal[..., 0], side.normal[..., 1]
    t0, t1 = -n1, n0
    tt = np.stack([t0 * t0, t1 * t1, t0 * t1], axis=2)
    nn = np.stack([n0 * n0, n1 * n1, n0 * n1], axis=2)
    tn = np.stack([2 * t0 * n0, 2 * t1 * n1, t0 * n1 + t1 * n0], axis=2)
    return bubble[..., :1] * tt + bubble[..., 1:2] * nn + bubble[..., 2:] * tn


def _rotated(side: Sides) -> sparse.csr_matrix:
    """Maps the curvature of a triangle to the slopes of its own bubbles across the sides."""
    return _blocks(_turned(side, side.bubble))


def _fits(side: Sides) -> sparse.csr_matrix:
    """Maps hinge angles to the constant curvature of each triangle that causes them, (3 F, H)."""
    # Along and across the side, a half turn changes no curvature: the twin's bubble counts as it is.
    both = side.bubble + side.bubble.reshape(-1, 3)[side.twin]
    caused = _turned(side, both) * (side.hinge >= 0)[..., None]
    soft = np.linalg.inv(PLATE) @ caused.transpose(0, 2, 1)
    return _blocks(soft @ np.linalg.pinv(caused @ soft, rcond=CONIC, hermitian=True)) @ _picked(side)
