"""Mirroring by the wall clock, on a busy computer: a clip, and the same clip as a camera, on every board."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike

from eva_sim.agents.mirroring.mirror import mirror
from eva_sim.agents.models.inverse import SHIPPED_MODEL, InverseModel
from eva_sim.clock import WallClock
from eva_sim.contract import Reading
from eva_sim.files import asset
from eva_sim.holding import work_while_held
from eva_sim.media.sources import Frames, FrameSource, open_source
from eva_sim.real.opening import open_mock, open_virtual
from eva_sim.real.simulation.firmware_build import missing_packages
from eva_sim.real.vision.camera_source import CameraSource, TimedImage
from eva_sim.testing.board_terminals import KINDS, BoardProcess
from eva_sim.testing.other_jobs import other_jobs

pytestmark = pytest.mark.slow
FPS, SECONDS = 30, 5
#: How often a camera shows the clip: on a busy computer the person is learned and the robot armed meanwhile.
ROUNDS = 4


@pytest.fixture(scope="module")
def frames() -> list[np.ndarray]:
    clip = open_source(str(asset("samples/person.mp4")))
    return [frame for _, (_, frame) in zip(range(FPS * SECONDS), clip, strict=False)]


@pytest.fixture(scope="module", autouse=True)
def busy_computer() -> Iterator[None]:
    with other_jobs():
        yield


class Clip(FrameSource):
    """The beginning of the sample clip."""

    name, fps = "a clip", float(FPS)

    def __init__(self, frames: list[np.ndarray]) -> None:
        self._frames, self.length = frames, len(frames)

    def __iter__(self) -> Frames:
        for n, frame in enumerate(self._frames):
            yield n / FPS, frame


class AsCamera(Clip):
    """The same, played as a camera: the newest frame whenever one is asked for."""

    name, live = "a camera", True

    def __init__(self, frames: list[np.ndarray]) -> None:
        super().__init__(ROUNDS * frames)

    def __iter__(self) -> Frames:
        start, last = time.monotonic(), -1
        while (n := int((time.monotonic() - start) * FPS)) < len(self._frames):
            if n > last:
                yield time.monotonic() - start, self._frames[n]
            last = n
            time.sleep(0.002)


class Still(CameraSource):
    """What stands before a fake's camera does not matter here."""

    def __init__(self, picture: np.ndarray) -> None:
        self._picture, self._clock, self._noise = picture, WallClock(), np.random.default_rng(0)

    def latest_image(self) -> TimedImage:
        noisy = self._picture.copy()
        noisy[0, 0] = self._noise.integers(0, 256, 3)  # no real camera is the same twice
        return TimedImage(self._clock.now(), noisy)


def check(source: Clip, face: Any, out: Path) -> None:
    metrics = mirror(source, InverseModel.load(asset(SHIPPED_MODEL) / "inverse.pt"), face, out)
    assert metrics["complete"], metrics["ended"]
    assert metrics["steps"] == metrics["expected_steps"] if not source.live else metrics["steps"] > 0


@pytest.mark.parametrize("played", [Clip, AsCamera])
@pytest.mark.parametrize("kind", KINDS)
def test_it_mirrors_on_each_board(
    kind: str, played: type[Clip], frames: list[np.ndarray], tmp_path: Path
) -> None:
    with BoardProcess(kind) as boards, boards.open_face(Still(frames[0])) as face:
        before, move, states = boards.limp_count, face.move, list[tuple[bool, int]]()

        def moved(command: ArrayLike) -> Reading:
            """Looks at the servos after each step; they may go limp later, as results are written."""
            reading = move(command)
            states.append(work_while_held(face, lambda: (boards.driven, boards.limp_count)))
            return reading

        face.move = moved  # type: ignore[method-assign]
        check(played(frames), face, tmp_path)
        assert set(states) == {(True, before)}


@pytest.mark.parametrize("played", [Clip, AsCamera])
@pytest.mark.parametrize("body", ["virtual", "mock"])
def test_it_mirrors_on_a_hidden_robot(
    body: str, played: type[Clip], frames: list[np.ndarray], tmp_path: Path
) -> None:
    if body == "virtual" and missing_packages():
        pytest.skip("the AVR toolchain is not installed")
    with (open_virtual if body == "virtual" else open_mock)(realtime=True) as face:
        check(played(frames), face, tmp_path)  # complete: a robot that goes limp ends it
