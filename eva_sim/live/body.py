"""The body behind the page: each command passes here, whoever gives it.

`LiveBody` is a `Face`, so mirroring and replay move it as they move any other. It holds the body still while
a robot is not armed or its page is lost, keeps the twin that is shown in step, and records.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import perf_counter, sleep
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eva_sim.contract import Face, Reading
from eva_sim.errors import EvaError, PhysicsError, RobotError
from eva_sim.live.stopper import Stopper
from eva_sim.recording.reader import RecordingInfo
from eva_sim.recording.recorder import Recorder, make_room_for_recording
from eva_sim.twin import Twin

#: Longest silence of the page that armed a robot; after it nothing is sent, so the board holds [s].
LONGEST_SILENCE = 0.5


@runtime_checkable
class Stoppable(Protocol):
    """A body that must be armed before it moves, such as `RobotFace`."""

    def arm(self) -> None:
        """Arms it."""

    def stop(self) -> None:
        """Makes it limp. May be called from any thread."""


class LiveBody(Face):
    """A body that pages command.

    Args:
        face: the body; it is not moved before the first command, and a robot not before `arm`.
        shown: the twin whose vertices are shown; the face itself, or one that follows a robot.
        attend: called before each command; answers what pages ask for.
        after: called after each command with the reading.

    Attributes:
        robot: whether the body must be armed.
        stopper: stops a robot while the loop is busy; None for other bodies.
        armed_by: page that armed the robot; None while it may not move.
        trouble: what a robot reports, and why it does not move, in words; empty if nothing is wrong.
        paced: whether `move` waits for its control period, for a body without a clock.
        heard: when each page was heard last, by `time.perf_counter` [s].
        commanded: when the body got its last command, by `time.perf_counter` [s].
        recorder: of the recording under way.
        latest: the latest reading of the body.
        shown_reading: the latest reading of the twin that is shown.
    """

    def __init__(
        self, face: Face, shown: Twin, attend: Callable[[], None], after: Callable[[Reading], None]
    ) -> None:
        self.face, self.shown, self._attend, self._after = face, shown, attend, after
        self.spec, self.outer_eye, self.clock = face.spec, face.outer_eye, face.clock
        self.neutral_landmarks = face.neutral_landmarks
        self.robot = isinstance(face, Stoppable)
        self.stopper = Stopper(face.stop) if isinstance(face, Stoppable) else None
        self.armed_by: int | None = None
        self.trouble, self.paced = "", True
        self.heard: dict[int, float] = {}
        self.recorder: Recorder | None = None
        self._due = 0.0
        self.commanded = -np.inf
        self.latest = self.shown_reading = shown.reset()

    @property
    def may_move(self) -> bool:
        """Whether commands reach the body: a robot's page must have armed it and must be heard."""
        return not self.robot or (self.armed_by is not None and not self._lost())

    def hear(self, page: int) -> None:
        """Notes a sign of life of a page."""
        self.heard[page] = perf_counter()

    def _lost(self) -> bool:
        silence = perf_counter() - self.heard.get(self.armed_by or 0, -np.inf)
        return silence > LONGEST_SILENCE

    def arm(self, page: int, is_open: Callable[[int], bool] = lambda page: True) -> None:
        """Arms the robot for a page, and glides to neutral.

        Raises:
            EvaError: the robot refuses, or was stopped meanwhile.
        """
        if not isinstance(self.face, Stoppable) or self.stopper is None:
            return
        self.armed_by, self.stopper.arming_for = None, page
        try:
            if not is_open(page):  # asked only now: from here on a page that closes is heard of
                raise RobotError("not armed: the page was closed.")
            self.face.arm()
            self.latest = self.face.reset()
        finally:
            self.stopper.arming_for = None
        self.armed_by, self.trouble = page, "; ".join(self.latest.faults)
        self.hear(page)

    def stop(self, reason: str, asked: float = -np.inf) -> None:
        """Makes a robot limp until it is armed again.

        Args:
            reason: in words.
            asked: when it was asked for, by `time.perf_counter` [s].
        """
        if not isinstance(self.face, Stoppable) or self.stopper is None:
            return
        self.armed_by, self.trouble = None, reason
        try:
            self.face.stop()
        except RobotError as error:
            self.trouble = f"{reason}; {error}"
        finally:
            self.stopper.note_heard(asked)

    def reset(self, seed: int | None = None) -> Reading:
        """Goes to neutral, if the body may move."""
        if self.may_move:
            self.latest = self.face.reset(seed)
            self.shown_reading = self.latest if self.shown is self.face else self.shown.reset()
            self._keep(self.latest.sent, self.latest, start=True)
        return self.latest

    def move(self, command: ArrayLike) -> Reading:
        """Sends one command, if the body may move, and shows what follows; otherwise waits as long."""
        self._attend()
        asked = self.spec.check(command)
        if self.may_move:
            self._send(asked)
        else:
            self._say_if_lost()
        if self.paced and not (self.may_move and self.clock is not None):
            self._wait()
        self._after(self.latest)
        return self.latest

    def hold_still(self) -> None:
        """Answers what pages ask for, and holds the body as long as it may move."""
        self._attend()
        if self.may_move:
            self.face.hold_still()

    def _send(self, asked: NDArray[np.float32]) -> None:
        self.commanded = perf_counter()
        try:
            self.latest = self.face.move(asked)
        except PhysicsError:
            return  # the skin did not settle, and keeps its shape for one step
        except RobotError as error:
            self.armed_by, self.trouble = None, str(error)
            return
        if self.robot:  # a notice, as of a hold, ends nothing; after a fault the next command raises
            self.trouble = "; ".join(self.latest.faults)
        self._show(self.latest)
        self._keep(asked, self.latest)

    def _show(self, reading: Reading) -> None:
        """Lets the twin that is shown follow the body."""
        self.shown_reading = reading
        if self.shown is not self.face:
            with suppress(PhysicsError):
                self.shown_reading = self.shown.move(np.clip(reading.sent, -1, 1))

    def _say_if_lost(self) -> None:
        """A robot whose page is lost is not armed any more: nothing that comes later moves it."""
        if self.armed_by is not None:
            self.armed_by = None
            self.trouble = "the page that armed the robot was lost: it holds, then goes limp; arm it again"

    def _wait(self) -> None:
        now = perf_counter()
        self._due = max(self._due + self.spec.control_dt, now - self.spec.control_dt)
        sleep(max(0.0, self._due - now))

    def start_recording(self, folder: Path) -> None:
        """Records all commands and readings from now on.

        Raises:
            DataError: the folder cannot be written.
        """
        make_room_for_recording(folder)
        about = {**self.face.describe(), "made_by": "eva live"}
        self.recorder = Recorder(folder, RecordingInfo.of(self.face, about), self.clock)
        self.recorder.note("reset", seed=None)
        self._keep(self.latest.sent, self.latest, start=True)

    def end_recording(self) -> str:
        """Ends the recording; returns why it ended early, or nothing."""
        recorder, self.recorder = self.recorder, None
        if recorder is None:
            return ""
        recorder.close()
        return recorder.losses

    def _keep(self, asked: ArrayLike, reading: Reading, start: bool = False) -> None:
        if self.recorder is not None:
            self.recorder.frame(asked, reading, start)

    def render(self, size: int) -> NDArray[np.uint8]:
        return self.face.render(size)

    def describe(self) -> dict[str, Any]:
        return self.face.describe()

    def close(self) -> None:
        """Ends a recording and makes a robot limp; the face stays open."""
        if self.stopper is not None:
            self.stopper.close()
        if self.robot:
            with suppress(EvaError):
                self.stop("eva live ended")
        self.end_recording()
