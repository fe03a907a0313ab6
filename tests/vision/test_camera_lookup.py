"""A camera that was unplugged and is numbered anew; the system's list of cameras is made of files."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from eva_sim.clock import SimulatedClock
from eva_sim.errors import MediaError
from eva_sim.real.vision import camera_lookup, camera_source
from eva_sim.real.vision.camera_lookup import CameraLookup
from eva_sim.real.vision.camera_source import DeviceCamera

Plug = Callable[..., int]


@pytest.fixture
def plug(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plug:
    """A function that plugs in a camera: its number, socket, serial number, and which of its streams."""
    listed = tmp_path / "video4linux"
    listed.mkdir()
    monkeypatch.setattr(camera_lookup, "VIDEO_DEVICES", listed)

    def plugged(number: int, socket: str, serial: str = "", product: str = "0825", stream: int = 0) -> int:
        usb = tmp_path / "devices" / socket
        interface = usb / f"{socket}:1.0"
        interface.mkdir(parents=True, exist_ok=True)
        for name, content in (("idVendor", "046d"), ("idProduct", product), ("serial", serial)):
            (usb / name).write_text(content + "\n")
        if not serial:
            (usb / "serial").unlink()
        (listed / f"video{number}").mkdir()
        (listed / f"video{number}" / "device").symlink_to(interface)
        (listed / f"video{number}" / "index").write_text(f"{stream}\n")
        return number

    return plugged


def unplug(*numbers: int) -> None:
    for number in numbers:
        node = camera_lookup.VIDEO_DEVICES / f"video{number}"
        for file in node.iterdir():
            file.unlink()
        node.rmdir()


def test_a_camera_is_found_by_its_serial_number(plug: Plug, tmp_path: Path) -> None:
    plug(0, "1-1", "A"), plug(1, "1-1", "A", stream=1)
    lookups = [CameraLookup(0), CameraLookup("/dev/video1")]
    unplug(0, 1)
    for lookup in lookups:
        with pytest.raises(MediaError, match="not plugged in"):
            lookup.number()
    plug(0, "1-1", "B"), plug(1, "1-1", "B", stream=1)  # the same socket, but another camera
    plug(2, "3-1.4", "A"), plug(3, "3-1.4", "A", stream=1)
    assert [lookup.number() for lookup in lookups] == [2, 3]


def test_a_camera_without_a_serial_number_is_found_by_its_socket(plug: Plug) -> None:
    plug(0, "1-1"), plug(2, "1-2")
    lookup = CameraLookup(2)
    unplug(0, 2)
    plug(0, "1-3"), plug(1, "1-1")
    with pytest.raises(MediaError, match="not plugged in"):
        lookup.number()
    plug(7, "1-2")
    assert lookup.number() == 7
    unplug(7)
    plug(7, "1-2", product="ffff")  # another model in its socket
    with pytest.raises(MediaError, match="not plugged in"):
        lookup.number()


def test_a_link_names_the_camera_that_it_leads_to(plug: Plug, tmp_path: Path) -> None:
    plug(4, "1-1", "A")
    (tmp_path / "by-id").symlink_to("/dev/video4")
    assert CameraLookup(str(tmp_path / "by-id")).number() == 4
    assert CameraLookup(5).is_recognisable is False


class Camera:
    """A camera that shows its number until it is unplugged."""

    opened: list[Camera] = []  # noqa: RUF012 - the test empties it

    def __init__(self, device: int) -> None:
        self.name, self.device, self.plugged, self.released = f"camera {device}", device, True, False
        self.opened.append(self)

    def read(self) -> np.ndarray:
        if not self.plugged:
            raise MediaError(f"{self.name} stopped sending pictures.")
        time.sleep(0.001)
        return np.full((4, 6, 3), self.device, np.uint8)

    def release(self) -> None:
        self.released = True


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def shows(camera: DeviceCamera, number: int) -> bool:
    try:
        return int(camera.latest_image().picture[0, 0, 0]) == number
    except MediaError:
        return False


@pytest.fixture
def cameras(monkeypatch: pytest.MonkeyPatch) -> list[Camera]:
    monkeypatch.setattr(Camera, "opened", [])
    monkeypatch.setattr(camera_source, "RETRY", 0.01)
    monkeypatch.setattr("eva_sim.media.webcam.Webcam", Camera)
    return Camera.opened


def test_a_lost_camera_comes_back_and_no_other_takes_its_place(plug: Plug, cameras: list[Camera]) -> None:
    plug(1, "1-1", "A")
    camera = DeviceCamera(1, SimulatedClock())
    assert shows(camera, 1)
    unplug(1)
    plug(1, "1-1", "B")
    cameras[0].plugged = False
    until(lambda: cameras[0].released)
    with pytest.raises(MediaError, match=r"camera 1 is lost: camera 1 stopped .*plugged in\?"):
        camera.latest_image()
    assert len(cameras) == 1
    plug(3, "2-2", "A")
    until(lambda: shows(camera, 3))
    assert [c.device for c in cameras] == [1, 3]
    camera.close()
    assert cameras[1].released


def test_no_camera_takes_the_place_of_one_that_nothing_tells_from_others(
    plug: Plug, cameras: list[Camera], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes on only if the device that is open does."""
    camera = DeviceCamera(1, SimulatedClock())  # on no bus that is known
    cameras[0].plugged = False
    plug(1, "1-1", "A")
    until(lambda: not shows(camera, 1))
    time.sleep(0.1)  # many tries
    assert len(cameras) == 1 and not cameras[0].released
    cameras[0].plugged = True
    until(lambda: shows(camera, 1))
    camera.close()
    assert len(cameras) == 1 and cameras[0].released


def test_closing_ends_the_search(plug: Plug, cameras: list[Camera]) -> None:
    plug(1, "1-1", "A")
    camera = DeviceCamera(1, SimulatedClock())
    unplug(1)
    cameras[0].plugged = False
    until(lambda: cameras[0].released)
    camera.close()
    assert not camera._thread.is_alive() and len(cameras) == 1
