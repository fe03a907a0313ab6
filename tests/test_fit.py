"""Commands found by optimisation through the twin."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from eva_sim.agents.babble import sample_command
from eva_sim.agents.evaluate import MOVING
from eva_sim.agents.fit import fit, target_of
from eva_sim.envs.settle import settle_at
from eva_sim.errors import DataError
from eva_sim.landmarks import POINTS
from eva_sim.twin import Twin


@pytest.fixture(scope="module")
def twin() -> Iterator[Twin]:
    with Twin() as opened:
        yield opened


@pytest.mark.parametrize("seed", [3, 4])
def test_known_command_is_found_again(twin: Twin, seed: int) -> None:
    command = sample_command(twin.spec, np.random.default_rng(seed))
    target = settle_at(twin, command).landmarks.astype(float)
    slack = twin.spec.where("cable")[twin.skin.tension == 0]
    command[slack] = twin.spec.neutral[slack]  # a slack cable moves no landmark
    found = fit(target, twin)
    assert found.error < 0.3
    rows = twin.spec.where(*MOVING)
    assert np.abs(found.command - command)[rows].max() / 2 < 0.03


def test_targets_are_expressions_and_files_and_nothing_else(twin: Twin, tmp_path: Path) -> None:
    joy = target_of("joy", twin)
    np.savez(tmp_path / "joy.npz", landmarks=joy)
    assert np.array_equal(target_of(str(tmp_path / "joy.npz"), twin), joy)
    np.savez(tmp_path / "other.npz", points=joy)
    np.savez(tmp_path / "short.npz", landmarks=joy[1:])
    for wrong, told in (("other.npz", "no array"), ("short.npz", f"{len(POINTS)}, 3"), ("none", "no file")):
        with pytest.raises(DataError, match=told):
            target_of(str(tmp_path / wrong), twin)
