"""Bare pieces of shell with supports and loads, and a Newton solver of their own.

The skin's solvers are not used here, only the energies of `eva_sim.skin.energy` and `eva_sim.skin.ground`,
so `benchmarks/validation.py` tests these energies alone. The meshes are flat, in the xy plane.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import scipy.sparse as sparse
import scipy.sparse.linalg as linalg
from numpy.typing import NDArray
from scipy.spatial import Delaunay

from eva_sim.contract import Floats
from eva_sim.skin.energy import Shell, shell_hessian
from eva_sim.skin.ground import Ground, add_ground, ground_hessian

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
STEP = 1e-7  # m, of the differences that make the second derivative
MAX_ITERATIONS = 200
SHIFTS = (0.0, 1e-3, 1e-1, 1e1, 1e3)  # N/m, where the second derivative is indefinite


class Load(NamedTuple):
    """Loads of a patch: forces of constant direction, and a pressure that follows the surface.

    Attributes:
        dead: (V, 3) [N].
        pressure: along the triangles' normals [Pa]; the rim must be held.
        ground: ground under the patch; it does not move.
    """

    dead: Floats
    pressure: float = 0.0
    ground: Ground | None = None


def free_basis(free: Flags, master: Ints | None = None) -> sparse.csc_matrix:
    """Matrix from the unknowns to all coordinates, (3 V, N).

    Args:
        free: coordinates that may move, (V, 3).
        master: vertex whose displacement each vertex copies, (V,); its own number by default.
    """
    vertex = np.arange(len(free)) if master is None else master
    coordinate = (3 * vertex[:, None] + np.arange(3)).ravel()
    row = np.flatnonzero(free.ravel())
    unknown, column = np.unique(coordinate[row], return_inverse=True)
    return sparse.csc_matrix((np.ones(len(row)), (row, column)), shape=(free.size, len(unknown)))


def settle_patch(
    shell: Shell, points: Floats, load: Load, basis: sparse.csc_matrix, tolerance: float = 1e-9
) -> Floats:
    """Finds the equilibrium near `points` by Newton's method.

    Args:
        shell: at rest somewhere else.
        points: (V, 3) [m], with all held coordinates in place.
        load: loads.
        basis: from `free_basis`.
        tolerance: largest force left on any unknown [N].

    Returns:
        Vertices, (V, 3) [m].
    """
    for _ in range(MAX_ITERATIONS):
        energy, gradient = patch_energy(shell, points, load)
        force = basis.T @ gradient.ravel()
        if np.abs(force).max() < tolerance:
            return points
        direction = (
            basis @ _newton_direction(basis.T @ patch_hessian(shell, points, load) @ basis, force)
        ).reshape(-1, 3)
        points = _search(shell, points, load, direction, (energy, basis))
    raise RuntimeError(f"not settled: {np.abs(force).max():.1e} N are left.")


def patch_energy(shell: Shell, points: Floats, load: Load) -> tuple[float, Floats]:
    """Energy of shell, loads and ground [J], and its gradient (V, 3) [N].

    Pressure is conservative here: its energy is -p V, with V = 1/6 sum a . (b x c) over triangles
    the volume between the surface and the origin.
    """
    energy, gradient = shell.energy(points)
    if load.ground:
        energy += add_ground(points, _still(points), load.ground, gradient)
    a, b, c = (points[shell.triangles[:, k]] for k in range(3))
    for k, normal in enumerate((np.cross(b, c), np.cross(c, a), np.cross(a, b))):
        np.add.at(gradient, shell.triangles[:, k], -load.pressure / 6 * normal)
    volume = (a * np.cross(b, c)).sum() / 6
    return energy - load.pressure * volume - float((load.dead * points).sum()), gradient - load.dead


def patch_hessian(shell: Shell, points: Floats, load: Load) -> sparse.csc_matrix:
    """Second derivative of `patch_energy`, (3 V, 3 V) [N/m]."""
    faces, hinges = shell_hessian(points, shell, STEP)
    faces = faces - load.pressure / 6 * _volume_blocks(points[shell.triangles])
    whole = assemble_blocks(shell.triangles, faces, len(points)) + assemble_blocks(
        shell.hinges, hinges, len(points)
    )
    if load.ground:
        blocks = ground_hessian(points, _still(points), load.ground)
        whole += assemble_blocks(np.arange(len(points))[:, None], blocks, len(points))
    return whole


def _still(points: Floats) -> Floats:
    """Sine and cosine of a ground that has not turned, (V, 2)."""
    return np.tile([0.0, 1.0], (len(points), 1))


def assemble_blocks(vertices: NDArray, blocks: Floats, count: int) -> sparse.csc_matrix:
    """Sum of element blocks (E, 3 n, 3 n) on vertices (E, n), in a matrix (3 count, 3 count)."""
    index = (3 * vertices[:, :, None].astype(np.int64) + np.arange(3)).reshape(len(vertices), -1)
    size = index.shape[1]
    row, column = np.repeat(index, size, axis=1).ravel(), np.tile(index, (1, size)).ravel()
    return sparse.csc_matrix((blocks.ravel(), (row, column)), shape=(3 * count, 3 * count))


def _volume_blocks(corners: Floats) -> Floats:
    """Second derivative of a . (b x c) for triangles (F, 3, 3), as (F, 9, 9)."""
    out = np.zeros((len(corners), 3, 3, 3, 3))
    cross = np.cross(np.eye(3)[None, None], corners[:, :, None])  # rows e_m x corner
    for k in range(3):  # the gradient at corner k is the cross product of the next two
        after, last = (k + 1) % 3, (k + 2) % 3
        out[:, k, :, after] = cross[:, last].transpose(0, 2, 1)
        out[:, k, :, last] = -cross[:, after].transpose(0, 2, 1)
    return out.reshape(len(corners), 9, 9)


def _newton_direction(matrix: sparse.csc_matrix, force: Floats) -> Floats:
    """Returns a Newton step of descent; shifts the matrix until it is one."""
    for shift in SHIFTS:
        shifted = sparse.csc_matrix(matrix + shift * sparse.identity(matrix.shape[0]))
        direction = -linalg.splu(shifted).solve(force)
        if direction @ force < 0 and direction @ (shifted @ direction) > 0:
            return direction
    return -force / abs(matrix).sum(0).max()


def _search(
    shell: Shell, points: Floats, load: Load, direction: Floats, start: tuple[float, sparse.csc_matrix]
) -> Floats:
    """Halves the step until the energy falls, or, where only rounding is left, until the force falls."""
    (energy, basis), size = start, 1.0
    largest = np.abs(basis.T @ patch_energy(shell, points, load)[1].ravel()).max()
    while size > 1e-9:
        trial = points + size * direction
        new_energy, gradient = patch_energy(shell, trial, load)
        if new_energy < energy or np.abs(basis.T @ gradient.ravel()).max() < 0.5 * largest:
            return trial
        size *= 0.5
    raise RuntimeError(f"stuck with {largest:.1e} N left.")


class Mesh(NamedTuple):
    """A flat mesh, with a layer of ghosts beyond those edges at which it is mirrored.

    Attributes:
        points: (V, 3) [m].
        triangles: (F, 3), counter-clockwise.
        inner: which triangles are the body; the others hang outside its mirrors, (F,).
        master: the vertex that each one mirrors, or its own number, (V,).
    """

    points: Floats
    triangles: Ints
    inner: Flags
    master: Ints

    def areas(self) -> Floats:
        """(F,) [m2]."""
        a, b, c = (self.points[self.triangles[:, k]] for k in range(3))
        return 0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=1)

    def shares(self) -> Floats:
        """Area of the body that falls to each vertex, a third of every triangle, (V,) [m2]."""
        out = np.zeros(len(self.points))
        for k in range(3):
            np.add.at(out, self.triangles[:, k], self.inner * self.areas() / 3)
        return out


Mirror = Callable[[Floats], tuple[Floats, Floats]]  # points -> their images, and distance inside [m]


def mesh_with_images(
    flat: Floats, inside: Callable[[Floats], Flags], mirrors: list[Mirror], reach: float
) -> Mesh:
    """Delaunay mesh of points (V, 2) and of the images of those within `reach` of a mirror."""
    master = np.arange(len(flat))
    for mirror in mirrors:
        image, depth = mirror(flat)
        near = (depth > 1e-9) & (depth < reach)
        flat, master = np.concatenate([flat, image[near]]), np.concatenate([master, master[near]])
    triangles = _upright(flat, Delaunay(flat).simplices.astype(np.int64))
    inner = inside(flat[triangles].mean(1))
    kept = inner | _beside(triangles, inner)
    used, number = np.unique(triangles[kept], return_inverse=True)
    points = np.column_stack([flat, np.zeros(len(flat))])[used]
    return Mesh(points, number.reshape(-1, 3), inner[kept], np.searchsorted(used, master[used]))


def _upright(flat: Floats, triangles: Ints) -> Ints:
    """Triangles turned counter-clockwise; those without area, along straight edges, are dropped."""
    u, w = flat[triangles[:, 1]] - flat[triangles[:, 0]], flat[triangles[:, 2]] - flat[triangles[:, 0]]
    double = u[:, 0] * w[:, 1] - u[:, 1] * w[:, 0]
    triangles = np.where((double < 0)[:, None], triangles[:, ::-1], triangles)
    return triangles[np.abs(double) > 1e-6 * np.abs(double).max()]


def _beside(triangles: Ints, inner: Flags) -> Flags:
    """Triangles that share an edge with an inner one, (F,)."""
    edges = np.sort(triangles[:, [[1, 2], [2, 0], [0, 1]]], axis=2)
    code = edges[..., 0] * (triangles.max() + 1) + edges[..., 1]
    return np.asarray(np.isin(code, code[inner]).any(1))


def rectangle(length: float, width: float, count: int, kind: str, mirrored: bool = False) -> Mesh:
    """A rectangle with a corner at the origin and `count` edges along x.

    Args:
        length: along x [m].
        width: along y [m].
        count: edges along x.
        kind: "regular", rows shifted by half an edge, or "random", a grid with its inner vertices
            moved by up to 0.3 edges.
        mirrored: at x = 0, y = 0 and y = width.
    """
    size = length / count
    rows = 2 * max(1, round(width / size / (np.sqrt(3) if kind == "regular" else 2)))
    flat = _shifted_rows(length, width, count, rows) if kind == "regular" else _grid(length, width, count)
    mirrors: list[Mirror] = [
        lambda p: (p * [-1, 1], p[:, 0]),
        lambda p: (p * [1, -1], p[:, 1]),
        lambda p: (p * [1, -1] + [0, 2 * width], width - p[:, 1]),
    ]

    def inside(p: Floats) -> Flags:
        return np.asarray(((p > 0) & (p < [length, width])).all(1))

    return mesh_with_images(flat, inside, mirrors if mirrored else [], 1.9 * size)


def _shifted_rows(length: float, width: float, count: int, rows: int) -> Floats:
    even = np.linspace(0, length, count + 1)
    odd = np.concatenate([[0], 0.5 * (even[1:] + even[:-1]), [length]])
    lines = [(odd if row % 2 else even, width * row / rows) for row in range(rows + 1)]
    return np.concatenate([np.column_stack([x, np.full(len(x), y)]) for x, y in lines])


def _grid(length: float, width: float, count: int) -> Floats:
    size = length / count
    across = round(width / size)
    x, y = np.meshgrid(np.linspace(0, length, count + 1), np.linspace(0, width, across + 1), indexing="ij")
    flat = np.column_stack([x.ravel(), y.ravel()])
    inner = ((flat > 1e-9) & (flat < np.array([length, width]) - 1e-9)).all(1)
    flat[inner] += np.random.default_rng(count).uniform(-0.3, 0.3, (inner.sum(), 2)) * size
    return flat


def disc(radius: float, count: int, kind: str, mirrored: bool = False) -> Mesh:
    """A disc about the origin with about `count` edges along its radius.

    Args:
        radius: [m].
        count: edges along the radius.
        kind: "regular", equilateral inside, or "random", the same with its inner vertices moved by up
            to 0.3 edges.
        mirrored: at the rim, each image as far outside as its vertex is inside.
    """
    size = radius / count
    i, j = (k.ravel() for k in np.meshgrid(*2 * [np.arange(-2 * count, 2 * count + 1)]))
    flat = size * np.column_stack([i + 0.5 * j, np.sqrt(0.75) * j])
    if kind == "random":
        flat += np.random.default_rng(count).uniform(-0.3, 0.3, flat.shape) * size
    angle = np.linspace(0, 2 * np.pi, round(2 * np.pi * count), endpoint=False)
    rim = radius * np.column_stack([np.cos(angle), np.sin(angle)])
    flat = np.concatenate([flat[np.linalg.norm(flat, axis=1) < radius - 0.6 * size], rim])

    def mirror(p: Floats) -> tuple[Floats, Floats]:
        far = np.linalg.norm(p, axis=1)
        return p * (2 * radius / np.maximum(far, 1e-9) - 1)[:, None], radius - far

    def inside(p: Floats) -> Flags:
        return np.linalg.norm(p, axis=1) < radius * np.cos(np.pi / len(angle)) - 1e-9

    return mesh_with_images(flat, inside, [mirror] if mirrored else [], 1.9 * size)


def triangle(height: float, count: int, kind: str) -> Mesh:
    """An equilateral triangle about the origin with `count` edges along a side and one corner on x.

    Args:
        height: [m].
        count: edges along a side.
        kind: "regular", equilateral, or "random", the same with its inner vertices moved by up to
            0.3 edges.
    """
    side = 2 / np.sqrt(3) * height
    i, j = (k.ravel() for k in np.meshgrid(*2 * [np.arange(count + 1)]))
    i, j = i[i + j <= count], j[i + j <= count]
    flat = np.column_stack([height * (1 - (i + j) / count) - height / 3, side * (0.5 * (i - j)) / count])
    inner = (i > 0) & (j > 0) & (i + j < count)
    if kind == "random":
        flat[inner] += np.random.default_rng(count).uniform(-0.3, 0.3, (inner.sum(), 2)) * side / count
    return mesh_with_images(flat, lambda p: np.ones(len(p), dtype=bool), [], 0.0)
