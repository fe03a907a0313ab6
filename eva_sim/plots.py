"""Plots as pictures, drawn alike everywhere."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from eva_sim.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@contextmanager
def write_plot(path: str | os.PathLike[str], dpi: float = 110, **layout: Any) -> Iterator[Figure]:
    """Yields a page for a plot, and writes it as a PNG after the block.

    It is drawn with matplotlib's own defaults: in those of a user, text may go through a LaTeX that is not
    there. No window is opened.

    Args:
        path: of the picture.
        dpi: pixels per inch.
        layout: arguments of matplotlib's `Figure`, e.g. `figsize` [inches].

    Raises:
        DataError: it cannot be written.
    """
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        figure = Figure(**layout)
        yield figure
        with atomic_path(path) as part:
            figure.savefig(part, format="png", dpi=dpi)
