"""Names are data: files are opened as files whatever they are called, devices are cameras, pipes are read."""

from __future__ import annotations

import os
import stat
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from eva_sim.errors import MediaError
from eva_sim.media import local_file, webcam
from eva_sim.media.encoding import write_video
from eva_sim.media.local_file import printable
from eva_sim.media.sources import ClipSource, StillSource, open_source
from eva_sim.media.webcam import Webcam, camera_number
from tests.media.media_files import film, write_clip

NAMES = [
    "take1:smile.mp4",
    "http:smile.mp4",
    "file:smile.mp4",
    "concat:a|b.mp4",
    "100%d.mp4",
    "%03d.mp4",
    "-smile.mp4",
    "two\nlines.mp4",
    "[red]smile.mp4",
    os.fsdecode(b"caf\xe9.mp4"),
]


@pytest.mark.parametrize("name", NAMES)
def test_a_file_is_read_and_written_whatever_its_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with write_video(name, 25) as add:
        for picture in film(5):
            add(picture)
    source = open_source(name)
    assert isinstance(source, ClipSource)
    assert len(list(source)) == 5
    assert source.name == printable(name) and source.name.isprintable()
    still = name.removesuffix("mp4") + "png"
    Image.fromarray(film(1)[0]).save(still)
    assert isinstance(open_source(still), StillSource)


@pytest.mark.parametrize(
    "content",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{address}\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile '{address}'\n",
    ],
)
@pytest.mark.parametrize("suffix", [".m3u8", ".ffconcat", ".mp4"])
def test_a_playlist_opens_nothing_in_the_network_nor_beside_it(
    content: str, suffix: str, tmp_path: Path
) -> None:
    asked: list[str] = []

    class Server(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(404)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    write_clip(tmp_path / "beside.ts", film(4), "mpeg2video")
    with HTTPServer(("127.0.0.1", 0), Server) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            for address in (f"http://127.0.0.1:{server.server_port}/film.ts", str(tmp_path / "beside.ts")):
                (tmp_path / f"list{suffix}").write_text(content.format(address=address))
                with pytest.raises(MediaError, match="no picture or clip, or damaged"):
                    open_source(tmp_path / f"list{suffix}")
        finally:
            server.shutdown()
            thread.join()
    assert asked == []


@pytest.mark.parametrize("made", ["clip.mkv", "clip.mp4", "picture.png"])
def test_a_pipe_is_read_to_its_end(made: str, tmp_path: Path) -> None:
    if made.startswith("clip"):
        write_clip(tmp_path / made, film(6))
    else:
        Image.fromarray(film(1)[0]).save(tmp_path / made)
    content, pipe = (tmp_path / made).read_bytes(), tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(content,))
    writer.start()
    source = open_source(pipe)
    writer.join(timeout=10)
    count = 6 if made.startswith("clip") else 50
    assert len(list(source)) == len(list(source)) == count  # also a second time


def test_a_pipe_that_nobody_fills_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_file, "_PIPE_PATIENCE", 0.2)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(MediaError, match=r"is a pipe that sent nothing for 0\.2 s; give a clip"):
        open_source(tmp_path / "pipe")


def test_what_is_no_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    for name, message in (("none.mp4", "does not exist"), ("", "is a folder"), ("empty.mp4", "is empty")):
        with pytest.raises(MediaError, match=f"{message}; give a clip, a picture or the number of a camera"):
            open_source(tmp_path / name)
    with pytest.raises(MediaError, match="cannot be read"):
        open_source("a\0b.mp4")


@pytest.mark.parametrize(
    "device", ["/dev/null", "/dev/zero", "/dev/urandom", "/dev/v4l/by-id/none", "/dev/video99"]
)
def test_a_character_device_is_a_camera_also_by_a_lasting_name(device: str, tmp_path: Path) -> None:
    link = tmp_path / "usb-Example_Camera_0001-video-index0"
    link.symlink_to(device)
    with pytest.raises(MediaError, match=f"no camera {device}; is it plugged in"):
        open_source(device)
    if Path(device).exists():
        with pytest.raises(MediaError, match=rf"no camera {link}; is it plugged in"):
            open_source(link)


@pytest.mark.parametrize("number", ["20261129120000", "2147483648", "9" * 5000, 2**40])
def test_a_number_that_is_no_camera_is_refused(number: str | int) -> None:
    with pytest.raises(MediaError, match=r"no camera .*; is it plugged in"):
        open_source(number)


def test_opencv_gets_numbers_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = tmp_path / "by-id"
    link.symlink_to("/dev/video7")
    (tmp_path / "film.mp4").touch()
    device = SimpleNamespace(st_mode=stat.S_IFCHR, st_rdev=0)
    monkeypatch.setattr(
        webcam, "os", SimpleNamespace(stat=lambda path: device, major=os.major, minor=os.minor)
    )
    assert [camera_number(each) for each in (3, "3", "/dev/video7", str(link))] == [3, 3, 7, 7]
    monkeypatch.undo()
    for name in ("http://127.0.0.1/film", str(tmp_path / "film.mp4"), "film_%03d.png", "v4l2:///dev/video0"):
        assert camera_number(name) is None
        with pytest.raises(MediaError, match="no camera"):
            Webcam(name)
