"""The part of a picture in which a face changes."""

from __future__ import annotations

import numpy as np
import pytest

from eva_sim.agents.models.picture_window import CELL, PictureWindow


@pytest.mark.parametrize(("rows", "columns"), [((10, 21), (3, 30)), ((0, 5), (35, 40)), ((17, 18), (0, 40))])
def test_the_window_holds_what_changes(rows: tuple[int, int], columns: tuple[int, int]) -> None:
    pictures = np.full((30, 40, 40, 3), 90, np.uint8)
    noise = np.random.default_rng(0).integers(0, 255, pictures.shape, dtype=np.uint8)
    inside = np.s_[:, rows[0] : rows[1], columns[0] : columns[1]]
    pictures[inside] = noise[inside]
    window = PictureWindow.of(pictures)
    assert window.top <= rows[0] and rows[1] <= window.top + window.height <= 40
    assert window.left <= columns[0] and columns[1] <= window.left + window.width <= 40
    assert window.height % CELL == window.width % CELL == 0
    assert window.height < rows[1] - rows[0] + CELL and window.width < columns[1] - columns[0] + CELL
    assert np.array_equal(window.cut(pictures)[0, 0, 0], pictures[0, window.top, window.left])


def test_pictures_that_never_change_have_a_window() -> None:
    window = PictureWindow.of(np.zeros((3, 20, 20, 3), np.uint8))
    assert (window.height, window.width) == (16, 16)
