"""A calibration session: the measurements so far, in one file that is written again after each servo."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np

from eva_sim.contract import FaceSpec, Floats
from eva_sim.errors import DataError, EvaError
from eva_sim.files import read_json, write_json
from eva_sim.interrupts import signal_of
from eva_sim.real.calibration.actuator_sweep import ActuatorResponse
from eva_sim.streams import tell

VERSION = 1


class CalibrationStopped(EvaError):
    """The operator stopped the calibration; the file keeps everything found so far."""


@dataclass(frozen=True)
class ServoEndpoints:
    """Raw positions of one servo at the commands -1, neutral and 1."""

    low: float
    neutral: float
    high: float


@dataclass
class CalibrationSession:
    """The measurements so far.

    Attributes:
        spec: the face.
        path: of the session's file.
        robot_id: id of the robot.
        board: kind of its board.
        unit: unit of raw positions.
        endpoints: servo endpoints by actuator name.
        responses: responses of the landmarks by actuator name.
        neutral_landmarks: landmarks of the resting face, (N, 3) [outer-eye distances], once measured.
    """

    spec: FaceSpec
    path: Path
    robot_id: str
    board: str
    unit: str
    endpoints: dict[str, ServoEndpoints] = field(default_factory=dict)
    responses: dict[str, ActuatorResponse] = field(default_factory=dict)
    neutral_landmarks: Floats | None = None

    @classmethod
    def open(
        cls, spec: FaceSpec, path: Path, robot_id: str, board: str, unit: str, resume: bool = True
    ) -> Self:
        """Continues the session of a file, or starts a new one.

        Args:
            spec: the face.
            path: of the file.
            robot_id: id of the robot.
            board: kind of its board.
            unit: unit of raw positions.
            resume: whether to continue with the content of the file.

        Raises:
            DataError: the file is damaged or of another robot.
        """
        session = cls(spec, path, robot_id, board, unit)
        if resume and path.exists():
            session._restore(read_json(path))
        session.save()
        return session

    def save(self) -> None:
        """Writes the file, atomically."""
        neutral = self.neutral_landmarks
        write_json(self.path, {
            "version": VERSION, "robot": self.robot_id, "board": self.board, "unit": self.unit,
            "digest": self.spec.digest,
            "marks": {name: dataclasses.asdict(found) for name, found in self.endpoints.items()},
            "responses": {name: response.to_json() for name, response in self.responses.items()},
            "neutral": None if neutral is None else neutral.tolist(),
        })  # fmt: skip

    def _restore(self, content: dict[str, Any]) -> None:
        if not isinstance(content, dict):
            raise DataError(f"{self.path} is not the file of a calibration session; name another file.")
        mine = (VERSION, self.robot_id, self.board, self.unit, self.spec.digest)
        theirs = tuple(content.get(name) for name in ("version", "robot", "board", "unit", "digest"))
        if mine != theirs:
            raise DataError(f"{self.path} was begun with another robot or version; name another file.")
        try:
            self.endpoints = {name: ServoEndpoints(**row) for name, row in content["marks"].items()}
            self.responses = {
                name: ActuatorResponse.from_json(row) for name, row in content["responses"].items()
            }
            neutral = content["neutral"]
            self.neutral_landmarks = None if neutral is None else np.array(neutral)
        except (AttributeError, KeyError, TypeError) as error:
            raise DataError(
                f"{self.path} is not the file of a calibration session ({error}); remove it."
            ) from error


def describe_progress(spec: FaceSpec, path: Path) -> str:
    """The content of a session's file and how to continue, in one sentence for an operator who stopped."""
    if not path.exists():
        return "Stopped; nothing was found yet."
    try:
        content = read_json(path)
        endpoints, responses = len(content["marks"]), len(content["responses"])
    except (DataError, KeyError, TypeError):  # another file, which was not changed
        return f"Stopped; {path} was not changed."
    return (
        f"Stopped. {path} holds the endpoints of {endpoints} of {len(spec)} servos and the responses of "
        f"{responses} of {len(spec.expressive)} actuators. Run the same command to continue."
    )


@contextmanager
def stoppable(spec: FaceSpec, path: Path) -> Iterator[None]:
    """Ends the program cleanly if the operator stops the block, and prints what the file at `path` keeps.

    Raises:
        SystemExit: stopped; 130 by Ctrl-C, and 128 plus the number of any other signal, as shells have it; 0
            by the operator's own word.
    """
    try:
        yield
    except (CalibrationStopped, KeyboardInterrupt) as end:
        tell(describe_progress(spec, path))
        raise SystemExit(128 + signal_of(end) if isinstance(end, KeyboardInterrupt) else 0) from end
