"""What one thread has used, another may use: native resources do not remember their first thread."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import numpy as np
import pytest

import eva_sim
from eva_sim.detector import Detector
from eva_sim.files import asset
from eva_sim.media.sources import open_source
from eva_sim.twin import Twin
from eva_sim.twin.twins import Twins

#: Makes something, and returns what uses it: its answer must not depend on the thread.
Maker = Callable[[], Callable[[], np.ndarray]]


def _picture() -> np.ndarray:
    return next(islice(open_source(asset("samples/person.mp4")), 0, 1))[1]


def _detector() -> Callable[[], np.ndarray]:
    detector, picture = Detector(), _picture()
    return lambda: np.asarray(detector.landmarks(picture))


def _legs() -> Callable[[], np.ndarray]:
    """Jaw and neck are rigid bodies in PyBullet."""
    twin = Twin("reduced", neck="legs")
    start = twin.save()

    def move() -> np.ndarray:
        twin.restore(start)
        return twin.move(twin.spec.command(jaw=1.0, neck_leg_1=0.5)).position

    return move


def _many() -> Callable[[], np.ndarray]:
    """Faces in lanes and in torch, each with threads of their own."""
    skins = [Twins(20), Twins(20, "reduced")]
    starts = [twins.save() for twins in skins]

    def move() -> np.ndarray:
        for twins, start in zip(skins, starts, strict=True):
            twins.restore(start)
        command = skins[0].spec.command(jaw=1.0)
        return np.concatenate([twins.move([command] * 20).landmarks for twins in skins])

    return move


def _mock() -> Callable[[], np.ndarray]:
    """A robot with a camera: watchdog, drawing and detector together."""
    robot = eva_sim.make_face("mock", camera_size=96)
    robot.reset()
    return lambda: robot.render(96)


@pytest.mark.parametrize("make", [_detector, _legs, _many, _mock])
def test_any_thread_may_use_what_another_used_first(make: Maker) -> None:
    use = make()
    first = use()
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as two:
        for pool in (one, two, one):
            assert np.array_equal(pool.submit(use).result(60), first)
    assert np.array_equal(use(), first)


@pytest.mark.parametrize("make", [_detector, _legs, _mock])
def test_what_a_thread_made_outlives_it(make: Maker) -> None:
    with ThreadPoolExecutor(1) as pool:
        use = pool.submit(make).result(60)
        first = pool.submit(use).result(60)
    assert np.array_equal(use(), first)
