"""Mirroring: a person's clip, picture or camera in, the robot's face and an honest account out.

One way for all: frames go through the detector (`FrameDetector`), the person's neutral face is learned, and a
`MirrorController` finds their expression at each tick of the robot's clock and drives the robot. A clip is
watched to its end before its person is known; a camera for two seconds, and then frame by frame.
Gaze and head pose rest; the inverse model knows the actuators that move landmarks. The robot lags the
person by its servos' delay and travel, and nothing here shifts that away.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eva_sim.agents.mirroring import video_panels
from eva_sim.agents.mirroring.expression_tracker import (
    STRANGER_MAX_RESIDUAL,
    ExpressionTracker,
    estimate_neutral,
)
from eva_sim.agents.mirroring.live import CALM, GO, DetectedFrame, MirrorDisplay, wait_for_neutral
from eva_sim.agents.mirroring.retargeting import Retargeter
from eva_sim.agents.models.inverse import InverseModel
from eva_sim.contract import Face, Floats
from eva_sim.detector import Detector, canonical_face
from eva_sim.errors import EvaError, MediaError
from eva_sim.files import check_output_folder, write_arrays, write_json
from eva_sim.landmarks import POINTS, face_measurements
from eva_sim.media.sources import FrameSource, Picture, PictureStore, StillSource, write_video
from eva_sim.progress import progress

#: A person's measure that varies less than this is at rest, and correlates with nothing
#: [standard deviation, neutral outer-eye distances].
AT_REST = 0.003
#: Percentiles between which a measure's range is taken.
_RANGE = (1, 99)
#: A frame that is so little late still counts for its tick [s].
_SLACK = 1e-3
#: Side of the robot's picture [pixels], which live is drawn larger than it was made: rendering is most
#: of the work.
_RECORDED, _LIVE = video_panels.HEIGHT, video_panels.HEIGHT // 2
#: A live robot that is further behind than this leaves ticks out [s].
_BEHIND = 0.3

Show = Callable[[DetectedFrame, Picture, bool], None]


@dataclass(frozen=True)
class MirrorTrace:
    """What the robot did, one row per control step; faces are (T, N, 3) [outer-eye distances].

    Attributes:
        time: of the step [s].
        frame: latest frame of the person at that time.
        found: whether its face was there and believed.
        person: the person's expression.
        target: what the robot was asked for.
        commands: what was sent, (T, 25).
        robot: what the robot did.
        picture: latest picture of the robot in its album.
    """

    time: Floats
    frame: NDArray[np.intp]
    found: NDArray[np.bool_]
    person: Floats
    target: Floats
    commands: NDArray[np.float32]
    robot: Floats
    picture: NDArray[np.intp]


def mirror(
    source: FrameSource, model: InverseModel, face: Face, out: str | os.PathLike[str]
) -> dict[str, Any]:
    """Lets a face mirror a person, and writes `mimic.mp4`, `mimic.png`, `metrics.json`, `traces.npz`.

    A camera is mirrored live, in a window where there is a display, until Ctrl-C or q. When camera or body
    fails, or Ctrl-C ends a clip, what came until then is kept. Pictures are set aside in nameless temporary
    files.

    Args:
        source: a clip, picture or camera.
        model: what turns faces into commands.
        face: the body that mirrors; it is reset first.
        out: folder for the results; each file is complete or absent.

    Returns:
        The metrics, as in `metrics.json`.

    Raises:
        MediaError: the source is unreadable or shows no face; nothing is written.
        DataError: nothing can be written to `out`.
    """
    began, folder = perf_counter(), check_output_folder(out)
    with closing(PictureStore()) as seen, closing(PictureStore()) as made:
        follower = MirrorController(model, face, made, _LIVE if source.live else _RECORDED)
        watch = FrameDetector(source, seen)
        person, ended = (_live if source.live else _recorded)(watch, follower)
        if not follower.rows:
            raise MediaError(f"{source.name} was stopped before anything was mirrored.")
        followed = follower.followed()
        figures = compute_metrics(followed, face) | {
            "source": source.name,
            "ended": ended,
            "spec": face.spec.digest,
            "seconds_per_step": (perf_counter() - began) / len(followed.time),
        }
        neutral = {"person": person.neutral, "robot": face.neutral_landmarks}
        _write(folder, watch, followed, made, neutral, figures)
    return figures


def _recorded(watch: FrameDetector, follower: MirrorController) -> tuple[ExpressionTracker, str]:
    """Watches all, learns the person's neutral face, then follows."""
    sights = list(progress(watch.frames(), "watch", total=watch.source.length, unit="frames"))
    person = _acquaint(watch.source, sights)
    return person, _follow(follower, sights, person) or "the source ended"


def _follow(
    follower: MirrorController,
    sights: Iterable[DetectedFrame],
    person: ExpressionTracker,
    show: Show | None = None,
) -> str:
    """Follows as far as it goes, since what was done is worth keeping; why it was broken off, or nothing."""
    try:
        follower.follow(progress(sights, "mirror", unit="frames"), person, show)
    except (EvaError, KeyboardInterrupt) as error:  # camera or robot fails, or somebody has had enough
        if not follower.rows:
            raise
        return str(error).rstrip(".") or "stopped by Ctrl-C"
    return ""


def _acquaint(source: FrameSource, sights: list[DetectedFrame]) -> ExpressionTracker:
    """The person, with their own neutral face; a single picture only knows the average one."""
    points = [s.points for s in sights if s.points is not None]
    if not points:
        raise MediaError(f"there is no face in {source.name}; give a clip or picture of one, from the front.")
    if isinstance(source, StillSource):
        return ExpressionTracker(canonical_face(), STRANGER_MAX_RESIDUAL)
    return ExpressionTracker(estimate_neutral(np.array(points), 1 / source.fps))


def _live(watch: FrameDetector, follower: MirrorController) -> tuple[ExpressionTracker, str]:
    """Learns the person's neutral face in two seconds, then follows frame by frame."""
    with MirrorDisplay() as screen:

        def show(sight: DetectedFrame, robot: Picture, believed: bool) -> None:
            screen.show(
                video_panels.draw_person(watch.seen[sight.frame], sight.points, believed), robot, told
            )

        def shown() -> Iterator[DetectedFrame]:
            for sight in frames:
                show(sight, follower.picture, True)
                yield sight

        frames, told = watch.frames(lambda: screen.stopped), CALM
        person = wait_for_neutral(shown())
        told = GO
        return person, _follow(follower, frames, person, show) or "stopped by the user"


class FrameDetector:
    """A source through the detector, remembered.

    Args:
        source: where the frames come from.
        seen: takes the frames, `panels.HEIGHT` high.

    Attributes:
        source: the same.
        seen: the same.
        points: of each frame so far, (N, 3) [pixels of the frames in `seen`], or None.
    """

    def __init__(self, source: FrameSource, seen: PictureStore) -> None:
        self.source, self.seen = source, seen
        self.points: list[Floats | None] = []

    def frames(self, stopped: Callable[[], bool] = lambda: False) -> Iterator[DetectedFrame]:
        """The frames as they come, until the source ends or `stopped`."""
        detector = Detector("picture" if isinstance(self.source, StillSource) else "video")
        with detector, closing(iter(self.source)) as pictures:
            for time, picture in pictures:
                if stopped():
                    return
                found = detector.landmarks(picture, time)
                small, scale = video_panels.resize_to_panel(picture)
                self.seen.add(small)
                self.points.append(None if found is None else scale * found)
                yield DetectedFrame(len(self.points) - 1, time, self.points[-1])


class MirrorController:
    """Drives the face through a person's expressions, at the face's own clock.

    Args:
        model: what turns faces into commands.
        face: the body; it is reset.
        made: takes pictures of it, `panels.HEIGHT` high.
        size: side at which they are rendered [pixels].

    Attributes:
        picture: the latest of them.
        rows: of `MirrorTrace`, so far.
    """

    def __init__(self, model: InverseModel, face: Face, made: PictureStore, size: int = _RECORDED) -> None:
        self._model, self._face, self._made, self._size = model, face, made, size
        self._retarget = Retargeter(model.neutral, model.range_low, model.range_high, model.image)
        self.rows: list[dict[str, Any]] = []
        face.reset()
        self._render()

    def follow(
        self, sights: Iterable[DetectedFrame], person: ExpressionTracker, show: Show | None = None
    ) -> None:
        """Follows until the sights end.

        At each tick the robot is asked for the expression of the latest frame. Recorded sights have
        all time; live ones, which `show` makes them, are answered at once, and of the ticks that
        passed since the last frame only the last is rendered.
        """
        dt, tick, sight = self._face.spec.control_dt, 0, None
        expression = person.neutral
        for coming in sights:
            if show is not None:
                latest = coming.time - (_BEHIND if sight else 0)
                tick = max(tick, int(np.ceil((latest - _SLACK) / dt)))
            while sight is not None and tick * dt + _SLACK < coming.time:
                self._step(tick * dt, sight, person, expression, render=show is None)
                tick += 1
            sight = coming
            expression = person(sight.time, sight.points)
            if show is not None and tick * dt < sight.time + dt:
                self._step(tick * dt, sight, person, expression, render=True)
                tick += 1
                show(sight, self.picture, person.found)
        while show is None and sight is not None and tick <= round(sight.time / dt):
            self._step(tick * dt, sight, person, expression, render=True)
            tick += 1

    def followed(self) -> MirrorTrace:
        """What was done so far; at least one step."""
        columns: dict[str, Any] = {
            name: np.array([row[name] for row in self.rows]) for name in MirrorTrace.__dataclass_fields__
        }
        return MirrorTrace(**columns)

    def _step(
        self, time: float, sight: DetectedFrame, person: ExpressionTracker, expression: Floats, render: bool
    ) -> None:
        target = self._retarget(expression, person.neutral)
        reading = self._face.move(self._model.predict(target))
        if render:
            self._render()
        self.rows.append({
            "time": time, "frame": sight.frame, "found": person.found, "person": expression,
            "target": target, "commands": reading.sent, "robot": reading.landmarks,
            "picture": len(self._made) - 1,
        })  # fmt: skip

    def _render(self) -> None:
        self.picture, _ = video_panels.resize_to_panel(self._face.render(self._size))
        self._made.add(self.picture)


def compute_metrics(followed: MirrorTrace, face: Face) -> dict[str, Any]:
    """The figures; everything but the error in millimetres can be computed again from `traces.npz`.

    A correlation does not see how far the robot goes, so `amplitude` has the range of each measure,
    1st to 99th percentile [neutral outer-eye distances], and the robot's share of the person's.
    """
    found = followed.found
    person, robot = face_measurements(followed.person), face_measurements(followed.robot)
    return {
        "steps": len(found),
        "found": float(found.mean()),
        "correlation": {name: _correlation(person[name][found], robot[name][found]) for name in person},
        "amplitude": {name: _amplitude(person[name][found], robot[name][found]) for name in person},
        "target_error_mm": float(
            1000 * face.outer_eye * np.linalg.norm(followed.robot - followed.target, axis=2).mean()
        ),
    }


def _amplitude(person: Floats, robot: Floats) -> dict[str, float | None]:
    if not len(person):
        return {"person": None, "robot": None, "share": None}
    mine, its = (float(np.ptp(np.percentile(curve, _RANGE))) for curve in (person, robot))
    return {"person": mine, "robot": its, "share": its / mine if person.std() >= AT_REST else None}


def _correlation(person: Floats, robot: Floats) -> float | None:
    if len(person) < 2 or person.std() < AT_REST or robot.std() == 0:
        return None
    return float(np.corrcoef(person, robot)[0, 1])


def _write(
    out: Path,
    watch: FrameDetector,
    followed: MirrorTrace,
    made: PictureStore,
    neutral: dict[str, Floats],
    figures: dict[str, Any],
) -> None:
    traces = video_panels.Traces.of(
        followed.time,
        (followed.person, neutral["person"]),
        (followed.robot, neutral["robot"]),
        followed.commands,
    )
    chosen = set(video_panels.key_steps(traces))
    pairs: dict[int, tuple[Picture, Picture]] = {}
    dt = float(np.diff(followed.time).mean()) if len(followed.time) > 1 else 0.04
    with write_video(out / "mimic.mp4", 1 / dt) as add:
        for step in progress(range(len(followed.time)), "film", unit="frames"):
            frame = followed.frame[step]
            shown = video_panels.draw_person(
                watch.seen[frame], watch.points[frame], bool(followed.found[step])
            )
            robot = made[followed.picture[step]]
            add(video_panels.video_frame(shown, robot, traces, step))
            if step in chosen:
                pairs[step] = shown, robot
    video_panels.write_summary(out / "mimic.png", traces, pairs, figures)
    write_arrays(
        out / "traces.npz", time=followed.time, points=np.array(POINTS), person=followed.person,
        person_neutral=neutral["person"], robot=followed.robot, robot_neutral=neutral["robot"],
        target=followed.target, commands=followed.commands, found=followed.found,
    )  # fmt: skip
    write_json(out / "metrics.json", figures)
