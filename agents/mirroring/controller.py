"""One control step of mirroring: what the person does in, a command out, the robot's face read."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eva_sim.agents.mirroring.frame_detector import DetectedFrame
from eva_sim.agents.mirroring.head_and_gaze import HeadAndGaze, NeckAndEyes
from eva_sim.agents.mirroring.person_tracker import PersonState, PersonTracker
from eva_sim.agents.mirroring.retargeting import Retargeter
from eva_sim.agents.mirroring.stage_times import ANSWER, DRAW, MAP, MOVE, TRACK, StageTimes
from eva_sim.agents.mirroring.video_panels import add_inset, resize_to_panel
from eva_sim.agents.models.following import open_follower
from eva_sim.agents.models.image_route import ImageRoute
from eva_sim.agents.models.route_model import RouteModel
from eva_sim.contract import Face, Floats
from eva_sim.errors import DataError
from eva_sim.holding import iterate_while_held, work_while_held
from eva_sim.idle import IdleMotion
from eva_sim.media.encoding import Picture, PictureStore

#: A frame that is late by less than this still counts for its control step [s].
TIME_SLACK = 1e-3


class ControlClock:
    """The times of control steps: whole multiples of the control period, each used once.

    Args:
        period: time between two steps [s].
    """

    def __init__(self, period: float) -> None:
        self.period, self._next = period, 0

    @property
    def next_time(self) -> float:
        """Time of the next step [s]."""
        return self._next * self.period

    def advance(self) -> float:
        """Returns the time of the next step [s], and goes on to the one after it."""
        time, self._next = self.next_time, self._next + 1
        return time

    def times_before(self, time: float) -> Iterator[float]:
        """Yields the times of all steps that are due before `time` [s]."""
        while self.next_time + TIME_SLACK < time:
            yield self.advance()

    def times_up_to(self, time: float) -> Iterator[float]:
        """Yields the times of all steps up to the one nearest to `time` [s]."""
        while self._next <= round(time / self.period):
            yield self.advance()

    def skip_to(self, time: float) -> None:
        """Leaves out the steps before `time` [s]."""
        self._next = max(self._next, int(np.ceil((time - TIME_SLACK) / self.period)))


@dataclass(frozen=True)
class MirrorTrace:
    """Steps of a mirrored source, one row per control step; faces are (T, N, 3) [outer-eye distances].

    Attributes:
        time: of the step [s].
        frame: number of the person's latest frame at that time.
        found: whether a face was in that frame and was accepted.
        person: the person's expression.
        target: the face that was asked of the robot.
        commands: the commands after limits, (T, 25).
        robot: the face that the robot made.
        person_turn: rotation vector of the person's head from rest, (T, 3) [rad], see `HeadAndGaze`.
        person_gaze: of the person's eyes, (T, 2, 2) [rad].
        robot_turn: of the robot's head, from the positions of its neck.
        robot_gaze: of the robot's eyes.
        picture: index of the robot's latest picture in the store.
    """

    time: Floats
    frame: NDArray[np.intp]
    found: NDArray[np.bool_]
    person: Floats
    target: Floats
    commands: NDArray[np.float32]
    robot: Floats
    person_turn: Floats
    person_gaze: Floats
    robot_turn: Floats
    robot_gaze: Floats
    picture: NDArray[np.intp]


class MirrorController:
    """Makes the face mirror a person, one control step at a time.

    The constructor moves nothing. `begin` resets the face, which arms a robot; from then on `step` must be
    called every control period, since a robot that hears nothing for a second goes limp.

    Args:
        model: turns landmarks into commands.
        face: the body.
        pictures: takes pictures of the body, `video_panels.HEIGHT` high; None to draw nothing.
        size: side at which the body is rendered [pixels].
        stages: takes the times of the stages.
        history: number of latest steps that `trace` returns; None for all.

    Attributes:
        control_dt: time between two steps [s].
        pictures: as given.
        picture: the latest picture of the body; of a body that is not drawn, one without height and width.
        steps: number of control steps made so far.
        tracker: follows the person; None before `begin`.
        person: what the person does in the latest frame; None before `begin`.
        frame: the person's latest frame; None before the first one.
        expected_steps: number of steps of the whole source; None before `begin`, and for a camera.

    Raises:
        DataError: the model was trained on another face.
        RenderError: no picture of the body can be made.
    """

    def __init__(
        self,
        model: RouteModel,
        face: Face,
        pictures: PictureStore | None,
        size: int = 0,
        stages: StageTimes | None = None,
        history: int | None = None,
    ) -> None:
        if model.spec.digest != face.spec.digest:
            raise DataError(
                "the model was trained on a face with another face.toml (other spec digest); "
                "train one for this face with `eva babble` and `eva train`."
            )
        self._model, self._face, self.pictures, self._size = model, face, pictures, size
        self._follower = open_follower(model)
        self._retarget = Retargeter.of_model(face.spec, model)
        self._rows: deque[dict[str, Any]] = deque(maxlen=history)
        self.steps = 0
        self._stages = stages or StageTimes()
        self._neck_and_eyes, self._idle = NeckAndEyes(face.spec), IdleMotion(face.spec)
        self.control_dt = face.spec.control_dt
        self.tracker: PersonTracker | None = None
        self.person: PersonState | None = None
        self.frame: DetectedFrame | None = None
        self._unanswered: float | None = None
        self._mapped: tuple[PersonState, Floats] | None = None
        self.expected_steps: int | None = None
        self.picture: Picture = self._render()

    @property
    def face_accepted(self) -> bool:
        """Whether a face was in the latest frame and was accepted."""
        return self.tracker is not None and self.tracker.found

    def begin(self, tracker: PersonTracker, duration: float | None = None) -> None:
        """Resets the face.

        Everything slow happens before the reset: the solver and the network are slow when they are first
        called, and a simulated robot on the wall clock catches up with it when it is rendered.

        Args:
            tracker: knows the person at rest.
            duration: time of the last frame of the source, if it is known [s].
        """
        if duration is not None:
            self.expected_steps = sum(1 for _ in ControlClock(self.control_dt).times_up_to(duration))
        self.tracker = tracker
        self.person = PersonState(tracker.neutral, HeadAndGaze.at_rest(), np.zeros(3))
        self._model.predict(self._retarget(tracker.neutral, tracker.neutral))
        self._take_picture()
        self._follower.reset(self._face.reset())

    def held_while_waiting(self, frames: Iterable[DetectedFrame]) -> Iterator[DetectedFrame]:
        """Yields a camera's frames; a robot is held while the camera is slow."""
        return iterate_while_held(self._face, frames)

    def observe(self, frame: DetectedFrame) -> None:
        """Takes the person's next frame; `step` mirrors what they do in it."""
        tracker = self._tracker()
        with self._stages.measure(TRACK):  # the first times take a second on a busy computer
            self.person = work_while_held(self._face, lambda: tracker(frame.time, frame.face))
        self.frame, self._unanswered = frame, frame.arrival

    def step(self, time: float, render: bool = True) -> None:
        """Makes the face mirror the latest state of the person for one control period.

        The neck breathes. The robot blinks and glances about by itself only while no face is accepted, since
        a person who is seen does so for both.

        Args:
            time: of this step, since the first frame [s].
            render: whether a picture of the body is taken.
        """
        tracker = self._tracker()
        person = self.person
        if self.frame is None or person is None:
            raise ValueError("observe a frame first: there is nothing to mirror.")
        with self._stages.measure(MAP):
            target, command = work_while_held(self._face, lambda: self._map(person))
            command = self._idle(command, alone=not tracker.found)
        if self._unanswered is not None:
            self._stages.add(ANSWER, perf_counter() - self._unanswered)
            self._unanswered = None
        with self._stages.measure(MOVE):
            reading = self._face.move(command)
            self._follower.read(reading)
        robot = self._neck_and_eyes.read(reading.position)
        if render:
            with self._stages.measure(DRAW):
                self._take_picture(target)
        self._rows.append({
            "time": time, "frame": self.frame.number, "found": tracker.found, "person": person.expression,
            "target": target, "commands": reading.sent, "robot": reading.landmarks,
            "person_turn": person.head.turn, "person_gaze": person.head.gaze,
            "robot_turn": robot.turn, "robot_gaze": robot.gaze,
            "picture": -1 if self.pictures is None else len(self.pictures) - 1,
        })  # fmt: skip
        self.steps += 1

    def _map(self, person: PersonState) -> tuple[Floats, NDArray[np.float32]]:
        """Returns the face to ask for, the latest one where the person is as before, and the next command.

        Live, several control periods may pass between two pictures.
        """
        if self._mapped is None or self._mapped[0] is not person:
            self._mapped = person, self._retarget(person.expression, self._tracker().neutral)
        target, head = self._mapped[1], person.head._replace(turn=person.head_ahead)
        return target, self._neck_and_eyes.set_command(self._follower(target), head)

    def trace(self) -> MirrorTrace:
        """Returns all steps so far, or the latest ones; at least one must have been made."""
        columns: dict[str, Any] = {
            name: np.array([row[name] for row in self._rows]) for name in MirrorTrace.__dataclass_fields__
        }
        return MirrorTrace(**columns)

    def _tracker(self) -> PersonTracker:
        if self.tracker is None:
            raise ValueError("call begin first: the person's neutral face is not known.")
        return self.tracker

    def _take_picture(self, target: Floats | None = None) -> None:
        """Takes a picture of the body, and beside it what a model that imagines has imagined of a target."""
        if self.pictures is None:
            return
        self.picture = self._render()
        if target is not None and isinstance(self._model, ImageRoute):
            self.picture = add_inset(self.picture, self._model.imagine(target), "imagined")
        self.pictures.add(self.picture)

    def _render(self) -> Picture:
        if self.pictures is None:
            return np.empty((0, 0, 3), np.uint8)
        picture, _, _ = resize_to_panel(self._face.render(self._size))
        return picture
