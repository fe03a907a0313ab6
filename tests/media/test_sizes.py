"""Pixel shape, sizes that change in the middle, and pictures that are too thin or too large."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from eva_sim.agents.mirroring.video_panels import HEIGHT, MAX_WIDTH, MIN_WIDTH, resize_to_panel
from eva_sim.errors import MediaError
from eva_sim.media.assumptions import Assumptions
from eva_sim.media.clip_reader import _pixel_aspect
from eva_sim.media.geometry import fit_with_bars, square_size
from eva_sim.media.sources import open_source
from tests.media.media_files import film, quarters, ramp, write_clip


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize(("aspect", "shape"), [("4/3", (96, 128)), ("3/4", (128, 96)), ("16/15", (96, 102))])
def test_pixels_become_square(aspect: str, shape: tuple[int, int], suffix: str, tmp_path: Path) -> None:
    path = write_clip(tmp_path / f"clip{suffix}", film(3, 96, 96), sample_aspect_ratio=Fraction(aspect))
    assert {picture.shape[:2] for _, picture in open_source(path)} == {shape}


@pytest.mark.parametrize(
    ("claimed", "used"), [(None, 1.0), (Fraction(64, 45), 64 / 45), (Fraction(100), 1.0)]
)
def test_pixels_of_no_possible_shape_count_as_square(claimed: Fraction | None, used: float) -> None:
    assumed = Assumptions()
    assert _pixel_aspect(SimpleNamespace(sample_aspect_ratio=claimed), assumed) == pytest.approx(used)
    assert bool(assumed.in_words()) == (claimed == 100)


def test_sizes_are_never_zero() -> None:
    assert square_size(1, 60_000) == (1, 1280)
    assert square_size(4000, 3, 0.5) == (1280, 2)
    assert fit_with_bars(quarters(500, 2), 64, 64)[0].shape == (64, 64, 3)


def test_a_size_that_changes_is_fitted_with_bars_and_told(tmp_path: Path) -> None:
    wide, high = quarters(64, 128), quarters(128, 64)
    pages = [Image.fromarray(picture) for picture in (wide, high, wide)]
    pages[0].save(tmp_path / "pages.tif", save_all=True, append_images=pages[1:])
    pieces = [
        write_clip(tmp_path / f"{i}.ts", [picture] * 3, "mpeg2video")
        for i, picture in enumerate((wide, high))
    ]
    (tmp_path / "joined.ts").write_bytes(b"".join(piece.read_bytes() for piece in pieces))
    for name in ("pages.tif", "joined.ts"):
        source = open_source(tmp_path / name)
        frames = [picture for _, picture in source]
        fitted = frames[1 if name == "pages.tif" else -1]
        assert {picture.shape for picture in frames} == {(64, 128, 3)}, name
        assert fitted[:, :44].max() < 20 and fitted[:, 84:].max() < 20, name
        assert np.abs(fitted[4:12, 50:60].astype(int) - wide[0, 0]).mean() < 40, name
        assert "the size changes at" in " ".join(source.assumed), name


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ((1, 60_000), "too thin or small to hold a face"),
        ((60_000, 1), "too thin or small to hold a face"),
        ((8, 8), "too thin or small to hold a face"),
        ((3000, 100), "too thin or small to hold a face"),
        ((9000, 9000), "more than 64 million; save it smaller"),
        ((30_000, 30_000), "too many pixels; save it smaller"),
    ],
)
def test_a_picture_of_unusable_size_is_refused_before_it_is_decoded(
    size: tuple[int, int], message: str, tmp_path: Path
) -> None:
    Image.new("1", size).save(tmp_path / "odd.png")
    with pytest.raises(MediaError, match=message):
        open_source(tmp_path / "odd.png")


@pytest.mark.parametrize("name", ["grey.png", "colour.png", "deep.png", "colour.jpg", "palette.png"])
def test_a_huge_picture_is_shrunk(name: str, tmp_path: Path) -> None:
    grey = Image.fromarray(ramp(600, 6000))
    image = {
        "deep.png": Image.fromarray(np.asarray(grey).astype(np.uint16) * 257),
        "grey.png": grey,
        "palette.png": grey.convert("RGB").quantize(256),
    }.get(name, grey.convert("RGB"))
    image.save(tmp_path / name)
    picture = next(iter(open_source(tmp_path / name)))[1]
    assert picture.shape == (128, 1280, 3)
    assert np.abs(picture.astype(int) - ramp(128, 1280)[..., None]).mean() < 2


def test_a_clip_of_unusable_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="too thin or small to hold a face"):
        open_source(write_clip(tmp_path / "thin.mkv", film(2, 1600, 2), "ffv1", pixels="bgr0"))


@pytest.mark.parametrize(
    ("shape", "width"),
    [((480, 640), 640), ((1200, 20), MIN_WIDTH), ((40, 700), MAX_WIDTH), ((300, 400), 640)],
)
def test_panels_have_one_height_and_bounded_widths_and_landmarks_move_along(
    shape: tuple[int, int], width: int
) -> None:
    picture = np.zeros((*shape, 3), np.uint8)
    row, column = shape[0] // 3, shape[1] // 3
    picture[row - 3 : row + 4, column - 3 : column + 4] = 255
    panel, scale, corner = resize_to_panel(picture)
    assert panel.shape == (HEIGHT, width, 3)
    y, x = np.argwhere(panel[..., 0] > 100).mean(0) + 0.5
    point = scale * np.array([column + 0.5, -row - 0.5, 0]) + corner
    assert point[:2] == pytest.approx([x, -y], abs=max(1.5, scale))
