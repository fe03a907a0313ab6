"""The loop behind the page: it mirrors, plays or holds the sliders, and answers what pages ask for.

It runs in the main thread, because a robot is made limp by signals there. Pages are served by another thread.
"""

from __future__ import annotations

import queue
from collections.abc import Callable
from itertools import count
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from eva_sim.agents.mirroring.controller import MirrorController
from eva_sim.agents.mirroring.frame_detector import DetectedFrame
from eva_sim.agents.mirroring.live import (
    CALM_PROMPT,
    NO_FACE_HINT,
    NOT_ACCEPTED_HINT,
    learn_person,
    mirror_live_frames,
    watch_person,
)
from eva_sim.agents.models.route_model import RouteModel
from eva_sim.contract import Face, Reading
from eva_sim.errors import EvaError
from eva_sim.expressions import expression_command
from eva_sim.holding import work_while_held
from eva_sim.idle import IdleMotion
from eva_sim.landmarks import face_measurements
from eva_sim.live.body import LiveBody
from eva_sim.live.camera_feed import CameraFeed, SeenFrame
from eva_sim.live.exports import ExportedFile, export_animation, export_pose
from eva_sim.live.scene import LiveScene
from eva_sim.live.wire import CLOSED, Request, RequestError, Update, pack_update
from eva_sim.recording.reader import load_recording
from eva_sim.recording.replay import replay_commands
from eva_sim.twin import Twin

#: What the face does: holds the sliders, mirrors the person, or plays the latest recording.
MODES = ("panel", "mirror", "replay")
#: A robot is commanded, and pages get an update, after this time also when no picture came [s].
_LONGEST_WAIT = 0.2
#: A robot is armed only by a request that is at most so old [s].
ARM_WITHIN = 1.0
NO_PICTURES_HINT = "No pictures come from a browser. Press the button above."
#: Age of the newest picture of a browser's camera from which pictures are missing [s].
_OLD = 2.0


class Pages(Protocol):
    """The pages that are served; `PageServer` is one."""

    requests: queue.SimpleQueue[Request]
    at_once: Callable[[Request], None]

    def is_open(self, page: int) -> bool:
        """Whether a page is still there."""

    def publish(self, update: Update) -> None:
        """Sends an update to all pages."""

    def answer(self, page: int, message: dict[str, Any]) -> None:
        """Sends a message to one page."""

    def times(self) -> dict[str, float | None]:
        """Returns the delay from picture to vertices [ms]."""


class Session:
    """Runs a face for pages.

    Args:
        face: the body.
        shown: the twin whose vertices are shown; the face itself, or one that follows a robot.
        pages: where updates go and requests come from.
        scene: turns the twin into vertices.
        folder: for recordings.
        feed: the person; None without a camera.
        model: turns landmarks into commands; needed with a feed.

    Attributes:
        body: through which all commands pass.
        mode: one of `MODES`.
        shown_frame: number of the person's frame that was sent to pages last.
        recordings: folders that were recorded, the latest last.
    """

    def __init__(
        self,
        face: Face,
        shown: Twin,
        pages: Pages,
        scene: LiveScene,
        folder: Path,
        feed: CameraFeed | None = None,
        model: RouteModel | None = None,
    ) -> None:
        self.body = LiveBody(face, shown, self._attend, self._after)
        self._pages, self._scene, self._folder, self._feed, self._model = pages, scene, folder, feed, model
        self.mode, self._command, self._exporting = "panel", face.spec.neutral, False
        self._idle_on, self._idle = True, IdleMotion(face.spec)
        self._numbers, self._prompt = count(1), ""
        self._controller: MirrorController | None = None
        self.recordings: list[Path] = []
        self.shown_frame, self._published = -1, -np.inf
        self._handlers: dict[str, Callable[[Request], None]] = {
            "mode": self._set_mode, "slider": self._set_slider, "expression": self._set_expression,
            "neutral": self._set_neutral, "idle": self._set_idle, "arm": self._arm, "stop": self._stop,
            "record": self._record, "replay": self._start_replay, "export": self._export,
            CLOSED: self._note_closed,
        }  # fmt: skip
        pages.at_once = self._hear_at_once

    def run(self, stopped: Callable[[], bool]) -> None:
        """Runs until `stopped` returns True."""
        if self.body.stopper is not None:
            self.body.stopper.ended = stopped
        while not stopped():
            if self.mode == "mirror":
                self._mirror(stopped)
            elif self.mode == "replay":
                self._replay(stopped)
            else:
                self._hold()

    def close(self) -> None:
        """Ends a recording, and makes a robot limp."""
        self.body.close()

    def describe_end(self) -> str:
        """Says what has ended and what is kept, in one line; after `close`."""
        limp = ", and the robot is limp" if self.body.robot else ""
        kept = ", ".join(map(str, self.recordings))
        return f"The page is closed{limp}. " + (f"Recordings: {kept}." if kept else "Nothing was recorded.")

    def _hold(self) -> None:
        """One control period of the sliders."""
        self.body.paced, self._prompt = True, ""
        command = self._idle(self._command) if self._idle_on else self._command
        self.body.move(command)

    def _mirror(self, stopped: Callable[[], bool]) -> None:
        """Mirrors the person until another mode is asked for, or no more pictures come."""
        assert self._feed is not None and self._model is not None
        self.body.paced, self._prompt = False, CALM_PROMPT
        frames = self._feed.frames(self._keep_held, lambda: stopped() or self.mode != "mirror")
        try:
            model, stages = self._model, self._feed.detector.stages
            controller = work_while_held(
                self.body, lambda: MirrorController(model, self.body, None, stages=stages, history=1)
            )
            faces = watch_person(self._shown(frame) for frame in frames)
            controller.begin(work_while_held(self.body, lambda: learn_person(faces)))
            self._controller = controller
            mirror_live_frames(controller, frames, self._show)
        except EvaError as error:
            if self.mode == "mirror":
                self._prompt = str(error)
        finally:
            self._controller = None
        if self.mode == "mirror":
            self._leave_mirror()

    def _leave_mirror(self) -> None:
        """No more pictures come: the face keeps what it does."""
        assert self._feed is not None
        reason = self._feed.ended or self._prompt
        self._tell_all(f"Mirroring ended: {reason}")
        self.mode, self._command = "panel", self.body.latest.sent.clip(-1, 1)

    def _shown(self, frame: DetectedFrame) -> DetectedFrame:
        """Shows a frame from which the person is learned, while the body holds still."""
        self._keep_held()
        self._publish(self.body.latest)
        return frame

    def _keep_held(self) -> None:
        """Holds a robot that nothing else commands, since one that hears nothing goes limp; tells pages."""
        silent = perf_counter() - self.body.commanded > _LONGEST_WAIT
        if self.body.robot and self.body.may_move and silent:
            self.body.move(self.body.latest.sent.clip(-1, 1))
        else:
            self._attend()

    def _show(self, frame: DetectedFrame, accepted: bool) -> None:
        self._publish(self.body.latest)

    def _after(self, reading: Reading) -> None:
        """Shows the face after a command; mirroring shows it once a frame, however many steps that takes."""
        if self._controller is None:
            self._publish(reading)

    def _replay(self, stopped: Callable[[], bool]) -> None:
        """Plays the latest recording."""
        self.body.paced, self._prompt = True, "The recording is played."
        try:
            folder = self.recordings[-1]
            recording = work_while_held(self.body, lambda: load_recording(folder))
            replay_commands(
                self.body, recording, start=self.body.latest,
                stopped=lambda: stopped() or self.mode != "replay" or not self.body.may_move,
            )  # fmt: skip
        except EvaError as error:
            self._tell_all(f"The recording is not played: {error}")
        if self.mode == "replay":
            self.mode, self._command = "panel", self.body.spec.neutral

    def _attend(self) -> None:
        """Answers what pages asked for since the last call. A page without updates gives no sign of life."""
        while True:
            try:
                request = self._pages.requests.get_nowait()
            except queue.Empty:
                break
            if self._pages.is_open(request.page):
                self.body.hear(request.page)
            handler = self._handlers.get(request.kind)
            if handler is None:
                continue
            try:
                handler(request)
            except EvaError as error:
                self._pages.answer(request.page, {"error": str(error)})
        if perf_counter() - self._published > _LONGEST_WAIT:
            self._publish(self.body.latest)

    def _set_mode(self, request: Request) -> None:
        mode = request.fields["mode"]
        if mode not in ("panel", "mirror"):
            raise RequestError(f"no mode {mode[:40]!r}; there are panel and mirror.")
        if mode == "mirror" and self._feed is None:
            raise RequestError("there is no camera; start eva live with one, or with a clip.")
        if mode == "mirror" and self._feed is not None and self._feed.ended:
            raise RequestError(f"no more pictures come: {self._feed.ended}")
        if mode == "panel" and self.mode != "panel":
            self._command = self.body.latest.sent.clip(-1, 1)
        self.mode = mode

    def _set_slider(self, request: Request) -> None:
        spec = self.body.spec
        command = self._command.copy() if self.mode == "panel" else self.body.latest.sent.clip(-1, 1)
        command[spec.index(request.fields["name"])] = request.fields["value"]
        self._command, self.mode = spec.check(command), "panel"

    def _set_expression(self, request: Request) -> None:
        name, intensity = request.fields["name"], request.fields["intensity"]
        self._command = expression_command(self.body.spec, name.partition(":")[0], intensity)
        self.mode = "panel"

    def _set_neutral(self, request: Request) -> None:
        self._command, self.mode = self.body.spec.neutral, "panel"

    def _set_idle(self, request: Request) -> None:
        self._idle_on = request.fields["on"]

    def _arm(self, request: Request) -> None:
        if self.body.stopper is None:
            raise RequestError("the twin needs no arming; it moves at once.")
        if perf_counter() - request.time > ARM_WITHIN or not self._pages.is_open(request.page):
            raise RequestError("not armed: the computer was busy, and the request is old; press Arm again.")
        if request.time < self.body.stopper.asked:
            raise RequestError("not armed: STOP was pressed later; press Arm again.")
        self.mode, self._command = "panel", self.body.spec.neutral
        self.body.arm(request.page, self._pages.is_open)

    def _stop(self, request: Request) -> None:
        """Makes a robot limp; a twin holds what it does."""
        self.mode, self._idle_on = "panel", False
        self._command = self.body.latest.sent.clip(-1, 1)
        self.body.stop("stopped from the page", request.time)

    def _note_closed(self, request: Request) -> None:
        """A page closed; if the robot was being armed for it, that has ended by now."""
        if self.body.stopper is not None and self.body.stopper.asked == request.time:
            self.body.stop("the page closed while the robot was being armed for it", request.time)

    def _hear_at_once(self, request: Request) -> None:
        """Stops a robot although the loop is busy; called by the server's thread."""
        stopper = self.body.stopper
        if stopper is None:
            return
        closed = request.kind == CLOSED and stopper.arming_for == request.page
        if closed or request.kind == "stop":
            stopper.ask_to_stop(request.time)

    def _record(self, request: Request) -> None:
        if request.fields["on"] == (self.body.recorder is not None):
            return
        if not request.fields["on"]:
            failed = self.body.end_recording()
            self._tell_all(failed or f"Recorded in {self.recordings[-1]}.")
            return
        folder = self._free_folder()
        self.body.start_recording(folder)
        self.recordings.append(folder)

    def _free_folder(self) -> Path:
        names = (self._folder / f"recording-{number}" for number in count(1))
        return next(path for path in names if not path.exists())

    def _start_replay(self, request: Request) -> None:
        if not self.recordings:
            raise RequestError("nothing was recorded yet; record first.")
        self.body.end_recording()
        self.mode = "replay"

    def _export(self, request: Request) -> None:
        what, spec = request.fields["what"], self.body.spec
        if what == "pose":
            file = export_pose(spec, self.body.latest.sent)
        elif what == "animation":
            if not self.recordings or self.body.recorder is not None:
                raise RequestError("an animation is made of a recording; record one and end it first.")
            file = self._animation(self.recordings[-1])
        else:
            raise RequestError(f"no export {what[:40]!r}; there are pose and animation.")
        self._pages.answer(request.page, {"file": file.name, "text": file.text})

    def _animation(self, folder: Path) -> ExportedFile:
        """Makes an animation of a recording, which takes seconds if it is long."""
        if self._exporting:
            raise RequestError("an animation is being made already.")
        self._exporting = True
        try:
            return work_while_held(
                self.body, lambda: export_animation(load_recording(folder), self.body.spec)
            )
        finally:
            self._exporting = False

    def _tell_all(self, text: str) -> None:
        self._pages.answer(-1, {"note": text})

    def _publish(self, reading: Reading) -> None:
        """Sends the face as it is now to all pages."""
        controller, feed = self._controller, self._feed
        seen = None if feed is None else feed.given if self.mode == "mirror" else feed.newest
        new = None if seen is None or seen.frame.number == self.shown_frame else seen
        answered = controller.frame if controller is not None and new is not None else None
        arrival = None if answered is None else answered.arrival
        number, self._published = next(self._numbers), perf_counter()
        header = self._header(number, reading, seen)
        picture = b"" if new is None else new.jpeg
        self.shown_frame = -1 if seen is None else seen.frame.number
        vertices = self._scene.update(self.body.shown)
        self._pages.publish(Update(number, pack_update(header, vertices, picture), arrival))

    def _header(self, number: int, reading: Reading, seen: SeenFrame | None) -> dict[str, Any]:
        body, controller = self.body, self._controller
        person = None if controller is None or controller.person is None else controller.person.expression
        return {
            "number": number, "time": round(perf_counter(), 4), "mode": self.mode, "idle": self._idle_on,
            "prompt": self._advice(seen), "sent": _rounded(reading.sent),
            "position": _rounded(reading.position),
            "temperature": None if reading.temperature is None else _finite(reading.temperature),
            "tension": _rounded(body.shown.skin.tension),
            "cables": _rounded(self._scene.cables(body.shown).ravel()),
            "mouth": _mouth(body.shown_reading.landmarks),
            "person_mouth": None if person is None else _mouth(person),
            "points": None if seen is None or seen.points is None else _rounded(seen.points.ravel()),
            "recording": body.recorder is not None, "recorded": bool(self.recordings),
            "robot": body.robot, "armed": body.armed_by is not None, "trouble": body.trouble,
            **self._pages.times(),
        }  # fmt: skip

    def _advice(self, seen: SeenFrame | None) -> str:
        if self._feed is not None and self._feed.ended:
            return f"No more pictures: {self._feed.ended}"
        if self._feed is not None and self._feed.asks_page and _is_old(seen):
            return NO_PICTURES_HINT
        if self.mode == "mirror" and seen is not None:
            if seen.frame.face is None:
                return NO_FACE_HINT
            if self._controller is not None:
                return "" if self._controller.face_accepted else NOT_ACCEPTED_HINT
        return self._prompt


def _is_old(seen: SeenFrame | None) -> bool:
    return seen is None or perf_counter() - (seen.frame.arrival or 0.0) > _OLD


def _mouth(landmarks: NDArray[Any]) -> float:
    """Returns the gap of the lips [outer-eye distances]."""
    return round(float(face_measurements(landmarks)["jaw_opening"]), 5)


def _finite(numbers: NDArray[Any]) -> list[float | None]:
    """Returns one number each, or None where it is not known."""
    return [round(float(number), 1) if np.isfinite(number) else None for number in numbers]


def _rounded(numbers: NDArray[Any]) -> list[float]:
    return np.round(np.asarray(numbers, float), 4).tolist()
