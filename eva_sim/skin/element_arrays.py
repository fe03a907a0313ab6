"""The anatomy and its loads as arrays in single precision, as `forces.py` reads them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eva_sim.contract import Floats
from eva_sim.skin.anatomy import Anatomy
from eva_sim.skin.lane_instructions import LANES

#: Constants of the anatomy that can be scaled per face, in the order of every array of scales.
MATERIAL = ("membrane", "bending", "attachment", "ground", "cable")


class Elements(NamedTuple):
    """The anatomy in single precision, vertices in the solver's order (free ones first).

    For many faces each row is an element. For one face, LANES elements lie side by side, as
    (groups, columns, LANES); the last group is filled up with elements of zero weight.

    Attributes:
        triangles, membrane: corners (F, 3); inverse edge matrix and weight (F, 4).
        hinges, bending: corners (H, 4); sine and cosine of the rest angle and stiffness (H, 3).
        ground: jaw share, rest, tether, backing, contact, gap, slope, curvature, (V, 17).
        inertia: each vertex's mass [kg], (V,).
        lips, lip_gap: pairs (P, 2), gap at rest (P, 3) [m].
        lip_contact, lip_thread, lip_yields: as in `cables_and_lips.Lips`.
        start, vertex, weight, length, stiffness: the cables, as in `cables_and_lips.Cables`.
    """

    triangles: NDArray[np.uint32]
    membrane: Floats
    hinges: NDArray[np.uint32]
    bending: Floats
    ground: Floats
    inertia: Floats
    lips: NDArray[np.int64]
    lip_gap: Floats
    lip_contact: np.float32
    lip_thread: np.float32
    lip_yields: Floats
    start: NDArray[np.int64]
    vertex: NDArray[np.int64]
    weight: Floats
    length: Floats
    stiffness: np.float32


class Loads(NamedTuple):
    """Loads of L faces; the last axis is the face.

    Attributes:
        jaw: opening, (L,) [rad].
        exits: openings of the Bowden tubes, (C, 3, L) [m].
        take_up: length of each cable taken in, (C, L) [m].
        material: scales in the order of `MATERIAL`, (5, L).
        inertia: 1/h^2 for a time step h; zero for a skin without mass, (L,) [1/s2].
        carried: field of the positions to which inertia alone would carry the vertices; read only if
            `inertia` is not zero.
    """

    jaw: Floats
    exits: Floats
    take_up: Floats
    material: Floats
    inertia: Floats
    carried: Floats


def build_elements(anatomy: Anatomy, order: NDArray[np.intp], lanes: bool) -> Elements:
    """Arranges the anatomy for `evaluate`.

    Args:
        anatomy: the skin.
        order: its vertices in the solver's order.
        lanes: for LANES faces, instead of one.
    """
    position = np.argsort(order)
    shell, ground, cables = anatomy.shell, anatomy.ground, anatomy.cables
    constants = np.column_stack(
        [ground.jaw, ground.rest, ground.tether, ground.backing, ground.contact, ground.gap,
         ground.slope, ground.curvature]
    )[order]  # fmt: skip
    arrange = _rows if lanes else _groups
    membrane = np.column_stack([shell.inverse, shell.membrane])
    triangles, membrane = arrange(position[shell.triangles], membrane)
    hinges, bending = arrange(position[shell.hinges], np.column_stack([shell.rest, shell.bending]))
    single = np.float32
    return Elements(
        triangles, membrane, hinges, bending,
        constants.astype(single) if lanes else _groups(np.zeros((len(constants), 1), int), constants)[1],
        anatomy.mass[order].astype(single),
        position[anatomy.lips.pairs], anatomy.lips.gap.astype(single),
        single(anatomy.lips.contact), single(anatomy.lips.thread), anatomy.lips.yields.astype(single),
        cables.start, position[cables.vertex], cables.weight.astype(single), cables.length.astype(single),
        single(cables.stiffness),
    )  # fmt: skip


def _rows(corners: NDArray, constants: Floats) -> tuple[NDArray[np.uint32], Floats]:
    return corners.astype(np.uint32), constants.astype(np.float32)


def _groups(corners: NDArray, constants: Floats) -> tuple[NDArray[np.uint32], Floats]:
    """Puts LANES elements side by side; the last column, a weight, is zero in those that only fill up."""
    missing = -len(corners) % LANES
    filled = np.concatenate([corners, np.repeat(corners[-1:], missing, axis=0)])
    numbers = np.concatenate([constants, np.repeat(constants[-1:], missing, axis=0)])
    numbers[len(constants) :, -1] = 0.0
    shape = (-1, LANES)
    return (
        np.ascontiguousarray(filled.reshape(*shape, corners.shape[1]).transpose(0, 2, 1)).astype(np.uint32),
        np.ascontiguousarray(numbers.reshape(*shape, numbers.shape[1]).transpose(0, 2, 1)).astype(np.float32),
    )
