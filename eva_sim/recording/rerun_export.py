"""A recording as a file of Rerun, a viewer of robot data: pictures, landmarks, commands and faults over time.

Writing the file needs no network. Rerun's library holds code that reports usage, so a configuration that
forbids reports is in place before the library is loaded.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eva_sim.contract import Floats
from eva_sim.files import atomic_path, check_output_file, write_json
from eva_sim.optional import import_optional
from eva_sim.progress import progress
from eva_sim.recording.reader import Recording

#: Extension of Rerun's files.
EXTENSION = ".rrd"
#: Name under which Rerun groups recordings.
APPLICATION = "eva"
_TIMELINE = "time"
#: Variable of the environment that names the folder of configurations.
_CONFIGURATION = "XDG_CONFIG_HOME"


def export_rerun(recording: Recording, path: str | os.PathLike[str]) -> dict[str, Any]:
    """Writes a recording as one file of Rerun.

    Args:
        recording: of any face.
        path: the file, `.rrd`; it appears when it is whole.

    Returns:
        Numbers of frames and pictures, and the duration [s].

    Raises:
        DataError: it cannot be written, or a picture is damaged.
        EvaError: Rerun is not installed.
    """
    check_output_file(path)
    time = recording.wall - recording.wall[0]
    with (
        _without_reports() as rerun,
        atomic_path(path) as part,
        _stream(rerun, part, recording.info.started) as stream,
    ):
        _log_curves(rerun, stream, recording, time)
        _log_landmarks(rerun, stream, recording, time)
        _log_faults(rerun, stream, recording, time)
        pictures = _log_pictures(rerun, stream, recording, time)
    return {"frames": len(recording), "pictures": pictures, "duration": float(time[-1])}


@contextmanager
def _without_reports() -> Iterator[Any]:
    """Yields the module `rerun`, while a configuration without reports of usage stands in for the user's."""
    before = os.environ.get(_CONFIGURATION)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "rerun"
        place.mkdir()
        reports = place / "analytics.json"
        content = {"analytics_enabled": False, "analytics_id": "", "metadata": {}}
        write_json(reports, {**content, "config_file_path": str(reports), "data_dir_path": str(place)})
        os.environ[_CONFIGURATION] = folder
        try:
            yield import_optional("rerun", "rerun")
        finally:
            if before is None:
                del os.environ[_CONFIGURATION]
            else:
                os.environ[_CONFIGURATION] = before


@contextmanager
def _stream(rerun: Any, path: Path, started: str) -> Iterator[Any]:
    """Yields a stream into a file, which holds everything after the block."""
    stream = rerun.RecordingStream(APPLICATION, recording_id=started, send_properties=False)
    stream.save(path)
    try:
        yield stream
    finally:
        stream.flush()
        stream.disconnect()


def _log_curves(rerun: Any, stream: Any, recording: Recording, time: Floats) -> None:
    """Logs what has a number for each actuator, and the supply; what is not known is left out."""
    curves: dict[str, NDArray[Any]] = {
        "commands/asked": recording.asked, "commands/sent": recording.sent, "positions": recording.position,
        "servos/temperature": recording.temperature, "servos/load": recording.load,
        "servos/supply": recording.supply[:, None],
    }  # fmt: skip
    for name, values in curves.items():
        known = np.isfinite(values).any(axis=1)
        if not known.any():
            continue
        labels = list(recording.info.actuators) if values.shape[1] > 1 else ["supply"]
        stream.log(name, rerun.SeriesLines(names=labels), static=True)
        columns = rerun.Scalars.columns(scalars=values[known].astype(float))
        stream.send_columns(
            name, indexes=[rerun.TimeColumn(_TIMELINE, duration=time[known])], columns=columns
        )


def _log_landmarks(rerun: Any, stream: Any, recording: Recording, time: Floats) -> None:
    """Logs the landmarks in metres, where they were found."""
    found = recording.found
    if not found.any():
        return
    points = recording.info.outer_eye * recording.landmarks[found]
    columns = rerun.Points3D.columns(positions=points.reshape(-1, 3))
    stream.send_columns(
        "landmarks",
        indexes=[rerun.TimeColumn(_TIMELINE, duration=time[found])],
        columns=columns.partition([points.shape[1]] * len(points)),
    )


def _log_faults(rerun: Any, stream: Any, recording: Recording, time: Floats) -> None:
    for moment, faults in zip(time, recording.faults, strict=True):
        for fault in faults:
            stream.set_time(_TIMELINE, duration=float(moment))
            stream.log("faults", rerun.TextLog(fault, level="WARN"))


def _log_pictures(rerun: Any, stream: Any, recording: Recording, time: Floats) -> int:
    """Logs the pictures as they were recorded, JPEG; returns their number."""
    count = 0
    for index in progress(range(len(recording)), "pictures", unit="frames"):
        if jpeg := recording.jpeg(index):
            stream.set_time(_TIMELINE, duration=float(time[index]))
            stream.log("camera", rerun.EncodedImage(contents=jpeg, media_type="image/jpeg"))
            count += 1
    return count
