"""The best reachable command for a face: least squares through the twin, within travel and rules of pulls.

The reduced skin gives a face and its jacobian in a millisecond, so the search runs on it. Its error is then
removed on the twin itself, with the same jacobian.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from eva_sim.agents.optimisation.load_target import check_target, load_target
from eva_sim.agents.optimisation.settled_face import SettledFace
from eva_sim.contract import Floats
from eva_sim.files import atomic_files, write_json
from eva_sim.landmarks import POINTS
from eva_sim.limits.command_search import CommandSearch
from eva_sim.progress import progress
from eva_sim.settling import reset_and_hold
from eva_sim.twin import Twin

#: Command of the cables where the search begins: taut, since a slack one has no derivative.
_START = -0.5
#: Cost of a command [mm]: keeps actuators at rest that the face does not show.
_EFFORT = 0.01
#: Cost of pulls beyond the limits of the face [mm], see `CommandSearch`.
_BEYOND_LIMITS = 100.0
#: Corrections on the twin.
_CORRECTIONS = 4
#: A difference of the error that counts [mm].
_VISIBLE = 1e-3


@dataclass(frozen=True)
class SolvedCommand:
    """A command and the face it makes.

    Attributes:
        command: (25,) in [-1, 1].
        landmarks: of the twin with this command, (N, 3) [outer-eye distances].
        error: mean distance of its landmarks from the target's [mm].
    """

    command: NDArray[np.float32]
    landmarks: Floats
    error: float


def solve_command(target: Floats, twin: Twin) -> SolvedCommand:
    """Finds the command whose face is nearest to the target.

    Args:
        target: aligned landmarks, (N, 3) [outer-eye distances].
        twin: is left holding the command.

    Raises:
        DataError: the target has another shape or is not finite.
    """
    solver = _Solver(check_target(target), twin)
    return solver.relax(solver.polish(solver.search()))


class _Solver:
    """Searches on the reduced skin, then corrects on the twin.

    Args:
        target: aligned landmarks, (N, 3) [outer-eye distances].
        twin: the face.
    """

    def __init__(self, target: Floats, twin: Twin) -> None:
        self._target, self._twin, self._settled = target, twin, SettledFace(twin)
        self._search_within = CommandSearch(twin.spec, _BEYOND_LIMITS)
        self._rows, self._rest = twin.spec.expressive, twin.spec.neutral.astype(float)
        self._scale = 1000 * twin.outer_eye / np.sqrt(len(POINTS))  # to mm, root mean square

    def search(self) -> Floats:
        """Finds the best command, (25,), by the reduced skin."""
        start = self._rest.copy()
        start[self._twin.spec.where("cable")] = _START
        return self._search_within(
            start, self._rows,
            lambda command: self._residual(command, self._settled(command[None])[0]), self._jacobian,
            x_scale=1.0, max_nfev=60,
        )  # fmt: skip

    def polish(self, command: Floats) -> SolvedCommand:
        """Corrects by Gauss-Newton with the twin's residual and the reduced skin's jacobian."""
        current = best = self._evaluate(command)
        for _ in range(_CORRECTIONS):
            current = self._evaluate(self._corrected(current))
            best = min(best, current, key=lambda solved: solved.error)
        return best

    def relax(self, best: SolvedCommand) -> SolvedCommand:
        """Puts slack cables to rest, unless the face shows it."""
        again = self._evaluate(best.command)
        command = again.command.copy()
        slack = self._twin.spec.where("cable")[self._twin.skin.tension == 0]
        command[slack] = self._twin.spec.neutral[slack]
        relaxed = self._evaluate(command)
        return relaxed if relaxed.error < again.error + _VISIBLE else self._evaluate(best.command)

    def _corrected(self, current: SolvedCommand) -> Floats:
        """Returns the command, (25,), that makes the linearised error least."""
        command = current.command.astype(float)
        residual, jacobian = self._residual(command, current.landmarks), self._jacobian(command)
        return self._search_within.step(command, self._rows, residual, jacobian)

    def _residual(self, command: Floats, landmarks: Floats) -> Floats:
        error = self._scale * (landmarks.ravel() - self._target.ravel())
        return np.concatenate([error, _EFFORT * (command - self._rest)[self._rows]])

    def _jacobian(self, command: Floats) -> Floats:
        effort = _EFFORT * np.eye(len(self._rows))
        return np.vstack([self._scale * self._settled.jacobian(command), effort])

    def _evaluate(self, command: Floats) -> SolvedCommand:
        """Makes the twin hold a command."""
        sent = np.clip(command, -1, 1).astype(np.float32)
        landmarks = reset_and_hold(self._twin, sent).landmarks.astype(float)
        distance = np.linalg.norm(landmarks - self._target, axis=1)
        return SolvedCommand(sent, landmarks, float(1000 * self._twin.outer_eye * distance.mean()))


def write_solution(source: str, out: str | os.PathLike[str]) -> dict[str, Any]:
    """Solves for a face and writes `fit.json` (command and error) and `fit.png` into a folder.

    The error to a person's face is not known (`mean_error_mm` is None), since the target is then a guess. The
    error to that guess is `mean_error_to_guess_mm`.

    Args:
        source: an expression, an `.npz` or a picture, see `load_target`.
        out: the folder.

    Returns:
        The content of `fit.json`.
    """
    folder = Path(out)
    with Twin(style="fine") as twin:
        target = load_target(source, twin)
        solved = solve_command(target.landmarks, twin)
        picture = Image.fromarray(twin.render(640))
        values = solved.command.astype(float).round(4).tolist()
        command = dict(zip(twin.spec.names, values, strict=True))
    report: dict[str, Any] = {"target": source, "target_face": target.origin, "command": command}
    error = round(solved.error, 4)
    if target.guessed:
        report |= {"mean_error_mm": None, "mean_error_to_guess_mm": error}
    else:
        report["mean_error_mm"] = error
    with atomic_files(folder) as part:
        write_json(part / "fit.json", report)
        picture.save(part / "fit.png")
    return report


class CommandSolver:
    """Predicts the best reachable command of each face by a search through the twin, as a baseline of models.

    Args:
        twin: the face; it is moved.
    """

    def __init__(self, twin: Twin) -> None:
        self._twin = twin

    def predict(self, landmarks: Floats) -> NDArray[np.float32]:
        """Returns the commands, (B, 25), of landmarks (B, N, 3)."""
        faces = progress(landmarks, "search", unit="faces")
        return np.array([solve_command(face, self._twin).command for face in faces])
