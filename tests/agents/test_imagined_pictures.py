"""Imagined pictures, read by the detector: perfect ones, ones that always rest, and ones without a face."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from eva_sim.agents.evaluation.imagined_pictures import measure_imagined
from eva_sim.contract import Floats
from eva_sim.errors import MediaError
from eva_sim.settling import reset_and_hold
from eva_sim.twin import Twin

SIZE, SETTLE = 128, 9


@pytest.fixture(scope="module")
def twin() -> Iterator[Twin]:
    with Twin(skin="reduced", style="fast") as face:
        yield face


@dataclass(frozen=True)
class Window:
    """The only part of a window that matters here."""

    size: int = SIZE


@dataclass(frozen=True)
class Imagining:
    """A self-image in the place of a learned one."""

    imagine: Callable[[Floats], Any]
    window: Window = Window()


@pytest.fixture(scope="module")
def faces(twin: Twin) -> tuple[np.ndarray, np.ndarray]:
    """Commands of three strong faces, and the landmarks they make."""
    spec = twin.spec
    commands = np.stack([spec.command(jaw=0.9), spec.command(zygomaticus=0.8), spec.command(brow_inner=1.0)])
    return commands, np.stack([reset_and_hold(twin, command).landmarks for command in commands])


def draw(twin: Twin, command: np.ndarray) -> np.ndarray:
    reset_and_hold(twin, command)
    return twin.render(SIZE)


def measure(twin: Twin, faces: tuple[np.ndarray, np.ndarray], imagine: Callable[[Floats], Any]) -> Any:
    commands, landmarks = faces
    image: Any = Imagining(imagine)
    return measure_imagined(twin, image, landmarks, landmarks, commands, SETTLE)


def test_a_perfect_picture_is_read_as_the_real_one(twin: Twin, faces: tuple[np.ndarray, np.ndarray]) -> None:
    known = [(twin.neutral_landmarks, twin.spec.neutral), *zip(faces[1], faces[0], strict=True)]

    def imagine(asked: Floats) -> np.ndarray:
        distances = [np.linalg.norm(asked - landmarks) for landmarks, _ in known]
        return draw(twin, known[int(np.argmin(distances))][1])

    errors = measure(twin, faces, imagine)
    assert errors.to_real < 1e-3 and errors.found == 1
    assert errors.to_asked == pytest.approx(errors.real_to_asked, abs=1e-3)
    assert 0.005 < errors.real_to_asked < 0.05  # the detector misses a part of the motion
    assert errors.corrected_real_to_asked < 0.7 * errors.real_to_asked
    assert errors.corrected_to_asked == pytest.approx(errors.corrected_real_to_asked, abs=1e-3)


def test_a_picture_that_always_rests_is_far_from_the_real_one(
    twin: Twin, faces: tuple[np.ndarray, np.ndarray]
) -> None:
    rest = draw(twin, twin.spec.neutral)
    errors = measure(twin, faces, lambda asked: rest)
    assert errors.to_real > 0.008 and errors.to_asked > errors.real_to_asked
    assert errors.corrected_to_asked > 1.5 * errors.corrected_real_to_asked


def test_pictures_without_a_face_are_told(twin: Twin, faces: tuple[np.ndarray, np.ndarray]) -> None:
    rest, wall = draw(twin, twin.spec.neutral), np.full((SIZE, SIZE, 3), 90, np.uint8)
    with pytest.raises(MediaError, match="no face in any imagined picture; train with more"):
        measure(twin, faces, lambda asked: rest if np.array_equal(asked, twin.neutral_landmarks) else wall)
