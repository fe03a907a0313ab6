"""Synthetic people for `benchmarks/crowd.py`: their files, their mirroring, and the nearest faces."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from eva_sim.agents.mirroring.controller import MirrorController, MirrorTrace
from eva_sim.agents.mirroring.frame_detector import DetectedFrame
from eva_sim.agents.mirroring.metrics import measure_faces
from eva_sim.agents.mirroring.person_at_rest import PersonAtRest
from eva_sim.agents.mirroring.person_tracker import PersonTracker
from eva_sim.agents.mirroring.recorded import mirror_recorded_frames
from eva_sim.agents.models.route_model import RouteModel
from eva_sim.agents.optimisation.settled_face import SettledFace
from eva_sim.contract import Floats
from eva_sim.detector import DetectedFace
from eva_sim.errors import DataError
from eva_sim.files import read_arrays
from eva_sim.landmarks import POINTS, Aligner
from eva_sim.limits.command_search import CommandSearch
from eva_sim.media.encoding import PictureStore
from eva_sim.reading_correction import person_correction
from eva_sim.twin import Twin

#: Iterations of the search for the nearest face; the last ones change it by less than 0.01 mm.
_ITERATIONS = 12
#: Command of the cables where a search begins, beside the robot's own: taut, since slack ones do not act.
_TAUT = -0.5
#: Cost of pulls beyond the limits [outer-eye distances], see `CommandSearch`.
_BEYOND_LIMITS = 100.0


@dataclass(frozen=True)
class CrowdPerson:
    """A person's file; docs/crowd.md has the arrays.

    Attributes:
        name: of the file.
        rests: how often the person rests.
        tuning: whether choices may be made on this person.
        time: of each frame, (T,) [s].
        faces: as detected, or None.
        neutral: true neutral face, aligned, (N, 3) [outer-eye distances].
        displacement: true motion from it, (T, N, 3).
        gaze: true, (T, 2, 2) [rad].
        turn: true rotation vector of the head, (T, 3) [rad], as in `HeadAndGaze`.
        rest: whether the face rests, (T,).
        blink: activation of blinks, the larger of both eyes, (T,).
    """

    name: str
    rests: str
    tuning: bool
    time: Floats
    faces: list[DetectedFace | None]
    neutral: Floats
    displacement: Floats
    gaze: Floats
    turn: Floats
    rest: NDArray[np.bool_]
    blink: Floats

    def measurements(self) -> dict[str, Floats]:
        """Returns the true `measure_faces` of each frame, (T,) each."""
        return measure_faces(self.neutral + self.displacement, self.turn, self.gaze)


def played_again(person: CrowdPerson, passes: int) -> CrowdPerson:
    """Returns a person who is filmed for longer: the clip forth, back, forth and so on, so often."""
    one_way = np.arange(len(person.time))
    rows = np.concatenate([one_way[:: 1 - 2 * (number % 2)] for number in range(passes)])
    period = person.time[1] - person.time[0]
    return replace(
        person, time=period * np.arange(len(rows)), faces=[person.faces[row] for row in rows],
        displacement=person.displacement[rows], gaze=person.gaze[rows], turn=person.turn[rows],
        rest=person.rest[rows], blink=person.blink[rows],
    )  # fmt: skip


def read_person(path: Path) -> CrowdPerson:
    """Reads a person's file.

    Raises:
        DataError: it is damaged, or of another version or landmark set.
    """
    arrays = read_arrays(path)
    try:
        names = arrays["unit_names"].tolist()
        neutral = Aligner.of(arrays["neutral_landmarks"]).neutral
        if neutral.shape != (len(POINTS), 3):
            raise KeyError("landmarks")
        return CrowdPerson(
            path.stem, str(arrays["rests"]), bool(arrays["tuning"]), arrays["time"], _faces(arrays), neutral,
            arrays["displacement"].astype(float), arrays["gaze"],
            Rotation.from_matrix(arrays["head_rotation"]).as_rotvec(), arrays["rest"],
            arrays["units"][:, [names.index("eyeBlinkLeft"), names.index("eyeBlinkRight")]].max(1),
        )  # fmt: skip
    except KeyError as error:
        raise DataError(f"{path} has no {error}; film the crowd again with tools.build_crowd.") from error


def _faces(arrays: dict[str, np.ndarray]) -> list[DetectedFace | None]:
    each = zip(*(arrays[name].astype(float) for name in DetectedFace._fields), strict=True)
    faces = [DetectedFace(*parts) for parts in each]
    return [face if np.isfinite(face.landmarks).all() else None for face in faces]


class UnseenTwin(Twin):
    """The twin with the reduced skin, of which no picture is made."""

    def __init__(self) -> None:
        super().__init__(skin="reduced")

    def render(self, size: int = 480) -> NDArray[np.uint8]:
        """Returns an empty picture."""
        return np.zeros((size, size, 3), np.uint8)


@dataclass(frozen=True)
class Mirrored:
    """What mirroring made of a person.

    Attributes:
        rest: what was found of the person at rest.
        trace: one step for each frame.
    """

    rest: PersonAtRest
    trace: MirrorTrace

    def from_frame(self, first: int) -> Mirrored:
        """Returns what was made of the frames from one number on."""
        later = self.trace.frame >= first
        columns = {name: column[later] for name, column in vars(self.trace).items()}
        return replace(self, trace=MirrorTrace(**columns))


def mirror_person(person: CrowdPerson, model: RouteModel, twin: UnseenTwin) -> Mirrored:
    """Mirrors a person as `eva mirror` does with a clip, from the faces that were detected.

    This is the one place that knows the interface of mirroring.
    """
    rest = PersonAtRest.of([face for face in person.faces if face is not None])
    with PictureStore() as pictures:
        controller = MirrorController(model, twin, pictures, size=16)
        controller.begin(PersonTracker(rest, correction=person_correction()), float(person.time[-1]))
        frames = zip(person.time, person.faces, strict=True)
        mirror_recorded_frames(
            controller, (DetectedFrame(k, float(at), face) for k, (at, face) in enumerate(frames))
        )
        return Mirrored(rest, controller.trace())


class NearestFaces:
    """Finds the commands whose settled faces are nearest to given ones, mean square over all landmarks.

    Args:
        twin: the face.
    """

    def __init__(self, twin: Twin) -> None:
        self._settled, self._spec = SettledFace(twin), twin.spec
        self._search_within = CommandSearch(twin.spec, _BEYOND_LIMITS)

    def __call__(self, targets: Floats, commands: Floats) -> Floats:
        """Returns the nearest faces that this robot can make, (B, N, 3) [outer-eye distances].

        Args:
            targets: faces, (B, N, 3).
            commands: from which a first search starts, (B, 25); a second one starts with taut cables.
        """
        taut = np.tile(self._spec.neutral.astype(float), (len(targets), 1))
        taut[:, self._spec.where("cable")] = _TAUT
        found = [self._search(targets, start.astype(float)) for start in (commands, taut)]
        errors = [_error(faces, targets) for faces in found]
        return np.where((errors[0] <= errors[1])[:, None, None], *found)

    def _search(self, targets: Floats, commands: Floats) -> Floats:
        """Gauss-Newton within travel and limits; each face keeps the best command so far."""
        faces = self._settled(commands)
        best, error = faces, _error(faces, targets)
        for _ in range(_ITERATIONS):
            commands = np.array([
                self._step(command, target - face)
                for command, target, face in zip(commands, targets, faces, strict=True)
            ])  # fmt: skip
            faces = self._settled(commands)
            nearer = _error(faces, targets) < error
            best = np.where(nearer[:, None, None], faces, best)
            error = _error(best, targets)
        return best

    def _step(self, command: Floats, missing: Floats) -> Floats:
        rows = self._spec.expressive
        jacobian = self._settled.jacobian(command)
        return self._search_within.step(command, rows, -missing.ravel(), jacobian)


def _error(faces: Floats, targets: Floats) -> Floats:
    """Returns the mean square distance of each face, (B,)."""
    error: Floats = ((faces - targets) ** 2).sum(2).mean(1)
    return error
