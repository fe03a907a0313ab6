"""Error against the number of poses (benchmarks/sampling.py): a call that was stopped goes on, fit by fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import sampling
from benchmarks.sampling import DRAWN, ERRING, Bench, Scores, measure
from eva_sim.agents.optimisation.settled_face import SettledFace
from eva_sim.twin import Twin

WAYS = ["babbling", ERRING]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few poses and little training."""
    monkeypatch.setattr(sampling, "POSES", (100, 300))
    monkeypatch.setattr(sampling, "STEPS", 40)
    monkeypatch.setattr(sampling, "PASSES", 4)


def test_a_stopped_call_goes_on_and_another_recipe_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fits: list[int] = []
    score, limit = Bench.score, 3

    def counted(bench: Bench, *poses: np.ndarray) -> Scores:
        if len(fits) == limit:
            raise KeyboardInterrupt
        fits.append(len(poses[0]))
        return score(bench, *poses)

    monkeypatch.setattr(Bench, "score", counted)
    with pytest.raises(KeyboardInterrupt):
        measure(tmp_path, WAYS, 1)
    assert fits == [100, 100, 300]
    limit = 100
    resumed = measure(tmp_path, WAYS, 1)
    assert fits == [100, 100, 300, 300]
    assert resumed == measure(tmp_path / "whole", WAYS, 1)  # to the last bit
    assert len(fits) == 8
    measure(tmp_path, WAYS, 1)
    assert len(fits) == 8  # all is there
    measure(tmp_path, WAYS, 1, training=2)
    assert len(fits) == 12

    curves = resumed[0]
    assert list(curves) == WAYS
    forward = {count: scores["babbled faces"]["forward"] for count, scores in curves["babbling"].items()}
    assert 0 < forward[300] < forward[100] < 3


def test_each_way_draws_what_it_says_within_the_limits() -> None:
    with Twin() as twin:
        bench, settled = Bench(twin, 0), SettledFace(twin)
        for name in (*DRAWN, ERRING):
            commands, faces = bench.draw(name, 100, np.random.default_rng(1))
            assert len(commands) == len(faces) == 100
            np.testing.assert_allclose(bench.limits.within(commands), commands, atol=1e-6)
            np.testing.assert_allclose(settled(commands[-1:])[0], faces[-1], atol=1e-6)
        moved = bench.pulls(bench.draw("five-level sweeps", 100, np.random.default_rng(1))[0]) != 0
        assert moved.sum(1).max() == 1
