"""Faces with other tables."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from eva_sim.contract import FaceSpec, load_spec
from eva_sim.files import asset


@pytest.fixture
def another_table(tmp_path: Path) -> Callable[[str], FaceSpec]:
    """Makes a face whose rules are the given text."""

    def make(rules: str) -> FaceSpec:
        shutil.copy(asset("face.toml"), tmp_path)
        (tmp_path / "robot.toml").write_text(
            asset("robot.toml").read_text().split("[[exclusions]]")[0] + rules
        )
        return load_spec(tmp_path)

    return make


@pytest.fixture
def simulated_only(tmp_path: Path) -> FaceSpec:
    """A face without a robot.toml."""
    shutil.copy(asset("face.toml"), tmp_path)
    return load_spec(tmp_path)
