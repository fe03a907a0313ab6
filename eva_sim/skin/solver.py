"""The `full` skin: a warm-started quasi-Newton solve, for one face or for many side by side.

A step starts from the last shape, moved by how the skin is known to answer each drive alone
(`response.py`), and goes a fixed number of evaluations downhill (`descent.py`). The residual is
checked, never assumed: a face that is not settled gets more, then Newton's method, then an error.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from eva_sim.contract import Floats
from eva_sim.errors import EvaError, PhysicsError
from eva_sim.head import JAW_HINGE
from eva_sim.skin import newton
from eva_sim.skin.anatomy import Anatomy, Drive, Drives
from eva_sim.skin.descent import Metric, descend, memory_of, metric_of, scratch_of
from eva_sim.skin.forces import MATERIAL, Elements, Loads, cable_ways, elements
from eva_sim.skin.ground import turned_many
from eva_sim.skin.lanes import LANES, add_modes, empty
from eva_sim.skin.response import Response, load_response

if TYPE_CHECKING:
    from eva_sim.skin.reduced import ReducedSkin

#: Evaluations of energy and force in a step, by the solver's name; "reference" is Newton's method.
EVALUATIONS = {"full": 4, "fine": 12}
MORE = 80  # evaluations before Newton takes over
TOLERANCE = 2e-2  # N, root mean square residual per vertex that is still an answer
NEWTON_TOLERANCE = 1e-5  # N, largest component; below it rounding of the energy decides the search


@dataclass(frozen=True)
class Machine:
    """What all faces of one anatomy share; made once.

    Attributes:
        order: the anatomy's vertices in the solver's order, (V,); the free ones come first.
        place: its inverse.
        free: number of free vertices.
        one, many: the anatomy's elements for one face and for LANES faces.
    """

    anatomy: Anatomy
    metric: Metric
    order: NDArray[np.intp]
    place: NDArray[np.intp]
    free: int
    one: Elements
    many: Elements
    response: Response


@lru_cache(maxsize=4)
def machine_of(anatomy: Anatomy) -> Machine:
    """The solver's constants of an anatomy."""
    metric, order = metric_of(anatomy)
    return Machine(
        anatomy, metric, order, np.argsort(order), len(anatomy.free),
        elements(anatomy, order, many=False), elements(anatomy, order, many=True),
        load_response(anatomy, order),
    )  # fmt: skip


class Block:
    """One face, or LANES faces in lanes, with all that changes from step to step.

    Args:
        machine: of the anatomy.
        faces: None for one face, LANES for that many.
        material: scales of the anatomy's constants per face, in the order of `MATERIAL`, (5, L).
    """

    def __init__(self, machine: Machine, faces: int | None, material: Floats | None = None) -> None:
        self._machine, self._faces = machine, faces
        self.lanes, vertices = faces or 1, len(machine.order)
        self._parts = machine.many if faces else machine.one
        self._x, self._scratch = empty(vertices, faces), scratch_of(vertices, faces)
        self._memory = memory_of(machine.free, faces)
        single = np.float32
        scales = np.ones((len(MATERIAL), self.lanes)) if material is None else material
        self._loads = Loads(
            np.zeros(self.lanes, single), np.zeros((12, 3, self.lanes), single),
            np.zeros((12, self.lanes), single), np.ascontiguousarray(scales, single),
            np.zeros(self.lanes, single), self._x,
        )  # fmt: skip
        self.residual = np.zeros(self.lanes, single)
        self._answered = np.zeros((machine.response.rank, self.lanes), single)
        self.reset()

    def reset(self, lane: int | None = None) -> None:
        """The stress-free face at neutral, for one lane or all."""
        lanes = slice(None) if lane is None else slice(lane, lane + 1)
        rest = Drives(np.zeros(self.lanes), np.zeros((self.lanes, 2)), np.zeros((self.lanes, 12)))
        self._view(self._x)[:, :, lanes] = self._machine.anatomy.points[self._machine.order][:, :, None]
        self._memory.scale[:, lanes] = 0.0
        self._answered[:, lanes] = self._machine.response.coefficients(rest)[:, lanes]
        self.residual[lanes] = 0.0

    def _view(self, field: Floats) -> Floats:
        """A field as (vertices, 3, L)."""
        return field.reshape(-1, 3, self.lanes)

    def step(self, drives: Drives, evaluations: int) -> None:
        """Moves to new drives, by what is foreseen and then downhill."""
        machine, view = self._machine, self._view(self._x)
        self.load(drives)
        answer = machine.response.coefficients(drives)
        change = answer - self._answered
        add_modes(self._x, machine.response.modes, change, machine.free, self._scratch.row)
        view[machine.free :] = machine.anatomy.boundary(drives)
        self._answered = answer
        self.descend(evaluations)

    def load(self, drives: Drives) -> None:
        """Sets what pulls, without moving anything."""
        anatomy, loads = self._machine.anatomy, self._loads
        loads.jaw[:] = drives.jaw
        loads.take_up[:] = drives.take_up.T
        turn = anatomy.exit_jaw[:, None] * drives.jaw
        loads.exits[:] = turned_many(anatomy.exits, JAW_HINGE[None, 1:], turn)

    def descend(self, evaluations: int) -> None:
        """Goes downhill under the present load; leaves `residual` (L,) [N]."""
        machine = self._machine
        descend(
            self._x, machine.free, self._parts, machine.metric, self._loads, self._memory,
            self._scratch, evaluations, self.residual,
        )  # fmt: skip

    @property
    def points(self) -> Floats:
        """Vertices in the anatomy's order, (L, V, 3) [m]."""
        points: Floats = np.moveaxis(self._view(self._x)[self._machine.place], 2, 0)
        return points

    def put(self, lane: int, points: Floats) -> None:
        """Replaces one face's shape, (V, 3) [m]; what was learned on its way there is forgotten."""
        self._view(self._x)[:, :, lane] = points[self._machine.order]
        self._memory.scale[:, lane] = 0.0

    @property
    def tension(self) -> Floats:
        """Pull of each cable on its patch, (L, 12) [N]."""
        way = np.empty((12, 3, self.lanes), np.float32)
        tension = np.empty((12, self.lanes), np.float32)
        cable_ways(self._x, self._parts, self._loads, way, tension)
        return tension.T

    def rescue(self, lane: int, drive: Drive) -> None:
        """Settles one face by itself: more evaluations, then Newton's method from where it stands.

        Raises:
            PhysicsError: it does not settle.
        """
        machine, scales = self._machine, self._loads.material[:, lane : lane + 1]
        alone = Block(machine, None, scales)
        alone.load(drive.alone)
        alone.put(0, self.points[lane])
        alone.descend(MORE)
        points, residual = alone.points[0], alone.residual[0]
        if not residual <= TOLERANCE:
            anatomy = machine.anatomy.scaled(scales[:, 0])
            points, residual, _ = newton.solve(
                anatomy, self.points[lane].astype(float), anatomy.load(drive), TOLERANCE / 10
            )
        self.put(lane, points)
        self.residual[lane] = residual

    def save(self) -> dict[str, Any]:
        """A copy of everything that changes."""
        memory = [part.copy() for part in self._memory]
        return {"x": self._x.copy(), "memory": memory, "answered": self._answered.copy(),
                "residual": self.residual.copy(),
                "loads": [part.copy() for part in self._loads[:3]]}  # fmt: skip

    def restore(self, state: dict[str, Any]) -> None:
        """Goes back to a saved state; the next steps repeat bit for bit."""
        self._x[:] = state["x"]
        self._answered, self.residual[:] = state["answered"].copy(), state["residual"]
        for mine, saved in zip(
            [*self._memory, *self._loads[:3]], [*state["memory"], *state["loads"]], strict=True
        ):
            mine[:] = saved


class Skin:
    """The skin of one face. Its history is the last shape, and what the descent learned on the way.

    Args:
        anatomy: the skin's constants.
        solver: `"full"`, or `"fine"` for more evaluations.

    Attributes:
        points: vertices, (V, 3) [m] in the head frame.
        tension: of the cables, (12,) [N].
        residual: root mean square force that the last solve left on a free vertex [N].
    """

    def __init__(self, anatomy: Anatomy, solver: str = "full") -> None:
        self.anatomy, self._machine = anatomy, machine_of(anatomy)
        self._evaluations = evaluations_of(self._machine, solver)
        self._block = Block(self._machine, None)
        self.reset()

    def reset(self) -> None:
        """The stress-free face at neutral."""
        self._block.reset()
        self._take()

    def _take(self) -> None:
        self.points = self._block.points[0].astype(float)
        self.tension: Floats = self._block.tension[0].astype(float)
        self.residual = float(self._block.residual[0])

    def step(self, drive: Drive) -> Floats:
        """Finds the face's equilibrium near its last shape.

        Returns:
            Vertices, (V, 3) [m] in the head frame.

        Raises:
            PhysicsError: no equilibrium was found; the skin stays as it was. `error.state` is what
                `restore` takes and `error.drive` what was asked, so that it can be repeated.
        """
        check_drive(drive)
        before = self._block.save()
        try:
            self._block.step(drive.alone, self._evaluations)
            settle(self._block, drive.alone)
        except PhysicsError as error:
            self._block.restore(before)
            error.state, error.drive = before, drive  # type: ignore[attr-defined]
            raise
        self._take()
        return self.points

    def save(self) -> dict[str, Any]:
        """A copy of everything that changes."""
        return self._block.save()

    def restore(self, state: dict[str, Any]) -> None:
        """Goes back to a saved state; the next steps repeat bit for bit."""
        self._block.restore(state)
        self._take()


class Reference:
    """The referee, in the place of a `Skin`: Newton's method to convergence, about a second a step."""

    def __init__(self, anatomy: Anatomy) -> None:
        self.anatomy, self._response = anatomy, machine_of(anatomy).response
        self._place = machine_of(anatomy).place
        self.reset()

    def reset(self) -> None:
        """The stress-free face at neutral."""
        self.points, self.residual = self.anatomy.points.copy(), 0.0
        self.tension: Floats = np.zeros(len(self.anatomy.exits))

    def step(self, drive: Drive) -> Floats:
        """As `Skin.step`."""
        check_drive(drive)
        load, start = self.anatomy.load(drive), self.points.copy()
        start[self.anatomy.fixed] = self.anatomy.rest_of(drive)[self.anatomy.fixed]
        self.points, self.residual, _ = newton.solve(self.anatomy, start, load, NEWTON_TOLERANCE)
        self.tension = self.anatomy.tension(self.points, load)
        return self.points

    def save(self) -> dict[str, Any]:
        """A copy of everything that changes."""
        return {"points": self.points.copy(), "tension": self.tension.copy(), "residual": self.residual}

    def restore(self, state: dict[str, Any]) -> None:
        """Goes back to a saved state; the next steps repeat bit for bit."""
        self.points, self.tension = state["points"].copy(), state["tension"].copy()
        self.residual = state["residual"]


def make_skin(anatomy: Anatomy, solver: str) -> Skin | Reference | ReducedSkin:
    """A skin by the name of its solver.

    Raises:
        EvaError: no such solver, or torch is not installed and `"reduced"` needs it.
    """
    if solver == "reduced":
        return _reduced(anatomy)
    return Reference(anatomy) if solver == "reference" else Skin(anatomy, solver)


def _reduced(anatomy: Anatomy) -> ReducedSkin:
    try:
        from eva_sim.skin.reduced import ReducedSkin
    except ModuleNotFoundError as error:  # torch is an extra, and nothing else here needs it
        raise EvaError(f"skin='reduced' needs torch ({error}); install eva-sim[train].") from error
    return ReducedSkin(anatomy)


def evaluations_of(machine: Machine, solver: str) -> int:
    """Evaluations in a step; where nothing is foreseen, they must reach further.

    Raises:
        EvaError: no such solver.
    """
    if solver not in EVALUATIONS:
        known = ", ".join(repr(name) for name in (*EVALUATIONS, "reduced", "reference"))
        raise EvaError(f"skin={solver!r}; choose one of {known}.")
    return EVALUATIONS[solver] * (1 if machine.response.rank else 5)


def check_drive(drive: Drive | Drives) -> None:
    """Refuses what is no number.

    Raises:
        PhysicsError: a part of the drive is not finite.
    """
    if not all(np.isfinite(part).all() for part in drive):
        raise PhysicsError(f"the skin is driven by what is no number: {drive}.")


def settle(block: Block, drives: Drives) -> None:
    """Gives those faces of a block that have not settled more evaluations, then Newton's method.

    Raises:
        PhysicsError: a face does not settle.
    """
    for lane in np.flatnonzero(~(block.residual <= TOLERANCE)).tolist():
        block.rescue(lane, drives.face(lane))


class Skins:
    """Many faces of one anatomy, LANES at a time, on all cores.

    Args:
        anatomy: the skin's constants.
        faces: how many, N.
        solver: `"full"` or `"fine"`.
        material: scales of the anatomy's constants per face, in the order of `MATERIAL`, (5, N).
        threads: how many to use; None for one per core.

    Attributes:
        faces: N.
    """

    def __init__(
        self,
        anatomy: Anatomy,
        faces: int,
        solver: str = "full",
        material: Floats | None = None,
        threads: int | None = None,
    ) -> None:
        self.anatomy, self.faces, machine = anatomy, faces, machine_of(anatomy)
        self._evaluations = evaluations_of(machine, solver)
        scales = np.ones((len(MATERIAL), faces)) if material is None else np.asarray(material)
        self._parts = [slice(first, min(first + LANES, faces)) for first in range(0, faces, LANES)]
        self._blocks = [Block(machine, LANES, _fill(scales[:, part].T).T) for part in self._parts]
        self._pool = ThreadPoolExecutor(threads or os.cpu_count())

    def reset(self, face: int | None = None) -> None:
        """The stress-free face at neutral, for one face or all."""
        if face is not None:
            self._blocks[face // LANES].reset(face % LANES)
            return
        for block in self._blocks:
            block.reset()

    def step(self, drives: Drives) -> None:
        """Finds every face's equilibrium near its last shape.

        Raises:
            PhysicsError: a face did not settle; `restore` what was saved before, or `reset` it.
        """
        check_drive(drives)
        list(self._pool.map(self._step_block, self._blocks, self._parts, [drives] * len(self._blocks)))

    def _step_block(self, block: Block, part: slice, drives: Drives) -> None:
        mine = Drives(*(_fill(np.asarray(value)[part]) for value in drives))
        block.step(mine, self._evaluations)
        settle(block, mine)

    def _gather(self, what: str) -> Floats:
        return np.concatenate([getattr(block, what) for block in self._blocks])[: self.faces]

    @property
    def points(self) -> Floats:
        """Vertices, float32 (N, V, 3) [m]."""
        return self._gather("points")

    @property
    def tension(self) -> Floats:
        """Of the cables, (N, 12) [N]."""
        return self._gather("tension")

    @property
    def residual(self) -> Floats:
        """Root mean square force left on a free vertex by the last solve, (N,) [N]."""
        return self._gather("residual")

    def save(self) -> list[dict[str, Any]]:
        """A copy of everything that changes."""
        return [block.save() for block in self._blocks]

    def restore(self, state: list[dict[str, Any]]) -> None:
        """Goes back to a saved state; the next steps repeat bit for bit."""
        for block, saved in zip(self._blocks, state, strict=True):
            block.restore(saved)

    def close(self) -> None:
        """Ends the threads."""
        self._pool.shutdown()


def _fill(rows: Floats) -> Floats:
    """Rows for all lanes of a block; what is missing repeats the last."""
    return np.concatenate([rows, np.repeat(rows[-1:], LANES - len(rows), axis=0)])
