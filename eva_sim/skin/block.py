"""A block: one face, or sixteen side by side in lanes, solved together.

A step starts from the last shape, moved by how the skin is known to answer each drive alone
(`response.py`), and goes a fixed number of evaluations downhill (`descent.py`). The residual is
checked, never assumed: a face that is not settled gets more, then Newton's method, then an error.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eva_sim.contract import Floats, load_spec
from eva_sim.errors import EvaError, PhysicsError
from eva_sim.head import JAW_HINGE
from eva_sim.skin import newton
from eva_sim.skin.anatomy import Anatomy, Drive, Drives
from eva_sim.skin.descent import Metric, descend, memory_of, metric_of, scratch_of
from eva_sim.skin.forces import MATERIAL, Elements, Loads, cable_ways, elements
from eva_sim.skin.ground import turned_many
from eva_sim.skin.lanes import add_modes, empty
from eva_sim.skin.response import Response, load_response

#: Evaluations of energy and force in a solve, by the solver's name; "reference" is Newton's method.
EVALUATIONS = {"full": 4, "fine": 12, "dynamic": 6}
STAGES = (12, 36, 100, 200)  # further evaluations for a face that has not settled, before Newton takes over
TOLERANCE = 2e-2  # N, root mean square residual per vertex that is still an answer
SETTLED = TOLERANCE / 2  # N; a face that was helped is taken this far, or it would soon need help again


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
def machine_of(anatomy: Anatomy, inertia: float = 0.0) -> Machine:
    """The solver's constants of an anatomy; `inertia` is 1/h^2 of a step h in time [1/s2]."""
    metric, order = metric_of(anatomy, inertia)
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
        self.residual, self.rescues = np.zeros(self.lanes, single), np.zeros(2, np.int64)
        self._answered = np.zeros((machine.response.rank, self.lanes), single)
        self._rest = Drives(np.zeros(self.lanes), np.zeros((self.lanes, 2)), np.zeros((self.lanes, 12)))
        self.reset()

    def reset(self, lane: int | None = None) -> None:
        """The stress-free face at neutral, for one lane or all."""
        lanes = slice(None) if lane is None else slice(lane, lane + 1)
        self._view(self._x)[:, :, lanes] = self._machine.anatomy.points[self._machine.order][:, :, None]
        self._memory.scale[:, lanes] = 0.0
        self._answered[:, lanes] = self._machine.response.coefficients(self._rest)[:, lanes]
        self.residual[lanes] = 0.0
        self._loads.jaw[lanes], self._loads.take_up[:, lanes] = 0.0, 0.0
        self._loads.exits[:, :, lanes] = self._machine.anatomy.exits[:, :, None]

    def _view(self, field: Floats) -> Floats:
        """A field as (vertices, 3, L)."""
        return field.reshape(-1, 3, self.lanes)

    def step(self, drives: Drives, evaluations: int) -> None:
        """Moves to new drives, by what is foreseen and then downhill."""
        self._foresee(drives)
        self.descend(evaluations)

    def _foresee(self, drives: Drives) -> None:
        """Sets what pulls, puts the boundary in its place and moves the rest by the known response."""
        machine = self._machine
        self.load(drives)
        answer = machine.response.coefficients(drives)
        change = answer - self._answered
        add_modes(self._x, machine.response.modes, change, machine.free, self._scratch.row)
        self._view(self._x)[machine.free :] = machine.anatomy.boundary(drives)
        self._answered = answer

    def load(self, drives: Drives) -> None:
        """Sets what pulls, without moving anything."""
        anatomy, loads = self._machine.anatomy, self._loads
        loads.jaw[:] = drives.jaw
        loads.take_up[:] = drives.take_up.T
        turn = anatomy.exit_jaw[:, None] * drives.jaw
        loads.exits[:] = turned_many(anatomy.exits, JAW_HINGE[None, 1:], turn)

    def scale_material(self, lane: int, scales: Floats) -> None:
        """Scales one face's constants from now on, (5,) in the order of `MATERIAL`."""
        self._loads.material[:, lane] = scales

    def material(self, lane: int) -> Floats:
        """The scales of one face's constants, (5,)."""
        return self._loads.material[:, lane]

    def shape(self, lane: int) -> Floats:
        """One face's vertices in the anatomy's order, (V, 3) [m]."""
        shape: Floats = self._view(self._x)[self._machine.place, :, lane]
        return shape

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

    def at(self, corners: NDArray[np.intp], shares: Floats) -> Floats:
        """Points within triangles, corners (P, 3) with shares (P, 3), (L, P, 3) [m]."""
        places = np.moveaxis(self._view(self._x)[self._machine.place[corners]], -1, 0).astype(float)
        points: Floats = (shares[:, :, None] * places).sum(2)
        return points

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
        alone, residual = self._alone(lane, drive), np.inf
        self.rescues[0] += 1
        for evaluations in STAGES:
            alone.put(0, alone.points[0])
            alone.descend(evaluations)
            residual = float(alone.residual[0])
            if residual <= SETTLED:
                break
        points = alone.points[0]
        if not residual <= TOLERANCE:
            self.rescues[1] += 1
            points, residual = self._converge(lane, drive)
        self.put(lane, points)
        self.residual[lane] = residual

    def _alone(self, lane: int, drive: Drive) -> Block:
        """One face of this block as a block of its own."""
        alone = Block(self._machine, None, self._loads.material[:, lane : lane + 1])
        alone.load(drive.alone)
        alone.put(0, self.shape(lane))
        return alone

    def _converge(self, lane: int, drive: Drive) -> tuple[Floats, float]:
        anatomy = self._machine.anatomy.scaled(self._loads.material[:, lane])
        start = self.shape(lane).astype(float)
        points, residual, _ = newton.solve(anatomy, start, anatomy.load(drive), TOLERANCE / 10)
        return points, residual

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


class MovingBlock(Block):
    """A block whose skin has mass: a step is cut into the rigid head's steps, by implicit Euler.

    Each step h minimises the energy plus m |x - (x0 + h v0)|^2 / 2 h^2, so that where the face comes to
    rest the two kinds of block agree.
    """

    def __init__(self, anatomy: Anatomy, faces: int | None, material: Floats | None = None) -> None:
        spec = load_spec()
        self._substeps, self._step = spec.substeps, np.float32(spec.physics_dt)
        machine = machine_of(anatomy, 1 / spec.physics_dt**2)
        self._speed = empty(len(machine.order), faces)
        super().__init__(machine, faces, material)
        self._loads = self._loads._replace(carried=empty(len(machine.order), faces))
        self._loads.inertia[:] = 1 / self._step**2

    def reset(self, lane: int | None = None) -> None:
        """The stress-free face at neutral and at rest, for one lane or all."""
        super().reset(lane)
        lanes = slice(None) if lane is None else slice(lane, lane + 1)
        self._view(self._speed)[:, :, lanes] = 0.0
        if lane is None:
            self._drives = self._rest
        for mine, rest in zip(self._drives, self._rest, strict=True):
            mine[lanes] = rest[lanes]

    def step(self, drives: Drives, evaluations: int) -> None:
        """Moves through one control period, the drives going evenly to where they are wanted."""
        begin, end = self._drives, Drives(*(np.array(part, dtype=float) for part in drives))
        for share in np.arange(1, self._substeps + 1) / self._substeps:
            self._advance(
                Drives(*(a + share * (b - a) for a, b in zip(begin, end, strict=True))), evaluations
            )
        self._drives = end

    def _advance(self, drives: Drives, evaluations: int) -> None:
        before = self._x.copy()
        self._loads.carried[:] = before + self._step * self._speed
        self._foresee(drives)
        self.descend(evaluations)
        self._speed[:] = (self._x - before) / self._step

    def _alone(self, lane: int, drive: Drive) -> Block:
        alone = super()._alone(lane, drive)
        alone._loads.inertia[:] = self._loads.inertia[lane]
        carried = np.ascontiguousarray(self._view(self._loads.carried)[:, :, lane]).ravel()
        alone._loads = alone._loads._replace(carried=carried)
        return alone

    def _converge(self, lane: int, drive: Drive) -> tuple[Floats, float]:
        raise PhysicsError(
            f"the moving skin did not settle in a step; {self.residual[lane]:.1e} N are left. "
            "Move more slowly, or use skin='full'."
        )

    def save(self) -> dict[str, Any]:
        """A copy of everything that changes."""
        return {**super().save(), "speed": self._speed.copy(), "drives": self._drives}

    def restore(self, state: dict[str, Any]) -> None:
        """Goes back to a saved state; the next steps repeat bit for bit."""
        super().restore(state)
        self._speed[:], self._drives = state["speed"], state["drives"]


def block_of(anatomy: Anatomy, solver: str, faces: int | None, material: Floats | None = None) -> Block:
    """A block that a solver steps."""
    if solver == "dynamic":
        return MovingBlock(anatomy, faces, material)
    return Block(machine_of(anatomy), faces, material)


def evaluations_of(anatomy: Anatomy, solver: str) -> int:
    """Evaluations in a solve; where nothing is foreseen, they must reach further.

    Raises:
        EvaError: no such solver.
    """
    if solver not in EVALUATIONS:
        known = ", ".join(repr(name) for name in (*EVALUATIONS, "reduced", "reference"))
        raise EvaError(f"skin={solver!r}; choose one of {known}.")
    return EVALUATIONS[solver] * (1 if machine_of(anatomy).response.rank else 5)


def check_drive(drive: Drive | Drives) -> None:
    """Refuses what is no number.

    Raises:
        PhysicsError: a part of the drive is not finite.
    """
    if not all(np.isfinite(part).all() for part in drive):
        raise PhysicsError(f"the skin is driven by what is no number: {drive}.")


def settle(block: Block, drives: Drives) -> dict[int, PhysicsError]:
    """Gives those faces of a block that have not settled more; returns what still fails, by lane."""
    failed = {}
    for lane in np.flatnonzero(~(block.residual <= TOLERANCE)).tolist():
        try:
            block.rescue(lane, drives.face(lane))
        except PhysicsError as error:
            failed[lane] = error
    return failed
