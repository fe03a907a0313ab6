"""Scores over seeds: mean and interval of each, as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from scipy.stats import t

#: Share of intervals that hold the mean of all seeds.
CONFIDENCE = 0.95


class Interval(NamedTuple):
    """A mean over seeds and its uncertainty.

    Attributes:
        mean: of the values.
        half_width: of the interval that holds the mean of all seeds with the probability `CONFIDENCE`, by
            Student's t; None for a single value.
        values: one for each seed.
    """

    mean: float
    half_width: float | None
    values: tuple[float, ...]

    @classmethod
    def of(cls, values: Sequence[float]) -> Interval:
        """Summarises one value of each seed."""
        count, half = len(values), None
        if count > 1:
            quantile = t.ppf((1 + CONFIDENCE) / 2, count - 1)
            half = float(quantile * np.std(values, ddof=1) / np.sqrt(count))
        return cls(float(np.mean(values)), half, tuple(float(value) for value in values))

    def describe(self, digits: int) -> str:
        """Returns mean and half width in words, with some digits after the point."""
        around = "" if self.half_width is None else f" ± {self.half_width:.{digits}f}"
        return f"{self.mean:.{digits}f}{around}"


def print_summary(
    title: str, rows: Mapping[str, Mapping[str, Interval]], console: Console | None = None
) -> None:
    """Prints one row for each name, and one column for each of its scores.

    Args:
        title: of the table.
        rows: `rows[name][score]`; all have the same scores.
        console: where to print.
    """
    table = Table("commands", *(escape(score) for score in next(iter(rows.values()))), title=title)
    for name, scores in rows.items():
        table.add_row(name, *(each.describe(4 if each.mean < 0.1 else 3) for each in scores.values()))
    (console or Console(emoji=False)).print(table)
