"""Nothing passes through anything: lips and teeth, lids and eyeballs, the skin and itself.

Over the named expressions and fifty random faces, each settled in.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from scipy.spatial import cKDTree

from eva_sim.agents.data.babbling import sample_command
from eva_sim.contract import load_spec
from eva_sim.expressions import load_expressions
from eva_sim.files import asset, read_arrays
from eva_sim.head import EYES, HeadPose
from eva_sim.rendering.appearance import CORNEA, EYE_RADIUS, IRIS, eye_pose, jaw_pose
from eva_sim.settling import reset_and_hold
from eva_sim.testing.surface_geometry import crossings, crossings_between, depth, turns
from eva_sim.twin import Twin

RANDOM = 50
# The source mesh has a pleat of a millimetre in each outer corner of the eye, folded by 177 degrees at rest.
PLEAT, PLEAT_SIZE = np.array([0.0445, 0.0, 0.011]), 0.006  # left [m], m
STEPS = np.array([(i, j, 4 - i - j) for i in range(5) for j in range(5 - i)]) / 4  # samples of a triangle


@dataclass(frozen=True)
class Shape:
    name: str
    points: np.ndarray
    pose: HeadPose


@pytest.fixture(scope="module")
def skin() -> dict[str, np.ndarray]:
    return read_arrays(asset("meshes/skin.npz"))


@pytest.fixture(scope="module")
def shapes() -> list[Shape]:
    rng, shapes = np.random.default_rng(7), []
    with Twin() as twin:
        faces = list(load_expressions(load_spec()).items())
        faces += [(f"random {n}", sample_command(twin.spec, rng)) for n in range(RANDOM)]
        for name, command in faces:
            reset_and_hold(twin, command)
            shapes.append(Shape(name, twin.skin.points.copy(), twin.head.pose))
    return shapes


def in_pleat(skin: dict[str, np.ndarray], triangle: int) -> bool:
    centre = skin["points"][skin["triangles"][triangle]].mean(0)
    return float(np.linalg.norm(np.abs(centre) * [1, 0, 1] + centre * [0, 1, 0] - PLEAT)) < PLEAT_SIZE


@pytest.mark.parametrize("row", ["upper", "lower"])
def test_lips_keep_two_millimetres_from_the_teeth(
    shapes: list[Shape], skin: dict[str, np.ndarray], row: str
) -> None:
    """No crossing, and the gums' roots lie behind the skin: so no lip has gone through. Measured: 2.53 mm."""
    visual = read_arrays(asset("meshes/visual.npz"))
    teeth, faces = visual[f"{row}_teeth_points"], visual[f"{row}_teeth_triangles"]
    around = skin["triangles"][cKDTree(teeth).query(skin["points"][skin["triangles"]].mean(1))[0] < 0.03]
    for shape in shapes:
        turn = jaw_pose(shape.pose.jaw) if row == "lower" else np.eye(4)
        placed = teeth @ turn[:3, :3].T + turn[:3, 3]
        assert not crossings_between((shape.points, around), (placed, faces)), shape.name
        samples = np.einsum("sk,fkd->fsd", STEPS, shape.points[around]).reshape(-1, 3)
        gap = 1000 * cKDTree(samples).query(placed)[0].min()
        assert gap > 2.0, f"{shape.name}: {gap:.2f} mm"


def test_lids_keep_half_a_millimetre_from_the_eyeballs(
    shapes: list[Shape], skin: dict[str, np.ndarray]
) -> None:
    """The signed distance from the ball with its cornea, which turns with the gaze. Measured: 0.74 mm."""
    centres = skin["points"][skin["triangles"]].mean(1)
    for shape in shapes:
        for eye, angles in zip(EYES, shape.pose.eyes, strict=True):
            near = skin["triangles"][np.linalg.norm(centres - eye, axis=1) < 0.025]
            offset = np.einsum("sk,fkd->fsd", STEPS, shape.points[near]) - eye
            radius = np.linalg.norm(offset, axis=-1)
            polar = np.arccos(np.clip(offset @ eye_pose(eye, angles)[:3, 2] / radius, -1, 1))
            ball = EYE_RADIUS + CORNEA * np.clip(1 - (polar / (1.2 * IRIS)) ** 2, 0, 1)
            gap = 1000 * (radius - ball).min()
            assert gap > 0.5, f"{shape.name}: {gap:.2f} mm"


def test_the_skin_does_not_pass_through_itself(shapes: list[Shape], skin: dict[str, np.ndarray]) -> None:
    """But for the pleat at the outer corners of the eyes, by up to 0.2 mm (measured: 0.13)."""
    triangles = skin["triangles"]
    assert not crossings(skin["points"], triangles)
    for shape in shapes:
        for i, j in crossings(shape.points, triangles):
            where = 1000 * shape.points[triangles[i]].mean(0)
            assert in_pleat(skin, i) and in_pleat(skin, j), f"{shape.name}: at {where.round()}"
            deep = 1000 * depth(shape.points[triangles[i]], shape.points[triangles[j]])
            assert deep < 0.2, f"{shape.name}: {deep:.3f} mm"


def test_no_triangle_turns_over_against_its_neighbours(
    shapes: list[Shape], skin: dict[str, np.ndarray]
) -> None:
    for shape in shapes:
        angles, pairs = turns(shape.points, skin["triangles"])
        for angle, (i, j) in zip(angles[angles > 150], pairs[angles > 150], strict=True):
            where = 1000 * shape.points[skin["triangles"][i]].mean(0)
            both = in_pleat(skin, i) and in_pleat(skin, j)
            assert both, f"{shape.name}: {angle:.0f} degrees at {where.round()}"
