"""User interfaces of a calibration: a terminal, a window, or a script.

The board needs a message fifty times a second, so the program never waits for the operator: it polls the
user interface, which answers once the operator has.
"""

from __future__ import annotations

import abc
import contextlib
import queue
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import ClassVar, Literal, TextIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from eva_sim.clock import Clock
from eva_sim.contact_sheet import load_font
from eva_sim.display import DisplayWindow
from eva_sim.errors import SEE_DOCTOR, RenderError, RobotError
from eva_sim.files import Closing, atomic_path
from eva_sim.real.calibration.session import CalibrationStopped
from eva_sim.streams import tell

Picture = NDArray[np.uint8]
#: Subject of a question: whether the servo may be armed, an end of travel, or the neutral position. While a
#: servo moves by itself, `"wait"` asks nothing, and only a stop counts.
Subject = Literal["arm", "wait", "low", "neutral", "high"]
#: Time in which nobody has read a question [s]; what comes sooner was not meant to arm anything.
READING_TIME = 0.5

_STOPPED = "the operator stopped; everything found so far is kept."
#: Lines that stop.
_STOPS = ("stop", "q", "quit")
#: Name in a question about all servos at once, and time between two looks at the answer [s].
WHOLE_FACE, _GLANCE = "all servos", 0.05


@dataclass(frozen=True)
class MoveTo:
    """The operator moves the servo to a position [raw]."""

    raw: float


@dataclass(frozen=True)
class Confirm:
    """The operator confirms the position, or allows arming."""


@dataclass(frozen=True)
class SkipServo:
    """The operator skips this servo."""


@dataclass(frozen=True)
class StopCalibration:
    """The operator ends the calibration; everything found is kept."""


OperatorAnswer = MoveTo | Confirm | SkipServo | StopCalibration


@dataclass(frozen=True)
class OperatorQuestion:
    """A question to the operator.

    Attributes:
        actuator: its name.
        subject: the position to find; `"arm"`: whether the servo may be armed, while all are limp; `"wait"`:
            only whether to stop.
        meaning: the face at that position, or the motion of the servo when armed or meanwhile, in words.
        raw: present target of the servo [raw].
        goal: position it is moving to [raw]: the operator's last move, clipped to the limits.
        low: lower limit [raw].
        high: upper limit [raw].
        unit: unit of raw positions.
    """

    actuator: str
    subject: Subject
    meaning: str
    raw: float
    goal: float
    low: float
    high: float
    unit: str

    @property
    def text(self) -> str:
        """The question in one line."""
        if self.subject == "wait":
            return f"{self.actuator} {self.meaning}."
        if self.actuator == WHOLE_FACE:
            return f"All servos are next. When armed, the face {self.meaning}. Keep your hands away."
        if self.subject == "arm":
            return f"{self.actuator} is next. When armed, it {self.meaning}. Keep your hands away."
        place = f"now {self.raw:.0f} of {self.low:.0f}..{self.high:.0f} {self.unit}"
        return f"{self.actuator}: find {self.subject}, where {self.meaning} ({place})"


class OperatorUI(Closing, abc.ABC):
    """The user interface of an operator, who watches the robot and decides. Use it as a context manager.

    An answer to a question counts only if its person could have read the question, since it may move a servo
    (`_was_read`). A stop counts always.
    """

    _asked: tuple[str, str] = ("", "")
    _asked_at = -np.inf

    @abc.abstractmethod
    def poll(self, question: OperatorQuestion, picture: Picture | None) -> OperatorAnswer | None:
        """Returns the answer, or None while there is none. Must return within a few milliseconds."""

    def tell(self, text: str) -> None:
        """Shows a text that needs no answer."""
        tell(text)

    def close(self) -> None:
        """Releases screen and keyboard."""

    def _is_new(self, question: OperatorQuestion) -> bool:
        """Whether this question was not asked in the last poll; notes since when it is asked."""
        asked = (question.actuator, question.subject)
        if asked == self._asked:
            return False
        self._asked, self._asked_at = asked, monotonic()
        return True

    def _was_read(self, question: OperatorQuestion, answered_at: float) -> bool:
        """Whether an answer, given at a time of `monotonic` [s], can be one to this question."""
        if question.subject == "wait":
            return False
        return question.subject != "arm" or answered_at > self._asked_at + READING_TIME


def may_arm_face(operator: OperatorUI, clock: Clock, meaning: str) -> bool:
    """Asks whether the whole face may be armed, until the operator answers; False if this part is skipped.

    Args:
        operator: user interface of the operator.
        clock: clock that waits between two looks.
        meaning: what the face does once it is armed, in words.

    Raises:
        CalibrationStopped: the operator wants to end.
    """
    question = OperatorQuestion(WHOLE_FACE, "arm", meaning, 0.0, 0.0, 0.0, 1.0, "")
    while True:
        match operator.poll(question, None):
            case Confirm():
                return True
            case SkipServo():
                return False
            case StopCalibration():
                raise CalibrationStopped(_STOPPED)
        clock.sleep(_GLANCE)


def heed_stop(operator: OperatorUI, meaning: str) -> None:
    """Tells what the whole face does by itself, and hears only whether the operator stops it.

    Raises:
        CalibrationStopped: the operator does.
    """
    question = OperatorQuestion(WHOLE_FACE, "wait", meaning, 0.0, 0.0, 0.0, 1.0, "")
    if isinstance(operator.poll(question, None), StopCalibration):
        raise CalibrationStopped(_STOPPED)


class ScriptedOperator(OperatorUI):
    """Gives prepared answers.

    Args:
        endpoints: raw position of each `Question.subject`, by actuator; other actuators are skipped.
        stop_at: an actuator at which to stop.

    Attributes:
        questions: all that were asked.
        texts: all that were shown.
    """

    def __init__(self, endpoints: Mapping[str, Mapping[str, float]], stop_at: str = "") -> None:
        self._endpoints, self._stop_at = endpoints, stop_at
        self.questions, self.texts = list[OperatorQuestion](), list[str]()

    def poll(self, question: OperatorQuestion, picture: Picture | None) -> OperatorAnswer | None:
        if question.subject == "wait":
            return None
        self.questions.append(question)
        if question.actuator == self._stop_at:
            return StopCalibration()
        if question.actuator not in self._endpoints:
            return SkipServo()
        if question.subject == "arm":
            return Confirm()
        wanted = self._endpoints[question.actuator][question.subject]
        return Confirm() if abs(question.raw - wanted) < 1e-6 else MoveTo(wanted)

    def tell(self, text: str) -> None:
        self.texts.append(text)


class TerminalUI(OperatorUI):
    """Reads typed lines: a raw position, `+20` or `-20`, `ok`, `skip`, `stop`. The picture goes to a file.

    Args:
        picture: file for the newest picture of the camera; None for none.
        lines: source of the lines; by default standard input.
        every: number of questions between two pictures.
    """

    HELP = "type a position, +20 or -20 to move; ok when it is right; skip for the next servo; stop to end"
    ARM = "Enter to arm it; skip for the next servo; stop to end"
    ARM_ALL = "Enter to arm them; skip to go on without; stop to end"
    WAIT = "stop to end"

    def __init__(
        self, picture: Path | None = None, lines: TextIO | Iterable[str] | None = None, every: int = 25
    ) -> None:
        self._path, self._every, self._count = picture, every, 0
        self._typed: queue.Queue[tuple[float, str]] = queue.Queue()
        self._lines, self._listening = sys.stdin if lines is None else lines, False

    def poll(self, question: OperatorQuestion, picture: Picture | None) -> OperatorAnswer | None:
        if self._is_new(question):
            self.tell(f"{question.text}\n  {self._help(question)}")
        self._start()
        self._show(picture)
        while True:
            try:
                typed_at, line = self._typed.get_nowait()
            except queue.Empty:
                return None
            if self._was_read(question, typed_at) or line in _STOPS:
                return self._answer(line, question)
            self.tell(f"  {line!r} was typed before a question could be read; {self._help(question)}")

    def _answer(self, line: str, question: OperatorQuestion) -> OperatorAnswer | None:
        if question.subject == "arm":
            return self._answer_to_arm(line, self._help(question))
        answer = parse_answer(line, question.goal)
        if answer is None:
            self.tell(f"  {line!r} is not understood; {self.HELP}")
        elif isinstance(answer, MoveTo):
            return self._within_limits(answer, question)
        return answer

    def _help(self, question: OperatorQuestion) -> str:
        arm = self.ARM_ALL if question.actuator == WHOLE_FACE else self.ARM
        return {"arm": arm, "wait": self.WAIT}.get(question.subject, self.HELP)

    def _answer_to_arm(self, line: str, hint: str) -> OperatorAnswer | None:
        answer = parse_answer(line or "ok", 0.0)
        if answer is None or isinstance(answer, MoveTo):
            self.tell(f"  {line!r} is not accepted before the servo is armed; {hint}")
            return None
        return answer

    def _within_limits(self, move: MoveTo, question: OperatorQuestion) -> MoveTo | None:
        """Refuses a position outside the limits, so that a typing error does not send a servo to its end."""
        if question.low <= move.raw <= question.high:
            self.tell(f"  to {move.raw:.0f} {question.unit}")
            return move
        allowed = f"{question.low:.0f}..{question.high:.0f} {question.unit}"
        self.tell(f"  {move.raw:.0f} is outside {allowed}; the servo was not moved.")
        return None

    def _start(self) -> None:
        """Starts the thread that reads lines, because reading blocks; not before the first question."""
        if not self._listening:
            self._listening = True
            threading.Thread(target=self._read_lines, name="typing", daemon=True).start()
            if self._path is not None:
                self.tell(f"The newest picture of the camera, if there is one, is in {self._path}.")

    def _read_lines(self) -> None:
        with contextlib.suppress(OSError, ValueError):  # there is no terminal, or it was closed
            for line in self._lines:
                self._typed.put((monotonic(), line.strip().lower()))
        self._typed.put((monotonic(), "stop"))  # the input has ended

    def _show(self, picture: Picture | None) -> None:
        self._count += 1
        if picture is None or self._path is None or self._count % self._every != 1 % self._every:
            return
        with atomic_path(self._path) as part:
            Image.fromarray(picture).save(part)


def parse_answer(line: str, goal: float) -> OperatorAnswer | None:
    """Parses a typed line; `+20` counts from `goal` [raw]. None if it is not understood."""
    words: dict[str, Callable[[], OperatorAnswer]] = {
        "ok": Confirm, "skip": SkipServo, "s": SkipServo, **dict.fromkeys(_STOPS, StopCalibration),
    }  # fmt: skip
    if line in words:
        return words[line]()
    try:
        number = float(line)
    except ValueError:
        return None
    if not np.isfinite(number):
        return None
    return MoveTo(goal + number if line[0] in "+-" else number)


class WindowUI(OperatorUI):
    """A window with the picture and a slider; Enter when it is right, s for the next servo, q to end.

    Raises:
        RobotError: there is no display.
    """

    _TITLE, _STEPS = "eva calibrate", 1000
    _ANSWERS: ClassVar[dict[int, Callable[[], OperatorAnswer]]] = {13: Confirm, ord("s"): SkipServo}

    def __init__(self) -> None:
        try:
            self._window = DisplayWindow(self._TITLE, self._STEPS)
        except RenderError as error:
            raise RobotError(
                f"there is no display for a window; use the terminal guide, without --window. {SEE_DOCTOR}"
            ) from error
        self._slider = 0

    def poll(self, question: OperatorQuestion, picture: Picture | None) -> OperatorAnswer | None:
        start = None
        if self._is_new(question):  # the slider starts at the servo's position
            self._slider = start = self._slider_of(question)
        reply = self._window.exchange(self._page(question, picture), start)
        if reply.ended:
            return StopCalibration()
        if not self._was_read(question, monotonic()):
            return None
        if reply.key & 0xFF in self._ANSWERS:
            return self._ANSWERS[reply.key & 0xFF]()
        if reply.position == self._slider:
            return None
        self._slider = reply.position
        return MoveTo(question.low + reply.position / self._STEPS * (question.high - question.low))

    def close(self) -> None:
        self._window.close()

    def _slider_of(self, question: OperatorQuestion) -> int:
        return round(self._STEPS * (question.raw - question.low) / (question.high - question.low))

    def _page(self, question: OperatorQuestion, picture: Picture | None) -> Picture:
        page = Image.fromarray(np.full((480, 640, 3), 60, np.uint8) if picture is None else picture)
        key = "arm" if question.subject == "arm" else "here"
        keys = "" if question.subject == "wait" else f"Enter: {key}   s: skip   "
        draw = ImageDraw.Draw(page)
        for row, text in enumerate((question.text, f"{keys}q: stop")):
            draw.text((8, 8 + 22 * row), text, fill=(255, 255, 255), font=load_font())
        return np.asarray(page)
