"""Mirroring a clip or a picture: the whole source is analysed first, then mirrored."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from eva_sim.agents.mirroring.controller import ControlClock, MirrorController
from eva_sim.agents.mirroring.frame_detector import DetectedFrame, FrameDetector
from eva_sim.agents.mirroring.person_at_rest import UNSURE, PersonAtRest
from eva_sim.agents.mirroring.person_tracker import STRANGER_MAX_RESIDUAL, PersonTracker
from eva_sim.agents.mirroring.results import STEP_SIZE
from eva_sim.errors import MediaError
from eva_sim.files import check_free_space
from eva_sim.media.sources import ONE_PICTURE, StillSource
from eva_sim.progress import progress
from eva_sim.reading_correction import person_correction

#: Number of pictures of a face from which its neutral one can be told.
ENOUGH_FACES = 25


def mirror_recording(detector: FrameDetector, controller: MirrorController, folder: Path) -> str:
    """Learns the person's neutral face from all frames, then mirrors them.

    Args:
        detector: of the source.
        controller: of the body.
        folder: for the results, whose disk must have room.

    Returns:
        The reason why it ended.

    Raises:
        MediaError: the source is damaged or shows no face; the body was not moved.
        DataError: the results do not fit on the disk; the body was not moved.
    """
    source = detector.source
    frames = list(progress(detector.frames(), "analyse", total=source.length, unit="frames"))
    tracker, steps = _learn_person(detector, frames), 1 + round(frames[-1].time / controller.control_dt)
    check_free_space(folder, steps * STEP_SIZE, f"the results of {steps:,} steps")
    controller.begin(tracker, frames[-1].time)
    mirror_recorded_frames(controller, progress(frames, "mirror", unit="frames"))
    return "the source ended"


def mirror_recorded_frames(controller: MirrorController, frames: Iterable[DetectedFrame]) -> None:
    """Makes one control step for each control period of the recording, with the latest frame at that time."""
    clock = ControlClock(controller.control_dt)
    for frame in frames:
        if controller.frame is not None:
            for time in clock.times_before(frame.time):
                controller.step(time)
        controller.observe(frame)
    if controller.frame is not None:
        for time in clock.times_up_to(controller.frame.time):
            controller.step(time)


def _learn_person(detector: FrameDetector, frames: list[DetectedFrame]) -> PersonTracker:
    """Returns a tracker that knows the person at rest; of a single picture, an average person."""
    source = detector.source
    faces = [frame.face for frame in frames if frame.face is not None]
    if not faces:
        doubts = "; ".join(each for each in source.assumed if each != ONE_PICTURE)
        name = f"{source.name} ({doubts})" if doubts else source.name
        raise MediaError(f"there is no face in {name}; give a clip or picture of one, from the front.")
    if isinstance(source, StillSource):
        return PersonTracker(PersonAtRest.stranger(), STRANGER_MAX_RESIDUAL)
    rest = PersonAtRest.of(faces)
    if len(faces) < ENOUGH_FACES:
        detector.note_assumption(
            f"the face is seen in {len(faces)} pictures only: its neutral face is a guess"
        )
    elif rest.uncertainty > UNSURE:
        detector.note_assumption(
            "the person is hardly seen at rest: their neutral face may be off by "
            f"{100 * rest.uncertainty:.0f} % of the outer-eye distance"
        )
    return PersonTracker(rest, correction=person_correction())
