"""What a file is follows from its content: one picture or many, and which stream is the film."""

from __future__ import annotations

import io
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition
from PIL import Image

from eva_sim.errors import MediaError
from eva_sim.media.sources import ONE_PICTURE, ClipSource, StillSource, open_source
from tests.media.media_files import (
    HeifWriter,
    add_stream,
    brightness,
    encode,
    film,
    quarters,
    write_clip,
)


def images(count: int) -> list[Image.Image]:
    return [Image.fromarray(picture) for picture in film(count)]


def save_pictures(path: Path, count: int, **options: object) -> Path:
    first, *rest = images(count)
    first.save(path, save_all=True, append_images=rest, **options)  # type: ignore[arg-type]
    return path


def jpegs(count: int) -> list[bytes]:
    made = []
    for image in images(count):
        buffer = io.BytesIO()
        image.save(buffer, "JPEG")
        made.append(buffer.getvalue())
    return made


@pytest.mark.parametrize(
    "suffix", [".gif", ".png", ".webp", ".tif", ".avif", ".bmp", ".jpg", ".jp2", ".ppm", ".tga"]
)
def test_one_picture_is_a_still_in_every_format(suffix: str, tmp_path: Path) -> None:
    images(1)[0].save(tmp_path / f"one{suffix}")
    source = open_source(tmp_path / f"one{suffix}")
    assert isinstance(source, StillSource)
    assert source.assumed == [ONE_PICTURE]
    assert abs(source.image.mean() - 20) < 4


@pytest.mark.parametrize(
    ("suffix", "codec"), [(".mp4", "libx264"), (".webm", "libvpx-vp9"), (".avi", "mjpeg")]
)
def test_a_clip_of_one_picture_is_a_still(suffix: str, codec: str, tmp_path: Path) -> None:
    pixels = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    source = open_source(write_clip(tmp_path / f"one{suffix}", film(1), codec, pixels=pixels))
    assert isinstance(source, StillSource) and source.assumed == [ONE_PICTURE]


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp", ".tif", ".avif"])
def test_several_pictures_are_a_clip_in_every_format(suffix: str, tmp_path: Path) -> None:
    timed = {} if suffix == ".tif" else {"duration": 100}
    source = open_source(save_pictures(tmp_path / f"many{suffix}", 6, **timed))
    assert isinstance(source, ClipSource)
    times, frames = zip(*source, strict=True)
    step = 0.1 if timed else 0.04
    assert times == pytest.approx(step * np.arange(6))
    assert (np.diff(brightness(frames)) > 10).all()
    assert bool(source.assumed) == (not timed)


def test_pictures_of_an_animation_stand_as_long_as_it_says(tmp_path: Path) -> None:
    for suffix in (".gif", ".webp"):
        path = save_pictures(tmp_path / f"uneven{suffix}", 4, duration=[100, 500, 100, 2000])
        times = [time for time, _ in open_source(path)]
        assert times == pytest.approx([0, 0.1, 0.6, 0.7, 2.6])


def test_jpegs_in_a_row_are_a_clip_also_as_a_network_camera_sends_them(tmp_path: Path) -> None:
    made = jpegs(7)
    (tmp_path / "row.jpg").write_bytes(b"".join(made))
    (tmp_path / "padded.jpg").write_bytes(b"".join(each + bytes(40) for each in made))
    head = b"--frame\r\nContent-Type: image/jpeg\r\n\r\n"
    (tmp_path / "answer.bin").write_bytes(b"".join(head + each + b"\r\n" for each in made))
    for name in ("row.jpg", "padded.jpg", "answer.bin"):
        source = open_source(tmp_path / name)
        frames = [picture for _, picture in source]
        assert len(frames) == 7 and (np.diff(brightness(frames)) > 10).all(), name
        assert "25 frames a second are assumed" in source.assumed[0]


@pytest.mark.parametrize("kind", ["PNG", "PPM", "BMP", "WEBP"])
def test_other_pictures_in_a_row_are_a_clip_too(kind: str, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    for image in images(5):
        image.save(buffer, kind)
    (tmp_path / "row").write_bytes(buffer.getvalue())
    source = open_source(tmp_path / "row")
    times, frames = zip(*source, strict=True)
    assert times == pytest.approx(0.04 * np.arange(5))
    assert (np.diff(brightness(frames)) > 10).all()
    assert source.assumed == ["pictures without a time: 5; 25 frames a second are assumed"]


def test_a_jpeg_with_something_behind_it_is_one_picture(tmp_path: Path) -> None:
    (large,), small = jpegs(1), io.BytesIO()
    Image.new("RGB", (32, 24)).save(small, "JPEG")
    clip = write_clip(tmp_path / "clip.mp4", film(5)).read_bytes()
    (tmp_path / "depth.jpg").write_bytes(large + small.getvalue())
    (tmp_path / "motion.jpg").write_bytes(large + clip)
    save_pictures(tmp_path / "stereo.mpo", 2)
    for name in ("depth.jpg", "motion.jpg", "stereo.mpo"):
        assert isinstance(open_source(tmp_path / name), StillSource), name


def test_pictures_that_only_stand_in_for_others_are_left_out(tmp_path: Path) -> None:
    path = save_pictures(tmp_path / "animated.png", 5, duration=40, default_image=True)
    assert len(list(open_source(path))) == 4
    page, small = images(2)
    small.encoderinfo = {"tiffinfo": {254: 1}}  # a smaller copy
    page.save(tmp_path / "pages.tif", save_all=True, append_images=[small])
    assert isinstance(open_source(tmp_path / "pages.tif"), StillSource)


def test_a_cover_before_the_film_is_not_the_film(tmp_path: Path) -> None:
    cover, pictures = [quarters(48, 48)], film(6)
    for suffix in (".mkv", ".mov"):
        with av.open(str(tmp_path / f"film{suffix}"), "w") as container:
            first = add_stream(container, cover, "mjpeg", "yuvj420p")
            second = add_stream(container, pictures, "libx264")
            encode(container, first, cover)
            encode(container, second, pictures)
        frames = [picture for _, picture in open_source(tmp_path / f"film{suffix}")]
        assert len(frames) == 6 and (np.diff(brightness(frames)) > 10).all()


def test_of_two_films_the_larger_one_is_taken_and_told(tmp_path: Path) -> None:
    small, large = film(4, 48, 64), film(4, 96, 128)
    with av.open(str(tmp_path / "two.avi"), "w") as container:
        streams = [add_stream(container, pictures, "mpeg4") for pictures in (small, large)]
        for stream, pictures in zip(streams, (small, large), strict=True):
            encode(container, stream, pictures)
    source = open_source(tmp_path / "two.avi")
    assert {picture.shape for _, picture in source} == {(96, 128, 3)}
    assert source.assumed == ["streams with pictures: 2; number 1 is taken"]


@pytest.mark.parametrize("suffix", [".m4a", ".mp3"])
def test_sound_has_no_pictures_with_and_without_a_cover(suffix: str, tmp_path: Path) -> None:
    for covered in (False, True):
        path = tmp_path / f"song{covered}{suffix}"
        with av.open(str(path), "w", format="mp4" if suffix == ".m4a" else "mp3") as container:
            sound = container.add_stream("aac" if suffix == ".m4a" else "libmp3lame", rate=44100)
            if covered:
                cover = add_stream(
                    container, [quarters()], "mjpeg", "yuvj420p", disposition=Disposition.attached_pic
                )
                encode(container, cover, [quarters()])
            silence = av.AudioFrame.from_ndarray(
                np.zeros((1, 1024), np.float32), format="fltp", layout="mono"
            )
            silence.sample_rate = 44100
            container.mux(sound.encode(silence))
            container.mux(sound.encode(None))
        with pytest.raises(MediaError, match=r"song.* has no pictures"):
            open_source(path)


def test_a_picture_in_tiles_that_are_missing_is_refused(tmp_path: Path) -> None:
    path = HeifWriter(quarters(256, 384), 2, 3).write(tmp_path / "tiles.heic")
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"dimg", b"none"))
    with pytest.raises(MediaError, match="save it as JPEG"):
        open_source(path)
    start = whole.index(b"mdat") + 4
    path.write_bytes(whole[:start] + bytes(40) + whole[start + 40 :])
    with pytest.raises(MediaError, match="lacks a part of its picture"):
        open_source(path)
