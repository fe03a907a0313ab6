"""Folds follow the strain of the skin: compression across the lines, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from eva_sim.rendering.folds import FoldStrain
from eva_sim.twin import Twin

ROWS, COLUMNS = 6, 7


@pytest.fixture
def sheet() -> tuple[np.ndarray, np.ndarray]:
    y, x = np.meshgrid(np.linspace(0, 0.05, ROWS), np.linspace(0, 0.06, COLUMNS), indexing="ij")
    points = np.column_stack([x.ravel(), y.ravel(), 0.01 * np.sin(40 * x.ravel())])
    a = (np.arange(ROWS - 1)[:, None] * COLUMNS + np.arange(COLUMNS - 1)).ravel()
    triangles = np.concatenate(
        [np.stack([a, a + 1, a + COLUMNS], 1), np.stack([a + 1, a + COLUMNS + 1, a + COLUMNS], 1)]
    )
    return points, triangles


def _folds(sheet: tuple[np.ndarray, np.ndarray], moved: np.ndarray) -> np.ndarray:
    points, triangles = sheet
    return FoldStrain(points, triangles, np.tile([0.0, 1.0, 0.0], (len(triangles), 1)))(moved)


def test_rest_is_smooth_wherever_the_head_is(sheet: tuple[np.ndarray, np.ndarray]) -> None:
    turn = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    for moved in (sheet[0], sheet[0] @ turn.T + 0.3):
        assert np.abs(_folds(sheet, moved)).max() == 0


@pytest.mark.parametrize(("compression", "fold"), [(0.02, 0.0), (0.12, 0.5), (0.22, 1.0), (0.9, 1.3)])
def test_compression_across_the_lines_folds(
    sheet: tuple[np.ndarray, np.ndarray], compression: float, fold: float
) -> None:
    assert _folds(sheet, sheet[0] * [1, 1 - compression, 1]) == pytest.approx(fold, abs=1e-9)


def test_neither_stretch_nor_compression_along_the_lines_folds(sheet: tuple[np.ndarray, np.ndarray]) -> None:
    points = sheet[0].copy()
    points[:, 2] = 0  # a flat sheet, so that its triangles have the lines' direction
    flat = (points, sheet[1])
    for scale in ([1, 1.4, 1], [0.7, 1, 1]):
        assert np.abs(_folds(flat, points * scale)).max() < 1e-12


def _mean_fold(twin: Twin, region: np.ndarray, **pull: float) -> float:
    from eva_sim.rendering.studio_parts import StudioParts

    twin.reset()
    for _ in range(15):
        twin.move(twin.spec.command(**pull))
    parts = StudioParts(twin.spec, fine=False)
    folds = parts.place(twin.skin.points, twin.head.pose).folds[: len(twin.skin.points)]
    return float(folds[region].mean())


def test_brows_fold_the_forehead_and_corrugators_the_frown() -> None:
    with Twin() as twin:
        x, y, z = twin.skin.anatomy.points.T
        forehead = (np.abs(x) < 0.03) & (y > 0.04) & (y < 0.07) & (z > -0.03)
        frown = (np.abs(x) < 0.01) & (y > 0.008) & (y < 0.03) & (z > 0)
        assert _mean_fold(twin, forehead) == _mean_fold(twin, frown) == 0
        assert _mean_fold(twin, forehead, brow_inner=1, brow_outer=1) > 0.3
        assert _mean_fold(twin, frown, corrugator=1) > 0.3
        assert _mean_fold(twin, forehead, zygomaticus=1) < 0.05
