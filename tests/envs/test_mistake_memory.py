"""Memory of a body's mistakes: where they are expected, and how sure it is of them."""

from __future__ import annotations

import numpy as np
import pytest

from eva_sim.envs.mistake_memory import NEWEST, PRIOR, MistakeMemory

READINGS = 400


def taught(mistake_at: float, noise: float = 0.0, seed: int = 0) -> MistakeMemory:
    """A memory of two bodies with one actuator that stayed at a place; the second made no mistake."""
    memory, rng = MistakeMemory(2, 1), np.random.default_rng(seed)
    for _ in range(READINGS):
        mistake = np.array([[0.1], [0.0]]) + noise * rng.standard_normal((2, 1))
        memory.note_mistakes(np.full((2, 1), mistake_at), mistake)
    return memory


def expected(memory: MistakeMemory, place: float) -> list[float]:
    return memory.expected_mistakes(np.full((2, 1), place))[:, 0].tolist()


@pytest.mark.parametrize("place", [-1.0, -0.3, 0.0, 0.5, 0.9])
def test_a_mistake_is_expected_at_its_place_and_of_its_body(place: float) -> None:
    assert expected(taught(place), place) == pytest.approx([0.1, 0.0], abs=0.1 * PRIOR / READINGS * 2)


def test_far_away_nothing_is_expected_of_a_place() -> None:
    assert expected(taught(-0.8), 0.8) == pytest.approx([0, 0], abs=1e-3)


def test_noise_is_averaged() -> None:
    answers = [expected(taught(0.5, noise=0.05, seed=seed), 0.5) for seed in range(20)]
    spread, mean = np.std(answers, axis=0), np.mean(answers, axis=0)
    assert mean == pytest.approx([0.1, 0.0], abs=0.02) and (spread < 0.05).all()


def test_one_reading_counts_less() -> None:
    memory = MistakeMemory(1, 1)
    memory.note_mistakes(np.zeros((1, 1)), np.ones((1, 1)))
    mean = 1 / (1 + PRIOR)
    assert memory.expected_mistakes(np.zeros((1, 1)))[0, 0] == pytest.approx(mean + NEWEST * (1 - mean))


def test_what_changes_is_expected_everywhere_and_soon() -> None:
    """After a long time without a mistake, the body misses by 0.1 at one place."""
    memory = taught(0.5)
    for _ in range(5):
        memory.note_mistakes(np.full((2, 1), 0.5), np.array([[0.1], [0.1]]))
    assert expected(memory, 0.5) == pytest.approx([0.1, 0.1], abs=0.01)
    assert expected(memory, -1.0) == pytest.approx([0.0, 0.1], abs=0.01)


def test_it_forgets_a_body_alone() -> None:
    memory = taught(0.5)
    both = taught(0.5)
    memory.forget_bodies(np.array([False, True]))
    assert expected(memory, 0.5)[0] == expected(both, 0.5)[0]
    memory.forget_bodies(np.array([True, False]))
    assert expected(memory, 0.5) == [0, 0]


def test_some_bodies_may_be_asked_for() -> None:
    memory = taught(0.5)
    asked = memory.expected_mistakes(np.full((1, 1), 0.5), np.array([0]))
    assert asked.shape == (1, 1) and asked[0, 0] == memory.expected_mistakes(np.full((2, 1), 0.5))[0, 0]
