"""What the page draws beside the skin."""

from __future__ import annotations

import numpy as np
import pytest

from eva_sim.live.scene import LiveScene
from eva_sim.skin.anatomy import load_anatomy
from eva_sim.twin import Twin


@pytest.mark.parametrize("name", ["zygomaticus_left", "depressor_right", "brow_outer_left"])
def test_a_pulled_cable_is_shorter_and_taut(name: str) -> None:
    with Twin() as twin:
        scene, spec = LiveScene(twin), twin.spec
        rest = np.linalg.norm(np.diff(scene.cables(twin), axis=1)[:, 0], axis=1)
        for _ in range(25):
            twin.move(spec.command(**{name: 0.6}))
        pulled = np.linalg.norm(np.diff(scene.cables(twin), axis=1)[:, 0], axis=1)
        number = [spec.names[i] for i in spec.where("cable")].index(name)
        assert pulled[number] < rest[number] - 1e-3
        assert twin.skin.tension[number] > 1.0


def test_cables_go_with_the_head_and_the_jaw() -> None:
    with Twin() as twin:
        scene, spec = LiveScene(twin), twin.spec
        rest = scene.cables(twin)
        np.testing.assert_allclose(rest[:, 0], load_anatomy(spec).exits, atol=1e-3)
        for _ in range(25):
            twin.move(spec.command(jaw=0.8, neck_leg_1=0.5, neck_leg_2=-0.5))
        moved, skull = scene.cables(twin), twin.head.pose.skull
        inside = (moved - skull[:3, 3]) @ skull[:3, :3]
        shifts = np.linalg.norm((inside - rest)[:, 0], axis=1)
        follow = load_anatomy(spec).exit_jaw > 0
        assert shifts[follow].min() > 1e-3 > 1e-6 > shifts[~follow].max()
