"""Cut and damaged files: what can be read is read, the rest is told, and nothing hangs."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from eva_sim.errors import MediaError
from eva_sim.files import asset
from eva_sim.media.sources import StillSource, open_source
from tests.media.media_files import HeifWriter, brightness, film, quarters, write_clip

#: Opens each file of a folder; says what is neither frames nor a `MediaError` in one line.
OPEN_ALL = """
import sys, traceback
from itertools import islice
from fractions import Fraction
from pathlib import Path
from eva_sim.errors import MediaError
from eva_sim.media.sources import open_source
for path in sorted(Path(sys.argv[1]).iterdir()):
    try:
        source, last = open_source(path), -1.0
        for time, frame in islice(source, 300):
            assert time > last and frame.dtype == "uint8" and frame.shape[2] == 3
            last = time
        assert all("\\n" not in text for text in source.assumed)
        print("frames")
    except MediaError as error:
        assert "\\n" not in str(error)
        print("refused")
    except BaseException:
        print("wrong", path.name, traceback.format_exc())
"""


def noisy(count: int) -> list[np.ndarray]:
    """Pictures that compress badly, so that a cut is inside of one."""
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (64, 96, 3), dtype=np.uint8) for _ in range(count)]


def _samples(folder: Path) -> list[Path]:
    pictures = [Image.fromarray(picture) for picture in noisy(4)]
    made = [
        write_clip(folder / "a.mkv", noisy(8)),
        write_clip(folder / "a.mp4", noisy(8)),
        write_clip(folder / "a.webm", noisy(6), "libvpx-vp9"),
        write_clip(folder / "a.avi", noisy(8), "mjpeg", pixels="yuvj420p"),
        write_clip(folder / "a.ts", noisy(8), "mpeg2video"),
        HeifWriter(quarters(256, 384), 2, 3, ((b"irot", 1),)).write(folder / "a.heic"),
    ]
    for name in ("a.gif", "a.png", "a.webp", "a.tif", "a.avif"):
        pictures[0].save(folder / name, save_all=True, append_images=pictures[1:])
    for name in ("b.jpg", "b.bmp", "b.jp2", "b.tga"):
        pictures[0].save(folder / name)
    return [
        *made,
        *sorted(folder.glob("*.[gpw][ine]*")),
        *sorted(folder.glob("a.[ta][iv]*f")),
        *folder.glob("b.*"),
    ]


def _cut(data: bytearray, rng: random.Random) -> None:
    del data[rng.randrange(1, len(data)) :]


def _flip(data: bytearray, rng: random.Random) -> None:
    for _ in range(rng.choice((1, 4, 30))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _overwrite_head(data: bytearray, rng: random.Random) -> None:
    for _ in range(4):
        data[rng.randrange(min(400, len(data)))] = rng.randrange(256)


def _blank(data: bytearray, rng: random.Random) -> None:
    start = rng.randrange(len(data))
    data[start : start + 300] = bytes(len(data[start : start + 300]))


DAMAGES: list[Callable[[bytearray, random.Random], None]] = [_cut, _flip, _overwrite_head, _blank]


def test_no_damage_ends_in_a_traceback_or_hangs(tmp_path: Path) -> None:
    rng = random.Random(0)
    (tmp_path / "whole").mkdir()
    (tmp_path / "hurt").mkdir()
    for sample in _samples(tmp_path / "whole"):
        for number in range(24):
            data = bytearray(sample.read_bytes())
            DAMAGES[number % len(DAMAGES)](data, rng)
            (tmp_path / "hurt" / f"{number}-{sample.name}").write_bytes(data)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", OPEN_ALL, str(tmp_path / "hurt")],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    said = done.stdout.splitlines()
    assert set(said) == {"frames", "refused"}, done.stdout
    assert said.count("frames") > 100 and said.count("refused") > 50
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [("a.mkv", "ffv1", "bgr0"), ("a.avi", "mjpeg", "yuvj420p"), ("a.ts", "mpeg2video", "yuv420p"),
     ("a.nut", "ffv1", "bgr0")],
)  # fmt: skip
def test_what_came_before_a_cut_is_read(name: str, codec: str, pixels: str, tmp_path: Path) -> None:
    path = write_clip(tmp_path / name, noisy(20), codec, pixels=pixels)
    whole, data = list(open_source(path)), path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    source = open_source(path)
    rest = list(source)
    assert 4 <= len(rest) <= 11 and len(whole) == 20
    for (time, picture), (whole_time, whole_picture) in zip(rest, whole, strict=False):
        assert time == pytest.approx(whole_time) and np.array_equal(picture, whole_picture)
    if name in ("a.mkv", "a.avi"):  # the others do not say how long they are
        assert "the file is cut: it ends after" in " ".join(source.assumed)


def test_a_cut_film_whose_index_comes_first_is_read_and_one_without_index_is_refused(tmp_path: Path) -> None:
    data = asset("samples/person.mp4").read_bytes()
    (tmp_path / "half.mp4").write_bytes(data[: len(data) // 2])
    source = open_source(tmp_path / "half.mp4")
    assert sum(1 for _ in source) > 300
    assert "the file is cut: it ends after" in source.assumed[-1] and "of 53.5 s" in source.assumed[-1]
    (tmp_path / "head.mp4").write_bytes(data[:600])
    with pytest.raises(MediaError, match="damaged"):
        open_source(tmp_path / "head.mp4")


def test_a_damaged_piece_in_the_middle_is_left_out_and_counted(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.avi", film(20), "mjpeg", pixels="yuvj420p")
    with av.open(str(path)) as container:
        places = [(packet.pos or 0, packet.size) for packet in container.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    for place, size in (places[8], places[12]):
        data[place + 16 : place + size - 16] = bytes(size - 32)
    path.write_bytes(data)
    source = open_source(path)
    times, frames = zip(*source, strict=True)
    assert len(frames) == 18
    assert np.diff(times).max() == pytest.approx(0.08)
    assert (np.diff(brightness(frames)) > 0).all()
    assert source.assumed == ["damaged pieces left out: 2"]


@pytest.mark.parametrize("name", ["cut.jpg", "cut.png", "cut.bmp", "cut.tif"])
def test_of_a_cut_picture_the_upper_part_is_read_and_told(name: str, tmp_path: Path) -> None:
    Image.fromarray(noisy(1)[0]).save(tmp_path / name)
    whole = next(iter(open_source(tmp_path / name)))[1]
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[: 2 * len(data) // 3])
    source = open_source(tmp_path / name)
    assert isinstance(source, StillSource)
    assert "the file is damaged: it is cut, and the rest of its picture is black" in source.assumed
    upper = slice(-16, None) if name.endswith("bmp") else slice(0, 16)  # a BMP begins at the bottom
    assert np.array_equal(source.image[upper], whole[upper])


def test_the_sample_clip_is_read_bit_by_bit_as_it_is_stored() -> None:
    path = asset("samples/person.mp4")
    source = open_source(path)
    count = 0
    with av.open(str(path)) as container:
        for (time, picture), frame in zip(source, container.decode(video=0), strict=True):
            assert time == frame.time
            assert count % 50 or np.array_equal(picture, frame.to_ndarray(format="rgb24"))
            count += 1
    assert count == source.length == 1337
    assert source.assumed == []


def test_a_last_picture_stands_as_long_as_it_says(tmp_path: Path) -> None:
    for suffix in (".mp4", ".mov"):
        path = tmp_path / f"held{suffix}"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=25, options={"bf": "0"})
            stream.pix_fmt, stream.height, stream.width = "yuv420p", 64, 96
            packets = []
            for number, picture in enumerate(film(10)):
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                frame.pts = number
                packets += stream.encode(frame)
            packets += stream.encode()
            for packet in packets:
                packet.time_base, packet.duration = Fraction(1, 25), 75 if packet is packets[-1] else 1
                container.mux(packet)
        source = open_source(path)
        frames = list(source)
        assert len(frames) == 11
        assert [time for time, _ in frames][-2:] == pytest.approx([0.36, 0.36 + 3 - 0.04], abs=1e-3)
        assert np.array_equal(frames[-1][1], frames[-2][1])
        assert source.assumed == []
