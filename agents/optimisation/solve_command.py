"""The best reachable command for a face: least squares through the twin, within the travel.

The reduced skin answers in a millisecond for a face and all its slopes, so the search runs on it;
what it errs by is then taken out on the twin itself, with the same slopes.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.optimize import least_squares, lsq_linear

from eva_sim.agents.data.babbling import sample_command
from eva_sim.agents.mirroring.expression_tracker import STRANGER_MAX_RESIDUAL, ExpressionTracker
from eva_sim.agents.mirroring.retargeting import Retargeter
from eva_sim.agents.models.forward import ForwardModel
from eva_sim.contract import FaceSpec, Floats, load_spec
from eva_sim.errors import DataError, MediaError
from eva_sim.expressions import expression_command, load_expressions
from eva_sim.files import atomic_path, read_arrays, write_json
from eva_sim.landmarks import POINTS, Aligner
from eva_sim.settling import reset_and_hold
from eva_sim.skin.anatomy import Drives
from eva_sim.skin.reduced import ReducedSkins
from eva_sim.twin import Twin

STEP = 0.01  # commands; of the differences by which slopes are taken
START = -0.5  # command of the cables where the search begins: taut, since a slack one has no slope
EFFORT = 0.01  # mm per command: keeps muscles at rest that the face does not show
POLISH = 4  # corrections on the twin
TIMES = 5  # what a tension takes back of its own cable, again and again: a fifth each time
SHOWS = 1e-3  # mm
FACES = 3000  # random ones, of which the self-image for retargeting is made


@dataclass(frozen=True)
class SolvedCommand:
    """What was found.

    Attributes:
        command: (25,) in [-1, 1].
        landmarks: what the twin makes of it, (N, 3) [outer-eye distances].
        error: mean distance of its landmarks from the wanted ones [mm].
    """

    command: NDArray[np.float32]
    landmarks: Floats
    error: float


class SettledFace:
    """The face that commands settle to, by the reduced skin.

    Args:
        twin: whose face it is; it is not moved.
    """

    def __init__(self, twin: Twin) -> None:
        self._spec, self._anatomy = twin.spec, twin.skin.anatomy
        self._aligner = Aligner(twin.neutral_landmarks.astype(float), twin.outer_eye)

    def __call__(self, commands: Floats) -> Floats:
        """Aligned landmarks, (B, N, 3) [outer-eye distances], of commands (B, 25)."""
        skins, cable = ReducedSkins(self._anatomy, len(commands)), self._spec.cable
        jaw, lids, gear = _gears(self._spec, commands)
        line = np.maximum(0.0, gear - cable["backlash"])  # drawn from rest, across the play
        give = np.exp(cable["friction"] * cable["wrap_angle"]) / cable["bowden_stiffness"]
        take_up = line
        for _ in range(TIMES):
            skins.step(Drives(jaw, lids, take_up))
            take_up = line - give * skins.tension
        return np.array([self._aligner(points) for points in skins.landmarks.astype(float)])

    def slope(self, command: Floats) -> Floats:
        """Derivative of the aligned landmarks by each actuator that moves them, (3 N, 15)."""
        moved = np.zeros((2, len(self._spec.expressive), len(command)))
        moved[:, np.arange(moved.shape[1]), self._spec.expressive] = [[STEP], [-STEP]]
        ends = np.clip(command + moved, -1, 1)
        plus, minus = np.split(self(ends.reshape(-1, len(command))), 2)
        width = np.abs(ends[0] - ends[1]).sum(1)
        slope: Floats = ((plus - minus).reshape(len(plus), -1) / width[:, None]).T
        return slope


def _gears(spec: FaceSpec, commands: Floats) -> tuple[Floats, Floats, Floats]:
    """Jaw (B,) and lids (B, 2) [rad], and cable at the servos (B, 12) [m]."""
    physical = spec.to_physical(commands)
    return physical[:, spec.index("jaw")], physical[:, spec.where("lid")], spec.drawn_in(physical)


def solve_command(target: Floats, twin: Twin) -> SolvedCommand:
    """Finds the command whose face is nearest to the target.

    Args:
        target: aligned landmarks, (N, 3) [outer-eye distances].
        twin: is left holding the command.

    Raises:
        DataError: the target has another shape or is not finite.
    """
    wanted, face, scale = check_target(target).ravel(), SettledFace(twin), 1000 * twin.outer_eye
    rows = twin.spec.expressive
    size, rest = scale / np.sqrt(len(POINTS)), twin.spec.neutral.astype(float)

    def whole(x: Floats) -> Floats:
        command = rest.copy()
        command[rows] = x
        return command

    def miss(x: Floats) -> Floats:
        error = size * (face(whole(x)[None])[0].ravel() - wanted)
        return np.concatenate([error, EFFORT * (x - rest[rows])])

    def slope(x: Floats) -> Floats:
        return np.vstack([size * face.slope(whole(x)), EFFORT * np.eye(len(x))])

    start = np.where(np.isin(rows, twin.spec.where("cable")), START, rest[rows])
    found = least_squares(miss, start, slope, bounds=(-1.0, 1.0), x_scale=1.0, max_nfev=60)
    return _polish(whole(found.x), wanted, twin, face)


def _polish(command: Floats, wanted: Floats, twin: Twin, face: SettledFace) -> SolvedCommand:
    """Gauss-Newton with the twin's own misses and the reduced skin's slopes; the best of all."""
    rows, rest = twin.spec.expressive, twin.spec.neutral.astype(float)
    size, best = 1000 * twin.outer_eye / np.sqrt(len(POINTS)), _try(command, wanted, twin)
    now = best
    for _ in range(POLISH):
        command = now.command.astype(float)
        x = command[rows]
        matrix = np.vstack([size * face.slope(command), EFFORT * np.eye(len(x))])
        miss = np.concatenate([size * (now.landmarks.ravel() - wanted), EFFORT * (x - rest[rows])])
        room = np.minimum(-1.0 - x, -1e-9), np.maximum(1.0 - x, 1e-9)
        command[rows] = x + lsq_linear(matrix, -miss, bounds=room).x
        now = _try(command, wanted, twin)
        best = min(best, now, key=lambda found: found.error)
    return _relaxed(best, wanted, twin)


def _relaxed(best: SolvedCommand, wanted: Floats, twin: Twin) -> SolvedCommand:
    """The same with cables at rest that pull nothing anyway, unless that shows."""
    again = _try(best.command, wanted, twin)
    command = again.command.copy()
    slack = twin.spec.where("cable")[twin.skin.tension == 0]
    command[slack] = twin.spec.neutral[slack]
    relaxed = _try(command, wanted, twin)
    return relaxed if relaxed.error < again.error + SHOWS else _try(best.command, wanted, twin)


def _try(command: Floats, wanted: Floats, twin: Twin) -> SolvedCommand:
    """What the twin makes of a command."""
    sent = np.clip(command, -1, 1).astype(np.float32)
    seen = reset_and_hold(twin, sent).landmarks.astype(float)
    distance = np.linalg.norm(seen - wanted.reshape(seen.shape), axis=1)
    return SolvedCommand(sent, seen, float(1000 * twin.outer_eye * distance.mean()))


def check_target(target: Floats) -> Floats:
    """The target as floats.

    Raises:
        DataError: another shape, or not finite.
    """
    points = np.asarray(target, dtype=float)
    if points.shape != (len(POINTS), 3) or not np.isfinite(points).all():
        raise DataError(f"a face to fit is ({len(POINTS)}, 3) finite landmarks, not {points.shape}.")
    return points


def load_target(source: str, twin: Twin) -> Floats:
    """Aligned landmarks (N, 3) of a named expression, an `.npz` with `landmarks`, or a picture.

    Raises:
        DataError: none of these, or an array file without landmarks.
        MediaError: the picture is damaged or shows no face.
    """
    if source in load_expressions(twin.spec):
        return reset_and_hold(twin, expression_command(twin.spec, source)).landmarks.astype(float)
    path = Path(source)
    if not path.is_file():
        raise DataError(
            f"{source} is no file and no expression; there are {', '.join(load_expressions(twin.spec))}."
        )
    if path.suffix != ".npz":
        return _of_picture(path, twin)
    arrays = read_arrays(path)
    if "landmarks" not in arrays:
        raise DataError(f"{source} has no array 'landmarks'; it has {', '.join(arrays)}.")
    return check_target(arrays["landmarks"])


def _of_picture(path: Path, twin: Twin) -> Floats:
    """The robot's face that tells most nearly the same as a person's; their neutral is the average's."""
    from eva_sim.detector import Detector, canonical_face
    from eva_sim.media.sources import StillSource

    with Detector() as detector:
        points = detector.landmarks(StillSource(path).image)
    person = ExpressionTracker(canonical_face(), STRANGER_MAX_RESIDUAL)
    seen = person(0.0, points)
    if not person.found:
        raise MediaError(f"there is no face in {path}; give a picture of one, from the front.")
    return _retargeter(twin)(seen, person.neutral)


def _retargeter(twin: Twin) -> Retargeter:
    """A retargeter whose self-image the reduced skin imagines."""
    rng, spec = np.random.default_rng(0), load_spec()
    commands = np.array([sample_command(spec, rng) for _ in range(FACES)], dtype=float)
    faces, neutral = SettledFace(twin)(commands), twin.neutral_landmarks.astype(float)
    pulls = (commands - spec.neutral)[:, spec.expressive]
    image = ForwardModel.fit(pulls, (faces - neutral).reshape(FACES, -1))
    low, high = np.percentile(faces, (1, 99), axis=0)
    return Retargeter(neutral, low, high, image)


def write_solution(source: str, out: str | os.PathLike[str]) -> dict[str, Any]:
    """Solves for a face and writes `fit.json` (command and residual) and `fit.png` into a folder."""
    folder = Path(out)
    with Twin() as twin:
        found = solve_command(load_target(source, twin), twin)
        picture = Image.fromarray(twin.render(640))
        command = dict(zip(twin.spec.names, found.command.astype(float).round(4).tolist(), strict=True))
    report = {"target": source, "command": command, "mean_error_mm": round(found.error, 4)}
    write_json(folder / "fit.json", report)
    with atomic_path(folder / "fit.png") as part:
        picture.save(part)
    return report
