"""Windows in a process of their own: what the user does is told, and a display that fails is an error."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from eva_sim import display
from eva_sim.display import DisplayWindow, WindowReply
from eva_sim.errors import RenderError

PICTURE = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
#: Stands in for OpenCV in the process of the window. The environment says what the user does when.
FAKE_CV2 = """
import os, time
WINDOW_AUTOSIZE, WINDOW_GUI_NORMAL, WND_PROP_VISIBLE = 1, 16, 4
shown, place = [], [0]
keys, closed_after = eval(os.environ["KEYS"]), int(os.environ["CLOSED_AFTER"])
def namedWindow(title, kind): print("libraries print, too")
def createTrackbar(*arguments): pass
def setTrackbarPos(slider, title, value): place[0] = value
def getTrackbarPos(slider, title): return place[0] + 1
def getWindowProperty(title, what): return int(len(shown) < closed_after)
def imshow(title, picture):
    shown.append(picture)
    open(os.environ["SHOWN"], "ab").write(picture.tobytes())
def waitKey(wait):
    time.sleep(float(os.environ.get("STALL", 0)))
    return keys.pop(len(shown), -1)
"""


@pytest.fixture
def fake_cv2(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The fake OpenCV; returns the file of everything that was shown."""
    (tmp_path / "cv2.py").write_text(FAKE_CV2)
    shown = tmp_path / "shown"
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    for name, value in {"SHOWN": str(shown), "KEYS": "{}", "CLOSED_AFTER": "99", "DISPLAY": ":7"}.items():
        monkeypatch.setenv(name, value)
    return shown


@pytest.mark.parametrize(
    ("key", "closed_after", "wanted"),
    [(-1, 99, True), (ord("x"), 99, True), (ord("q"), 99, False), (27, 99, False), (-1, 1, False)],
)
def test_a_window_says_when_the_user_wants_to_end(
    fake_cv2: Path, monkeypatch: pytest.MonkeyPatch, key: int, closed_after: int, wanted: bool
) -> None:
    monkeypatch.setenv("KEYS", str({1: key}))
    monkeypatch.setenv("CLOSED_AFTER", str(closed_after))
    with DisplayWindow() as window:
        answers = [window.show(PICTURE) for _ in range(2)]
    assert all(answers) is wanted
    assert fake_cv2.read_bytes()[: PICTURE.size] == PICTURE[..., ::-1].tobytes()  # OpenCV's order


def test_a_slider_is_moved_and_read(fake_cv2: Path) -> None:
    with DisplayWindow("slider", 1000) as window:
        assert window.exchange(PICTURE, 41) == WindowReply(-1, True, 42)
        assert window.exchange(PICTURE).position == 42


def test_a_large_picture_arrives_whole(fake_cv2: Path) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (700, 1300, 3), np.uint8)
    with DisplayWindow() as window:
        window.show(picture)
    assert fake_cv2.read_bytes() == picture[..., ::-1].tobytes()


def test_closing_twice_is_fine_and_ends_the_process(fake_cv2: Path) -> None:
    window = DisplayWindow()
    window.close()
    window.close()
    assert window._process.returncode == 0
    with pytest.raises(RenderError, match="shows no window"):
        window.show(PICTURE)


def test_no_display_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(display, "display_available", lambda: False)
    with pytest.raises(RenderError, match="rgb_array"):
        DisplayWindow()


def test_a_display_that_nobody_serves_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the real OpenCV, which ends its process."""
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("DISPLAY", ":4711")
    monkeypatch.setattr(display, "display_available", lambda: True)
    with pytest.raises(RenderError, match="':4711' shows no window"):
        DisplayWindow()


@contextlib.contextmanager
def _silent_display() -> Iterator[str]:
    """A display that accepts connections and never answers."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield f"127.0.0.1:{server.getsockname()[1] - 6000}"


def test_a_display_that_never_answers_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr(display, "display_available", lambda: True)
    monkeypatch.setattr(display, "OPENING_TIMEOUT", 3.0)
    with _silent_display() as name:
        monkeypatch.setenv("DISPLAY", name)
        with pytest.raises(RenderError, match="shows no window"):
            DisplayWindow()


def test_a_window_that_stops_answering_is_an_error(fake_cv2: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STALL", "20")
    monkeypatch.setattr(display, "OPENING_TIMEOUT", 1.0)
    with pytest.raises(RenderError, match="shows no window"):
        DisplayWindow()


def test_the_library_of_windows_stays_out_of_this_process(fake_cv2: Path) -> None:
    """OpenCV's windows and PyAV do not work in one process."""
    program = (
        "import sys, numpy\nfrom eva_sim.display import DisplayWindow\n"
        "with DisplayWindow() as window: window.show(numpy.zeros((4, 4, 3), numpy.uint8))\n"
        "assert 'cv2' not in sys.modules"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([os.environ["PYTHONPATH"], os.getcwd()])}
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60, env=environment)
