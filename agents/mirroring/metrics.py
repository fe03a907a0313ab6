"""Metrics of a mirrored source: how closely, and how far, the robot followed the person."""

from __future__ import annotations

from typing import Any

import numpy as np

from eva_sim.agents.mirroring.controller import MirrorTrace
from eva_sim.contract import Face, Floats
from eva_sim.landmarks import face_measurements

#: A person's measurement that varies less than this is at rest, and correlates with nothing
#: [standard deviation, neutral outer-eye distances].
AT_REST = 0.003
#: Percentiles between which the range of a measurement is taken.
_RANGE = (1, 99)


def compute_metrics(trace: MirrorTrace, face: Face) -> dict[str, Any]:
    """Computes the metrics; all but the error in millimetres can be computed again from `traces.npz`.

    A correlation does not show how far the robot goes, so `amplitude` has the range of each measurement,
    1st to 99th percentile [neutral outer-eye distances], and the robot's share of the person's.
    """
    found = trace.found
    person, robot = face_measurements(trace.person), face_measurements(trace.robot)
    return {
        "steps": len(found),
        "found": float(found.mean()),
        "correlation": {name: _correlation(person[name][found], robot[name][found]) for name in person},
        "amplitude": {name: _amplitude(person[name][found], robot[name][found]) for name in person},
        "target_error_mm": float(
            1000 * face.outer_eye * np.linalg.norm(trace.robot - trace.target, axis=2).mean()
        ),
    }


def _amplitude(person: Floats, robot: Floats) -> dict[str, float | None]:
    if not len(person):
        return {"person": None, "robot": None, "share": None}
    person_range, robot_range = (float(np.ptp(np.percentile(curve, _RANGE))) for curve in (person, robot))
    share = robot_range / person_range if person.std() >= AT_REST else None
    return {"person": person_range, "robot": robot_range, "share": share}


def _correlation(person: Floats, robot: Floats) -> float | None:
    if len(person) < 2 or person.std() < AT_REST or robot.std() == 0:
        return None
    return float(np.corrcoef(person, robot)[0, 1])
