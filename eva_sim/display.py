"""A window on the screen, and whether there is a screen."""

from __future__ import annotations

import os
import sys

import numpy as np
from numpy.typing import NDArray

from eva_sim.errors import RenderError


def display_available() -> bool:
    """Whether there is a screen for a window. Asking OpenCV would end the process where there is none."""
    on_unix = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    return bool(on_unix) or sys.platform in ("darwin", "win32")


class DisplayWindow:
    """A window that shows pictures.

    Raises:
        RenderError: there is no screen.
    """

    _TITLE = "EVA"

    def __init__(self) -> None:
        if not display_available():
            raise RenderError("there is no display for render_mode='human'; use 'rgb_array'.")

    def show(self, picture: NDArray[np.uint8]) -> bool:
        """Shows one RGB picture, uint8 (height, width, 3).

        Returns:
            Whether to go on: False after q or Esc, or when the user closed the window.
        """
        import cv2

        cv2.imshow(self._TITLE, picture[..., ::-1])
        ended = cv2.waitKey(1) & 0xFF in (ord("q"), 27)
        return not ended and cv2.getWindowProperty(self._TITLE, cv2.WND_PROP_VISIBLE) >= 1

    def close(self) -> None:
        """Closes the window. May be called twice."""
        import cv2

        cv2.destroyAllWindows()
        cv2.waitKey(1)
