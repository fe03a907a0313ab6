"""Slopes: how vertices, landmarks and cable tensions answer each drive and each command.

Of the full skin by the implicit function theorem. At an equilibrium the gradient g(x, d) of the
energy stays zero as drives d change, so dx/dd = -H^-1 dg/dd with H its second derivative over the
free vertices: one factor serves all drives. Of the reduced skin by automatic differentiation.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.sparse.linalg as linalg
from numpy.typing import ArrayLike, NDArray

from eva_sim.contract import Floats, load_spec
from eva_sim.files import asset, read_arrays
from eva_sim.skin import newton
from eva_sim.skin.anatomy import Anatomy, Drive

STEP = 1e-6  # rad, m; of the differences of exact gradients by the drives


class Slopes(NamedTuple):
    """Derivatives by the D drives (jaw, lids, take-ups) or commands of the same, in this order.

    Attributes:
        points: of the vertices or landmarks, (P, 3, D) [m per rad, m or command].
        tension: of the cables, (12, D) [N per rad, m or command].
    """

    points: Floats
    tension: Floats

    @property
    def landmarks(self) -> Slopes:
        """The same with the landmark points, (N, 3, D), in the place of the vertices."""
        arrays = read_arrays(asset("precomputed/landmark_embedding.npz"))
        return self._replace(
            points=np.einsum("nk,nkdj->ndj", arrays["shares"], self.points[arrays["corners"]])
        )


def of_skin(anatomy: Anatomy, points: Floats, drive: Drive) -> Slopes:
    """Slopes of the full skin by its 15 drives at an equilibrium.

    Where a cable is just about to go slack or two parts to touch, they are one side's or between both.

    Args:
        anatomy: the skin.
        points: a converged state, (V, 3) [m], e.g. of `Reference`.
        drive: which it answers.
    """
    slope = np.zeros((*points.shape, len(_list(drive))))
    slope[anatomy.fixed] = _central(lambda d: anatomy.rest_of(d)[anatomy.fixed], drive)
    force = _central(lambda d: _force(anatomy, points, d), drive)
    lu = linalg.splu(newton.hessian(anatomy, points, anatomy.load(drive)))
    slope[anatomy.free] = -lu.solve(force.reshape(-1, force.shape[-1])).reshape(force.shape)
    return Slopes(slope, _tension(anatomy, points, drive, slope))


def _list(drive: Drive) -> Floats:
    """A drive as one row, (15,)."""
    return np.concatenate([[drive.jaw], drive.lids, drive.take_up])


def _moved(drive: Drive, number: int, step: float) -> Drive:
    """The drive with one of its 15 numbers changed."""
    values = _list(drive)
    values[number] += step
    return Drive(float(values[0]), values[1:3], values[3:])


def _central(function, drive: Drive) -> Floats:  # type: ignore[no-untyped-def]
    """Derivative of an array by each drive, along a new last axis."""
    ways = range(len(_list(drive)))
    each = [(function(_moved(drive, n, STEP)) - function(_moved(drive, n, -STEP))) / (2 * STEP) for n in ways]
    return np.stack(each, axis=-1)


def _force(anatomy: Anatomy, points: Floats, drive: Drive) -> Floats:
    """Gradient on the free vertices (F, 3) [N] when these stand still while the drive acts."""
    place = points.copy()
    place[anatomy.fixed] = anatomy.rest_of(drive)[anatomy.fixed]
    return anatomy.energy(place, anatomy.load(drive))[1][anatomy.free]


def _tension(anatomy: Anatomy, points: Floats, drive: Drive, slope: Floats) -> Floats:
    """Derivative of the tensions (12, D) along the skin's answer."""

    def at(number: int, step: float) -> Floats:
        return anatomy.tension(points + step * slope[:, :, number], anatomy.load(_moved(drive, number, step)))

    return np.stack([(at(n, STEP) - at(n, -STEP)) / (2 * STEP) for n in range(slope.shape[2])], axis=1)


def of_reduced(drive: Drive, anatomy: Anatomy) -> tuple[Slopes, Slopes]:
    """Slopes of the reduced skin by its 15 drives: of the vertices, and of the landmarks."""
    import torch  # an extra, see `make_skin`

    from eva_sim.skin.reduced import flat, load_reduced

    model = load_reduced(anatomy)
    # Everything beyond the network is linear but for the cables' slack, so only it is differentiated:
    # as many copies of the drive as it has outputs, each giving the slope of one of them.
    count = len(model.network.scale)
    given = torch.from_numpy(flat(drive)).repeat(count, 1).requires_grad_()
    outputs = model.network(given)
    (slope,) = torch.autograd.grad(outputs.diagonal().sum(), given)
    pulls = model.tension(outputs[:1].detach())[0] > 0
    tension = (model.stiffness * pulls[:, None] * slope[model.rank :]).numpy().astype(float)

    def places(modes: torch.Tensor) -> Slopes:
        return Slopes((modes.T @ slope[: model.rank]).numpy().astype(float).reshape(-1, 3, 15), tension)

    return places(model.modes), places(model.face_modes)


def by_command(slopes: Slopes, command: ArrayLike) -> Slopes:
    """Slopes by commands at `command` (25,): of jaw, lids and cables, in that order, all moving slowly.

    Every cable is being wound in, the line in its tube at the edge of slipping: it gives way by
    exp(mu phi) T / k_b, so what its servo winds does not all arrive at the skin.
    """
    gain, give = _travel(np.asarray(command)), _give()
    stiff = np.eye(len(give)) + give * slopes.tension[:, 3:]
    drives = np.diag(gain)
    drives[3:] = np.linalg.solve(
        stiff, np.hstack([-give * slopes.tension[:, :3] * gain[:3], np.diag(gain[3:])])
    )
    return Slopes(slopes.points @ drives, slopes.tension @ drives)


def moving() -> NDArray[np.intp]:
    """Actuators behind the drives, in their order: jaw, lids, cables, (15,)."""
    spec = load_spec()
    return np.concatenate([spec.where("jaw"), spec.where("lid"), spec.where("cable")])


def _travel(command: Floats) -> Floats:
    """How far each drive goes for a command of one more, (15,) [rad, m]."""
    spec = load_spec()
    half = 0.5 * (spec.column("high") - spec.column("low"))
    half[spec.where("cable")] *= spec.lever(spec.to_physical(command))
    return half[moving()]


def _give() -> Floats:
    """How far each line in its tube gives way when wound in, (12, 1) [m/N]."""
    cable = load_spec().cable
    give = np.exp(cable["friction"] * cable["wrap_angle"]) / cable["bowden_stiffness"]
    return np.full((len(load_spec().where("cable")), 1), give)
