"""A block: the skin of one face, or of sixteen side by side in lanes, solved together.

A step starts from the last shape, moved by the warm start (`warm_start.py`), and runs a fixed number of
evaluations of the descent (`descent.py`). The residual is always checked. A face that has not settled
gets more evaluations, then Newton's method, and raises an error if that does not converge either.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eva_sim.contract import Floats
from eva_sim.errors import EvaError, PhysicsError, known_names
from eva_sim.skin import newton
from eva_sim.skin.anatomy import Anatomy, Drive, Drives
from eva_sim.skin.descent import (
    MEMORY,
    Problem,
    Scratch,
    borrow_scratch,
    descend,
    empty_memory,
)
from eva_sim.skin.element_arrays import MATERIAL, Elements, Loads, build_elements
from eva_sim.skin.forces import cable_directions
from eva_sim.skin.ground import Turning, turn_points
from eva_sim.skin.lanes import embed_field, empty_field
from eva_sim.skin.preconditioner import Preconditioner, make_preconditioner
from eva_sim.skin.warm_start import WarmStart, load_warm_start

#: Evaluations of energy and force in a solve, by the solver's name; "reference" is Newton's method.
EVALUATIONS = {"full": 3, "fine": 12, "dynamic": 6}
STAGES = (12, 36, 100, 200)  # further evaluations for a face that has not settled, before Newton's method
# Without a learned map to start from, the drives change in so many parts, with `EVALUATIONS` in each.
PARTS = 7
TOLERANCE = 2e-2  # N, largest root mean square residual per vertex that is accepted
SETTLED = TOLERANCE / 2  # N; extra evaluations go this far, or the face would soon need them again


@dataclass(frozen=True)
class SolverContext:
    """Constants that all faces of one anatomy share; made once.

    Attributes:
        anatomy: the skin.
        preconditioner: approximate second derivative, factored.
        order: the anatomy's vertices in the solver's order, (V,); the free ones come first.
        position: inverse of `order`: each vertex's position in it, (V,).
        free: number of free vertices.
        tube_openings: how the openings of the Bowden tubes turn with the jaw.
        single_elements, lane_elements: the anatomy's elements for one face and for LANES faces.
        warm_start: prediction of how the skin moves with the drives.
    """

    anatomy: Anatomy
    preconditioner: Preconditioner
    order: NDArray[np.intp]
    position: NDArray[np.intp]
    free: int
    tube_openings: Turning
    single_elements: Elements
    lane_elements: Elements
    warm_start: WarmStart

    @property
    def parts(self) -> int:
        """Number of parts in which the drives change in a step."""
        return 1 if self.warm_start.rank else PARTS


@lru_cache(maxsize=4)
def solver_context(anatomy: Anatomy, inertia: float = 0.0) -> SolverContext:
    """Returns the solver's constants of an anatomy; `inertia` is 1/h^2 for a time step h [1/s2]."""
    preconditioner, order = make_preconditioner(anatomy, inertia)
    return SolverContext(
        anatomy, preconditioner, order, np.argsort(order), len(anatomy.free), anatomy.tube_openings,
        build_elements(anatomy, order, lanes=False), build_elements(anatomy, order, lanes=True),
        load_warm_start(anatomy, order),
    )  # fmt: skip


class Block:
    """One face, or LANES faces in lanes, with everything that changes from step to step.

    Args:
        context: the solver's constants.
        faces: None for one face, LANES for that many.
        material: scales of the anatomy's constants per face, in the order of `MATERIAL`, (5, L).
        pairs: number of steps that L-BFGS remembers.

    Attributes:
        lanes: number of faces, L.
        residual: root mean square force left on a free vertex, (L,) [N].
        extra_solves: number of times that a face took extra evaluations, and Newton's method, (2,).
    """

    def __init__(
        self, context: SolverContext, faces: int | None, material: Floats | None = None, pairs: int = MEMORY
    ) -> None:
        self._context, self._faces = context, faces
        self.lanes, vertices = faces or 1, len(context.order)
        self._elements = context.lane_elements if faces else context.single_elements
        self._x, self._memory = empty_field(vertices, faces), empty_memory(context.free, faces, pairs)
        single, cables = np.float32, len(context.anatomy.exits)
        scales = np.ones((len(MATERIAL), self.lanes)) if material is None else material
        self._loads = Loads(
            np.zeros(self.lanes, single), np.zeros((cables, 3, self.lanes), single),
            np.zeros((cables, self.lanes), single), np.ascontiguousarray(scales, single),
            np.zeros(self.lanes, single), self._x,
        )  # fmt: skip
        self.residual, self.extra_solves = np.zeros(self.lanes, single), np.zeros(2, np.int64)
        self._coefficients = np.zeros((context.warm_start.rank, self.lanes), single)
        self._rest = Drives(np.zeros(self.lanes), np.zeros((self.lanes, 2)), np.zeros((self.lanes, cables)))
        self.reset()

    def reset(self, lane: int | None = None) -> None:
        """Puts one lane, or all, at the stress-free face at neutral."""
        lanes = slice(None) if lane is None else slice(lane, lane + 1)
        anatomy, order = self._context.anatomy, self._context.order
        self._view(self._x)[:, :, lanes] = anatomy.points[order][:, :, None]
        self._memory.scale[:, lanes] = 0.0
        self._coefficients[:, lanes] = self._context.warm_start.coefficients(self._rest)[:, lanes]
        self.residual[lanes] = 0.0
        shared = self._rest if lane is None else self._drives  # with a saved state
        self._drives: Drives = Drives(*(np.array(part) for part in shared))
        for own, rest in zip(self._drives, self._rest, strict=True):
            own[lanes] = rest[lanes]
        self._loads.jaw[lanes], self._loads.take_up[:, lanes] = 0.0, 0.0
        self._loads.exits[:, :, lanes] = anatomy.exits[:, :, None]

    @property
    def _scratch(self) -> Scratch:
        """Buffers of the calling thread."""
        return borrow_scratch(len(self._context.order), self._faces)

    def _view(self, field: Floats) -> Floats:
        """Returns a field as (vertices, 3, L)."""
        return field.reshape(-1, 3, self.lanes)

    def step(self, drives: Drives, evaluations: int) -> None:
        """Moves to new drives: first by the warm start, then by the descent.

        Args:
            drives: of all lanes.
            evaluations: of energy and force, shared by all parts of the step.
        """
        parts = self._context.parts
        for between in intermediate_drives(self._drives, drives, parts):
            self._apply_warm_start(between)
            self.descend(max(1, evaluations // parts))
            self._drives = between

    def _apply_warm_start(self, drives: Drives) -> None:
        """Sets the loads and the prescribed vertices, and moves the free ones by the warm start."""
        context = self._context
        self.set_loads(drives)
        columns = drives.drive_columns
        context.warm_start.move_vertices(self._x, columns, self._coefficients)
        turn_points(context.anatomy.prescribed, columns[:3], self._view(self._x)[context.free :])

    def set_loads(self, drives: Drives) -> None:
        """Sets the loads without moving any vertex."""
        loads, columns = self._loads, drives.drive_columns
        loads.jaw[:] = columns[0]
        loads.take_up[:] = columns[3:]
        turn_points(self._context.tube_openings, columns[:3], loads.exits)

    def scale_material(self, lane: int, scales: Floats) -> None:
        """Scales one face's constants from now on, (5,) in the order of `MATERIAL`."""
        self._loads.material[:, lane] = scales

    def material(self, lane: int) -> Floats:
        """The scales of one face's constants, (5,)."""
        return self._loads.material[:, lane]

    def shape(self, lane: int) -> Floats:
        """One face's vertices in the anatomy's order, (V, 3) [m]."""
        shape: Floats = self._view(self._x)[self._context.position, :, lane]
        return shape

    def set_shape(self, lane: int, points: Floats) -> None:
        """Replaces one face's vertices, (V, 3) [m], and forgets its pairs of L-BFGS."""
        self._view(self._x)[:, :, lane] = points[self._context.order]
        self._memory.scale[:, lane] = 0.0

    def descend(self, evaluations: int) -> None:
        """Runs the descent under the present loads; sets `residual`."""
        context = self._context
        problem = Problem(context.free, self._elements, self._loads, context.preconditioner)
        descend(self._x, problem, self._memory, self._scratch, evaluations, self.residual)

    @property
    def points(self) -> Floats:
        """Vertices in the anatomy's order, (L, V, 3) [m]."""
        points: Floats = np.moveaxis(self._view(self._x)[self._context.position], 2, 0)
        return points

    def embedded_points(self, corners: NDArray[np.intp], shares: Floats) -> Floats:
        """Points within triangles, (L, P, 3) [m], from corners (P, 3) and barycentric shares (P, 3)."""
        points = np.empty((self.lanes, len(corners), 3))
        embed_field(self._x, self._context.position[corners], shares, points)
        return points

    @property
    def tension(self) -> Floats:
        """Tension of each cable, (L, C) [N]."""
        cables = len(self._context.anatomy.exits)
        directions = np.empty((cables, 3, self.lanes), np.float32)
        tension = np.empty((cables, self.lanes), np.float32)
        cable_directions(self._x, self._elements, self._loads, directions, tension)
        return tension.T

    def resolve(self, lane: int, drive: Drive) -> None:
        """Solves one face again from its present shape: more evaluations, then Newton's method.

        Raises:
            PhysicsError: it does not settle.
        """
        single, residual = self._single_block(lane, drive), np.inf
        self.extra_solves[0] += 1
        for evaluations in STAGES:
            single.set_shape(0, single.points[0])
            single.descend(evaluations)
            residual = float(single.residual[0])
            if residual <= SETTLED:
                break
        points = single.points[0]
        if not residual <= TOLERANCE:
            self.extra_solves[1] += 1
            points, residual = self._solve_by_newton(lane, drive)
        self.set_shape(lane, points)
        self.residual[lane] = residual

    def _single_block(self, lane: int, drive: Drive) -> Block:
        """Returns a copy of one lane as a block of one face."""
        single = Block(self._context, None, self._loads.material[:, lane : lane + 1])
        single.set_loads(drive.as_batch)
        single.set_shape(0, self.shape(lane))
        return single

    def _solve_by_newton(self, lane: int, drive: Drive) -> tuple[Floats, float]:
        anatomy = self._context.anatomy.scaled(self._loads.material[:, lane])
        start = self.shape(lane).astype(float)
        points, residual, _ = newton.solve_equilibrium(anatomy, start, anatomy.load(drive), TOLERANCE / 10)
        return points, residual

    def save(self) -> dict[str, Any]:
        """Returns a copy of everything that changes."""
        memory = [part.copy() for part in self._memory]
        return {"x": self._x.copy(), "memory": memory, "coefficients": self._coefficients.copy(),
                "residual": self.residual.copy(),
                "drives": self._drives, "loads": [part.copy() for part in self._loads[:3]]}  # fmt: skip

    def restore(self, state: dict[str, Any]) -> None:
        """Goes back to a saved state; the next steps repeat bit for bit."""
        self._x[:] = state["x"]
        self._coefficients[:], self.residual[:] = state["coefficients"], state["residual"]
        self._drives = state["drives"]
        for own, saved in zip(
            [*self._memory, *self._loads[:3]], [*state["memory"], *state["loads"]], strict=True
        ):
            own[:] = saved

    def restore_lane(self, state: dict[str, Any], lane: int) -> None:
        """Puts one lane back to a saved state of the block; its next steps repeat bit for bit."""
        self._view(self._x)[:, :, lane] = self._view(state["x"])[:, :, lane]
        self.residual[lane] = state["residual"][lane]
        # Drives are replaced in each step, so a saved state may share them.
        self._coefficients[:, lane] = state["coefficients"][:, lane]
        self._drives = Drives(*(np.array(part) for part in self._drives))
        for own, saved in zip(self._drives, state["drives"], strict=True):
            own[lane] = saved[lane]
        for own, saved in zip(self._loads[:3], state["loads"], strict=True):
            own[..., lane] = saved[..., lane]
        # All lanes write their pairs at one place, which has moved on since; the age of a pair counts.
        *fields, head = self._memory
        size, moved_on = len(self._memory.scale), int(head[0] - state["memory"][-1][0])
        for own, saved in zip(fields, state["memory"], strict=False):
            old = saved.reshape(size, -1, self.lanes)[..., lane]
            own.reshape(size, -1, self.lanes)[..., lane] = np.roll(old, moved_on, axis=0)


class MovingBlock(Block):
    """A block whose skin has mass. A step is divided into the rigid head's steps, by implicit Euler.

    Each step h minimises the energy plus m |x - (x0 + h v0)|^2 / 2 h^2, so both kinds of block have the
    same equilibria.
    """

    def __init__(self, anatomy: Anatomy, faces: int | None, material: Floats | None = None) -> None:
        spec = anatomy.spec
        self._substeps, self._step = spec.substeps, np.float32(spec.physics_dt)
        context = solver_context(anatomy, 1 / spec.physics_dt**2)
        self._velocity = empty_field(len(context.order), faces)
        super().__init__(context, faces, material)
        self._loads = self._loads._replace(carried=empty_field(len(context.order), faces))
        self._loads.inertia[:] = 1 / self._step**2

    def reset(self, lane: int | None = None) -> None:
        """Puts one lane, or all, at the stress-free face at neutral, without velocity."""
        super().reset(lane)
        lanes = slice(None) if lane is None else slice(lane, lane + 1)
        self._view(self._velocity)[:, :, lanes] = 0.0

    def step(self, drives: Drives, evaluations: int) -> None:
        """Moves through one control period, in which the drives change linearly."""
        for between in intermediate_drives(self._drives, drives, self._substeps):
            before = self._x.copy()
            self._loads.carried[:] = before + self._step * self._velocity
            super().step(between, evaluations)
            self._velocity[:] = (self._x - before) / self._step

    def _single_block(self, lane: int, drive: Drive) -> Block:
        single = super()._single_block(lane, drive)
        single._loads.inertia[:] = self._loads.inertia[lane]
        carried = np.ascontiguousarray(self._view(self._loads.carried)[:, :, lane]).ravel()
        single._loads = single._loads._replace(carried=carried)
        return single

    def _solve_by_newton(self, lane: int, drive: Drive) -> tuple[Floats, float]:
        raise PhysicsError(
            f"the moving skin did not settle in a step; {self.residual[lane]:.1e} N are left. "
            "Move more slowly, or use skin='full'."
        )

    def save(self) -> dict[str, Any]:
        """Returns a copy of everything that changes."""
        return {**super().save(), "velocity": self._velocity.copy()}

    def restore(self, state: dict[str, Any]) -> None:
        """Goes back to a saved state; the next steps repeat bit for bit."""
        super().restore(state)
        self._velocity[:] = state["velocity"]

    def restore_lane(self, state: dict[str, Any], lane: int) -> None:
        """Puts one lane back to a saved state of the block; its next steps repeat bit for bit."""
        super().restore_lane(state, lane)
        self._view(self._velocity)[:, :, lane] = self._view(state["velocity"])[:, :, lane]


def make_block(anatomy: Anatomy, solver: str, faces: int | None, material: Floats | None = None) -> Block:
    """Makes a block by the name of its solver."""
    if solver == "dynamic":
        return MovingBlock(anatomy, faces, material)
    # A solve needs the pairs of its own steps; older ones cost memory traffic and save no evaluations.
    return Block(solver_context(anatomy), faces, material, min(MEMORY, EVALUATIONS[solver] - 1))


def solver_evaluations(anatomy: Anatomy, solver: str) -> int:
    """Returns the evaluations of a solve, in all parts of it.

    Raises:
        EvaError: no such solver.
    """
    if solver not in EVALUATIONS:
        known = known_names(solver, (*EVALUATIONS, "reduced", "reference"))
        raise EvaError(f"no skin called {solver!r}; {known}.")
    return EVALUATIONS[solver] * solver_context(anatomy).parts


def intermediate_drives(start: Drives, end: Drives, parts: int) -> Iterator[Drives]:
    """Yields the drives after each of a number of equal parts of the way; the last are those at the end."""
    for share in np.arange(1, parts + 1) / parts:
        yield Drives(*((1 - share) * a + share * np.asarray(b) for a, b in zip(start, end, strict=True)))


def check_drive(drive: Drive | Drives) -> None:
    """Checks that a drive is finite.

    Raises:
        PhysicsError: it is not.
    """
    if not all(np.isfinite(part).all() for part in drive):
        raise PhysicsError(f"the skin's drive is not finite: {drive}; reset the face.")


def resolve_unsettled(block: Block, drives: Drives) -> dict[int, PhysicsError]:
    """Solves the faces of a block that have not settled again; returns the errors by lane."""
    failed = {}
    for lane in np.flatnonzero(~(block.residual <= TOLERANCE)).tolist():
        try:
            block.resolve(lane, drives.face(lane))
        except PhysicsError as error:
            failed[lane] = error
    return failed
