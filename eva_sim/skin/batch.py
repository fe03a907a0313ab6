"""The skins of many faces, solved in blocks of sixteen lanes, on all cores."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eva_sim.contract import Floats
from eva_sim.errors import PhysicsError
from eva_sim.forks import ForkMark
from eva_sim.landmarks import load_embedding
from eva_sim.skin.anatomy import Anatomy, Drives
from eva_sim.skin.block import (
    SETTLED,
    STAGES,
    TOLERANCE,
    Block,
    MovingBlock,
    check_drive,
    make_block,
    resolve_unsettled,
    solver_context,
    solver_evaluations,
)
from eva_sim.skin.element_arrays import MATERIAL
from eva_sim.skin.lane_instructions import LANES


class Skins:
    """A `BatchSkinSolver` that solves LANES faces at a time, on all cores.

    Args:
        anatomy: the skin's constants.
        faces: number of faces, N.
        solver: `"full"`, `"fine"` or `"dynamic"`.
        material: scales of the anatomy's constants per face, in the order of `MATERIAL`, (5, N).
        threads: number of threads; None for one per core.

    Attributes:
        varies_material: True; every face may have a material of its own.
    """

    varies_material = True

    def __init__(
        self,
        anatomy: Anatomy,
        faces: int,
        solver: str = "full",
        material: Floats | None = None,
        threads: int | None = None,
    ) -> None:
        self.anatomy, self.faces = anatomy, faces
        self._evaluations = solver_evaluations(anatomy, solver)
        scales = np.ones((len(MATERIAL), faces)) if material is None else np.asarray(material)
        self._parts = [slice(first, min(first + LANES, faces)) for first in range(0, faces, LANES)]
        per_block = [_fill(scales[:, part].T).T for part in self._parts]
        self._blocks = [make_block(anatomy, solver, LANES, block_scales) for block_scales in per_block]
        self._threads = threads or os.cpu_count()
        self._open_pool()
        self._corners, self._shares = load_embedding(anatomy.spec)

    def _open_pool(self) -> None:
        self._pool, self._pool_made = ThreadPoolExecutor(self._threads), ForkMark()

    def reset(self, face: int | None = None) -> None:
        """Puts one face, or all, at the stress-free face at neutral."""
        if face is not None:
            self._blocks[face // LANES].reset(face % LANES)
            return
        for block in self._blocks:
            block.reset()

    def scale_material(self, face: int, scales: Floats) -> None:
        """Scales one face's constants from now on, (5,) in the order of `MATERIAL`."""
        self._blocks[face // LANES].scale_material(face % LANES, scales)

    def step(self, drives: Drives) -> None:
        """Finds every face's equilibrium near its last shape.

        Raises:
            PhysicsError: a drive is not finite; or some faces did not settle. The error's `faces` names
                those; they are back at neutral, and all other faces have made their step.
        """
        check_drive(drives)
        if self._pool_made.crossed:  # a forked child has none of its parent's threads
            self._open_pool()
        list(self._pool.map(self._step_block, self._blocks, self._parts, repeat(drives)))
        if not isinstance(self._blocks[0], MovingBlock):
            self._resolve_in_lanes(drives)
        failed = self._resolve_one_by_one(drives)
        if failed:
            face, error = next(iter(failed.items()))
            count = f"{len(failed)} of {self.faces} faces did not settle and are back at neutral"
            raise PhysicsError(f"{count}; face {face}: {error}", None, drives, tuple(failed)) from error

    def _step_block(self, block: Block, part: slice, drives: Drives) -> None:
        block.step(_rows(drives, np.arange(part.start, part.stop)), self._evaluations)

    def _resolve_in_lanes(self, drives: Drives) -> None:
        """Gives the faces that have not settled extra evaluations, together in blocks of their own."""
        unsettled = np.flatnonzero(~(self.residual <= TOLERANCE))
        for face in unsettled.tolist():
            self._blocks[face // LANES].extra_solves[0] += 1
        for evaluations in STAGES:
            groups = [unsettled[first : first + LANES] for first in range(0, len(unsettled), LANES)]
            list(self._pool.map(self._descend_further, groups, repeat(drives), repeat(evaluations)))
            unsettled = unsettled[~(self.residual[unsettled] <= SETTLED)]

    def _descend_further(self, faces: NDArray[np.intp], drives: Drives, evaluations: int) -> None:
        """Runs more evaluations on up to LANES faces, in a temporary block: no other face is touched."""
        sources = [(self._blocks[face // LANES], face % LANES) for face in _fill(faces).tolist()]
        material = np.stack([block.material(lane) for block, lane in sources], axis=1)
        temporary = Block(solver_context(self.anatomy), LANES, material)
        temporary.set_loads(_rows(drives, faces))
        for lane, (block, source_lane) in enumerate(sources):
            temporary.set_shape(lane, block.shape(source_lane))
        temporary.descend(evaluations)
        for lane, (block, source_lane) in enumerate(sources[: len(faces)]):
            block.set_shape(source_lane, temporary.shape(lane))
            block.residual[source_lane] = temporary.residual[lane]

    def _resolve_one_by_one(self, drives: Drives) -> dict[int, PhysicsError]:
        """Solves the faces that have still not settled by themselves; returns the errors by face."""
        if (self.residual <= TOLERANCE).all():
            return {}
        errors = self._pool.map(self._resolve_block, self._blocks, self._parts, repeat(drives))
        return {face: error for part in errors for face, error in part.items()}

    def _resolve_block(self, block: Block, part: slice, drives: Drives) -> dict[int, PhysicsError]:
        failed = resolve_unsettled(block, _rows(drives, np.arange(part.start, part.stop)))
        for lane in failed:
            block.reset(lane)
        return {part.start + lane: error for lane, error in failed.items() if part.start + lane < part.stop}

    def _gather(self, name: str) -> Floats:
        return np.concatenate([getattr(block, name) for block in self._blocks])[: self.faces]

    @property
    def extra_solves(self) -> NDArray[np.int64]:
        """Number of times that a face took extra evaluations, and Newton's method, (2,)."""
        return np.sum([block.extra_solves for block in self._blocks], axis=0)

    @property
    def points(self) -> Floats:
        """Vertices, float32 (N, V, 3) [m]."""
        return self._gather("points")

    @property
    def landmarks(self) -> Floats:
        """Landmark points, (N, P, 3) [m] in the head frame, in the order of `POINTS`."""
        points = [block.embedded_points(self._corners, self._shares) for block in self._blocks]
        return np.concatenate(points)[: self.faces]

    @property
    def tension(self) -> Floats:
        """Tensions of the cables, (N, C) [N]."""
        return self._gather("tension")

    @property
    def residual(self) -> Floats:
        """Root mean square force left on a free vertex by the last solve, (N,) [N]."""
        return self._gather("residual")

    def save(self) -> list[dict[str, Any]]:
        """Returns a copy of everything that changes."""
        return [block.save() for block in self._blocks]

    def restore(self, state: list[dict[str, Any]], faces: Sequence[int] | None = None) -> None:
        """Puts some faces, or all, back to a saved state; their next steps repeat bit for bit."""
        if faces is not None:
            for face in faces:
                self._blocks[face // LANES].restore_lane(state[face // LANES], face % LANES)
            return
        for block, saved in zip(self._blocks, state, strict=True):
            block.restore(saved)

    def close(self) -> None:
        """Ends the threads."""
        self._pool.shutdown()


def _rows(drives: Drives, faces: NDArray[np.intp]) -> Drives:
    """Returns the drives of up to LANES faces, filled up to LANES."""
    return Drives(*(np.asarray(part)[_fill(faces)] for part in drives))


def _fill(rows: NDArray[Any]) -> NDArray[Any]:
    """Fills rows up to LANES with copies of the last."""
    return np.concatenate([rows, np.repeat(rows[-1:], LANES - len(rows), axis=0)])
