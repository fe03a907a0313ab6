"""The skins of many faces, sixteen to a block, on all cores."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eva_sim.contract import Floats, load_spec
from eva_sim.errors import PhysicsError
from eva_sim.landmarks import load_embedding
from eva_sim.skin.anatomy import Anatomy, Drives
from eva_sim.skin.block import (
    SETTLED,
    STAGES,
    TOLERANCE,
    Block,
    MovingBlock,
    block_of,
    check_drive,
    evaluations_of,
    machine_of,
    settle,
)
from eva_sim.skin.forces import MATERIAL
from eva_sim.skin.lanes import LANES


class Skins:
    """Many faces of one anatomy, LANES at a time, on all cores.

    Args:
        anatomy: the skin's constants.
        faces: how many, N.
        solver: `"full"`, `"fine"` or `"dynamic"`.
        material: scales of the anatomy's constants per face, in the order of `MATERIAL`, (5, N).
        threads: how many to use; None for one per core.

    Attributes:
        faces: N.
        varies_material: whether their materials can be scaled.
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
        self._evaluations = evaluations_of(anatomy, solver)
        scales = np.ones((len(MATERIAL), faces)) if material is None else np.asarray(material)
        self._parts = [slice(first, min(first + LANES, faces)) for first in range(0, faces, LANES)]
        self._blocks = [block_of(anatomy, solver, LANES, _fill(scales[:, part].T).T) for part in self._parts]
        self._pool = ThreadPoolExecutor(threads or os.cpu_count())
        self._corners, self._shares = load_embedding(load_spec())

    def reset(self, face: int | None = None) -> None:
        """The stress-free face at neutral, for one face or all."""
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
            PhysicsError: some faces did not settle. They are named in its `faces` and go back to
                neutral; all others have made their step.
        """
        check_drive(drives)
        list(self._pool.map(self._step_block, self._blocks, self._parts, repeat(drives)))
        if not isinstance(self._blocks[0], MovingBlock):
            self._settle_together(drives)
        found = self._pool.map(self._settle_block, self._blocks, self._parts, repeat(drives))
        failed = {face: error for part in found for face, error in part.items()}
        if failed:
            face, error = next(iter(failed.items()))
            count = f"{len(failed)} of {self.faces} faces did not settle and are back at neutral"
            raise PhysicsError(f"{count}; face {face}: {error}", None, drives, tuple(failed)) from error

    def _step_block(self, block: Block, part: slice, drives: Drives) -> None:
        block.step(_rows(drives, np.arange(part.start, part.stop)), self._evaluations)

    def _settle_together(self, drives: Drives) -> None:
        """Takes the faces that have not settled further, in lanes of their own."""
        lost = np.flatnonzero(~(self.residual <= TOLERANCE))
        for face in lost.tolist():
            self._blocks[face // LANES].rescues[0] += 1
        for evaluations in STAGES:
            groups = [lost[first : first + LANES] for first in range(0, len(lost), LANES)]
            list(self._pool.map(self._take_further, groups, repeat(drives), repeat(evaluations)))
            lost = lost[~(self.residual[lost] <= SETTLED)]

    def _take_further(self, faces: NDArray[np.intp], drives: Drives, evaluations: int) -> None:
        """Up to LANES faces, in a block of their own, so that no other face is touched."""
        homes = [(self._blocks[face // LANES], face % LANES) for face in _fill(faces).tolist()]
        material = np.stack([block.material(lane) for block, lane in homes], axis=1)
        spare = Block(machine_of(self.anatomy), LANES, material)
        spare.load(_rows(drives, faces))
        for lane, (block, there) in enumerate(homes):
            spare.put(lane, block.shape(there))
        spare.descend(evaluations)
        for lane, (block, there) in enumerate(homes[: len(faces)]):
            block.put(there, spare.shape(lane))
            block.residual[there] = spare.residual[lane]

    def _settle_block(self, block: Block, part: slice, drives: Drives) -> dict[int, PhysicsError]:
        failed = settle(block, _rows(drives, np.arange(part.start, part.stop)))
        for lane in failed:
            block.reset(lane)
        return {part.start + lane: error for lane, error in failed.items() if part.start + lane < part.stop}

    def _gather(self, what: str) -> Floats:
        return np.concatenate([getattr(block, what) for block in self._blocks])[: self.faces]

    @property
    def rescues(self) -> NDArray[np.int64]:
        """How often a face took more evaluations than its share, and how often Newton's method, (2,)."""
        return np.sum([block.rescues for block in self._blocks], axis=0)

    @property
    def points(self) -> Floats:
        """Vertices, float32 (N, V, 3) [m]."""
        return self._gather("points")

    @property
    def landmarks(self) -> Floats:
        """Landmark points, (N, P, 3) [m] in the head frame, in the order of `POINTS`."""
        return np.concatenate([block.at(self._corners, self._shares) for block in self._blocks])[: self.faces]

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


def _rows(drives: Drives, faces: NDArray[np.intp]) -> Drives:
    """The drives of up to LANES faces, filled up."""
    return Drives(*(np.asarray(part)[_fill(faces)] for part in drives))


def _fill(rows: NDArray[Any]) -> NDArray[Any]:
    """Rows for all lanes of a block; what is missing repeats the last."""
    return np.concatenate([rows, np.repeat(rows[-1:], LANES - len(rows), axis=0)])
