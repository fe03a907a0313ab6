"""A camera read by a thread: only the newest picture, and a loud loss."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest

from eva_sim.clock import SimulatedClock
from eva_sim.errors import MediaError
from eva_sim.real.vision import camera_source
from eva_sim.real.vision.camera_source import LOST_AFTER, DeviceCamera, crop_square


class Film:
    """Frames that come when the test says so."""

    name = "camera 7"

    def __init__(self) -> None:
        self.shown, self.asked = 0, threading.Semaphore(0)
        self.go, self.released, self.broken = threading.Semaphore(0), False, False
        self.error: Exception = MediaError("camera 7 stopped sending pictures.")

    def read(self) -> np.ndarray:
        self.asked.release()
        self.go.acquire()
        if self.broken:
            raise self.error
        self.shown += 1
        return np.full((4, 6, 3), self.shown, np.uint8)

    def release(self) -> None:
        self.released = True

    def show(self) -> None:
        """One more frame; returns when the thread has it and asks for the next."""
        self.go.release()
        assert self.asked.acquire(timeout=10)


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera_source, "RETRY", 0.01)


@pytest.fixture
def film() -> Film:
    return Film()


@pytest.fixture
def camera(film: Film) -> Iterator[DeviceCamera]:
    film.go.release()
    opened = DeviceCamera(film, SimulatedClock())
    assert film.asked.acquire(timeout=10) and film.asked.acquire(timeout=10)
    yield opened
    film.broken = True
    film.go.release()
    opened.close()
    assert film.released


def test_the_newest_picture_is_at_hand(camera: DeviceCamera, film: Film) -> None:
    assert camera.latest_image().picture[0, 0, 0] == 1
    for _ in range(3):
        film.show()
    assert camera.latest_image().picture[0, 0, 0] == 4
    assert camera.latest_image().picture is camera.latest_image().picture


def test_pictures_have_the_robots_time(camera: DeviceCamera, film: Film) -> None:
    camera._clock.sleep(0.5)
    film.show()
    assert camera.latest_image().time == 0.5


def test_an_old_picture_is_a_lost_camera(camera: DeviceCamera, film: Film) -> None:
    camera._clock.sleep(LOST_AFTER + 0.1)
    with pytest.raises(MediaError, match="no picture for"):
        camera.latest_image()
    film.show()
    assert camera.latest_image().picture[0, 0, 0] == 2


def test_a_camera_that_stops_is_lost(camera: DeviceCamera, film: Film) -> None:
    film.broken = True
    film.go.release()
    assert film.asked.acquire(timeout=10)  # it is asked again
    with pytest.raises(MediaError, match="camera 7 is lost: camera 7 stopped"):
        camera.latest_image()


@pytest.mark.parametrize("errors", [1, 4])
@pytest.mark.parametrize(
    "error", [MediaError("camera 7 stopped sending pictures."), OSError(5, "I/O"), ValueError()]
)
def test_a_camera_goes_on_after_errors(
    camera: DeviceCamera, film: Film, error: Exception, errors: int
) -> None:
    """Its device is still open, so it is the same camera; it need not be one that can be recognised."""
    film.error = error
    for _ in range(errors):
        film.broken = True
        film.show()
        with pytest.raises(MediaError, match="camera 7 is lost"):
            camera.latest_image()
    film.broken = False
    film.show()
    assert camera.latest_image().picture[0, 0, 0] == 2


def test_a_camera_without_any_picture_is_told(film: Film) -> None:
    film.broken = True
    film.go.release()
    with pytest.raises(MediaError, match="is lost"):
        DeviceCamera(film, SimulatedClock())
    assert film.released


def test_no_such_camera_is_told() -> None:
    with pytest.raises(MediaError, match="no camera 97"):
        DeviceCamera(97)


def test_the_middle_of_a_picture() -> None:
    wide = np.zeros((40, 80, 3), np.uint8)
    wide[:, 20:60] = 200
    assert (crop_square(wide, 16) == 200).all()
