"""One curve and one table of runs that differ by their seed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.learning_curves import check_alike, common_curve, read_run, summarise
from eva_sim.errors import DataError
from eva_sim.files import write_json

SCORES = {"return": -2.0, "error_mm": 0.5, "settled_mm": 0.4, "jitter": 0.1}


def write_run(folder: Path, seed: int, settled: list[float], **arguments: Any) -> Path:
    folder.mkdir()
    points = [{"steps": 100 * at, "settled_mm": value} for at, value in enumerate(settled)]
    recipe = {"env_id": "EVA/Mimic-v0", "seed": seed, "out": str(folder), "rate": 1e-3, **arguments}
    scores = {"PPO": {**SCORES, "settled_mm": settled[-1]}, "neutral": SCORES}
    write_json(folder / "curve.json", {"arguments": recipe, "points": points})
    write_json(folder / "scores.json", {"arguments": recipe, "steps": 100, "scores": scores})
    return folder


def test_runs_are_summed_up_by_mean_and_interval(tmp_path: Path) -> None:
    folders = [
        write_run(tmp_path / "a", 0, [0.5, 0.3]),
        write_run(tmp_path / "b", 1, [0.5, 0.4, 0.2]),  # went on for longer
    ]
    runs = [read_run(folder) for folder in folders]
    check_alike(runs, folders)
    settled = summarise(runs)["PPO"]["settled [mm]"]
    assert settled.values == (0.3, 0.2) and settled.mean == pytest.approx(0.25)
    assert settled.half_width == pytest.approx(12.706 * 0.05, rel=1e-3)  # Student's t of two values
    curve = common_curve(runs)
    assert curve["steps"] == [0, 100]
    assert [each.mean for each in curve["settled_mm"]] == pytest.approx([0.5, 0.35])


def test_runs_of_other_settings_are_not_mixed(tmp_path: Path) -> None:
    folders = [write_run(tmp_path / "a", 0, [0.5]), write_run(tmp_path / "b", 1, [0.5], rate=1e-4)]
    with pytest.raises(DataError, match="another rate"):
        check_alike([read_run(folder) for folder in folders], folders)


def test_an_unfinished_run_is_told(tmp_path: Path) -> None:
    (write_run(tmp_path / "a", 0, [0.5]) / "scores.json").unlink()
    with pytest.raises(DataError, match="--resume"):
        read_run(tmp_path / "a")
