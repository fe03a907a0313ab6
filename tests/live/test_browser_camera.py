"""The browser's own camera: what pages may send, and its way through a headless Chromium."""

from __future__ import annotations

import io
import json
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eva_sim.agents.models.inverse import SHIPPED_MODEL
from eva_sim.agents.models.routes import load_model
from eva_sim.files import asset
from eva_sim.live import browser_camera
from eva_sim.live.browser_camera import LONGEST_SIDE, BrowserCamera
from eva_sim.media.encoding import encode_jpeg
from eva_sim.testing.browser import Browser
from eva_sim.twin import Twin
from tests.live.conftest import serving, wait_until


def jpeg(height: int = 48, width: int = 64, grey: int = 90) -> bytes:
    return encode_jpeg(np.full((height, width, 3), grey, np.uint8))


def png() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (64, 48)).save(file, "PNG")
    return file.getvalue()


def test_the_newest_picture_is_read() -> None:
    camera = BrowserCamera()
    pictures = iter(camera)
    camera.offer(1, jpeg(grey=10))
    camera.offer(1, jpeg(grey=200))
    time, picture = next(pictures)
    assert time == 0 and picture.shape == (48, 64, 3) and abs(int(picture.mean()) - 200) < 3
    camera.offer(1, jpeg(height=64, width=48))
    time, picture = next(pictures)
    assert time > 0 and picture.shape == (48, 64, 3)  # all pictures have the size of the first
    camera.close()
    assert next(pictures, None) is None


@pytest.mark.parametrize("message", [b"", b"\xff\xd8\xff", jpeg()[:400], png(), b'{"type": "stop"}',
                                     jpeg(width=LONGEST_SIDE + 8)])  # fmt: skip
def test_what_is_no_picture_is_left_out(message: bytes) -> None:
    camera = BrowserCamera()
    pictures = iter(camera)
    camera.offer(1, jpeg())
    next(pictures)
    camera.offer(1, message)
    found = []

    def after() -> None:
        wait_until(lambda: camera.refused == 1)
        camera.offer(1, jpeg())

    helper = threading.Thread(target=after)
    helper.start()
    found.append(next(pictures))
    helper.join()
    assert camera.refused == 1 and found[0][1].shape == (48, 64, 3)


def test_a_second_page_waits_until_the_first_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    camera = BrowserCamera()
    pictures = iter(camera)
    camera.offer(1, jpeg(grey=10))
    camera.offer(2, jpeg(grey=200))
    assert next(pictures)[1].mean() < 20
    monkeypatch.setattr(browser_camera, "_PATIENCE", 0.0)
    camera.offer(2, jpeg(grey=200))
    assert next(pictures)[1].mean() > 190


def test_pictures_of_the_browser_come_back_to_the_page(browser: Browser, tmp_path: Path) -> None:
    model = load_model(asset(SHIPPED_MODEL))
    with Twin() as twin, serving(twin, tmp_path, source=BrowserCamera(), model=model) as (_, server):
        tab = browser.open(server.address)
        tab.wait_for("view && shown && shown.prompt.startsWith('No pictures come')")
        assert not tab.run("$('own-camera').hidden")
        tab.run("$('own-camera').click()")
        tab.wait_for("camera.stream && picture && picture.width > 100")
        tab.run("$('mirror').click()")
        tab.wait_for("shown.prompt.startsWith('No face')")  # the browser's test picture has none
        tab.run("$('own-camera').click()")
        tab.wait_for("!camera.stream && shown.prompt.startsWith('No pictures come')")
        tab.run(f"send({json.dumps({'type': 'expression', 'name': 'x' * 5000, 'intensity': 1})})")
        tab.wait_for("$('state').textContent.includes('at most 4096 bytes')")
        tab.close()
