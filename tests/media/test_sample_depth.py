"""Depth and kind of samples: all become the same 8-bit picture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from eva_sim.media.encoding import Picture
from eva_sim.media.sources import ONE_PICTURE, open_source
from tests.media.media_files import film, ramp, write_clip, write_tiff

GREY = ramp()
NOT_NUMBERS = np.where(GREY == 0, np.nan, GREY / 255).astype(np.float32)
DEPTHS: dict[str, np.ndarray] = {
    "16.png": GREY.astype(np.uint16) * 257,
    "16.tif": GREY.astype(np.uint16) * 257,
    "32.tif": (GREY.astype(np.int64) * 0x808080).astype(np.int32),
    "32-of-16.tif": GREY.astype(np.int32) * 257,
    "32-of-8.tif": GREY.astype(np.int32),
    "unit.tif": GREY.astype(np.float32) / 255,
    "float-of-8.tif": GREY.astype(np.float32),
    "float-of-16.tif": GREY.astype(np.float32) * 257,
    "not-numbers.tif": NOT_NUMBERS,
}


def read(path: Path) -> Picture:
    return next(iter(open_source(path)))[1]


def off(picture: Picture, expected: np.ndarray) -> float:
    """Mean difference from a grey or coloured picture [grey levels]."""
    wanted = expected if expected.ndim == 3 else expected[..., None]
    return float(np.abs(picture.astype(int) - wanted).mean())


@pytest.mark.parametrize("name", DEPTHS)
def test_grey_samples_of_any_depth_are_scaled(name: str, tmp_path: Path) -> None:
    Image.fromarray(DEPTHS[name]).save(tmp_path / name)
    source = open_source(tmp_path / name)
    assert off(next(iter(source))[1], GREY) < 1
    assert ("is taken as white" in " ".join(source.assumed)) == (not name.startswith("16"))


def pack_12(samples: np.ndarray) -> bytes:
    """Packs pairs of 12-bit samples into three bytes."""
    first, second = samples.reshape(-1, 2).T
    return np.stack([first >> 4, (first & 15) << 4 | second >> 8, second & 255], 1).astype(np.uint8).tobytes()


@pytest.mark.parametrize(
    ("strip", "settings"),
    [
        (pack_12(np.round(GREY * (4095 / 255)).astype(int)), {"bits": 12}),
        ((GREY.astype("<i2") * 128).tobytes(), {"bits": 16, "kind": 2}),
        (((255 - GREY.astype("<u2")) * 257).tobytes(), {"bits": 16, "meaning": 0}),
    ],
)
def test_grey_samples_are_scaled_by_the_range_that_a_tiff_tells(
    strip: bytes, settings: dict[str, int], tmp_path: Path
) -> None:
    source = open_source(write_tiff(tmp_path / "grey.tif", strip, **settings))
    assert off(next(iter(source))[1], GREY) < 1
    assert source.assumed == [ONE_PICTURE]


def lab(image: Image.Image) -> Image.Image:
    made = ImageCms.profileToProfile(
        image, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    assert made is not None
    return made


@pytest.mark.parametrize(
    ("name", "convert", "tolerance"),
    [
        ("bit.png", lambda image: image.convert("1"), 90.0),  # dithered
        ("palette.png", lambda image: image.quantize(96), 3.0),
        ("cmyk.tif", lambda image: image.convert("CMYK"), 1.0),
        ("lab.tif", lab, 4.0),
        ("ycbcr.tif", lambda image: image.convert("YCbCr"), 2.0),
        ("opaque.png", lambda image: image.convert("RGBA"), 0.1),
    ],
)
def test_other_colours_become_rgb(
    name: str, convert: Callable[[Image.Image], Image.Image], tolerance: float, tmp_path: Path
) -> None:
    convert(Image.fromarray(GREY).convert("RGB")).save(tmp_path / name)
    picture = read(tmp_path / name)
    assert off(picture, GREY) < tolerance
    assert abs(float(picture.mean()) - GREY.mean()) < 6


@pytest.mark.parametrize("name", ["see.png", "see.webp", "see.gif", "see.tif"])
def test_transparent_parts_are_white_and_told(name: str, tmp_path: Path) -> None:
    image = Image.new("RGBA", (96, 64), (200, 0, 0, 255))
    image.paste((0, 0, 0, 0), (0, 0, 48, 64))
    image.save(tmp_path / name, **({"lossless": True} if name.endswith("webp") else {}))  # type: ignore[arg-type]
    source = open_source(tmp_path / name)
    picture = next(iter(source))[1]
    assert (picture[:, :44] > 250).all()
    assert abs(picture[:, 52:].reshape(-1, 3).mean(0) - (200, 0, 0)).max() < 5
    assert "transparent parts are shown white" in source.assumed


@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [
        ("ten.mkv", "libx265", "yuv420p10le"),
        ("ten.mov", "prores_ks", "yuv422p10le"),
        ("16.mkv", "ffv1", "gray16le"),
    ],
)
def test_clips_of_more_bits_show_the_same(name: str, codec: str, pixels: str, tmp_path: Path) -> None:
    frames = [
        picture for _, picture in open_source(write_clip(tmp_path / name, film(4), codec, pixels=pixels))
    ]
    assert [off(seen, wanted) < 4 for seen, wanted in zip(frames, film(4), strict=True)] == [True] * 4


@pytest.mark.parametrize("transfer", [16, 18])
def test_colours_of_high_dynamic_range_are_told(transfer: int, tmp_path: Path) -> None:
    path = write_clip(
        tmp_path / "hdr.mkv", film(3), "libx265", pixels="yuv420p10le", color_trc=transfer, color_primaries=9
    )
    source = open_source(path)
    assert len(list(source)) == 3
    assert source.assumed == ["colours of high dynamic range are shown as they are stored, paler than meant"]


def test_transparent_clips_are_laid_over_white(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "see.mov", film(3), "prores_ks", pixels="yuva444p10le")
    assert all(
        off(picture, wanted) < 4 for (_, picture), wanted in zip(open_source(path), film(3), strict=True)
    )
