"""A camera read through OpenCV."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from eva_sim.detector import silence_stderr
from eva_sim.errors import MediaError


class Webcam:
    """An open camera.

    Args:
        device: its number, or `/dev/videoN`.

    Attributes:
        name: for messages.
        fps: frames per second, as far as the camera says.

    Raises:
        MediaError: there is no such camera, or another program uses it.
    """

    def __init__(self, device: int | str) -> None:
        import cv2

        self.name = f"camera {device}"
        with silence_stderr():
            self._camera: Any = cv2.VideoCapture(device)
        if not self._camera.isOpened():
            raise MediaError(
                f"no {self.name}; is it plugged in and free? Name another, or a clip or picture."
            )
        self._camera.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        self.fps = float(self._camera.get(cv2.CAP_PROP_FPS)) or 25.0

    def read(self) -> NDArray[np.uint8]:
        """Waits for the next picture, RGB uint8 (height, width, 3).

        Raises:
            MediaError: the camera stopped.
        """
        found, frame = self._camera.read()
        if not found:
            raise MediaError(f"{self.name} stopped sending pictures.")
        return np.ascontiguousarray(frame[:, :, ::-1])

    def release(self) -> None:
        """Releases the camera. May be called twice."""
        self._camera.release()
