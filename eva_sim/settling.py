"""Holds a command until all actuators have arrived."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from eva_sim.contract import Face, FaceSpec, Reading


def settling_steps(spec: FaceSpec) -> int:
    """Returns the control steps after which every actuator has arrived, wherever it started.

    The slowest full travel at its rate, and the delay, rounded up.
    """
    travel = (spec.column("high") - spec.column("low")) / spec.column("rate") / spec.control_dt
    return int(np.ceil(travel + spec.column("delay")).max())


def hold(face: Face, command: ArrayLike, steps: int) -> Reading:
    """Sends a command for a number of control steps, at least one; returns the last reading.

    Raises:
        CommandError: the command is malformed.
    """
    for _ in range(max(1, steps)):
        reading = face.move(command)
    return reading


def reset_and_hold(face: Face, command: ArrayLike | None, seed: int | None = None) -> Reading:
    """Resets the face and, with a command, holds that until it has arrived.

    Raises:
        CommandError: the command is malformed.
    """
    if command is not None:
        command = face.spec.check(command)
    reading = face.reset(seed)
    return reading if command is None else hold(face, command, settling_steps(face.spec))
