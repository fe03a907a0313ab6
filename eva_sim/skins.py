"""Many skins as training needs them: a material per face, faults face by face, landmarks only."""

from __future__ import annotations

from itertools import repeat
from typing import Any

import numpy as np

from eva_sim.contract import Floats
from eva_sim.errors import EvaError
from eva_sim.landmarks import embedding
from eva_sim.skin.anatomy import Drive, Drives, load_anatomy
from eva_sim.skin.lanes import LANES
from eva_sim.skin.solver import TOLERANCE, Block, Reference, Skin, Skins, check_drive, machine_of

#: Evaluations for faces that need more, between looks at who has settled: most soon have.
STAGES = (8, 24, 48, 160)
UNSETTLED = "the skin did not settle; the face was reset"


ONE_MATERIAL = "the reduced skin knows one material only; use skin='full'."


def takes_material(skin: Any) -> bool:
    """Whether the constants of a skin, or of each of many, can be scaled."""
    return isinstance(skin, Skin | Reference | LanedSkins)


def scale_material(skin: Any, scales: Floats) -> None:
    """Scales the constants of one face's skin from now on, (5,) in the order of `forces.MATERIAL`.

    Raises:
        EvaError: the skin has one material only.
    """
    if isinstance(skin, Reference):
        skin.anatomy = load_anatomy().scaled(scales)
    elif isinstance(skin, Skin):
        skin._block._loads.material[:, 0] = scales
    elif (scales != 1).any():
        raise EvaError(ONE_MATERIAL)


def rest(skin: Any) -> None:
    """Resets one face's skin and what pulls it, which `Skin.reset` leaves, and with it the tension."""
    skin.reset()
    if isinstance(skin, Skin):
        skin._block.load(Drive(0.0, np.zeros(2), np.zeros(12)).alone)
        skin._take()


def open_skins(skin: str, faces: int) -> Any:
    """The skins of N faces: `"full"`, `"fine"` or `"reduced"`.

    Raises:
        EvaError: no such skin.
    """
    if skin == "dynamic":
        raise EvaError("skin='dynamic' is for one face; many take 'full', 'fine' or 'reduced'.")
    if skin != "reduced":
        return LanedSkins(load_anatomy(), faces, skin)
    try:
        from eva_sim.skin.reduced import ReducedSkins  # type: ignore[import-not-found, unused-ignore]
    except ModuleNotFoundError as error:
        if error.name != "eva_sim.skin.reduced":
            raise
        raise EvaError("skin='reduced' is not in this version yet; use skin='full'.") from error
    return ReducedSkins(load_anatomy(), faces)


def step_each(skins: Any, drives: Drives) -> dict[int, str]:
    """Moves all skins.

    Returns:
        What is wrong with the faces that did not settle; these are stress-free at neutral again.
    """
    if isinstance(skins, LanedSkins):
        return skins.step_each(drives)
    skins.step(drives)
    lost = np.flatnonzero(~np.isfinite(skins.landmarks).all((1, 2))).tolist()
    for face in lost:
        skins.reset(face)
    return dict.fromkeys(lost, UNSETTLED)


class LanedSkins(Skins):
    """`Skins` of which one may fail without the others.

    A face that the usual evaluations leave unsettled gets more, side by side with others in need and
    only until it has settled, because all the others wait. For that reason Newton's method, seconds
    long, is left out.

    Attributes:
        rescued: face-steps so far that needed more.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.rescued = 0
        self._corners, self._shares = embedding()
        self._place = machine_of(self.anatomy).place[self._corners]

    @property
    def landmarks(self) -> Floats:
        """Landmark points on the skins, (N, 150, 3) [m]."""
        seen = [np.moveaxis(block._view(block._x)[self._place], -1, 0) for block in self._blocks]
        corners = np.concatenate(seen)[: self.faces].astype(float)
        points: Floats = (self._shares[:, :, None] * corners).sum(2)
        return points

    def reset(self, face: int | None = None) -> None:
        """The stress-free face at neutral, with nothing pulling, for one face or all."""
        super().reset(face)
        for each in range(self.faces) if face is None else (face,):
            loads, lane = self._loads_of(each), each % LANES
            loads.jaw[lane], loads.take_up[:, lane] = 0.0, 0.0
            loads.exits[:, :, lane] = self.anatomy.exits

    def scale_material(self, face: int, scales: Floats) -> None:
        """Scales one face's constants from now on, (5,) in the order of `forces.MATERIAL`."""
        self._loads_of(face).material[:, face % LANES] = scales

    def step_each(self, drives: Drives) -> dict[int, str]:
        """As the function `step_each`."""
        check_drive(drives)
        list(self._pool.map(self._advance, self._blocks, self._parts, repeat(drives)))
        lost = self._unsettled()
        self.rescued += len(lost)
        for evaluations in STAGES:
            groups = [lost[first : first + LANES] for first in range(0, len(lost), LANES)]
            list(self._pool.map(self._rescue, groups, repeat(drives), repeat(evaluations)))
            # Well inside the tolerance, or the next step would be back here.
            lost = lost[~(self.residual[lost] <= TOLERANCE / 4)]
        left = self._unsettled().tolist()
        for face in left:
            self.reset(face)
        return dict.fromkeys(left, UNSETTLED)

    def _advance(self, block: Block, part: slice, drives: Drives) -> None:
        block.step(_rows(drives, np.arange(part.start, part.stop)), self._evaluations)

    def _unsettled(self) -> np.ndarray:
        return np.flatnonzero(~(self.residual <= TOLERANCE))

    def _rescue(self, faces: np.ndarray, drives: Drives, evaluations: int) -> None:
        """Takes up to LANES faces further in a block of their own, so that no other face is touched."""
        machine, lanes = machine_of(self.anatomy), _fill(faces)
        material = [self._loads_of(face).material[:, face % LANES] for face in lanes]
        spare = Block(machine, LANES, np.stack(material, axis=1))
        spare.load(_rows(drives, faces))
        for lane, face in enumerate(lanes):
            block = self._blocks[face // LANES]
            spare.put(lane, block._view(block._x)[machine.place, :, face % LANES])
        spare.descend(evaluations)
        for lane, (face, points) in enumerate(zip(faces, spare.points, strict=False)):
            block = self._blocks[face // LANES]
            block.put(face % LANES, points)
            block.residual[face % LANES] = spare.residual[lane]

    def _loads_of(self, face: int) -> Any:
        return self._blocks[face // LANES]._loads


def _fill(faces: np.ndarray) -> np.ndarray:
    """Faces for all lanes of a block; what is missing repeats the last."""
    return np.concatenate([faces, np.repeat(faces[-1:], LANES - len(faces))])


def _rows(drives: Drives, faces: np.ndarray) -> Drives:
    return Drives(*(np.asarray(value)[_fill(faces)] for value in drives))
