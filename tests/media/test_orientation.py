"""All eight orientations, of clips by their display matrix and of pictures by their header."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, features

from eva_sim.media.encoding import Picture
from eva_sim.media.geometry import Orientation
from eva_sim.media.sources import StillSource, open_source
from tests.media.media_files import HeifWriter, film, quarters, write_clip, write_jpeg_clip

EIGHT = [(a, 0, 0, d) for a in (1, -1) for d in (1, -1)] + [(0, b, c, 0) for b in (1, -1) for c in (1, -1)]
#: The transposition that shows a picture with this EXIF orientation upright.
EXIF = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def show(stored: Picture, a: int, b: int, c: int, d: int) -> Picture:
    """Moves each pixel (x, y) to (a x + c y, b x + d y)."""
    y, x = np.mgrid[: stored.shape[0], : stored.shape[1]]
    across, down = a * x + c * y, b * x + d * y
    across, down = across - across.min(), down - down.min()
    shown = np.empty((down.max() + 1, across.max() + 1, 3), np.uint8)
    shown[down, across] = stored
    return shown


def _exif(orientation: int) -> bytes:
    header = Image.Exif()
    header[0x112] = orientation
    return header.tobytes()


def first(path: Path) -> Picture:
    return next(iter(open_source(path)))[1]


def alike(one: Picture, other: Picture) -> bool:
    return one.shape == other.shape and float(np.abs(one.astype(int) - other).mean()) < 12


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
@pytest.mark.parametrize("matrix", EIGHT)
def test_a_clip_obeys_its_whole_display_matrix(
    matrix: tuple[int, int, int, int], suffix: str, tmp_path: Path
) -> None:
    a, b, c, d = (65536 * each for each in matrix)
    path = write_clip(tmp_path / f"clip{suffix}", [quarters()] * 3, matrix=(a, b, 0, c, d, 0, 0, 0, 1 << 30))
    assert alike(first(path), show(quarters(), *matrix))


@pytest.mark.parametrize("orientation", EXIF)
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".avif"])
def test_a_picture_obeys_its_header(orientation: int, suffix: str, tmp_path: Path) -> None:
    if suffix == ".avif" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    image = Image.fromarray(quarters())
    image.save(tmp_path / f"picture{suffix}", exif=_exif(orientation))
    turn = EXIF[orientation]
    assert alike(
        first(tmp_path / f"picture{suffix}"), np.array(image if turn is None else image.transpose(turn))
    )


@pytest.mark.parametrize("orientation", EXIF)
@pytest.mark.parametrize("suffix", [".avi", ".mov", ".mkv"])
def test_a_clip_of_jpegs_obeys_their_header(orientation: int, suffix: str, tmp_path: Path) -> None:
    image = Image.fromarray(quarters())
    path = write_jpeg_clip(tmp_path / f"clip{suffix}", [image] * 3, _exif(orientation))
    turn = EXIF[orientation]
    frames = [picture for _, picture in open_source(path)]
    assert len(frames) == 3
    for frame in frames:
        assert alike(frame, np.array(image if turn is None else image.transpose(turn)))


def test_pngs_with_a_header_one_after_another_are_a_clip(tmp_path: Path) -> None:
    path = tmp_path / "row.png"
    for picture in film(6):
        with path.open("ab") as file:
            Image.fromarray(picture).save(file, "png", exif=_exif(1))
    assert len(list(open_source(path))) == 6


@pytest.mark.parametrize("tiles", [(1, 1), (2, 3)])
@pytest.mark.parametrize(
    "turns",
    [(), ((b"irot", 1),), ((b"irot", 3),), ((b"imir", 0),), ((b"irot", 1), (b"imir", 1)), ((b"irot", 2),)],
)
def test_a_picture_of_a_phone_obeys_its_header_whole_or_in_tiles(
    turns: tuple[tuple[bytes, int], ...], tiles: tuple[int, int], tmp_path: Path
) -> None:
    stored = quarters(256, 384)  # x265 takes no smaller tiles
    shown = stored
    for kind, amount in turns:
        shown = np.rot90(shown, amount) if kind == b"irot" else np.flip(shown, amount)
    path = HeifWriter(stored, *tiles, turns).write(tmp_path / "picture.heic")
    for brand in (b"heic", b"mif1"):  # phones write either
        content = path.read_bytes()
        path.write_bytes(content[:8] + brand + content[12:])
        source = open_source(path)
        assert isinstance(source, StillSource)
        assert alike(source.image, shown)


def test_tiles_that_reach_beyond_the_picture_are_cut(tmp_path: Path) -> None:
    stored = quarters(256, 384)
    writer = HeifWriter(stored, 2, 3, ((b"irot", 3),), shape=(200, 300))
    shown = next(iter(open_source(writer.write(tmp_path / "picture.heic"))))[1]
    assert alike(shown, np.rot90(stored[:200, :300], 3))


def test_a_matrix_that_shows_nothing_is_told(tmp_path: Path) -> None:
    source = open_source(write_clip(tmp_path / "clip.mp4", film(3)))
    assert source.assumed == []
    assert Orientation.of_display_matrix(bytes(36)) is None
    slanted = np.array([60000, 20000, 0, -20000, 60000, 0, 0, 0, 1 << 30], np.int32)
    assert Orientation.of_display_matrix(slanted.tobytes()) == Orientation()
