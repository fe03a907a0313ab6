"""Mirroring: a clip, picture or camera of a person in; the robot's face, a video and metrics out.

The frames go through the detector (`frame_detector.py`) and the person at rest is learned. A
`MirrorController` (`controller.py`) then finds what the person does at each control step and drives the
robot. `recorded.py` and `live.py` decide which frame belongs to which step. The inverse model moves the
actuators that move landmarks; neck and eyes follow from geometry (`head_and_gaze.py`). The robot lags the
person by the delay and travel of its servos, and nothing here shifts that away.
"""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path
from time import perf_counter
from typing import Any

from eva_sim.agents.mirroring import video_panels
from eva_sim.agents.mirroring.controller import MirrorController
from eva_sim.agents.mirroring.frame_detector import FrameDetector
from eva_sim.agents.mirroring.live import mirror_camera
from eva_sim.agents.mirroring.metrics import compute_metrics, compute_still_metrics
from eva_sim.agents.mirroring.recorded import mirror_recording
from eva_sim.agents.mirroring.results import write_results
from eva_sim.agents.models.route_model import RouteModel
from eva_sim.contract import Face
from eva_sim.errors import SEE_DOCTOR, EvaError, MediaError
from eva_sim.files import check_output_folder
from eva_sim.holding import work_while_held
from eva_sim.interrupts import describe_interruption
from eva_sim.media.encoding import PictureStore
from eva_sim.media.sources import FrameSource, StillSource
from eva_sim.optional import import_optional

#: Side at which the robot is rendered [pixels]. Live it is half as large, since rendering is most of the
#: work of a step, and enlarged for the panel.
RECORDED_SIZE, LIVE_SIZE = video_panels.HEIGHT, video_panels.HEIGHT // 2


def mirror(
    source: FrameSource,
    model: RouteModel,
    face: Face,
    out: str | os.PathLike[str],
    mirror_image: bool = False,
) -> dict[str, Any]:
    """Lets a face mirror a person, and writes `mirror.mp4`, `mirror.png`, `metrics.json`, `traces.npz`.

    A camera is mirrored live, in a window where there is a display, until Ctrl-C or q. When camera or body
    fails, or Ctrl-C ends a clip, the steps made until then are kept. Pictures are set aside in nameless
    temporary files.

    Args:
        source: a clip, picture or camera.
        model: turns landmarks into commands; trained on a face with the same spec.
        face: the body that mirrors. It is reset, and a robot armed, only when mirroring begins: after a
            clip was analysed, or after the neutral face of a live person is known.
        out: folder for the results; they appear together.
        mirror_image: whether the robot's right side does what the person's left side does, as in a mirror.
            Otherwise each side does what the same side does.

    Returns:
        The metrics, as in `metrics.json`. `complete` is False if a clip was cut, or a camera or body failed;
        `expected_steps` is the number of steps of a whole clip, None for a camera. `stages` has the number,
        the median and the 95th percentile of each stage's times [ms].

    Raises:
        MediaError: the source is unreadable or shows no face; nothing is written.
        DataError: nothing can be written to `out`, the results of a clip do not fit on its disk, or the model
            was trained on another face.
        RenderError: no picture of the body can be made.
    """
    started, folder = perf_counter(), check_output_folder(out)
    import_optional("matplotlib", "train")  # which draws at the end
    import_optional("matplotlib.figure", "train")  # takes long, so not while a robot waits for a command
    with closing(PictureStore()) as person_pictures, closing(PictureStore()) as robot_pictures:
        detector = FrameDetector(source, person_pictures, mirror_image)
        size = LIVE_SIZE if source.live else RECORDED_SIZE
        controller = MirrorController(model, face, robot_pictures, size, detector.stages)
        ended, complete = _run(detector, controller, folder)
        if controller.tracker is None or not controller.steps:
            raise MediaError(f"{source.name} was stopped before anything was mirrored.")
        duration = perf_counter() - started
        # Video and plots take seconds: a robot is held meanwhile, and so does not sink before it is closed.
        return work_while_held(
            face, lambda: _finish(face, detector, controller, folder, (ended, complete), duration)
        )


def _finish(
    face: Face,
    detector: FrameDetector,
    controller: MirrorController,
    folder: Path,
    end: tuple[str, bool],
    duration: float,
) -> dict[str, Any]:
    """Measures what was mirrored, and writes it; returns the metrics."""
    trace, (ended, complete) = controller.trace(), end
    assert controller.tracker is not None and controller.pictures is not None  # there are steps
    person_neutral = controller.tracker.neutral
    still = isinstance(detector.source, StillSource)
    measured = compute_still_metrics(trace, face, person_neutral) if still else compute_metrics(trace, face)
    metrics = measured | {
        "source": detector.source.name,
        "assumed": detector.assumed,
        "ended": ended,
        "complete": complete,
        "expected_steps": controller.expected_steps,
        "spec": face.spec.digest,
        "stages": detector.stages.summary(),
        "seconds_per_step": duration / len(trace.time),
    }
    neutral = {"person": person_neutral, "robot": face.neutral_landmarks}
    write_results(folder, detector, controller.pictures, trace, neutral, metrics, face.spec)
    return metrics


def _run(detector: FrameDetector, controller: MirrorController, folder: Path) -> tuple[str, bool]:
    """Mirrors the source as far as it goes; returns why it ended, and whether it is complete.

    Steps that were made are worth keeping, so an error after the first one is a reason to end, not raised.
    """
    try:
        if detector.source.live:
            return mirror_camera(detector, controller), True
        return mirror_recording(detector, controller, folder), True
    except (EvaError, KeyboardInterrupt) as error:
        if not controller.steps:
            raise
        if isinstance(error, KeyboardInterrupt):
            return describe_interruption(error), False
        return str(error).removesuffix(f" {SEE_DOCTOR}").rstrip("."), False
