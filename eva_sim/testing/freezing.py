"""Freezing the host at a chosen line: time passes, the board and its guard act, and the host goes on.

A line is counted whenever Python executes one of `eva_sim/real/` on the host's side of the board. Frozen at a
line of the guard itself, as by the sleep of the whole computer, only time passes.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import eva_sim.real

_REAL = Path(eva_sim.real.__file__).resolve().parent
#: Files whose lines are the host's; the simulation is at the other end of the line.
_HOST = tuple(str(_REAL / room) for room in ("boards", "safety", "wire", "robot.py", "calibration"))
#: Functions of the guard and beyond: what runs there is not frozen with the host alone.
_GUARD = (str(_REAL / "boards" / "guard_process.py"), str(_REAL / "simulation"))


class Freezer:
    """Freezes the host once, at the line with a number.

    Args:
        at: number of the line, counted from 0.
        freeze: lets the time pass; its argument tells whether the guard is frozen, too.

    Attributes:
        lines: number of lines so far.
        place: file and line at which the host was frozen; "" if it was not.
    """

    def __init__(self, at: int, freeze: Callable[[bool], None]) -> None:
        self._at, self._freeze, self.lines, self.place = at, freeze, 0, ""

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
            if self.lines == self._at:
                self.place = f"{Path(_file(frame)).name}:{frame.f_lineno}"
                self._freeze(_in_guard(frame))
            self.lines += 1
        return self._line


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
