"""A camera read through OpenCV."""

from __future__ import annotations

import math
import os
import re
import stat
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eva_sim.errors import SEE_DOCTOR, MediaError
from eva_sim.media.frame_reader import believable_fps
from eva_sim.media.local_file import printable
from eva_sim.optional import import_optional
from eva_sim.streams import silence_stderr

#: OpenCV takes numbers that 32 bits hold; longer texts are not even counted.
_LAST_NUMBER, _DIGITS = 2**31 - 1, 10


class Webcam:
    """An open camera. Its pictures are taken as they come: a camera says nothing about its orientation.

    Args:
        device: its number (also as text), or the path of its device, such as `/dev/video0` or a lasting name
            in `/dev/v4l/by-id/`.

    Attributes:
        name: for messages.
        fps: frames per second, as far as the camera says.

    Raises:
        MediaError: there is no such camera, or another program uses it.
    """

    def __init__(self, device: int | str) -> None:
        cv2 = import_optional("cv2", "mirror", MediaError)
        self.name = f"camera {printable(str(device))}"
        number = camera_number(device)
        camera: Any = None
        if number is not None:
            with silence_stderr():
                camera = cv2.VideoCapture(number)
        if camera is None or not camera.isOpened():
            raise MediaError(
                f"no {self.name}; is it plugged in and free? Name another, or a clip or picture. {SEE_DOCTOR}"
            )
        self._camera = camera
        self._camera.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        fps = float(self._camera.get(cv2.CAP_PROP_FPS))
        self.fps = believable_fps(fps if math.isfinite(fps) else 0.0)

    def read(self) -> NDArray[np.uint8]:
        """Waits for the next picture, RGB uint8 (height, width, 3).

        Raises:
            MediaError: the camera stopped.
        """
        found, frame = self._camera.read()
        if not found:
            raise MediaError(f"{self.name} stopped sending pictures. {SEE_DOCTOR}")
        return np.ascontiguousarray(frame[:, :, ::-1])

    def release(self) -> None:
        """Releases the camera. May be called twice."""
        self._camera.release()


def camera_number(device: int | str) -> int | None:
    """Returns the number under which OpenCV opens a camera; None if the name is not that of a camera.

    OpenCV takes a name for a file or an address, so it only gets numbers.

    Args:
        device: a number (also as text), or the path of a video device or of a link to one.
    """
    digits = str(device)
    if isinstance(device, int) or digits.isdecimal():
        return int(device) if len(digits) <= _DIGITS and int(device) <= _LAST_NUMBER else None
    try:
        status = os.stat(device)
    except (OSError, ValueError):
        return None
    if not stat.S_ISCHR(status.st_mode):
        return None
    numbers = f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"
    for name in (Path(f"/sys/dev/char/{numbers}").resolve().name, Path(device).resolve().name):
        if number := re.fullmatch(r"video(\d+)", name):
            return int(number[1])
    return None
