"""The program of the process that owns a window. It reads pictures from its input and answers with keys.

A window has a process of its own, because OpenCV's window library and PyAV bring different copies of the X
libraries, and in one process the first window never returns (PyAV issues 978 and 1050). A display that does
not answer then ends or stops this process alone.

`eva_sim/display.py` starts it. A request is a line of JSON, `{"shape": [height, width], "position": ...}`,
and the RGB bytes of the picture; an answer is a line of JSON with the fields of `display.WindowReply`. It
imports nothing of the package, so that it starts quickly.
"""

from __future__ import annotations

import json
import os
import select
import sys
from typing import IO, Any

import cv2
import numpy as np

SLIDER = "position"
#: How often the window is kept alive while no picture comes [s].
_IDLE = 0.03
_NO_KEY = -1


def main(title: str, slider_steps: int) -> None:
    """Shows pictures until the input ends. Zero slider steps: no slider."""
    requests, answers = _own_streams()
    cv2.namedWindow(title, cv2.WINDOW_AUTOSIZE | cv2.WINDOW_GUI_NORMAL)  # without a toolbar
    if slider_steps:
        cv2.createTrackbar(SLIDER, title, 0, slider_steps, lambda _: None)
    cv2.waitKey(1)
    _answer(answers, _NO_KEY, True, 0)
    key = _NO_KEY
    while True:
        if select.select([requests], [], [], _IDLE)[0]:
            line = requests.readline()
            if not line:
                return
            visible = _show(title, json.loads(line), requests)
            key = _pressed(key)
            position = cv2.getTrackbarPos(SLIDER, title) if slider_steps and visible else 0
            _answer(answers, key, visible, position)
            key = _NO_KEY
        else:
            key = _pressed(key)


def _pressed(earlier: int) -> int:
    """Lets the window work; returns the latest key, counting one that was pressed earlier."""
    key = cv2.waitKey(1)
    return earlier if key == _NO_KEY else key


def _own_streams() -> tuple[IO[bytes], IO[bytes]]:
    """Returns the streams of requests and answers; what libraries print does not get between the answers."""
    requests = os.fdopen(os.dup(0), "rb", buffering=0)  # unbuffered, so that `select` knows of every request
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    return requests, answers


def _show(title: str, request: dict[str, Any], requests: IO[bytes]) -> bool:
    """Shows the picture of a request; returns False if the user closed the window, which stays closed."""
    height, width = request["shape"]
    picture = np.frombuffer(_read(requests, 3 * height * width), np.uint8).reshape(height, width, 3)
    if cv2.getWindowProperty(title, cv2.WND_PROP_VISIBLE) < 1:
        return False
    if request["position"] is not None:
        cv2.setTrackbarPos(SLIDER, title, request["position"])
    cv2.imshow(title, picture[..., ::-1])
    return True


def _read(requests: IO[bytes], size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        part = requests.read(size - len(parts))
        if not part:
            raise SystemExit
        parts += part
    return bytes(parts)


def _answer(answers: IO[bytes], key: int, visible: bool, position: int) -> None:
    answers.write(json.dumps({"key": key, "visible": visible, "position": position}).encode() + b"\n")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
