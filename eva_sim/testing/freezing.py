"""Freezing the host at a chosen line: time passes, the board and its guard act, and the host goes on.

A line is counted whenever Python executes one of `eva_sim/real/` on the host's side of the board. Frozen at a
line of the guard itself, as by the sleep of the whole computer, only time passes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import eva_sim.real

_REAL = Path(eva_sim.real.__file__).resolve().parent
#: Files whose lines are the host's; the simulation is at the other end of the line.
_HOST = tuple(str(_REAL / room) for room in ("boards", "safety", "wire", "robot.py", "calibration"))
#: Functions of the guard and beyond: what runs there is not frozen with the host alone.
_GUARD = (str(_REAL / "boards" / "guard_process.py"), str(_REAL / "simulation"))

#: The lines that a thread is at, innermost first.
Stack = tuple[tuple[CodeType, int], ...]


class LineCounter:
    """Counts the lines of the host.

    Attributes:
        lines: number of lines so far.
    """

    def __init__(self) -> None:
        self.lines = 0

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Counts the lines of this thread in this context."""
        before = sys.gettrace()
        sys.settrace(self._enter)
        try:
            yield
        finally:
            sys.settrace(before)

    def _enter(self, frame: FrameType, event: str, value: Any) -> Any:
        return self._line if _file(frame).startswith(_HOST) else None

    def _line(self, frame: FrameType, event: str, value: Any) -> Any:
        if event == "line":
            self._execute(frame)
            self.lines += 1
        return self._line

    def _execute(self, frame: FrameType) -> None:
        """The next line of the host is about to be executed."""


class LineRecorder(LineCounter):
    """Remembers when the host executed each line, told apart by all lines that led there."""

    def __init__(self) -> None:
        super().__init__()
        self._executions: dict[Stack, tuple[int, int]] = {}

    def _execute(self, frame: FrameType) -> None:
        stack = _stack(frame)
        first, _ = self._executions.get(stack, (self.lines, self.lines))
        self._executions[stack] = first, self.lines

    def first_and_last(self) -> list[int]:
        """Returns the numbers of the first and the last execution of each line, in order."""
        return sorted({number for numbers in self._executions.values() for number in numbers})


class Freezer(LineCounter):
    """Freezes the host once, at the line with a number.

    Args:
        at: number of the line, counted from 0.
        freeze: lets the time pass; its argument tells whether the guard is frozen, too.

    Attributes:
        place: file and line at which the host was frozen; "" if it was not.
    """

    def __init__(self, at: int, freeze: Callable[[bool], None]) -> None:
        super().__init__()
        self._at, self._freeze, self.place = at, freeze, ""

    def _enter(self, frame: FrameType, event: str, value: Any) -> Any:
        return None if self.place else super()._enter(frame, event, value)  # frozen once: nothing to count

    def _execute(self, frame: FrameType) -> None:
        if self.lines == self._at:
            self.place = f"{Path(_file(frame)).name}:{frame.f_lineno}"
            self._freeze(_in_guard(frame))


def _stack(frame: FrameType | None) -> Stack:
    stack = list[tuple[CodeType, int]]()
    while frame is not None:
        stack.append((frame.f_code, frame.f_lineno))
        frame = frame.f_back
    return tuple(stack)


def _in_guard(frame: FrameType | None) -> bool:
    """Whether a frame runs in the guard, or is called by it."""
    while frame is not None:
        if _file(frame).startswith(_GUARD):
            return True
        frame = frame.f_back
    return False


_files: dict[str, str] = {}


def _file(frame: FrameType) -> str:
    """The file of a frame, without links."""
    name = frame.f_code.co_filename
    if name not in _files:
        _files[name] = str(Path(name).resolve())
    return _files[name]
