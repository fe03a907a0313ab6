"""Who guides a calibration: a person at a terminal or a window, or a script.

The robot must be told something fifty times a second, so a guide is never waited for: it is asked again
and again, and answers when its person has.
"""

from __future__ import annotations

import abc
import contextlib
import os
import queue
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TextIO

import numpy as np
from numpy.typing import NDArray

from eva_sim.errors import RobotError
from eva_sim.files import atomic_path

Picture = NDArray[np.uint8]
#: Whether the servo may be armed; then an end of travel, or where the face is calm.
What = Literal["arm", "low", "neutral", "high"]


@dataclass(frozen=True)
class Move:
    """Go there [raw]."""

    raw: float


@dataclass(frozen=True)
class Confirm:
    """This is what was asked for."""


@dataclass(frozen=True)
class Skip:
    """Not this servo."""


@dataclass(frozen=True)
class Stop:
    """Enough for today; what was found is kept."""


Answer = Move | Confirm | Skip | Stop


@dataclass(frozen=True)
class Question:
    """What is to be found out now.

    Attributes:
        actuator: its name.
        what: which position is looked for; `"arm"`: whether the servo may be armed, all being limp.
        meaning: what the face does there, or the servo when armed, for people.
        raw: where the servo is told to be [raw].
        goal: where it is going [raw]; the last wish, as far as it is allowed.
        low: it cannot go below [raw].
        high: it cannot go above [raw].
        unit: of raw positions.
    """

    actuator: str
    what: What
    meaning: str
    raw: float
    goal: float
    low: float
    high: float
    unit: str

    @property
    def told(self) -> str:
        """In one line."""
        if self.what == "arm":
            return f"{self.actuator} is next. When armed it {self.meaning}: hands off."
        place = f"now {self.raw:.0f} of {self.low:.0f}..{self.high:.0f} {self.unit}"
        return f"{self.actuator}: find {self.what}, where {self.meaning} ({place})"


class OperatorUI(abc.ABC):
    """Somebody who looks at the robot and decides. Use it as a context manager."""

    @abc.abstractmethod
    def poll(self, question: Question, picture: Picture | None) -> Answer | None:
        """Asks; None while there is no answer yet. Must return within a few milliseconds."""

    def tell(self, text: str) -> None:
        """Says something that needs no answer."""
        print(text, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Lets go of screen and keyboard."""

    def __enter__(self) -> OperatorUI:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


class ScriptedOperator(OperatorUI):
    """Knows the answers beforehand.

    Args:
        marks: per actuator the raw position of each thing asked; who is not there is skipped.
        stop_at: an actuator at which to stop.
    """

    def __init__(self, marks: Mapping[str, Mapping[str, float]], stop_at: str = "") -> None:
        self._marks, self._stop_at = marks, stop_at
        self.asked, self.heard = list[Question](), list[str]()

    def poll(self, question: Question, picture: Picture | None) -> Answer:
        self.asked.append(question)
        if question.actuator == self._stop_at:
            return Stop()
        if question.actuator not in self._marks:
            return Skip()
        if question.what == "arm":
            return Confirm()
        wanted = self._marks[question.actuator][question.what]
        return Confirm() if abs(question.raw - wanted) < 1e-6 else Move(wanted)

    def tell(self, text: str) -> None:
        self.heard.append(text)


class TerminalUI(OperatorUI):
    """Typed lines: a raw position, `+20` or `-20`, `ok`, `skip`, `stop`. The picture goes to a file.

    Args:
        picture: file that always shows what the camera sees; None for none.
        lines: where lines come from; by default what is typed.
        every: pictures are written this seldom [questions].
    """

    HELP = "type a position, +20 or -20 to move; ok when it is right; skip for the next servo; stop to end"
    ARM = "Enter to arm it; skip for the next servo; stop to end"

    def __init__(
        self, picture: Path | None = None, lines: TextIO | Iterable[str] | None = None, every: int = 25
    ) -> None:
        self._path, self._every, self._count = picture, every, 0
        self._typed: queue.Queue[str] = queue.Queue()
        self._last: tuple[str, str] = ("", "")
        self._lines, self._listening = sys.stdin if lines is None else lines, False

    def poll(self, question: Question, picture: Picture | None) -> Answer | None:
        self._start()
        if self._last != (question.actuator, question.what):
            self._last = (question.actuator, question.what)
            self.tell(f"{question.told}\n  {self.ARM if question.what == 'arm' else self.HELP}")
        self._show(picture)
        try:
            line = self._typed.get_nowait().strip().lower()
        except queue.Empty:
            return None
        if question.what == "arm":
            return self._consent(line)
        answer = parse_answer(line, question.goal)
        if answer is None:
            self.tell(f"  {line!r} is not understood; {self.HELP}")
        elif isinstance(answer, Move):
            return self._checked(answer, question)
        return answer

    def _consent(self, line: str) -> Answer | None:
        answer = parse_answer(line or "ok", 0.0)
        if answer is None or isinstance(answer, Move):
            self.tell(f"  {line!r} moves nothing yet; {self.ARM}")
            return None
        return answer

    def _checked(self, move: Move, question: Question) -> Move | None:
        """A mistyped number must not send a servo to its end."""
        if question.low <= move.raw <= question.high:
            self.tell(f"  to {move.raw:.0f} {question.unit}")
            return move
        allowed = f"{question.low:.0f}..{question.high:.0f} {question.unit}"
        self.tell(f"  {move.raw:.0f} is outside {allowed}; it stays where it is.")
        return None

    def _start(self) -> None:
        """Reading lines blocks, so a thread does it; not before there is a question."""
        if not self._listening:
            self._listening = True
            threading.Thread(target=self._listen, name="typing", daemon=True).start()
            if self._path is not None:
                self.tell(f"What the camera sees, if there is one, is in {self._path}, always anew.")

    def _listen(self) -> None:
        with contextlib.suppress(OSError, ValueError):  # no terminal, or it was closed
            for line in self._lines:
                self._typed.put(line)
        self._typed.put("stop")  # nobody types any more

    def _show(self, picture: Picture | None) -> None:
        self._count += 1
        if picture is None or self._path is None or self._count % self._every != 1 % self._every:
            return
        from PIL import Image

        with atomic_path(self._path) as part:
            Image.fromarray(picture).save(part)


def parse_answer(line: str, goal: float) -> Answer | None:
    """What a typed line means while the servo goes to `goal` [raw]; None if it means nothing."""
    words: dict[str, Callable[[], Answer]] = {
        "ok": Confirm, "skip": Skip, "s": Skip, "stop": Stop, "q": Stop, "quit": Stop,
    }  # fmt: skip
    if line in words:
        return words[line]()
    try:
        number = float(line)
    except ValueError:
        return None
    if not np.isfinite(number):
        return None
    return Move(goal + number if line[0] in "+-" else number)


class WindowUI(OperatorUI):
    """A window with the picture and a slider; Enter when it is right, s for the next servo, q to end.

    Raises:
        RobotError: there is no display.
    """

    _NAME, _SLIDER, _STEPS = "eva calibrate", "position", 1000

    def __init__(self) -> None:
        if not self.possible():
            raise RobotError("there is no display for a window; use the terminal guide.")
        import cv2

        self._cv = cv2
        self._asked: tuple[str, str] = ("", "")
        self._seen = 0
        cv2.namedWindow(self._NAME, cv2.WINDOW_AUTOSIZE)
        cv2.createTrackbar(self._SLIDER, self._NAME, 0, self._STEPS, lambda _: None)

    @staticmethod
    def possible() -> bool:
        """Whether there is a display."""
        return (
            bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")) or sys.platform == "darwin"
        )

    def poll(self, question: Question, picture: Picture | None) -> Answer | None:
        if self._asked != (question.actuator, question.what):  # the slider starts where the servo is
            self._asked = (question.actuator, question.what)
            self._seen = self._slider_of(question)
            self._cv.setTrackbarPos(self._SLIDER, self._NAME, self._seen)
        self._cv.imshow(self._NAME, self._page(question, picture))
        key = self._cv.waitKey(1) & 0xFF
        keys: dict[int, Callable[[], Answer]] = {13: Confirm, ord("s"): Skip, ord("q"): Stop, 27: Stop}
        if key in keys:
            return keys[key]()
        place = self._cv.getTrackbarPos(self._SLIDER, self._NAME)
        if place == self._seen:
            return None
        self._seen = place
        return Move(question.low + place / self._STEPS * (question.high - question.low))

    def close(self) -> None:
        self._cv.destroyWindow(self._NAME)

    def _slider_of(self, question: Question) -> int:
        return round(self._STEPS * (question.raw - question.low) / (question.high - question.low))

    def _page(self, question: Question, picture: Picture | None) -> Picture:
        page = np.full((480, 640, 3), 60, np.uint8) if picture is None else picture[:, :, ::-1].copy()
        key = "arm" if question.what == "arm" else "here"
        for row, text in enumerate((question.told, f"Enter: {key}   s: skip   q: stop")):
            self._cv.putText(
                page, text, (8, 20 + 22 * row), self._cv.FONT_HERSHEY_SIMPLEX, 0.42, (255, 255, 255), 1
            )
        return page
