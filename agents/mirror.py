"""Mirroring: a person's clip, picture or camera in, the robot's face and an honest account out.

Four steps, each of which can be read alone: `watch` the person, find their expression at each tick
of the robot's clock, let the robot `follow`, and write down what happened. Gaze and head pose rest;
the inverse model knows the actuators that move landmarks. The robot lags the person by its servos'
delay and travel, and nothing here shifts that away.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from eva_sim.agents import panels
from eva_sim.agents.inverse import InverseModel
from eva_sim.agents.media import Picture, Source, Still, write_video
from eva_sim.agents.person import MISFIT, STRANGER_MISFIT, Person, calm_neutral
from eva_sim.agents.retarget import Retargeter
from eva_sim.contract import Face, Floats
from eva_sim.detector import Detector, average_face
from eva_sim.errors import MediaError
from eva_sim.files import write_arrays, write_json
from eva_sim.landmarks import POINTS, measures

ROBOT_SIZE = 480  # pixels of the robot's picture in the video
#: A person's measure that varies less than this is at rest, and correlates with nothing
#: [standard deviation, neutral outer-eye distances].
AT_REST = 0.003


@dataclass(frozen=True)
class Watched:
    """What the detector saw.

    Attributes:
        times: of the frames [s].
        points: (T, N, 3) [pixels]; NaN where there was no face.
        pictures: the frames, kept only for a camera, whose frames come but once.
    """

    times: Floats
    points: Floats
    pictures: list[Picture]


@dataclass(frozen=True)
class Followed:
    """What the robot did, one row per control step; faces are (T, N, 3) [outer-eye distances]."""

    time: Floats
    frame: NDArray[np.intp]
    found: NDArray[np.bool_]
    person: Floats
    target: Floats
    commands: NDArray[np.float32]
    robot: Floats
    pictures: list[bytes]


def mirror(source: Source, model: InverseModel, face: Face, out: str | os.PathLike[str]) -> dict[str, Any]:
    """Lets a face mirror a person, and writes `mimic.mp4`, `mimic.png`, `metrics.json`, `traces.npz`.

    Args:
        source: a clip, picture or camera; a camera is watched until Ctrl-C.
        model: what turns faces into commands.
        face: the body that mirrors; it is reset first.
        out: folder for the results; each file is complete or absent.

    Returns:
        The metrics, as in `metrics.json`.

    Raises:
        MediaError: the source is unreadable or shows no face; nothing is written.
    """
    began = perf_counter()
    watched = watch(source)
    person = _acquaint(source, watched)
    followed = follow(watched, person, model, face)
    figures = account(followed, face)
    figures |= {
        "source": source.name,
        "spec": face.spec.digest,
        "seconds_per_step": (perf_counter() - began) / len(followed.time),
    }
    _write(Path(out), source, watched, followed, person, figures)
    return figures


def watch(source: Source) -> Watched:
    """Runs the detector over the whole source."""
    times, points, pictures = [], [], []
    with Detector("picture" if isinstance(source, Still) else "video") as detector:
        try:
            for time, picture in tqdm(source, "watch", source.length, unit="frame", disable=None):
                seen = detector.landmarks(picture, time)
                times.append(time)
                points.append(np.full((len(POINTS), 3), np.nan) if seen is None else seen)
                if source.live:
                    pictures.append(picture)
        except KeyboardInterrupt:
            if not source.live or not times:
                raise
    stack = np.array(points)
    if not len(times) or not np.isfinite(stack).any():
        raise MediaError(f"there is no face in {source.name}; give a clip or picture of one, from the front.")
    return Watched(np.array(times), stack, pictures)


def _acquaint(source: Source, watched: Watched) -> Person:
    """The person, with their own neutral face; a single picture only knows the average one."""
    if isinstance(source, Still):
        return Person(average_face(), STRANGER_MISFIT)
    return Person(calm_neutral(watched.points, 1 / source.fps), MISFIT)


def follow(watched: Watched, person: Person, model: InverseModel, face: Face) -> Followed:
    """Drives the face through the person's expressions, at the face's own clock."""
    retarget = Retargeter(model.neutral, model.range_low, model.range_high)
    reading = face.reset()
    rows: dict[str, list[Any]] = {name: [] for name in Followed.__dataclass_fields__}
    ticks = list(_ticks(watched, person, face.spec.control_dt))
    for time, frame, found, expression in tqdm(ticks, "mirror", unit="step", disable=None):
        target = retarget(expression, person.neutral)
        reading = face.move(np.clip(model.predict(target), -1, 1))
        new = {
            "time": time, "frame": frame, "found": found, "person": expression, "target": target,
            "commands": reading.sent, "robot": reading.landmarks,
            "pictures": _squeeze(face.render(ROBOT_SIZE)),
        }  # fmt: skip
        for name, value in new.items():
            rows[name].append(value)
    columns: dict[str, Any] = {n: v if n == "pictures" else np.array(v) for n, v in rows.items()}
    return Followed(**columns)


def _ticks(watched: Watched, person: Person, dt: float) -> Iterator[tuple[float, int, bool, Floats]]:
    """Time, latest frame, whether it was believed, and the expression, at each control step."""
    frame, expression = -1, person.neutral
    for tick in range(round(watched.times[-1] / dt) + 1):
        while frame + 1 < len(watched.times) and watched.times[frame + 1] <= tick * dt + 1e-3:
            frame += 1
            seen = watched.points[frame]
            expression = person(watched.times[frame], seen if np.isfinite(seen).all() else None)
        yield tick * dt, frame, person.found, expression


def _squeeze(picture: Picture) -> bytes:
    """A picture as JPEG, so that a long clip fits in memory."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


def account(followed: Followed, face: Face) -> dict[str, Any]:
    """The figures; everything but the error in millimetres can be computed again from `traces.npz`."""
    found = followed.found
    person, robot = measures(followed.person), measures(followed.robot)
    return {
        "steps": len(found),
        "found": float(found.mean()),
        "correlation": {name: _correlation(person[name][found], robot[name][found]) for name in person},
        "target_error_mm": float(
            1000 * face.outer_eye * np.linalg.norm(followed.robot - followed.target, axis=2).mean()
        ),
    }


def _correlation(person: Floats, robot: Floats) -> float | None:
    if len(person) < 2 or person.std() < AT_REST or robot.std() == 0:
        return None
    return float(np.corrcoef(person, robot)[0, 1])


def _write(
    out: Path, source: Source, watched: Watched, followed: Followed, person: Person, figures: dict[str, Any]
) -> None:
    traces = panels.Traces.of(
        followed.time, followed.found, followed.person, followed.robot, followed.commands
    )
    chosen = set(panels.moments(traces))
    pairs: dict[int, tuple[Picture, Picture]] = {}
    with write_video(
        out / "mimic.mp4", 1 / float(np.diff(followed.time).mean() if len(followed.time) > 1 else 0.04)
    ) as add:
        frames = _frames(source, watched)
        here, picture = -1, None
        steps = tqdm(range(len(followed.time)), "film", unit="frame", disable=None)
        for step in steps:
            while here < followed.frame[step]:
                here, (_, picture) = here + 1, next(frames)
            assert picture is not None
            shown = panels.person(picture, watched.points[here], bool(followed.found[step]))
            robot = np.asarray(Image.open(io.BytesIO(followed.pictures[step])))
            add(panels.frame(shown, robot, traces, step))
            if step in chosen:
                pairs[step] = shown, robot
    panels.summary(out / "mimic.png", traces, pairs, figures)
    write_arrays(
        out / "traces.npz", time=followed.time, points=np.array(POINTS), person=followed.person,
        person_neutral=person.neutral, robot=followed.robot, target=followed.target,
        commands=followed.commands, found=followed.found,
    )  # fmt: skip
    write_json(out / "metrics.json", figures)


def _frames(source: Source, watched: Watched) -> Iterator[tuple[float, Picture]]:
    if watched.pictures:
        return iter(zip(watched.times, watched.pictures, strict=True))
    return iter(source)
