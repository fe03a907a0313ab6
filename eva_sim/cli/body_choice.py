"""The face that the command line names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import eva_sim
from eva_sim.contract import Face
from eva_sim.errors import EvaError, check_seed, known_names
from eva_sim.faces import BODIES

if TYPE_CHECKING:
    from eva_sim.real.calibration.model import Calibration

#: Bodies with a simulated board and a hidden robot.
HIDDEN_BODIES = ("virtual", "mock")
#: Bodies with servos.
ROBOTS = ("robot", *HIDDEN_BODIES)
#: Side of the twin's pictures in a recording [pixels].
PICTURE_SIZE = 320


def check_robot(body: str) -> None:
    """Checks that a body is a robot, for commands that do nothing with the twin.

    Raises:
        EvaError: it is not.
    """
    if body.lower() not in ROBOTS:
        raise EvaError(f"no robot called {body!r}; {known_names(body, ROBOTS)}.")


@dataclass(frozen=True)
class BodyChoice:
    """A body and its options, as the command line names them.

    Attributes:
        body: see `eva_sim.make_face`.
        board: kind of the physical robot's board.
        port: port of that board.
        camera: number or device of the camera before the physical robot; -1 for none, also of a hidden robot.
        seed: seed of a hidden robot.
        robot_id: name of the physical robot, if its board has no USB serial number.
        calibration: calibration of the robot, or its file; None for the default.

    Raises:
        EvaError: no such body, it does not have an option that is given, or the seed is negative.
    """

    body: str = "twin"
    board: str = "firmware"
    port: str = "auto"
    camera: int | str = 0
    seed: int = 1
    robot_id: str | None = None
    calibration: Calibration | Path | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "body", self.body.lower())
        object.__setattr__(self, "board", self.board.lower())
        if self.body not in BODIES:
            raise EvaError(f"no body called {self.body!r}; {known_names(self.body, list(BODIES))}.")
        check_seed(self.seed)
        if self.body != "robot" and (self.board, self.port, self.robot_id) != ("firmware", "auto", None):
            raise EvaError(
                f"--board, --port and --robot-id are of the physical robot, but the body is {self.body}; "
                "add --body robot, or leave them out."
            )
        if self.body == "twin" and self.calibration is not None:
            raise EvaError("the twin has no servos to calibrate; leave --calibration out.")

    @property
    def camera_device(self) -> int | str | None:
        """Number or path of the camera; None for none."""
        try:
            number = int(self.camera)
        except ValueError:
            return self.camera
        return None if number < 0 else number

    @property
    def options(self) -> dict[str, Any]:
        """Options for `eva_sim.make_face`."""
        if self.body == "twin":
            return {"camera_size": PICTURE_SIZE}
        if self.body != "robot":
            camera_size = {"camera_size": None} if self.camera_device is None else {}
            return {"seed": self.seed, "calibration": self.calibration, **camera_size}
        return {
            "board": self.board,
            "port": self.port,
            "camera": self.camera_device,
            "robot_id": self.robot_id,
            "calibration": self.calibration,
        }

    def open(self, **further: Any) -> Face:
        """Opens the face, with further options that the command line does not have."""
        return eva_sim.make_face(self.body, **self.options, **further)
