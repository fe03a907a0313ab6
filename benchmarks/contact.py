"""The skin on its ground: pressure and penetration against closed forms, and how deep the face sinks.

    python -m benchmarks.contact [--json FILE] [--drives 40] [--seed 3]

A membrane that carries the force T per length over a cylinder of radius R presses on it by T / R, over a
sphere by 2 T / R, whatever the law of the ground; how far the membrane sinks tells which R and
T. The face is settled under random drives, each uniform over its own range.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.optimize import brentq
from tqdm import tqdm

from benchmarks.patches import Flags, Ints, Load, disc, free_basis, rectangle, settle_patch
from eva_sim.contract import FaceSpec, Floats, load_spec
from eva_sim.files import read_arrays, write_json
from eva_sim.skin.anatomy import CONTACT, THICKNESS, YOUNG, Anatomy, Drive, drive_ranges, load_anatomy
from eva_sim.skin.block import Block, resolve_unsettled, solver_context
from eva_sim.skin.elements import vertex_areas
from eva_sim.skin.energy import Shell
from eva_sim.skin.ground import Ground, ground_lift

RADIUS, LENGTH, WIDTH = 0.03, 0.04, 0.04 * np.sqrt(3) / 4  # m, of the ground and of the sheet on it
STRETCH = 1.04
INSIDE = 1e-6  # m that patches start inside their ground, which holds nothing that has left it
SETTLE = 400  # evaluations of a settled face


class Press(NamedTuple):
    """A patch at rest on its ground.

    Attributes:
        pressure: on the ground at the vertices away from held edges, (K,) [Pa].
        depth: how far they are pressed in, (K,) [m].
        expected: pressure by theory [Pa].
    """

    pressure: Floats
    depth: Floats
    expected: float


def pressed_on_plane(count: int, kind: str, pressure: float = 1000.0) -> Press:
    """A sheet that lies on a plane and is pressed on it from above."""
    mesh = rectangle(LENGTH, WIDTH, count, kind)
    ground = bare_ground(
        mesh.points, mesh.triangles, np.tile([0.0, 0.0, 1.0], (len(mesh.points), 1)), np.zeros(6)
    )
    shell = Shell.of(mesh.points, mesh.triangles, YOUNG, THICKNESS)
    push = -pressure * vertex_areas(mesh.points, mesh.triangles)[:, None] * [0.0, 0.0, 1.0]
    free = np.tile([False, False, True], (len(mesh.points), 1))
    place = settle_patch(shell, mesh.points - [0.0, 0.0, INSIDE], Load(push, ground=ground), free_basis(free))
    return _press(place, ground, np.ones(len(place), dtype=bool), pressure)


def stretched_on_cylinder(count: int, kind: str) -> Press:
    """A sheet stretched round a cylinder along y: T = mu t (s - s^-3), for its width is held."""
    mesh = rectangle(LENGTH, WIDTH, count, kind)
    angle, y = mesh.points[:, 0] / RADIUS, mesh.points[:, 1]
    normal = np.stack([np.sin(angle), 0 * y, np.cos(angle)], axis=1)
    points = RADIUS * normal + y[:, None] * [0.0, 1.0, 0.0]
    along = np.stack([np.cos(angle), 0 * y, -np.sin(angle)], axis=1)
    ground = bare_ground(
        points, mesh.triangles, normal, _entries(along[:, :, None] * along[:, None]) / RADIUS
    )
    # Made narrower, it has its angles at rest, so that no moments lift its edges.
    shell = Shell.of(points / [STRETCH, 1.0, STRETCH], mesh.triangles, YOUNG, THICKNESS)
    end = np.abs(mesh.points[:, 0] - LENGTH / 2) > LENGTH / 2 - 1e-9
    side = np.abs(y - WIDTH / 2) > WIDTH / 2 - 1e-9
    free = np.stack([~end, ~end & ~side, ~end], axis=1)
    expected = pressure_when_sunk(lambda stretch: YOUNG / 3 * THICKNESS * (stretch - stretch**-3))
    place = _wrapped(shell, ground, free, expected)
    inner = np.abs(mesh.points - [LENGTH / 2, WIDTH / 2, 0]) < np.array([LENGTH, WIDTH, 1]) / 4
    return _press(place, ground, inner.all(1), expected)


def stretched_on_sphere(count: int, kind: str) -> Press:
    """A cap stretched alike in all directions over a sphere: T = mu t (1 - s^-6) per present length."""
    mesh = disc(LENGTH / 2, count, kind)
    points = RADIUS * _onto_sphere(mesh.points / RADIUS)
    normal = points / RADIUS
    bent = (np.eye(3) - normal[:, :, None] * normal[:, None]) / RADIUS
    ground = bare_ground(points, mesh.triangles, normal, _entries(bent))
    shell = Shell.of(points / STRETCH, mesh.triangles, YOUNG, THICKNESS)
    far = np.linalg.norm(mesh.points, axis=1)
    free = np.repeat((far < LENGTH / 2 - 1e-9)[:, None], 3, axis=1)
    expected = pressure_when_sunk(lambda stretch: 2 * YOUNG / 3 * THICKNESS * (1 - stretch**-6))
    place = _wrapped(shell, ground, free, expected)
    return _press(place, ground, far < LENGTH / 4, expected)


def pressure_when_sunk(pull: Callable[[float], float]) -> float:
    """Pressure [Pa] of a sheet that carries `pull` [N/m] at a stretch, once it has sunk and is less taut."""

    def left(depth: float) -> float:
        radius = RADIUS - depth
        return CONTACT * depth - pull(STRETCH * radius / RADIUS) / radius

    return CONTACT * float(brentq(left, 0, 0.01 * RADIUS, xtol=1e-12))


def _wrapped(shell: Shell, ground: Ground, free: Flags, expected: float) -> Floats:
    """Settled vertices (V, 3) [m], held at the depth where the expected pressure [Pa] has them."""
    depth = np.where(free.any(1), INSIDE, expected / CONTACT)
    start = ground.rest - depth[:, None] * ground.slope
    return settle_patch(shell, start, Load(np.zeros_like(start), ground=ground), free_basis(free))


def _onto_sphere(flat: Floats) -> Floats:
    """Places of the plane (V, 3) on the unit sphere, by stereographic projection: angles stay."""
    square = (flat**2).sum(1, keepdims=True)
    return (flat + (1 - square / 4) * [0.0, 0.0, 1.0]) / (1 + square / 4)


def _entries(matrices: Floats) -> Floats:
    """xx, yy, zz, xy, xz, yz of symmetric matrices (V, 3, 3), (V, 6)."""
    return matrices[:, [0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]]


def bare_ground(points: Floats, triangles: Ints, normal: Floats, curvature: Floats) -> Ground:
    """Bone of the skin's stiffness under a patch that starts on it, without tissue that holds.

    Args:
        points: (V, 3) [m].
        triangles: (F, 3).
        normal: (V, 3).
        curvature: (V, 6) or (6,) [1/m].
    """
    none = np.zeros(len(points))
    contact = CONTACT * vertex_areas(points, triangles)
    return Ground(
        points, none, none, none, contact, none, normal, np.broadcast_to(curvature, (len(points), 6))
    )


def _press(place: Floats, ground: Ground, chosen: Flags, expected: float) -> Press:
    lift, _ = ground_lift(place, np.tile([0.0, 1.0], (len(place), 1)), ground)
    depth = -lift[chosen]
    return Press(CONTACT * depth, depth, expected)


SCENES = {"flat": pressed_on_plane, "cylinder": stretched_on_cylinder, "sphere": stretched_on_sphere}


# --- the face -----------------------------------------------------------------------------------------


def random_drives(spec: FaceSpec, count: int, seed: int) -> list[Drive]:
    """Drives uniform over their own ranges."""
    low, high = drive_ranges(spec)
    drives = np.random.default_rng(seed).uniform(low, high, (count, len(low)))
    return [Drive(float(row[0]), row[1:3], row[3:]) for row in drives]


def settled_faces(anatomy: Anatomy, drives: list[Drive]) -> Floats:
    """Faces at rest under each drive, one after the other, (K, V, 3) [m]."""
    block, out = Block(solver_context(anatomy), None), []
    for drive in tqdm(drives, "settle", disable=None):
        come_to_rest(block, drive)
        out.append(block.points[0].astype(float))
    return np.array(out)


def come_to_rest(block: Block, drive: Drive) -> None:
    """Runs the descent to its end, with Newton's method where it gets stuck, as a `Skin` does."""
    block.step(drive.as_batch, SETTLE)
    resolve_unsettled(block, drive.as_batch)
    block.descend(SETTLE)


def contact_depths(anatomy: Anatomy, drives: list[Drive]) -> Floats:
    """Returns how deep each free vertex of the settled face is pressed into its ground, (K, F) [m]."""
    depth = []
    for drive, points in zip(drives, settled_faces(anatomy, drives), strict=True):
        lift, _ = ground_lift(points, anatomy.load(drive).turn, anatomy.ground)
        depth.append(np.maximum(-lift[anatomy.free], 0))
    return np.array(depth)


def face_contact(anatomy: Anatomy, drives: list[Drive]) -> list[dict[str, Any]]:
    """Depth and pressure on the settled face, by what lies under the skin."""
    arrays = read_arrays(anatomy.spec.file("meshes/skin.npz"))
    tissue, lid = arrays["tissue"][anatomy.free], arrays["eyelid"][anatomy.free]
    pulled = (anatomy.patches[:, anatomy.free] > 0).any(0)
    depth = 1000 * contact_depths(anatomy, drives)
    parts = {
        "bone, under cables": (tissue > 0.5) & pulled,
        "bone elsewhere": (tissue > 0.5) & ~pulled & ~lid,
        "eyeballs": lid,
        "cheeks and lips": tissue <= 0.5,
    }
    return [
        {
            "where": name,
            "vertices": int(chosen.sum()),
            "p99_mm": float(np.percentile(depth[:, chosen], 99)),
            "max_mm": float(depth[:, chosen].max()),
            "deeper_than_0.1_mm": float((depth[:, chosen] > 0.1).mean()),
            "max_kPa": float((depth * tissue)[:, chosen].max() * CONTACT / 1e6),
        }
        for name, chosen in parts.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--json", type=Path, help="file for the metrics")
    parser.add_argument("--drives", type=int, default=40)
    parser.add_argument("--seed", type=int, default=3)
    given = parser.parse_args()
    rows = [
        {
            "patch": f"{name}, {kind}",
            "theory_Pa": press.expected,
            "mean_error": float(press.pressure.mean() / press.expected - 1),
            "worst_error": float(np.abs(press.pressure / press.expected - 1).max()),
            "max_mm": 1000 * float(press.depth.max()),
        }
        for name, scene in SCENES.items()
        for kind in ("regular", "random")
        for press in [scene(24, kind)]
    ]
    spec = load_spec()
    parts = face_contact(load_anatomy(spec), random_drives(spec, given.drives, given.seed))
    for title, lines in (("patches", rows), (f"face, {given.drives} random drives", parts)):
        table = Table(*lines[0], title=title)
        for line in lines:
            table.add_row(*(f"{v:.3g}" if isinstance(v, float) else str(v) for v in line.values()))
        Console().print(table)
    if given.json:
        write_json(given.json, {"patches": rows, "face": parts})


if __name__ == "__main__":
    main()
