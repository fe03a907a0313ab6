"""Where the head's parts are: the neck bends between a skull that turns and a collar that stands still."""

from __future__ import annotations

import numpy as np
import pytest

from eva_sim.contract import load_spec
from eva_sim.files import read_arrays
from eva_sim.head import neck
from eva_sim.head.kinematic import HeadPose
from eva_sim.rendering.appearance import Appearance
from eva_sim.rendering.studio_parts import bust_part

Points = np.ndarray
#: Rotation vectors of the head [rad].
TURNS = [(0.0, 0.45, 0.0), (0.0, -0.45, 0.0), (0.25, 0.0, 0.0), (-0.3, 0.0, 0.0), (0.0, 0.0, 0.3)]
#: How far the neck may move at the edge of the collar [m]; the head's whole motion would be up to 38 mm.
AT_THE_EDGE = 0.007


@pytest.fixture(scope="module")
def skin() -> Points:
    return read_arrays(load_spec().file("meshes/skin.npz"))["points"]


def head_at(skin: Points, skull: np.ndarray) -> Points:
    """World vertices of skin and shell, (V, 3), at a pose of the skull."""
    pose = HeadPose(skull, 0.0, np.zeros((2, 2)), np.zeros(2), 0.0)
    return Appearance(load_spec()).place(skin, pose)["head"]


def collar_edge(depth: Points) -> Points:
    """Height of the edge of the collar, which falls to the front, at depths z [m]."""
    ring = max(bust_part().points.reshape(-1, 97, 3), key=lambda ring: ring[:, 1].mean())
    order = np.argsort(ring[:, 2])
    return np.interp(depth, ring[order, 2], ring[order, 1])


@pytest.mark.parametrize("turn", TURNS)
def test_the_neck_stays_in_its_collar_when_the_head_turns(skin: Points, turn: tuple[float, ...]) -> None:
    extensions = neck.leg_extensions(np.array(turn))
    skull = neck.pose_matrix(neck.solve_pose(extensions, neck.NEUTRAL))
    rest, turned = head_at(skin, np.eye(4)), head_at(skin, skull)
    beside = np.abs(rest[:, 1] - collar_edge(rest[:, 2])) < 0.005
    moved = np.linalg.norm(turned - rest, axis=1)
    assert beside.sum() >= 30 and moved[beside].max() < AT_THE_EDGE
    followed = skin @ skull[:3, :3].T + skull[:3, 3]
    np.testing.assert_allclose(turned[: len(skin)], followed, atol=1e-6)
