"""The camera of the browser that shows the page. Its pictures come over the page's own connection."""

from __future__ import annotations

import io
import threading
from time import perf_counter

import numpy as np

from eva_sim.media.encoding import Picture
from eva_sim.media.sources import Frames, FrameSource

#: Longest JPEG, and longest side of a picture that is decoded [bytes, pixels].
LONGEST_JPEG, LONGEST_SIDE = 1 << 20, 1920
#: After this silence of the page whose pictures are taken, those of another page are [s].
_PATIENCE = 2.0


class BrowserCamera(FrameSource):
    """Gives the pictures that one page sends. A page that comes later must wait until the first is silent.

    Attributes:
        refused: number of messages that were no picture.
    """

    name, fps, live = "the browser's camera", 30.0, True

    def __init__(self) -> None:
        self.refused = 0
        self._page, self._heard = -1, -np.inf
        self._jpeg: bytes | None = None
        self._closed, self._changed = False, threading.Condition()

    def offer(self, page: int, jpeg: bytes) -> None:
        """Takes a picture of a page. The one before is dropped if it was not read yet."""
        with self._changed:
            now = perf_counter()
            if page != self._page and now - self._heard < _PATIENCE:
                return
            self._page, self._heard, self._jpeg = page, now, jpeg
            self._changed.notify_all()

    def close(self) -> None:
        """Ends the iteration, also one that waits."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def __iter__(self) -> Frames:
        start, size = None, None
        while (jpeg := self._next()) is not None:
            now = perf_counter()
            picture = _decode(jpeg, size)
            if picture is None:
                self.refused += 1
                continue
            start = now if start is None else start
            size = picture.shape[1], picture.shape[0]
            yield now - start, picture

    def _next(self) -> bytes | None:
        """Waits for a picture; None after `close`."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._jpeg is not None)
            jpeg, self._jpeg = self._jpeg, None
            return None if self._closed else jpeg


def _decode(jpeg: bytes, size: tuple[int, int] | None) -> Picture | None:
    """Returns the picture of a JPEG, fitted into a width and height if given; None if it is none."""
    from PIL import Image, ImageOps

    try:
        with Image.open(io.BytesIO(jpeg), formats=["JPEG"]) as image:
            if max(image.size) > LONGEST_SIDE:
                return None
            whole = image.convert("RGB")
    except (OSError, ValueError, SyntaxError):  # what Pillow raises for damaged files
        return None
    return np.array(whole if size in (None, whole.size) else ImageOps.pad(whole, size))
