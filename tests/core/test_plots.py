"""Plots: drawn alike whatever a user has set for matplotlib."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
import pytest

from eva_sim.errors import DataError
from eva_sim.plots import write_plot


def draw(path: Path) -> bytes:
    with write_plot(path, figsize=(3, 2)) as figure:
        figure.subplots().set(title="error [mm]", xlabel="steps")
    return path.read_bytes()


def test_plots_are_alike_whatever_the_user_has_set(tmp_path: Path) -> None:
    expected = draw(tmp_path / "plain.png")
    mine: Any = {"text.usetex": True, "savefig.facecolor": "red", "savefig.format": "svg", "font.size": 30}
    with matplotlib.rc_context(mine):
        assert draw(tmp_path / "own.png") == expected
        assert {name: matplotlib.rcParams[name] for name in mine} == mine


def test_a_plot_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "plot.png").mkdir()
    with pytest.raises(DataError, match=r"plot\.png cannot be written"):
        draw(tmp_path / "plot.png")
