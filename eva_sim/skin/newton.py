"""The reference solver: Newton's method with the exact second derivative, to convergence."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sparse
import scipy.sparse.linalg as linalg

from eva_sim.contract import Floats
from eva_sim.errors import PhysicsError
from eva_sim.skin.anatomy import Anatomy, Load
from eva_sim.skin.cables_and_lips import cable_state, lip_normal, thread_yields
from eva_sim.skin.energy import shell_hessian
from eva_sim.skin.ground import ground_hessian

STEP = 1e-7  # m, of the finite differences of gradients
MAX_ITERATIONS = 100
SHIFTS = (0.0, 1.0, 10.0, 100.0, 1e3, 1e4)  # N/m added where the second derivative is indefinite


def solve_equilibrium(
    anatomy: Anatomy, points: Floats, load: Load, tolerance: float
) -> tuple[Floats, float, int]:
    """Minimises the energy from `points` to an equilibrium.

    Args:
        anatomy: the skin.
        points: start, (V, 3) [m]; prescribed vertices are already in place.
        load: the evaluated drive.
        tolerance: largest force component left on any free vertex [N].

    Returns:
        Vertices, root mean square residual [N], iterations.

    Raises:
        PhysicsError: it did not converge, or a force is not finite.
    """
    free = anatomy.free
    energy, gradient = anatomy.energy(points, load)
    for iteration in range(MAX_ITERATIONS):
        force = gradient[free]
        if not np.isfinite(force).all():
            raise PhysicsError("the skin's forces are not numbers; reset the face.")
        if np.abs(force).max() < tolerance:
            return points, float(np.sqrt((force**2).sum(1).mean())), iteration
        direction = _direction(hessian(anatomy, points, load), force)
        points, energy, gradient = _search(anatomy, points, load, direction, (energy, gradient))
    raise PhysicsError(
        f"the skin did not settle in {MAX_ITERATIONS} Newton steps; {np.abs(gradient).max():.1e} N are left."
    )


def _direction(matrix: sparse.csc_matrix, force: Floats) -> Floats:
    """Returns a Newton step of descent; shifts the matrix until it is positive definite."""
    for shift in SHIFTS:
        shifted = matrix + shift * sparse.identity(matrix.shape[0], format="csc")
        lu = linalg.splu(shifted, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0,
                         options={"SymmetricMode": True})  # fmt: skip
        if (lu.U.diagonal() > 0).all():  # positive definite
            return -lu.solve(force.ravel()).reshape(force.shape)
    return -force / abs(matrix).sum(0).max()


def _search(
    anatomy: Anatomy, points: Floats, load: Load, direction: Floats, start: tuple[float, Floats]
) -> tuple[Floats, float, Floats]:
    """Halves the step until the energy falls, or, near the minimum, until the force falls.

    Args:
        anatomy: the skin.
        points: (V, 3) [m].
        load: the evaluated drive.
        direction: of the search, on the free vertices, (F, 3) [m].
        start: energy and gradient at `points`.

    Returns:
        Vertices, energy and gradient after the step.
    """
    free, (energy, gradient), size = anatomy.free, start, 1.0
    slope = float(np.vdot(direction, gradient[free]))
    largest = np.abs(gradient).max()
    while size > 1e-9:
        trial = points.copy()
        trial[free] += size * direction
        new_energy, new_gradient = anatomy.energy(trial, load)
        if new_energy <= energy + 1e-4 * size * slope or np.abs(new_gradient).max() < 0.5 * largest:
            return trial, new_energy, new_gradient
        size *= 0.5
    raise PhysicsError(f"the skin is stuck with {largest:.1e} N left; reset the face.")


def hessian(anatomy: Anatomy, points: Floats, load: Load) -> sparse.csc_matrix:
    """Returns the second derivative of the energy over the free vertices, (3 F, 3 F) [N/m]."""
    faces, hinges = shell_hessian(points, anatomy.shell, STEP)
    ground = ground_hessian(points, load.turn, anatomy.ground)
    ground += load.inertia * anatomy.mass[:, None, None] * np.eye(3)
    vertices = np.arange(len(points))[:, None]
    parts = [
        _scatter(anatomy.shell.triangles, faces),
        _scatter(anatomy.shell.hinges, hinges),
        _scatter(vertices, ground),
        _lips(anatomy, points, load),
        *_cables(anatomy, points, load),
    ]
    rows, columns, values = (np.concatenate([part[k] for part in parts]) for k in range(3))
    size = 3 * len(points)
    whole = sparse.csc_matrix((values, (rows, columns)), shape=(size, size))
    whole = 0.5 * (whole + whole.T)
    chosen = (3 * anatomy.free[:, None] + np.arange(3)).ravel()
    return sparse.csc_matrix(whole[chosen][:, chosen])


Triplets = tuple[np.ndarray, np.ndarray, np.ndarray]


def _scatter(vertices: np.ndarray, blocks: Floats) -> Triplets:
    """Rows, columns and values of element blocks (E, 3 n, 3 n) on vertices (E, n)."""
    index = (3 * vertices[:, :, None].astype(np.int64) + np.arange(3)).reshape(len(vertices), -1)
    size = index.shape[1]
    return np.repeat(index, size, axis=1).ravel(), np.tile(index, (1, size)).ravel(), blocks.ravel()


def _lips(anatomy: Anatomy, points: Floats, load: Load) -> Triplets:
    lips = anatomy.lips
    normal = np.array([0.0, *lip_normal(load.jaw)])
    turned = np.array([[1, 0, 0], [0, normal[1], -normal[2]], [0, normal[2], normal[1]]])
    away = points[lips.pairs[:, 0]] - points[lips.pairs[:, 1]] - lips.gap @ turned.T
    distance = np.linalg.norm(away, axis=1)
    yields = np.array([thread_yields(most, load.jaw) for most in lips.yields])
    along = away / np.maximum(distance, 1e-9)[:, None]
    taut = (np.minimum(yields, distance) / np.maximum(distance, 1e-9))[:, None, None]
    across = np.eye(3) - along[:, :, None] * along[:, None]
    blocks = lips.thread * np.where((distance < yields)[:, None, None], np.eye(3), taut * across)
    blocks += lips.contact * (away @ normal < 0)[:, None, None] * np.outer(normal, normal)
    return _scatter(lips.pairs, np.kron(np.array([[1, -1], [-1, 1]]), blocks))


def _cables(anatomy: Anatomy, points: Floats, load: Load) -> list[Triplets]:
    out, cables, direction = [], anatomy.cables, np.empty(3)
    for c in range(len(load.take_up)):
        length, tension = cable_state(points, c, cables, load.exits, load.take_up, direction)
        if tension > 0:
            along = np.outer(direction, direction)
            block = cables.stiffness * along + tension / length * (np.eye(3) - along)
            part = slice(cables.start[c], cables.start[c + 1])
            weight = cables.weight[part]
            out.append(_scatter(cables.vertex[part][None], np.kron(np.outer(weight, weight), block)[None]))
    return out
