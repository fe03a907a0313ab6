"""Metrics of a mirrored source: how closely, and how far, the robot followed the person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from eva_sim.agents.mirroring.controller import MirrorTrace
from eva_sim.agents.mirroring.motion_metrics import LEAST_ROWS, lag_between
from eva_sim.contract import Face, Floats
from eva_sim.landmarks import face_measurements, measurement_in_words

#: A person's measurement that varies less than this is at rest, and correlates with nothing [standard
#: deviation; neutral outer-eye distances, and rad of angles].
AT_REST, ANGLE_AT_REST = 0.003, 0.02
#: Measurements that are angles [rad]: of the head, and of the eyes in it.
ANGLES = ("head_turn", "head_nod", "head_tilt", "gaze_sideways", "gaze_upward")
#: Percentiles between which the range of a measurement is taken.
_RANGE = (1, 99)


def measure_faces(faces: Floats, turn: Floats, gaze: Floats) -> dict[str, Floats]:
    """Returns everything that is compared between a person and a robot, (T,) each.

    Args:
        faces: aligned landmarks, (T, N, 3).
        turn: rotation vectors of the head, (T, 3) [rad], see `HeadAndGaze`.
        gaze: of both eyes, (T, 2, 2) [rad]. Their mean counts.

    Returns:
        `face_measurements`, and the `ANGLES`: turn to the own left, nod downwards, tilt to the own right;
        gaze to the own left and up, relative to the head.
    """
    nod, yaw, tilt = turn.T
    sideways, upward = gaze.mean(1).T
    return face_measurements(faces) | dict(zip(ANGLES, (yaw, nod, tilt, sideways, upward), strict=True))


def measure_both(trace: MirrorTrace) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """Returns `measure_faces` of the person and of the robot in a trace."""
    return (
        measure_faces(trace.person, trace.person_turn, trace.person_gaze),
        measure_faces(trace.robot, trace.robot_turn, trace.robot_gaze),
    )


def compute_metrics(trace: MirrorTrace, face: Face) -> dict[str, Any]:
    """Computes the metrics; all but the error in millimetres can be computed again from `traces.npz`.

    A correlation does not show how far the robot goes, so `amplitude` has the range of each measurement,
    1st to 99th percentile [neutral outer-eye distances, rad], and the robot's share of the person's. `lag` is
    how late the robot's measurement follows the person's, as it is filtered [s]; None if either rests.
    """
    found = trace.found
    person, robot = measure_both(trace)
    pairs = {name: (person[name][found], robot[name][found]) for name in person}
    moved = {name: len(curve) > 1 and curve.std() >= _least(name) for name, (curve, _) in pairs.items()}
    return _common_metrics(trace, face) | {
        "correlation": {name: _correlation(*pair) if moved[name] else None for name, pair in pairs.items()},
        "amplitude": {name: _amplitude(*pair, bool(moved[name])) for name, pair in pairs.items()},
        "lag": {name: _lag(*pair, trace.time) if moved[name] else None for name, pair in pairs.items()},
    }


def compute_still_metrics(trace: MirrorTrace, face: Face, person_neutral: Floats) -> dict[str, Any]:
    """Computes the metrics of one picture, which correlates with nothing and has no range.

    In their place, `change` has how far each measurement of the person, and at the last step of the robot,
    is from its neutral face [neutral outer-eye distances, rad].

    Args:
        trace: the steps.
        face: the robot.
        person_neutral: the person's neutral face, (N, 3).
    """
    neutrals = (person_neutral, face.neutral_landmarks)
    person, robot = (change_from_rest(*pair) for pair in zip(measure_both(trace), neutrals, strict=True))
    changes = {name: {"person": float(person[name][-1]), "robot": float(robot[name][-1])} for name in person}
    return _common_metrics(trace, face) | {"change": changes}


def measure_at_rest(neutral: Floats) -> dict[str, float]:
    """Returns `measure_faces` of a neutral face, (N, 3), that looks ahead."""
    measured = measure_faces(neutral[None], np.zeros((1, 3)), np.zeros((1, 2, 2)))
    return {name: float(curve[0]) for name, curve in measured.items()}


def change_from_rest(measured: Mapping[str, Floats], neutral: Floats) -> dict[str, Floats]:
    """Returns how far each of `measure_faces` is from that of the neutral face, (N, 3)."""
    rest = measure_at_rest(neutral)
    return {name: curve - rest[name] for name, curve in measured.items()}


def _least(name: str) -> float:
    return ANGLE_AT_REST if name in ANGLES else AT_REST


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
            ("change from neutral [outer-eye distances, degrees]", "person", "robot"),
            *(
                (measurement_in_words(name), *(_tell(name, each[who]) for who in ("person", "robot")))
                for name, each in changes
            ),
        ]
    rows: list[tuple[str, ...]] = [("measurement", "correlation", "robot's range / person's", "lag")]
    for name, value in metrics["correlation"].items():
        share, lag = metrics["amplitude"][name]["share"], metrics["lag"][name]
        if value is None or share is None:
            cells = ["at rest", "", ""]
        else:
            cells = [f"{value:.2f}", f"{100 * share:.0f} %", "" if lag is None else f"{1000 * lag:.0f} ms"]
        rows.append((measurement_in_words(name), *cells))
    return rows


def tabulate_stages(stages: Mapping[str, Mapping[str, float]]) -> list[tuple[str, ...]]:
    """Returns the time of each stage as rows of text for people, below a row of headings."""
    rows = [(name, f"{each['median']:.1f}", f"{each['p95']:.1f}") for name, each in stages.items()]
    return [("stage", "median [ms]", "p95 [ms]"), *rows]


def _tell(name: str, value: float) -> str:
    return f"{np.degrees(value):+.1f}°" if name in ANGLES else f"{value:+.3f}"


def _lag(person: Floats, robot: Floats, time: Floats) -> float | None:
    if len(person) < LEAST_ROWS:
        return None
    lag = lag_between(person, robot, float(np.median(np.diff(time))))
    return lag if np.isfinite(lag) else None


def _amplitude(person: Floats, robot: Floats, moved: bool) -> dict[str, float | None]:
    if not len(person):
        return {"person": None, "robot": None, "share": None}
    person_range, robot_range = (float(np.ptp(np.percentile(curve, _RANGE))) for curve in (person, robot))
    return {
        "person": person_range,
        "robot": robot_range,
        "share": robot_range / person_range if moved else None,
    }


def _correlation(person: Floats, robot: Floats) -> float | None:
    return float(np.corrcoef(person, robot)[0, 1]) if robot.std() else None
