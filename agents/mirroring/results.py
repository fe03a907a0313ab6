"""The files of a mirrored source: video, summary page, metrics and traces."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from eva_sim.agents.mirroring import video_panels
from eva_sim.agents.mirroring.controller import MirrorTrace
from eva_sim.agents.mirroring.frame_detector import FrameDetector
from eva_sim.agents.mirroring.metrics import change_from_rest, measure_both
from eva_sim.contract import FaceSpec, Floats
from eva_sim.files import atomic_files, write_arrays, write_json
from eva_sim.landmarks import POINTS
from eva_sim.media.encoding import Picture, PictureStore, write_video
from eva_sim.progress import progress

#: Size of the results of a step: video and traces, about [bytes].
STEP_SIZE = 12e3


def write_results(
    folder: Path,
    detector: FrameDetector,
    robot_pictures: PictureStore,
    trace: MirrorTrace,
    neutral: dict[str, Floats],
    metrics: dict[str, Any],
    spec: FaceSpec,
) -> None:
    """Writes `mirror.mp4`, `mirror.png`, `traces.npz` and `metrics.json`, which appear together.

    Args:
        folder: for the files.
        detector: has the person's frames.
        robot_pictures: the robot's pictures.
        trace: the steps.
        neutral: neutral landmarks of `"person"` and `"robot"`, (N, 3) each.
        metrics: as in `metrics.json`.
        spec: of the robot.
    """
    person, robot = measure_both(trace)
    person_change = change_from_rest(person, neutral["person"])
    robot_change = change_from_rest(robot, neutral["robot"])
    curves = video_panels.MirrorCurves.of(spec, trace.time, person_change, robot_change, trace.commands)
    with atomic_files(folder) as part:
        pairs = _write_film(part / "mirror.mp4", detector, robot_pictures, trace, curves)
        video_panels.write_summary(part / "mirror.png", curves, pairs, metrics)
        _write_traces(part / "traces.npz", trace, neutral)
        write_json(part / "metrics.json", metrics)


def _write_traces(path: Path, trace: MirrorTrace, neutral: dict[str, Floats]) -> None:
    write_arrays(
        path, time=trace.time, points=np.array(POINTS), person=trace.person,
        person_neutral=neutral["person"], robot=trace.robot, robot_neutral=neutral["robot"],
        target=trace.target, commands=trace.commands, found=trace.found,
        person_turn=trace.person_turn, person_gaze=trace.person_gaze,
        robot_turn=trace.robot_turn, robot_gaze=trace.robot_gaze,
    )  # fmt: skip


def _write_film(
    path: Path,
    detector: FrameDetector,
    robot_pictures: PictureStore,
    trace: MirrorTrace,
    curves: video_panels.MirrorCurves,
) -> dict[int, tuple[Picture, Picture]]:
    """Writes the video; returns person and robot at the key steps."""
    key_steps = set(video_panels.key_steps(curves))
    pairs: dict[int, tuple[Picture, Picture]] = {}
    dt = float(np.diff(trace.time).mean()) if len(trace.time) > 1 else 0.04
    with write_video(path, 1 / dt) as add_frame:
        for step in progress(range(len(trace.time)), "film", unit="frames"):
            index = trace.frame[step]
            person = video_panels.draw_person(
                detector.pictures[index], detector.faces[index], bool(trace.found[step])
            )
            robot = robot_pictures[trace.picture[step]]
            add_frame(video_panels.video_frame(person, robot, curves, step))
            if step in key_steps:
                pairs[step] = person, robot
    return pairs
