"""Runs of `examples/train_sb3.py` that differ by their seed: one curve and one table.

    python -m benchmarks.learning_curves out/mimic_0 out/mimic_1 out/mimic_2 [--out out/benchmarks/mimic]

Each folder holds a finished run. The table has the mean over the runs of each score of the final test, with a
95 % interval (Student's t). The tests of all runs have the same bodies and targets, so known policies differ
only by their own chance. Writes learning_curves.png, and learning_curves.json with the values of each run.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eva_sim.agents.evaluation.summary import Interval, print_summary
from eva_sim.errors import DataError, EvaError
from eva_sim.files import check_output_folder, read_json, write_json
from eva_sim.plots import write_plot

#: Scores of the table, by their name in `scores.json`.
SCORES = {"return": "return", "error_mm": "error [mm]", "settled_mm": "settled [mm]", "jitter": "jitter"}
#: What makes no two runs of one kind differ.
OF_ONE_RUN = ("out", "seed", "minutes", "resume")


def read_run(folder: Path) -> dict[str, Any]:
    """Returns arguments, points of the curve, scores and cost of a run.

    Raises:
        DataError: the run is not there, or not finished.
    """
    if not (folder / "scores.json").exists():
        raise DataError(f"{folder} holds no finished run of train_sb3.py; go on there with --resume.")
    return {**read_json(folder / "curve.json"), **read_json(folder / "scores.json")}


def check_alike(runs: Sequence[dict[str, Any]], folders: Sequence[Path]) -> None:
    """Refuses runs that differ by more than their seed.

    Raises:
        DataError: they do.
    """
    first = {name: value for name, value in runs[0]["arguments"].items() if name not in OF_ONE_RUN}
    for run, folder in zip(runs, folders, strict=True):
        other = [name for name, value in first.items() if run["arguments"].get(name) != value]
        if other:
            raise DataError(
                f"{folder} has another {' and '.join(other)} than {folders[0]}; compare like runs."
            )


def summarise(runs: Sequence[dict[str, Any]]) -> dict[str, dict[str, Interval]]:
    """Returns each score of each policy over the runs."""
    return {
        policy: {
            label: Interval.of([run["scores"][policy][score] for run in runs])
            for score, label in SCORES.items()
        }
        for policy in runs[0]["scores"]
    }


def common_curve(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Returns the settled error at each point that all runs have: steps, and an interval of each."""
    count = min(len(run["points"]) for run in runs)
    points = [[run["points"][at] for run in runs] for at in range(count)]
    return {
        "steps": [float(np.mean([point["steps"] for point in each])) for each in points],
        "settled_mm": [Interval.of([point["settled_mm"] for point in each]) for each in points],
    }


def draw(path: Path, runs: Sequence[dict[str, Any]], curve: dict[str, Any]) -> None:
    with write_plot(path, figsize=(6.5, 4)) as figure:
        axes = figure.subplots()
        steps, found = np.array(curve["steps"]), curve["settled_mm"]
        means = np.array([each.mean for each in found])
        for run in runs:
            points = run["points"]
            axes.plot(
                [p["steps"] for p in points], [p["settled_mm"] for p in points], color="C0", alpha=0.3, lw=1
            )
        axes.plot(steps, means, color="C0", label=f"mean of {len(runs)} runs")
        if len(runs) > 1:
            widths = np.array([each.half_width for each in found])
            axes.fill_between(
                steps, means - widths, means + widths, color="C0", alpha=0.2, label="95 % interval"
            )
        axes.set(
            xlabel="environment steps",
            ylabel="settled landmark error [mm]",
            title=runs[0]["arguments"]["env_id"],
        )
        axes.legend()
        figure.tight_layout()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", type=Path, nargs="+", help="folders of the runs")
    parser.add_argument("--out", type=Path, default=Path("out/benchmarks/learning_curves"), help="folder")
    given = parser.parse_args()
    runs = [read_run(folder) for folder in given.runs]
    check_alike(runs, given.runs)
    out, scores, curve = check_output_folder(given.out), summarise(runs), common_curve(runs)
    print_summary(f"{runs[0]['arguments']['env_id']}, runs: {len(runs)}", scores)
    for steps, point in zip(curve["steps"], curve["settled_mm"], strict=True):
        print(f"{steps:12,.0f} steps: settled {point.describe(4)} mm")
    for folder, run in zip(given.runs, runs, strict=True):
        print(f"{folder}: {run['steps']:,} steps, {run['processor_s']:.0f} processor seconds")
    write_json(
        out / "learning_curves.json",
        {"runs": [str(folder) for folder in given.runs], "scores": scores, "curve": curve},
    )
    draw(out / "learning_curves.png", runs, curve)


if __name__ == "__main__":
    try:
        main()
    except EvaError as error:
        raise SystemExit(f"learning_curves: {error}") from None
