"""The skin's energy and the cables against closed forms, in one table.

    python -m benchmarks.validation [--json FILE]

Patches of bare shell on irregular meshes are stretched, inflated and bent, and a cable is drawn in and
let out. `order` is the power of the edge length with which the error falls from the
coarsest level to the finest.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import scipy.sparse as sparse
import scipy.sparse.linalg as linalg
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

from benchmarks import peers
from benchmarks.cable_cycles import cable_spec, path_integral, run_cable_cycle
from benchmarks.hinges import (
    Sides,
    angle_gradient,
    averaged_weights,
    consistent_weights,
    halved_on_mirrors,
    hinge_sides,
)
from benchmarks.patches import Flags, Load, Mesh, disc, free_basis, rectangle, settle_patch, triangle
from eva_sim.contract import Floats
from eva_sim.files import write_json
from eva_sim.skin.anatomy import THICKNESS, YOUNG
from eva_sim.skin.energy import POISSON, Shell

SHEAR = YOUNG / 3  # Pa, incompressible
RIGIDITY = YOUNG * THICKNESS**3 / (12 * (1 - POISSON**2))  # J
LENGTH, RADIUS = 0.06, 0.03  # m, of strips and discs
WIDTH = LENGTH * np.sqrt(3) / 4  # so that equilateral triangles fill a strip
PRESSURE = 1500.0  # Pa; lifts the disc's middle by a third of its radius
CYCLE = 20000  # steps of the cable up, and as many down
STRIPS, DISCS = (8, 16, 32), (6, 12, 24)  # edges along them, from level to level


class Row(NamedTuple):
    """One line of the table.

    Attributes:
        case: what was measured, with its unit.
        level: edges along the patch; zero where meshes do not come in levels.
        measured: by simulation.
        expected: by theory.
    """

    case: str
    level: int
    measured: float
    expected: float

    @property
    def error(self) -> float:
        """Relative error; the value itself where zero is expected."""
        return (self.measured - self.expected) / (self.expected or 1.0)


# --- membrane -----------------------------------------------------------------------------------------

#: Nominal stress over shear modulus along x and y of an incompressible neo-Hookean sheet whose faces are
#: free, P_i = mu (l_i - 1 / (l_i^3 l_j^2)), e.g. Ogden, Non-Linear Elastic Deformations (1984), 7.2.
STRETCHES: dict[str, Callable[[float], tuple[float, float]]] = {
    "uniaxial": lambda s: (s - s**-2, 0.0),
    "equibiaxial": lambda s: (s - s**-5, s - s**-5),
    "pure shear": lambda s: (s - s**-3, 1 - s**-2),
}


def edge_forces(name: str, stretch: float, seed: int = 0) -> tuple[Floats, Floats]:
    """Pulls the edges of an irregular patch apart and lets its inside settle from a shaken start.

    Returns:
        Forces on the edges at x = length and y = width, measured and by the closed form, (2,) [N].
    """
    mesh = rectangle(LENGTH, WIDTH, 12, "random")
    shell = Shell.of(mesh.points, mesh.triangles, YOUNG, THICKNESS)
    low, high = mesh.points < 1e-9, mesh.points > np.array([LENGTH, WIDTH, 1.0]) - 1e-9
    free = ~(low | high)
    free[:, 2] = free[:, :2].all(1) & (stretch > 1)  # also out of the plane, where that is stable
    if name == "uniaxial":
        free[:, 1] = ~low[:, 1]
    sideways = {"uniaxial": 1.0, "equibiaxial": stretch, "pure shear": 1.0}[name]
    start = mesh.points * [stretch, sideways, 1.0]
    start += free * np.random.default_rng(seed).normal(0, 2e-4, start.shape)
    points = settle_patch(shell, start, Load(np.zeros_like(start)), free_basis(free))
    force = shell.energy(points)[1]
    pulls = np.array([force[high[:, k], k].sum() for k in range(2)])
    return pulls, SHEAR * THICKNESS * np.array(STRETCHES[name](stretch)) * [WIDTH, LENGTH]


def inflated_disc(count: int, kind: str, pressure: float) -> tuple[float, float]:
    """Height [m] and volume [m3] of a disc held at its rim and blown up as a pure membrane."""
    mesh = disc(RADIUS, count, kind)
    shell = Shell.of(mesh.points, mesh.triangles, YOUNG, THICKNESS)
    shell = shell._replace(bending=0 * shell.bending)  # theory has none
    far = np.linalg.norm(mesh.points, axis=1)
    free = np.repeat((far < RADIUS - 1e-9)[:, None], 3, axis=1)
    start = mesh.points.copy()
    start[:, 2] = 0.5 * RADIUS * (1 - (far / RADIUS) ** 2)
    points = settle_patch(shell, start, Load(np.zeros_like(start), pressure), free_basis(free))
    a, b, c = (points[mesh.triangles[:, k]] for k in range(3))
    return float(points[:, 2].max()), float((a * np.cross(b, c)).sum() / 6)


def balloon_theory(pressure: float) -> tuple[float, float]:
    """The same height and volume from the ordinary differential equations of the membrane.

    A ring at rest radius R lies at radius r, its meridian inclined by phi; N1 and N2 are forces per rest
    length. Equilibrium of the cap inside gives R N1 sin(phi) = p r^2 / 2; of the ring in the plane,
    d(R N1 cos(phi)) / dR = N2 - p r l1 sin(phi), with l1 the meridian's stretch. The stretch at the pole
    is shot for, so that the rim stays (Adkins and Rivlin, Phil. Trans. A 244, 505, 1952).
    """

    def shoot(pole: float) -> Floats:
        near = 1e-6 * RADIUS
        start = [pole * near, near * SHEAR * THICKNESS * (pole - pole**-5), 0.0, 0.0]
        path = solve_ivp(_ring, (near, RADIUS), start, "DOP853", args=(pressure,), rtol=1e-10, atol=1e-14)
        return path.y[:, -1]

    small = (pressure * RADIUS / (YOUNG * THICKNESS)) ** (2 / 3)  # Hencky: the strain grows with it
    pole = brentq(lambda stretch: shoot(stretch)[0] - RADIUS, 1 + 0.2 * small, 1 + 0.5 * small, xtol=1e-13)
    _, _, height, volume = shoot(pole)
    return height, volume


def _ring(rest: float, state: Floats, pressure: float) -> list[float]:
    """Derivatives of radius, inward pull R N1 cos(phi), drop and volume below it, along the rest radius."""
    r, pull, _, _ = state
    across = r / rest
    lift = 0.5 * pressure * r * r
    force = np.hypot(pull, lift) / (rest * SHEAR * THICKNESS)
    # N1 = mu t (l1 - l1^-3 l2^-2) rises with l1
    along = brentq(lambda s: s - s**-3 * across**-2 - force, 0.3, 10.0, xtol=1e-14)
    cosine, sine = np.array([pull, lift]) / np.hypot(pull, lift)
    hoop = SHEAR * THICKNESS * (across - across**-3 * along**-2)
    drop = along * sine
    return [along * cosine, hoop - pressure * r * drop, drop, np.pi * r * r * drop]


# --- bending ------------------------------------------------------------------------------------------

Weights = Callable[[Sides, Flags], sparse.csr_matrix]

#: None is the shell as it is, solved as any other patch.
BENDING: dict[str, Weights | None] = {
    "shell, D l2/A": None,
    "averaged": averaged_weights,
    "consistent": consistent_weights,
}


class Scene(Protocol):
    """Deflection of a mesh of some level and kind with some weights."""

    def __call__(self, count: int, kind: str, weights: Weights | None) -> Row: ...


def cantilever(count: int, kind: str, weights: Weights | None) -> Row:
    """Tip of a strip clamped at x = 0, with its long edges kept level across as in a wide strip.

    Euler-Bernoulli with the plate's rigidity: P L^3 / (3 D W). The clamp and both long edges are mirrors.
    """
    mesh = rectangle(LENGTH, WIDTH, count, kind, mirrored=True)
    own = mesh.master == np.arange(len(mesh.points))
    tip = np.flatnonzero(own & (mesh.points[:, 0] > LENGTH - 1e-9))
    tip = tip[np.argsort(mesh.points[tip, 1])]
    gap = np.diff(mesh.points[tip, 1])
    push = np.zeros(len(own))
    push[tip] = 0.5 * (np.append(gap, 0) + np.append(0, gap)) / WIDTH
    expected = 1e-3 * THICKNESS  # small against the thickness: the theory is linear
    push *= expected * 3 * RIGIDITY * WIDTH / LENGTH**3
    place = deflection(mesh, push, np.abs(mesh.points[:, 0]) < 1e-9, weights)
    return Row("cantilever, tip [m]", count, float(place[tip].mean()), expected)


def clamped_plate(count: int, kind: str, weights: Weights | None) -> Row:
    """Middle of a disc clamped at its rim under uniform pressure: p a^4 / (64 D) (Kirchhoff).

    Clamped as by a mirror: the ghosts outside the rim move as the vertices inside.
    """
    mesh = disc(RADIUS, count, kind, mirrored=True)
    far = np.linalg.norm(mesh.points, axis=1)
    expected = 1e-3 * THICKNESS
    push = expected * 64 * RIGIDITY / RADIUS**4 * mesh.shares()
    place = deflection(mesh, push, np.abs(far - RADIUS) < 1e-9, weights)
    # The random meshes have no vertex in the middle: the deflection is w0 (1 - (r/a)^2)^2.
    middle = np.argsort(far)[:3]
    measured = (place[middle] / (1 - (far[middle] / RADIUS) ** 2) ** 2).mean()
    return Row("clamped plate, middle [m]", count, float(measured), expected)


def supported_plate(count: int, kind: str, weights: Weights | None) -> Row:
    """Middle of an equilateral plate simply supported at its rim under uniform pressure: p a^4 / (972 D).

    With a its height (Timoshenko and Woinowsky-Krieger, Theory of Plates and Shells, section 71).
    Equilateral triangles fill it up to its straight edges.
    """
    height = LENGTH
    mesh = triangle(height, count, kind)
    far = np.linalg.norm(mesh.points, axis=1)
    expected = 1e-3 * THICKNESS
    push = expected * 972 * RIGIDITY / height**4 * mesh.shares()
    x, y, _ = mesh.points.T
    shape = 27 / 4 * (x**3 - 3 * y * y * x - height * far**2 + 4 / 27 * height**3) / height**3
    place = deflection(mesh, push, np.abs(shape) < 1e-9, weights)
    # Not every mesh has a vertex in the middle, but the whole deflection is known.
    middle = np.argsort(far)[:3]
    share = shape[middle] * (1 - 9 / 4 * (far[middle] / height) ** 2)
    return Row("supported plate, middle [m]", count, float((place[middle] / share).mean()), expected)


def deflection(mesh: Mesh, push: Floats, held: Flags, weights: Weights | None) -> Floats:
    """Deflection (V,) [m] under small forces (V,) [N] along z, zero and level where `held`.

    Hinges on a mirror carry half their energy: the other half is the image's.
    """
    free = np.zeros(mesh.points.shape, dtype=bool)
    free[:, 2] = ~held[mesh.master]
    basis, shell = free_basis(free, mesh.master), _shell(mesh)
    if weights is None:
        shell = shell._replace(bending=shell.bending * halved_on_mirrors(_sides(mesh), mesh.inner))
        load = Load(push[:, None] * [0.0, 0.0, 1.0])
        return settle_patch(shell, mesh.points, load, basis, 1e-6 * np.abs(push).max())[:, 2]
    angle = angle_gradient(mesh.points, shell.hinges.astype(np.int64))
    up = basis[2::3]
    stiffness = up.T @ (angle.T @ (RIGIDITY * weights(_sides(mesh), mesh.inner)) @ angle) @ up
    return up @ linalg.spsolve(sparse.csc_matrix(stiffness), up.T @ push)


def _shell(mesh: Mesh) -> Shell:
    return Shell.of(mesh.points, mesh.triangles, YOUNG, THICKNESS)


def _sides(mesh: Mesh) -> Sides:
    return hinge_sides(mesh.points, mesh.triangles, _shell(mesh).hinges.astype(np.int64))


# --- peer ---------------------------------------------------------------------------------------------


def hanging_sheet(mesh: Mesh, gravity: float, shell: Shell) -> Floats:
    """Vertices (V, 3) [m] of a sheet held at both ends and hanging by its weight, as `peers.mujoco_model`.

    MuJoCo shares the mass out equally among the vertices, so each has the same weight here.
    """
    free = np.repeat(~peers.held_vertices(mesh)[:, None], 3, axis=1)
    weight = np.zeros(mesh.points.shape)
    weight[:, 2] = -gravity * peers.sheet_mass(mesh) / len(weight)
    start = mesh.points.copy()
    start[:, 2] = -0.003 * np.sin(np.pi * start[:, 0] / LENGTH)  # a flat sheet without bending is singular
    return settle_patch(shell, start, Load(weight), free_basis(free))


def compare_with_mujoco(elastic: str, gravity: float = peers.GRAVITY) -> tuple[float, float, float]:
    """Sag of a hanging sheet here and in MuJoCo, and the distance between the two, rms [mm].

    Args:
        elastic: "stretch", without bending here too; or "both".
        gravity: [m/s2].
    """
    mesh = rectangle(LENGTH, WIDTH, 16, "random")
    shell = _shell(mesh)
    shell = shell._replace(bending=(elastic == "both") * shell.bending)
    ours, theirs = hanging_sheet(mesh, gravity, shell), peers.mujoco_sag(mesh, gravity, elastic)
    apart = 1000 * float(np.sqrt(((ours - theirs) ** 2).sum(1).mean()))
    return -1000 * float(ours[:, 2].min()), -1000 * float(theirs[:, 2].min()), apart


# --- cable --------------------------------------------------------------------------------------------


def cable_rows(spring: float = 400.0) -> Iterator[Row]:
    """Ratio, loops and energies of the cable.

    With k the line in the tube, s the spring, r = exp(mu phi), d the backlash and G the gear's travel:
    at the top the tension is T = s k (G - d) / (k + r s). Tension over gear goes round
    d T + (r - 1 / r) T^2 / 2 k, and friction takes (r - 1 / r) T^2 / 2 s.
    """
    spec = cable_spec()
    line, play = spec.cable["bowden_stiffness"], spec.cable["backlash"]
    ratio = np.exp(spec.cable["friction"] * spec.cable["wrap_angle"])
    loop, top = run_cable_cycle(spec, spring, CYCLE), CYCLE - 1
    slip = loop.pull[1:] / np.maximum(loop.tension[:-1], 1e-9)
    yield Row("capstan, drawing up", 0, float(slip[top - 1]), ratio)
    yield Row("capstan, letting down", 0, float(slip[top + CYCLE // 2]), 1 / ratio)
    tension = spring * line * (loop.gear[top] - play) / (line + ratio * spring)
    wide, lost = 0.5 * (ratio - 1 / ratio) * tension**2, 0.5 * (ratio - 1) * tension**2 / spring
    yield Row("cable, loop [J]", 0, -path_integral(loop.gear, loop.tension), play * tension + wide / line)
    yield Row("cable, work in one loop [J]", 0, path_integral(loop.line, loop.pull), wide / spring)
    stored = 0.5 * tension**2 * (1 / spring + ratio**2 / line)
    work = path_integral(loop.line[: top + 1], loop.pull[: top + 1])
    yield Row("cable, work drawing up [J]", 0, work, stored + lost)
    free = run_cable_cycle(cable_spec(friction=0.0, backlash=0.0), spring, 200, wait=40)
    yield Row("cable, loop without friction [J]", 0, path_integral(free.gear, free.tension), 0.0)


# --- table --------------------------------------------------------------------------------------------


def membrane_rows() -> Iterator[Row]:
    for name in STRETCHES:
        measured, expected = edge_forces(name, 1.3)
        yield Row(f"{name} to 1.3, edge force [N]", 12, float(measured[0]), float(expected[0]))
    height, volume = balloon_theory(PRESSURE)
    for kind in ("regular", "random"):
        rows = [(count, inflated_disc(count, kind, PRESSURE)) for count in DISCS]
        yield from (Row(f"inflation, height [m], {kind}", count, top, height) for count, (top, _) in rows)
        yield from (Row(f"inflation, volume [m3], {kind}", count, full, volume) for count, (_, full) in rows)


def bending_rows() -> Iterator[Row]:
    for scene, levels in ((cantilever, STRIPS), (clamped_plate, DISCS), (supported_plate, STRIPS)):
        for name, weights in BENDING.items():
            for kind in ("regular", "random"):
                for row in (scene(count, kind, weights) for count in levels):
                    yield row._replace(case=f"{row.case}, {kind}, {name}")


def peer_rows() -> Iterator[Row]:
    """Only where MuJoCo is installed; the expected value is its own."""
    for elastic in ("stretch", "both") if importlib.util.find_spec("mujoco") else ():
        ours, theirs, _ = compare_with_mujoco(elastic)
        yield Row(f"hanging sheet beside MuJoCo, sag [mm], {elastic}", 16, ours, theirs)


def summary_rows(rows: list[Row]) -> list[dict[str, Any]]:
    """Rows with their errors; the last level of a case with the order over all its levels."""
    first, last = {row.case: row for row in reversed(rows)}, {row.case: row for row in rows}
    return [
        {
            **row._asdict(),
            "expected": float(row.expected),
            "error": float(row.error),
            "order": convergence_order(first[row.case], row) if row is last[row.case] else None,
        }
        for row in rows
    ]


def convergence_order(coarse: Row, fine: Row) -> float | None:
    """Power of the edge length with which the error falls; 2 is a quarter at half the edge."""
    if coarse is fine:
        return None
    return float(np.log(abs(coarse.error / fine.error)) / np.log(fine.level / coarse.level))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--json", type=Path, help="file for the metrics")
    given = parser.parse_args()
    lines = summary_rows([*membrane_rows(), *bending_rows(), *peer_rows(), *cable_rows()])
    table = Table("case", "level", "measured", "closed form", "relative error", "order")
    for line in lines:
        rate = "" if line["order"] is None else f"{line['order']:.1f}"
        values = f"{line['measured']:.5g}", f"{line['expected']:.5g}", f"{line['error']:+.1e}"
        table.add_row(escape(line["case"]), str(line["level"] or ""), *values, rate)
    Console(width=120).print(table)
    if given.json:
        write_json(given.json, lines)


if __name__ == "__main__":
    main()
