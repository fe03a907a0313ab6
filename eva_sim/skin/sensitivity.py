"""Jacobians of the skin: derivatives of vertices, landmarks and tensions by each drive and command.

For the full skin they follow from the implicit function theorem. At an equilibrium the gradient g(x, d)
of the energy stays zero while the drives d change, so dx/dd = -H^-1 dg/dd with H its second derivative
over the free vertices: one factorisation serves all drives. For the reduced skin they come from
automatic differentiation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import scipy.sparse.linalg as linalg
from numpy.typing import ArrayLike, NDArray

from eva_sim.actuators import bowden_compliance
from eva_sim.contract import FaceSpec, Floats
from eva_sim.horns import horn_lever
from eva_sim.landmarks import load_embedding
from eva_sim.skin import newton
from eva_sim.skin.anatomy import Anatomy, Drive

STEP = 1e-6  # rad, m; of the finite differences of exact gradients by the drives


class Jacobian(NamedTuple):
    """Derivatives by D drives in the order jaw, lids, take-ups; or by the commands of the same actuators.

    Attributes:
        points: derivative of vertices or landmarks, (P, 3, D) [m per rad, m or command].
        tension: derivative of the cables' tensions, (C, D) [N per rad, m or command].
    """

    points: Floats
    tension: Floats

    def at_landmarks(self, spec: FaceSpec) -> Jacobian:
        """The same with the landmark points, (N, 3, D), instead of the vertices."""
        corners, shares = load_embedding(spec)
        return self._replace(points=np.einsum("nk,nkdj->ndj", shares, self.points[corners]))


def skin_jacobian(anatomy: Anatomy, points: Floats, drive: Drive) -> Jacobian:
    """Computes the Jacobian of the full skin by its drives, at an equilibrium.

    Where a cable is about to go slack, or two parts are about to touch, the derivative is one-sided or
    lies between both sides.

    Args:
        anatomy: the skin.
        points: a converged state, (V, 3) [m], e.g. of `ReferenceSkin`.
        drive: the drive of that state.
    """
    jacobian = np.zeros((*points.shape, len(_drive_vector(drive))))
    jacobian[anatomy.fixed] = _central(lambda d: anatomy.kinematic_points(d)[anatomy.fixed], drive)
    force = _central(lambda d: _force(anatomy, points, d), drive)
    lu = linalg.splu(newton.hessian(anatomy, points, anatomy.load(drive)))
    jacobian[anatomy.free] = -lu.solve(force.reshape(-1, force.shape[-1])).reshape(force.shape)
    return Jacobian(jacobian, _tension(anatomy, points, drive, jacobian))


def _drive_vector(drive: Drive) -> Floats:
    """Returns a drive as one vector, (D,)."""
    return np.concatenate([[drive.jaw], drive.lids, drive.take_up])


def _shifted(drive: Drive, number: int, step: float) -> Drive:
    """Returns the drive with one of its D numbers changed by `step`."""
    values = _drive_vector(drive)
    values[number] += step
    return Drive(float(values[0]), values[1:3], values[3:])


def _central(function: Callable[[Drive], Floats], drive: Drive) -> Floats:
    """Central differences of an array by each drive, along a new last axis."""
    columns = [
        (function(_shifted(drive, n, STEP)) - function(_shifted(drive, n, -STEP))) / (2 * STEP)
        for n in range(len(_drive_vector(drive)))
    ]
    return np.stack(columns, axis=-1)


def _force(anatomy: Anatomy, points: Floats, drive: Drive) -> Floats:
    """Gradient on the free vertices (F, 3) [N] under a drive, while these vertices do not move."""
    moved = points.copy()
    moved[anatomy.fixed] = anatomy.kinematic_points(drive)[anatomy.fixed]
    return anatomy.energy(moved, anatomy.load(drive))[1][anatomy.free]


def _tension(anatomy: Anatomy, points: Floats, drive: Drive, jacobian: Floats) -> Floats:
    """Derivative of the tensions (C, D) when the vertices move by their Jacobian."""

    def tension(number: int, step: float) -> Floats:
        moved = points + step * jacobian[:, :, number]
        return anatomy.tension(moved, anatomy.load(_shifted(drive, number, step)))

    columns = [(tension(n, STEP) - tension(n, -STEP)) / (2 * STEP) for n in range(jacobian.shape[2])]
    return np.stack(columns, axis=1)


def reduced_jacobian(anatomy: Anatomy, drive: Drive) -> tuple[Jacobian, Jacobian]:
    """Computes the Jacobians of the reduced skin by its drives: of the vertices, and of the landmarks."""
    import torch  # an optional dependency, see `make_skin`

    from eva_sim.skin.reduced import load_reduced
    from eva_sim.skin.reduced_map import drive_matrix

    model = load_reduced(anatomy)
    # Everything after the network is linear except for slack cables, so only the network is differentiated:
    # the drive is repeated once for each output, and each copy gives the gradient of one output.
    drives = torch.from_numpy(drive_matrix(drive))
    inputs = drives.repeat(len(model.network.scale), 1).requires_grad_()
    outputs = model.network(inputs)
    (gradient,) = torch.autograd.grad(outputs.diagonal().sum(), inputs)
    taut = model.tension(outputs[:1].detach())[0] > 0
    tension = (model.stiffness * taut[:, None] * gradient[model.rank :]).numpy().astype(float)

    def jacobian(modes: torch.Tensor) -> Jacobian:
        points = (modes.T @ gradient[: model.rank]).numpy().astype(float)
        return Jacobian(points.reshape(-1, 3, drives.shape[1]), tension)

    return jacobian(model.modes), jacobian(model.landmark_modes)


def command_jacobian(spec: FaceSpec, jacobian: Jacobian, command: ArrayLike) -> Jacobian:
    """Converts a Jacobian by drives to one by the commands of `driven_actuators`, at `command` (A,).

    It is that of slow motion in which every cable is wound in and its line is about to slip in its tube.
    Then the line stretches by exp(mu phi) / k_b per newton, so the skin end moves less than the servo winds.
    """
    gain, compliance = _drive_gains(spec, np.asarray(command)), _line_compliance(spec)
    stiff = np.eye(len(compliance)) + compliance * jacobian.tension[:, 3:]
    drives = np.diag(gain)
    drives[3:] = np.linalg.solve(
        stiff, np.hstack([-compliance * jacobian.tension[:, :3] * gain[:3], np.diag(gain[3:])])
    )
    return Jacobian(jacobian.points @ drives, jacobian.tension @ drives)


def driven_actuators(spec: FaceSpec) -> NDArray[np.intp]:
    """Indices of the actuators of the drives, in the drives' order: jaw, lids, cables, (D,)."""
    return np.concatenate([spec.where("jaw"), spec.where("lid"), spec.where("cable")])


def _drive_gains(spec: FaceSpec, command: Floats) -> Floats:
    """Change of each drive per unit of command, (D,) [rad, m]."""
    half = 0.5 * (spec.column("high") - spec.column("low"))
    half[spec.where("cable")] *= horn_lever(spec, spec.to_physical(command))
    return half[driven_actuators(spec)]


def _line_compliance(spec: FaceSpec) -> Floats:
    """Stretch of each line in its tube per newton at its skin end, while wound in, (C, 1) [m/N]."""
    return np.full((len(spec.where("cable")), 1), bowden_compliance(spec))
