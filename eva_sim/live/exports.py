"""Poses and animations as text that other programs read."""

from __future__ import annotations

import csv
import io
import json
from typing import NamedTuple

from numpy.typing import ArrayLike

from eva_sim.contract import FaceSpec
from eva_sim.recording.reader import Recording


class ExportedFile(NamedTuple):
    """A file for the browser to save.

    Attributes:
        name: of the file.
        text: contents.
    """

    name: str
    text: str


def export_pose(spec: FaceSpec, command: ArrayLike) -> ExportedFile:
    """Returns a command as JSON, one number by actuator; `spec.command(**pose)` reads it."""
    values = spec.check(command).tolist()
    pose = {name: round(value, 4) for name, value in zip(spec.names, values, strict=True)}
    return ExportedFile("pose.json", json.dumps(pose, indent=2) + "\n")


def export_animation(recording: Recording, spec: FaceSpec) -> ExportedFile:
    """Returns the commands of a recording as CSV: time [s], then one column by actuator."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["time", *spec.names])
    for time, command in zip(recording.time, recording.sent, strict=True):
        table.writerow([f"{time:.3f}", *(f"{value:.4f}" for value in command)])
    return ExportedFile("animation.csv", text.getvalue())
