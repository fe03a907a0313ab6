"""Scores of policies: equal bodies and targets, known orders, faults."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from eva_sim.contract import load_spec
from eva_sim.envs.evaluation import (
    bootstrap_interval,
    evaluate,
    known_policies,
    score_policies,
    score_table,
)
from eva_sim.errors import ArgumentValueError
from eva_sim.registration import IDS
from eva_sim.skin.block import Block
from tests.envs.vector_comparison import make

FAST: dict[str, Any] = {"skin": "reduced", "max_episode_steps": 24}


@pytest.mark.parametrize("targets", ["atlas", "babbling"])
@pytest.mark.parametrize("name", IDS)
def test_known_policies_come_in_their_order(name: str, targets: str) -> None:
    envs = make(name, 16, targets=targets, **FAST)
    scores = score_policies(envs, known_policies(load_spec()), seed=3)
    errors = [scores[key]["settled_mm"] for key in ("told command", "neutral", "random")]
    assert errors == sorted(errors)
    assert scores["told command"]["return"] > scores["neutral"]["return"] > scores["random"]["return"]
    assert scores["neutral"]["jitter"] == 0 < scores["random"]["jitter"]
    for name in scores:
        assert name in score_table(scores)
    envs.close()


def test_scores_are_those_of_the_steps() -> None:
    envs, seen = make("EVA/Pose-v0", 2, **FAST), list[Any]()

    def walk(observations: Any, info: dict[str, Any], begins: bool) -> np.ndarray:
        assert begins == (not seen)
        seen.append(info["landmark_error_mm"])
        return np.full((2, 25), -0.5 + 0.1 * (len(seen) % 2), np.float32)

    scores = evaluate(envs, walk, seed=5)
    assert len(seen) == 24
    np.testing.assert_allclose(scores.jitter, 0.1, rtol=1e-5)
    last = scores.errors * 24 - np.sum(seen[1:], axis=0)
    assert (last > 0).all()
    np.testing.assert_allclose(scores.settled * 12, np.sum(seen[13:], axis=0) + last, rtol=1e-6)
    assert scores.faults.tolist() == [0, 0]
    envs.close()


def test_faults_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    envs, descend = make("EVA/Pose-v0", 3, max_episode_steps=4), Block.descend

    def broken(block: Block, evaluations: int) -> None:
        descend(block, evaluations)
        if block is envs.twins.skins._blocks[0] and envs._steps[1] == 1:
            block.set_shape(1, np.full_like(block.points[1], np.nan))
            block.residual[1] = np.nan

    monkeypatch.setattr(Block, "descend", broken)
    scores = evaluate(envs, known_policies(load_spec())["neutral"], seed=0)
    assert scores.faults[1] >= 1 and scores.faults[0] == scores.faults[2] == 0
    assert np.isfinite(scores.errors).all()
    envs.close()


@pytest.mark.parametrize("options", [{"autoreset_mode": "SameStep"}, {"max_episode_steps": -1}])
def test_scores_need_whole_episodes(options: dict[str, Any]) -> None:
    envs = make("EVA/Pose-v0", 2, **{**FAST, **options})
    with pytest.raises(ArgumentValueError, match="max_episode_steps and the default autoreset_mode"):
        evaluate(envs, known_policies(load_spec())["neutral"], seed=0)
    envs.close()


def test_an_interval_holds_the_mean_and_narrows() -> None:
    rng = np.random.default_rng(0)
    few, many = rng.normal(2, 1, 20), rng.normal(2, 1, 2000)
    for values in (few, many):
        low, high = bootstrap_interval(values)
        assert low < values.mean() < high
    assert np.diff(bootstrap_interval(many)) < 0.3 * np.diff(bootstrap_interval(few))
