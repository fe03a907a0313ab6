"""Target faces for the solver: a named expression, an array file, or a picture of a person."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from eva_sim.agents.data.babbling import sample_command
from eva_sim.agents.mirroring.frame_detector import side_among
from eva_sim.agents.mirroring.person_at_rest import PersonAtRest
from eva_sim.agents.mirroring.person_tracker import STRANGER_MAX_RESIDUAL, PersonTracker
from eva_sim.agents.mirroring.retargeting import Retargeter
from eva_sim.agents.models.forward import ForwardModel
from eva_sim.agents.optimisation.settled_face import SettledFace
from eva_sim.contract import Floats
from eva_sim.errors import DataError, MediaError, known_names
from eva_sim.expressions import expression_command, load_expressions
from eva_sim.files import read_arrays
from eva_sim.landmarks import POINTS
from eva_sim.settling import reset_and_hold
from eva_sim.twin import Twin

#: Random faces to which the forward model for retargeting is fitted.
_FACES = 3000
_GUESS = (
    "a guess: the robot's face nearest to the person's in the picture, whose own neutral face is not known; "
    "an average one stands in for it"
)


def check_target(target: Floats) -> Floats:
    """Returns the target as floats.

    Raises:
        DataError: another shape, or not finite.
    """
    points = np.asarray(target, dtype=float)
    if points.shape != (len(POINTS), 3):
        raise DataError(f"a face to fit is landmarks ({len(POINTS)}, 3), not {points.shape}.")
    if not np.isfinite(points).all():
        raise DataError(
            "a face to fit has landmarks that are not finite; give those of a face that is found."
        )
    return points


class TargetFace(NamedTuple):
    """A face to fit.

    Attributes:
        landmarks: aligned, (N, 3) [outer-eye distances].
        origin: what it is, in words.
        guessed: whether it only stands for the face that was asked for, which is not known.
    """

    landmarks: Floats
    origin: str
    guessed: bool = False


def load_target(source: str, twin: Twin) -> TargetFace:
    """Returns the face of a named expression, of an `.npz` with `landmarks`, or of a picture.

    Raises:
        DataError: none of these, or an array file without landmarks.
        MediaError: the picture is damaged or shows no face.
    """
    known = load_expressions(twin.spec)
    path = Path(source)
    if not path.is_file() and source.lower().partition(":")[0] in known:
        reading = reset_and_hold(twin, expression_command(twin.spec, source))
        return TargetFace(reading.landmarks.astype(float), "the twin's face of this expression")
    if not path.is_file():
        raise DataError(f"{source} is no file and no expression; {known_names(source, list(known))}.")
    if path.suffix != ".npz":
        return _load_picture(path, twin)
    arrays = read_arrays(path)
    if "landmarks" not in arrays:
        raise DataError(f"{source} has no array 'landmarks'; it has {', '.join(arrays)}.")
    return TargetFace(check_target(arrays["landmarks"]), "the landmarks of this file")


def _load_picture(path: Path, twin: Twin) -> TargetFace:
    """Returns the robot's face nearest to a person's; the average face stands in for their neutral one."""
    from eva_sim.detector import Detector
    from eva_sim.media.sources import StillSource, open_file

    picture = open_file(path)
    if not isinstance(picture, StillSource):
        raise MediaError(f"{path} holds several pictures; give one picture of a face, from the front.")
    with Detector(scores=True) as detector, Detector(faces=2) as searcher:
        face = detector.detect_face(picture.image)
        faces = searcher.detect_all(picture.image)
    tracker = PersonTracker(PersonAtRest.stranger(), STRANGER_MAX_RESIDUAL)
    expression = tracker(0.0, face).expression
    if not tracker.found:
        raise MediaError(f"there is no face in {path}; give a picture of one, from the front.")
    side = "" if face is None else side_among(faces, face.landmarks)
    several = f"; more than one face is seen, and the one on the {side} is taken" if side else ""
    guess = _build_retargeter(twin)(expression, tracker.neutral)
    return TargetFace(guess, _GUESS + several, guessed=True)


def _build_retargeter(twin: Twin) -> Retargeter:
    """Fits a retargeter to random faces of the reduced skin."""
    rng, spec = np.random.default_rng(0), twin.spec
    commands = np.array([sample_command(spec, rng) for _ in range(_FACES)], dtype=float)
    faces, neutral = SettledFace(twin)(commands), twin.neutral_landmarks.astype(float)
    pulls = (commands - spec.neutral)[:, spec.expressive]
    forward_model = ForwardModel.fit(pulls, (faces - neutral).reshape(_FACES, -1))
    low, high = np.percentile(faces, (1, 99), axis=0)
    return Retargeter(spec, neutral, low, high, forward_model)
