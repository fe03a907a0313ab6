"""A window on the screen, and whether there is a screen."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from eva_sim.errors import SEE_DOCTOR, RenderError
from eva_sim.files import Closing

#: Time after which a window that does not answer is given up [s]: until it opens, and for each picture.
OPENING_TIMEOUT, PICTURE_TIMEOUT = 30.0, 10.0
_PROGRAM = Path(__file__).resolve().with_name("window_process.py")
_ENDING_KEYS = (ord("q"), 27)  # q and Esc


def display_available() -> bool:
    """Whether there is a screen for a window. Asking OpenCV would end the process where there is none."""
    on_unix = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    return bool(on_unix) or sys.platform in ("darwin", "win32")


class WindowReply(NamedTuple):
    """What the user did since the last picture.

    Attributes:
        key: code of the key that was pressed, -1 for none.
        visible: False when the user closed the window.
        position: of the slider, in steps; 0 without a slider.
    """

    key: int
    visible: bool
    position: int

    @property
    def ended(self) -> bool:
        """Whether the user wants to end: q, Esc, or the window was closed."""
        return not self.visible or self.key & 0xFF in _ENDING_KEYS


class DisplayWindow(Closing):
    """A window that shows pictures, in a process of its own (see `window_process.py` for the reason).

    Args:
        title: of the window.
        slider_steps: number of steps of a slider below the picture; 0 for none.

    Raises:
        RenderError: there is no screen, or it does not answer.
    """

    def __init__(self, title: str = "EVA", slider_steps: int = 0) -> None:
        if not display_available():
            raise RenderError(f"there is no display for render_mode='human'; use 'rgb_array'. {SEE_DOCTOR}")
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(_PROGRAM), title, str(slider_steps)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # Qt complains about fonts
            start_new_session=True,  # Ctrl-C is for this process alone
        )
        with self._time_limit(OPENING_TIMEOUT):
            self._reply()

    def show(self, picture: NDArray[np.uint8]) -> bool:
        """Shows one RGB picture, uint8 (height, width, 3).

        Returns:
            Whether to go on: False after q or Esc, or when the user closed the window.

        Raises:
            RenderError: the screen does not answer any more.
        """
        return not self.exchange(picture).ended

    def exchange(self, picture: NDArray[np.uint8], position: int | None = None) -> WindowReply:
        """Shows one RGB picture, uint8 (height, width, 3), and returns what the user did.

        Args:
            picture: the picture.
            position: moves the slider there, in steps; None leaves it.

        Raises:
            RenderError: the screen does not answer any more.
        """
        assert self._process.stdin is not None
        head = json.dumps({"shape": picture.shape[:2], "position": position}).encode() + b"\n"
        with self._time_limit(PICTURE_TIMEOUT):
            with suppress(OSError, ValueError):  # it has ended, which the missing reply tells
                self._process.stdin.write(head + np.ascontiguousarray(picture, np.uint8).tobytes())
                self._process.stdin.flush()
            return self._reply()

    def close(self) -> None:
        """Closes the window. May be called twice."""
        assert self._process.stdin is not None and self._process.stdout is not None
        with suppress(OSError):
            self._process.stdin.close()
        with self._time_limit(PICTURE_TIMEOUT):
            self._process.wait()
        self._process.stdout.close()

    @contextmanager
    def _time_limit(self, seconds: float) -> Iterator[None]:
        """Ends a process that takes longer, so that waiting for it ends, too."""
        timer = threading.Timer(seconds, self._process.kill)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _reply(self) -> WindowReply:
        assert self._process.stdout is not None
        line = b"" if self._process.stdout.closed else self._process.stdout.readline()
        if not line:
            self.close()
            shown = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
            raise RenderError(
                f"the display {shown!r} shows no window; check the variable DISPLAY, or do without a window. "
                f"{SEE_DOCTOR}"
            )
        return WindowReply(**json.loads(line))
