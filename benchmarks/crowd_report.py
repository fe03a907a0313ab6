"""The report of `benchmarks/crowd.py`: figures of all people together, tables and plot."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from eva_sim.landmarks import REGIONS
from eva_sim.plots import write_plot

#: How often people rest, in the order of the tables.
KINDS = ("usual", "rare", "none")
#: Figures of one person, or of all.
Metrics = dict[str, Any]
#: Columns of the table of measurements, by the figure's name.
_COLUMNS = {
    "robot": "r robot", "nine_in_ten": "nine in ten", "read": "r read", "share": "range robot / true",
    "slope": "slope", "reachable": "best / true", "reached": "robot / best",
}  # fmt: skip


def summarise(people: dict[str, Metrics]) -> Metrics:
    """Returns the figures of all people together: medians, and what nine in ten people reach."""
    each = list(people.values())
    return {
        "people": len(each),
        "detected": float(np.mean([one["detected"] for one in each])),
        "held_back": float(np.mean([one["held_back"] for one in each])),
        "delay": float(np.median([one["delay"] for one in each])),
        "head_delay": float(np.median([one["head_delay"] for one in each])),
        "neutral": {kind: _neutral_of([one for one in each if one["rests"] == kind]) for kind in KINDS},
        "measurements": {name: _measurement_of(each, name) for name in each[0]["measurements"]},
        "regions": {name: _region_of(each, name) for name in REGIONS},
    }


def _neutral_of(people: Sequence[Metrics]) -> dict[str, float | None]:
    medians = {
        key: _median([one["neutral"][key] for one in people]) for key in ("error", "frontal", "resting")
    }
    worst = _quantile([one["neutral"]["error"] for one in people], 0.9)
    return {"people": len(people), **medians, "nine_in_ten": worst}


def _measurement_of(people: Sequence[Metrics], name: str) -> dict[str, float | None]:
    compared = [one["measurements"][name] for one in people]
    reach = [one["reach"].get(name, {}) for one in people]
    medians = {key: _median([one[key] for one in compared]) for key in ("robot", "read", "share", "slope")}
    medians |= {key: _median([one.get(key) for one in reach]) for key in ("reachable", "reached")}
    return medians | {"nine_in_ten": _quantile([one["robot"] for one in compared], 0.1)}


def _region_of(people: Sequence[Metrics], name: str) -> dict[str, float | None]:
    regions = [one["regions"][name] for one in people]
    errors = {key: _median([one[key] for one in regions]) for key in ("robot", "asked", "best")}
    ratios = {
        ratio: _median([one[whose] / one["best"] for one in regions])
        for ratio, whose in (("ratio", "robot"), ("ratio_asked", "asked"))
    }
    return errors | ratios


def _quantile(values: Sequence[float | None], share: float) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.quantile(known, share)) if known else None


def _median(values: Sequence[float | None]) -> float | None:
    return _quantile(values, 0.5)


def print_tables(summary: Metrics) -> None:
    """Prints the summary."""
    console = Console(width=120)
    for table in (_neutral_table(summary), _measurement_table(summary), _region_table(summary)):
        console.print(table)
    console.print(
        f"{summary['people']} people; detected in {_percent(summary['detected'], 1)} % of the frames; "
        f"held back {_percent(summary['held_back'], 2)} % of these; "
        f"delay of the robot's face {summary['delay']:.0f} control steps, "
        f"of its head {summary['head_delay']:.0f}"
    )


def _neutral_table(summary: Metrics) -> Table:
    columns = {"error": "error", "nine_in_ten": "nine in ten below", "frontal": "in the frontal plane",
               "resting": "median of resting frames"}  # fmt: skip
    table = Table("rests", "people", *columns.values(), title="neutral face: error [% of outer-eye distance]")
    for kind, row in summary["neutral"].items():
        table.add_row(kind, str(row["people"]), *(_percent(row[key], 2) for key in columns))
    return table


def _measurement_table(summary: Metrics) -> Table:
    table = Table("measurement", *_COLUMNS.values(), title="true person and robot, median of people")
    for name, row in summary["measurements"].items():
        cells = ("" if row[key] is None else f"{row[key]:.2f}" for key in _COLUMNS)
        table.add_row(name.replace("_", " "), *cells)
    return table


def _region_table(summary: Metrics) -> Table:
    table = Table(
        "region", "robot", "best in reach", "ratio", "asked by perfect reading", "ratio",
        title="landmarks: error [% of outer-eye distance]",
    )  # fmt: skip
    for name, row in summary["regions"].items():
        robot, best, asked = (_percent(row[whose], 2) for whose in ("robot", "best", "asked"))
        table.add_row(name, robot, best, f"{row['ratio']:.2f}", asked, f"{row['ratio_asked']:.2f}")
    return table


def _percent(value: float | None, digits: int) -> str:
    return "" if value is None else f"{100 * value:.{digits}f}"


def draw_plot(people: dict[str, Metrics], path: Path) -> None:
    """Draws neutral error by kind, and correlation and range by measurement, a dot for each person."""
    with write_plot(path, figsize=(12, 4.5), layout="constrained") as figure:
        errors, fits, shares = figure.subplots(1, 3)
        each = list(people.values())
        for place, kind in enumerate(KINDS):
            _draw_dots(errors, place, [100 * one["neutral"]["error"] for one in each if one["rests"] == kind])
        errors.set_xticks(range(len(KINDS)), KINDS)
        errors.set(ylim=(0, None), title="neutral error [% of outer-eye distance]", xlabel="rests")
        names = list(each[0]["measurements"])
        for axes, key, top, title in (
            (fits, "robot", 1.02, "correlation"),
            (shares, "share", 2.0, "range over true range"),
        ):
            for place, name in enumerate(names):
                _draw_dots(axes, place, [one["measurements"][name][key] for one in each])
            axes.set_xticks(
                range(len(names)), [name.replace("_", " ") for name in names], rotation=60, ha="right"
            )
            axes.set(ylim=(0, top), title=f"robot and true person: {title}")


def _draw_dots(axes: Any, place: int, values: Sequence[float | None]) -> None:
    """Draws values beside each other, and their median as a line."""
    known = [value for value in values if value is not None]
    if known:
        axes.plot(place + np.linspace(-0.25, 0.25, len(known)), known, ".", color="tab:blue", alpha=0.6)
        axes.plot([place - 0.35, place + 0.35], [np.median(known)] * 2, color="black")
