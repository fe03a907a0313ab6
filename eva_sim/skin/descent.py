"""The quasi-Newton descent that both the single face and the lanes run.

L-BFGS (Nocedal, Math. Comp. 35, 1980) with a constant initial matrix (`preconditioner.py`), which taut
cables enter by the inversion lemma of Woodbury. The pairs of L-BFGS are kept from step to step. Every face
takes the same number of evaluations, whatever its neighbours do, so results do not depend on them.
"""

from __future__ import annotations

import threading
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eva_sim.contract import Floats
from eva_sim.skin.element_arrays import Elements, Loads
from eva_sim.skin.energy import compiled
from eva_sim.skin.forces import cable_directions, evaluate
from eva_sim.skin.lane_instructions import LANES, PANEL, ROW
from eva_sim.skin.lanes import (
    add_outer,
    add_scaled,
    clear,
    copy,
    dot,
    empty_field,
    scale,
    set_change,
    set_step,
    width,
)
from eva_sim.skin.preconditioner import Preconditioner, substitute

MEMORY = 4  # pairs of L-BFGS, at most
ARMIJO = 1e-4  # share of the decrease predicted by the slope that a step must reach


class Memory(NamedTuple):
    """The pairs of L-BFGS: steps, and the changes of force over them.

    Attributes:
        steps, changes: fields of M * F vertices, for M pairs.
        scale: one over the product of each pair, (M, L); zero for a pair that is not used.
        head: index of the pair to be written next, (1,).
    """

    steps: Floats
    changes: Floats
    scale: Floats
    head: NDArray[np.int64]


class Scratch(NamedTuple):
    """Buffers, so that no step allocates: fields of V vertices, and two rows. Nothing is kept in them."""

    force: Floats
    trial: Floats
    trial_force: Floats
    direction: Floats
    rows: Floats


class Problem(NamedTuple):
    """The energy to minimise.

    Attributes:
        free: number of free vertices F, the first in the solver's order.
        elements: the anatomy.
        loads: the faces' drives and materials.
        preconditioner: approximate second derivative.
    """

    free: int
    elements: Elements
    loads: Loads
    preconditioner: Preconditioner


class CableTerms(NamedTuple):
    """Contribution of the cables and of the material to the preconditioner, per face.

    Attributes:
        directions: unit vectors from exit to patch, (C, 3, L).
        coupling: (K^-1 + give)^-1 of the taut cables with K their stiffness, (C, C, L) [N/m].
        softness: one over the largest of a face's material scales, (L,).
    """

    directions: Floats
    coupling: Floats
    softness: Floats


def empty_memory(free: int, faces: int | None, pairs: int = MEMORY) -> Memory:
    """Makes an empty memory for one face (None) or LANES faces."""
    lanes = LANES if faces else 1
    return Memory(
        empty_field(pairs * free, faces), empty_field(pairs * free, faces),
        np.zeros((pairs, lanes), np.float32), np.zeros(1, np.int64),
    )  # fmt: skip


class _ScratchOfThread(threading.local):
    """The buffers of one thread by their size. All blocks share them, so they stay in the cache."""

    def __init__(self) -> None:
        self._made: dict[tuple[int, int | None], Scratch] = {}

    def get(self, vertices: int, faces: int | None) -> Scratch:
        size = vertices, faces
        if size not in self._made:
            force, trial, trial_force, direction = (empty_field(vertices, faces) for _ in range(4))
            self._made[size] = Scratch(force, trial, trial_force, direction, np.zeros((2, ROW), np.float32))
        return self._made[size]


_scratch_of_thread = _ScratchOfThread()


def borrow_scratch(vertices: int, faces: int | None) -> Scratch:
    """Returns this thread's buffers for one face (None) or LANES faces; their content is arbitrary."""
    return _scratch_of_thread.get(vertices, faces)


@compiled
def _cable_terms(x, problem, lanes):  # type: ignore[no-untyped-def]
    """Evaluates `CableTerms` at x."""
    elements, loads = problem.elements, problem.loads
    cables = len(elements.length)
    directions, tension = np.empty((cables, 3, lanes), np.float32), np.empty((cables, lanes), np.float32)
    coupling, softness = np.empty((cables, cables, lanes), np.float32), np.empty(lanes, np.float32)
    cable_directions(x, elements, loads, directions, tension)
    for m in range(lanes):  # too soft a matrix overshoots, so the largest of a face's scales counts
        softness[m] = np.float32(1) / loads.material[:4, m].max()
    stiffness = elements.stiffness * loads.material[4]
    _couple_cables(directions, tension, stiffness, softness, problem.preconditioner, coupling)
    return CableTerms(directions, coupling, softness)


@compiled
def _couple_cables(directions, tension, stiffness, softness, preconditioner, coupling):  # type: ignore[no-untyped-def]
    """Per face, (K^-1 + give)^-1 of the taut cables into `coupling` (C, C, L), with K their stiffness.

    It is computed as K^1/2 (1 + K^1/2 give K^1/2)^-1 K^1/2, in which slack cables are zeros.
    """
    cables, lanes = tension.shape
    matrix = np.empty((cables, cables))
    for m in range(lanes):
        for c in range(cables):
            for d in range(cables):
                taut = tension[c, m] > 0 and tension[d, m] > 0
                along = (
                    directions[c, 0, m] * directions[d, 0, m]
                    + directions[c, 1, m] * directions[d, 1, m]
                    + directions[c, 2, m] * directions[d, 2, m]
                )
                give = stiffness[m] * softness[m] * preconditioner.give[c, d] * along if taut else 0.0
                matrix[c, d] = give + (c == d)
        inverse = np.linalg.inv(matrix)
        for c in range(cables):
            for d in range(cables):
                taut = tension[c, m] > 0 and tension[d, m] > 0
                coupling[c, d, m] = np.float32(stiffness[m] * inverse[c, d]) if taut else np.float32(0)


@compiled
def _precondition(x, problem, terms, row):  # type: ignore[no-untyped-def]
    """Turns a force into the step that would balance it, in place (Woodbury's inversion lemma)."""
    preconditioner, elements, free = problem.preconditioner, problem.elements, problem.free
    directions, coupling, softness = terms
    substitute(x, preconditioner)
    scale(x, softness, free, row)
    cables, lanes = directions.shape[0], directions.shape[2]
    stretch, pulls = np.zeros((cables, lanes), np.float32), np.zeros((cables, 3, lanes), np.float32)
    for c in range(cables):
        for n in range(elements.start[c], elements.start[c + 1]):
            i, share = elements.vertex[n], elements.weight[n]
            if i < free:
                for k in range(3):
                    for m in range(lanes):
                        moved = x[i, k * LANES + m] if x.ndim == 2 else x[3 * i + k]
                        stretch[c, m] += share * moved * directions[c, k, m]
    for c in range(cables):
        for d in range(cables):
            for k in range(3):
                for m in range(lanes):
                    pulls[c, k, m] -= softness[m] * coupling[c, d, m] * stretch[d, m] * directions[c, k, m]
    add_outer(x, preconditioner.reply, pulls, free)


@compiled
def _two_loop_direction(direction, problem, terms, memory, row):  # type: ignore[no-untyped-def]
    """Applies the approximate inverse second derivative to a force, in place (two-loop recursion)."""
    free = problem.free
    size, lanes = memory.scale.shape
    share, factor = np.empty((size, lanes), np.float32), np.empty(lanes, np.float32)
    for back in range(size):
        p = (memory.head[0] - 1 - back) % size
        dot(memory.steps, p * free, direction, 0, free, row, factor)
        for m in range(lanes):
            share[p, m] = factor[m] * memory.scale[p, m]
            factor[m] = -share[p, m]
        add_scaled(direction, factor, memory.changes, p * free, free, row)
    _precondition(direction, problem, terms, row)
    for forth in range(size):
        p = (memory.head[0] + forth) % size
        dot(memory.changes, p * free, direction, 0, free, row, factor)
        for m in range(lanes):
            factor[m] = share[p, m] - factor[m] * memory.scale[p, m]
        add_scaled(direction, factor, memory.steps, p * free, free, row)


@compiled
def _set_trial(x, problem, terms, memory, scratch, length):  # type: ignore[no-untyped-def]
    """Writes a step of the given `length` (L,) into the memory, and x after that step into `trial`."""
    free, direction, rows = problem.free, scratch.direction, scratch.rows
    lanes, first = len(length), memory.head[0] * free
    copy(direction, scratch.force, free)
    direction[_padding(direction, free)] = np.float32(0)  # the factor's last panel reads it
    _two_loop_direction(direction, problem, terms, memory, rows)
    factor = np.empty(lanes, np.float32)
    for m in range(lanes):
        factor[m] = -length[m]
    set_step(memory.steps, first, scratch.trial, factor, direction, x, free, rows)


@compiled
def _padding(field, free):  # type: ignore[no-untyped-def]
    """Returns the slice of a field that fills up the last panel of the factor."""
    per_vertex = 1 if field.ndim == 2 else 3
    return slice(per_vertex * free, per_vertex * (free + PANEL - 1))


@compiled
def _judge_trial(problem, memory, scratch, energy, trial_energy, accepted, length):  # type: ignore[no-untyped-def]
    """Accepts the trial of each face that went down, and adds its pair to the memory.

    A rejected trial still adds its pair if its curvature is positive. Writes `accepted`, 1 or 0, and the
    `length` of the next step, both (L,), and updates `energy`.
    """
    free, p = problem.free, memory.head[0]
    lanes, first = len(energy), p * free
    slope, product = np.empty(lanes, np.float32), np.empty(lanes, np.float32)
    set_change(
        memory.changes,
        first,
        scratch.trial_force,
        scratch.force,
        memory.steps,
        free,
        scratch.rows,
        slope,
        product,
    )
    for m in range(lanes):
        limit = energy[m] + np.float32(ARMIJO) * slope[m] + np.float32(1e-6) * abs(energy[m])
        down = trial_energy[m] <= limit
        convex = product[m] > np.float32(0) and product[m] < np.float32(np.inf)
        if not convex and not down:
            clear(memory.changes, first, m, free)
        memory.scale[p, m] = np.float32(1) / product[m] if convex else np.float32(0)
        accepted[m] = np.float32(1) if down else np.float32(0)
        length[m] = np.float32(1) if down or convex else np.float32(0.25) * length[m]
        if down:
            energy[m] = trial_energy[m]


@compiled
def descend(x, problem, memory, scratch, evaluations, residual):  # type: ignore[no-untyped-def]
    """Moves the free vertices of x downhill with a fixed number of evaluations of the energy.

    Args:
        x: field of V vertices; changed in place.
        problem: `Problem`.
        memory: `Memory`; updated.
        scratch: `Scratch`.
        evaluations: number of evaluations of energy and force.
        residual: root mean square force left on a free vertex, (L,) [N]; written.
    """
    free, elements, loads = problem.free, problem.elements, problem.loads
    force, row = scratch.force, scratch.rows
    lanes, size = len(residual), len(memory.scale)
    energy, trial_energy = np.empty(lanes, np.float32), np.empty(lanes, np.float32)
    accepted, length = np.ones(lanes, np.float32), np.ones(lanes, np.float32)
    terms = _cable_terms(x, problem, lanes)
    evaluate(x, elements, loads, force, energy)
    copy(scratch.trial, x, len(x) // (width(x) if x.ndim == 1 else 1))  # the prescribed vertices stay
    for _ in range(evaluations - 1):
        first = memory.head[0] * free
        _set_trial(x, problem, terms, memory, scratch, length)
        evaluate(scratch.trial, elements, loads, scratch.trial_force, trial_energy)
        _judge_trial(problem, memory, scratch, energy, trial_energy, accepted, length)
        memory.head[0] = (memory.head[0] + 1) % size
        add_scaled(x, accepted, memory.steps, first, free, row)
        add_scaled(force, accepted, memory.changes, first, free, row)
    square = trial_energy
    dot(force, 0, force, 0, free, row, square)
    for m in range(lanes):
        residual[m] = np.sqrt(square[m] / np.float32(free))
