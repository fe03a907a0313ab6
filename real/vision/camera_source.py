"""Cameras before the robot's face: the newest picture and its time."""

from __future__ import annotations

import abc
import contextlib
import threading
from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from eva_sim.clock import Clock, WallClock
from eva_sim.errors import MediaError
from eva_sim.real.vision.camera_lookup import CameraLookup

Picture = NDArray[np.uint8]
#: A camera whose newest picture is older than this is lost [s].
LOST_AFTER = 1.0
#: Interval at which a camera is read again after an error, or looked for [s].
RETRY = 0.5
#: Number of errors in a row after which a camera is looked for among the devices of this computer.
SAME_DEVICE_TRIES = 2


class TimedImage(NamedTuple):
    """A picture and its time.

    Attributes:
        time: time of exposure by the robot's clock [s].
        picture: RGB, uint8 (height, width, 3).
    """

    time: float
    picture: Picture


class CameraSource(abc.ABC):
    """A source of pictures of the robot's face."""

    @abc.abstractmethod
    def latest_image(self) -> TimedImage:
        """Returns the newest picture; does not wait for the next one.

        Raises:
            MediaError: the camera is lost.
        """

    def close(self) -> None:
        """Releases the camera. May be called twice."""


class FrameGrabber(Protocol):
    """The source of a `DeviceCamera`, see `eva_sim.media.webcam.Webcam`."""

    name: str

    def read(self) -> Picture:
        """Waits for the next picture and returns it."""

    def release(self) -> None:
        """Releases the device."""


class DeviceCamera(CameraSource):
    """A camera of this computer. A thread reads it, so that the newest picture is always available.

    After an error the open device is read again, since one error is no loss. A camera that was unplugged is
    opened again when it is back, whatever its number is then. Another camera never takes its place.

    Args:
        device: its number, the path of its device, or an open source of frames.
        clock: clock of the robot.
        patience: longest time until the first picture [s].

    Raises:
        MediaError: no such camera, or no picture came.
    """

    def __init__(
        self, device: int | str | FrameGrabber = 0, clock: Clock | None = None, patience: float = 5.0
    ) -> None:
        self._clock = clock or WallClock()
        self._lookup = CameraLookup(device) if isinstance(device, int | str) else None
        self._frames = _open_webcam(device) if isinstance(device, int | str) else device
        self._newest: TimedImage | None = None
        self._error, self._ended = "", threading.Event()
        self._first = threading.Event()
        self._thread = threading.Thread(target=self._run, name="eva camera", daemon=True)
        self._thread.start()
        self._first.wait(patience)
        try:
            self.latest_image()
        except MediaError:
            self.close()
            raise

    def latest_image(self) -> TimedImage:
        newest, name = self._newest, self._frames.name
        if self._error:
            raise MediaError(f"{name} is lost: {self._error} Is its cable plugged in?")
        if newest is None:
            raise MediaError(f"{name} sends no pictures; is it free, and its lens open?")
        if self._clock.now() - newest.time > LOST_AFTER:
            raise MediaError(f"{name} is lost: no picture for {LOST_AFTER:g} s. Is its cable plugged in?")
        return newest

    def close(self) -> None:
        self._ended.set()
        self._thread.join(
            timeout=LOST_AFTER
        )  # a driver may hang; the thread is a daemon, so it does not keep the program alive
        if not self._thread.is_alive():
            self._frames.release()

    def _run(self) -> None:
        failures = 0
        while not self._ended.is_set():
            try:
                picture = self._frames.read()
            except Exception as error:  # drivers raise errors of many types
                failures += 1
                self._error = str(error) or type(error).__name__
                self._first.set()
                self._ended.wait(RETRY)
                if failures >= SAME_DEVICE_TRIES:
                    self._reopen()
            else:
                failures = 0
                self._newest, self._error = TimedImage(self._clock.now(), picture), ""
                self._first.set()

    def _reopen(self) -> None:
        """Opens the same camera, wherever it is now; does nothing if it is not there, or unrecognisable."""
        if self._lookup is None or not self._lookup.is_recognisable or self._ended.is_set():
            return
        self._frames.release()
        with contextlib.suppress(MediaError):
            self._frames = _open_webcam(self._lookup.number())


def _open_webcam(device: int | str) -> FrameGrabber:
    from eva_sim.media.webcam import Webcam

    return Webcam(device)


def crop_square(picture: Picture, size: int) -> Picture:
    """Cuts out the middle of a picture and scales it, (size, size, 3)."""
    from PIL import Image

    side = min(picture.shape[:2])
    top, left = ((length - side) // 2 for length in picture.shape[:2])
    middle = Image.fromarray(picture[top : top + side, left : left + side])
    return np.asarray(middle.resize((size, size), Image.Resampling.BILINEAR))


def throttled_view(
    camera: CameraSource | None, clock: Clock, interval: float = 0.4
) -> Callable[[], Picture | None]:
    """Returns a function that gives the newest picture, at most one new one per `interval` [s].

    A program that polls it in every wire period stays in time: a hidden robot renders a picture only when
    it is asked for one. The function returns None without a camera, and while the camera is lost.
    """
    picture: Picture | None = None
    due = clock.now()

    def view() -> Picture | None:
        nonlocal picture, due
        if camera is not None and clock.now() >= due:
            try:
                picture = camera.latest_image().picture
            except MediaError:
                picture = None
            due = clock.now() + interval
        return picture

    return view
