"""Metrics of a mirrored source: how closely, and how far, the robot followed the person."""

from __future__ import annotations

from collections.abc import Mapping
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
    return _common_metrics(trace, face) | {
        "correlation": {name: _correlation(person[name][found], robot[name][found]) for name in person},
        "amplitude": {name: _amplitude(person[name][found], robot[name][found]) for name in person},
    }


def compute_still_metrics(trace: MirrorTrace, face: Face, person_neutral: Floats) -> dict[str, Any]:
    """Computes the metrics of one picture, which correlates with nothing and has no range.

    In their place, `change` has how far each measurement of the person, and at the last step of the robot,
    is from its neutral face [neutral outer-eye distances].

    Args:
        trace: the steps.
        face: the robot.
        person_neutral: the person's neutral face, (N, 3).
    """
    person, robot = (face_measurements(faces[-1]) for faces in (trace.person, trace.robot))
    person_rest, robot_rest = face_measurements(person_neutral), face_measurements(face.neutral_landmarks)
    return _common_metrics(trace, face) | {
        "change": {
            name: {
                "person": float(person[name] - person_rest[name]),
                "robot": float(robot[name] - robot_rest[name]),
            }
            for name in person
        }
    }


def _common_metrics(trace: MirrorTrace, face: Face) -> dict[str, Any]:
    error = np.linalg.norm(trace.robot - trace.target, axis=2).mean()
    return {
        "steps": len(trace.found),
        "found": float(trace.found.mean()),
        "target_error_mm": float(1000 * face.outer_eye * error),
    }


def tabulate_metrics(metrics: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Returns the metrics of each measurement as rows of text for people, below a row of headings."""
    if "change" in metrics:
        changes = metrics["change"].items()
        return [
            ("change from neutral [outer-eye distances]", "person", "robot"),
            *((_in_words(name), f"{each['person']:+.3f}", f"{each['robot']:+.3f}") for name, each in changes),
        ]
    rows: list[tuple[str, ...]] = [("measurement", "correlation", "robot's range / person's")]
    for name, value in metrics["correlation"].items():
        share = metrics["amplitude"][name]["share"]
        moved = value is not None and share is not None
        rows.append(
            (_in_words(name), *((f"{value:.2f}", f"{100 * share:.0f} %") if moved else ("at rest", "")))
        )
    return rows


def _in_words(name: str) -> str:
    return name.replace("_", " ")


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
