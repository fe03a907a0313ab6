"""The camera stage of a calibration, and building a `Calibration` from a session."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import Any

from eva_sim.contract import Face, FaceSpec
from eva_sim.errors import DataError
from eva_sim.progress import progress
from eva_sim.real.calibration.actuator_sweep import ActuatorResponse, resting_face, sweep_actuator
from eva_sim.real.calibration.attended_face import AttendedFace
from eva_sim.real.calibration.model import ActuatorCalibration, Calibration
from eva_sim.real.calibration.session import CalibrationSession


def measure_by_camera(
    session: CalibrationSession,
    face: Face,
    names: Collection[str] | None = None,
    attend: Callable[[], None] = lambda: None,
) -> list[str]:
    """Measures the resting face and each actuator's response by camera; earlier results are kept.

    Args:
        session: updated, and saved after each actuator.
        face: the robot, calibrated by its endpoints.
        names: actuators to sweep; by default all that move landmarks.
        attend: called all the time; what it raises ends the motion.

    Returns:
        Findings that a person should check, in words.

    Raises:
        MediaError: the face was lost; go on after seeing to it.
    """
    face, spec = AttendedFace(face, attend), face.spec
    chosen = swept_actuators(spec) if names is None else list(names)
    if session.neutral_landmarks is None:
        session.neutral_landmarks = resting_face(face)
        session.save()
    with progress([n for n in chosen if n not in session.responses], "sweep", unit="actuators") as bar:
        for name in bar:
            bar.set_postfix_str(name)
            session.responses[name] = sweep_actuator(face, spec.index(name))
            session.save()
    return [doubt for name in chosen if (doubt := describe_doubt(name, session.responses[name]))]


def swept_actuators(spec: FaceSpec) -> list[str]:
    """Names of the actuators that move the aligned landmarks, which show no gaze and no head pose."""
    return [spec.names[i] for i in spec.expressive]


def _check_directions(session: CalibrationSession) -> None:
    """Refuses ends that the camera contradicts, before a calibration with them is saved.

    Raises:
        DataError: an actuator moves the face opposite to the twin.
    """
    opposite = [name for name, response in session.responses.items() if response.sign == -1]
    if opposite:
        names = " ".join(f"--again {name}" for name in opposite)
        raise DataError(
            f"the camera sees {', '.join(opposite)} move the face opposite to the twin: ends or cables are "
            f"swapped. No calibration was written; repeat them: `eva calibrate {names}`."
        )


def describe_doubt(name: str, response: ActuatorResponse) -> str:
    """A finding that a person should check, in words; empty if there is none."""
    if response.up is None:
        return f"{name} moves no landmark: is its cable attached?"
    if response.sign == -1:
        return f"{name} moves the face opposite to the twin: are its ends swapped?"
    if response.sign is None:
        return f"{name} moves other parts of the face than the twin's: is it the right cable?"
    return ""


def build_calibration(
    session: CalibrationSession, outer_eye: float | None = None, partial: bool = False
) -> Calibration:
    """Builds the calibration of a session.

    Args:
        session: the measurements.
        outer_eye: distance of the outer corners of the eyes, measured at the robot [m]; by default as
            designed.
        partial: whether servos without endpoints may take the nominal ones, for boards that count in us.

    Raises:
        DataError: servos have no endpoints, the camera contradicts them, or the measurements contradict
            robot.toml.
    """
    _check_directions(session)
    missing = [name for name in session.spec.names if name not in session.endpoints]
    guessable = session.unit == "us"  # the ends of a bus servo that nobody moved are unknown
    if missing and not (partial and guessable):
        hint = ", or use nominal endpoints with --partial" if guessable else ""
        raise DataError(
            f"{len(missing)} servos have no endpoints yet ({', '.join(missing)}); "
            f"continue with `eva calibrate`{hint}."
        )
    nominal = Calibration.nominal(session.spec, session.robot_id, session.board, session.unit)
    calibration = dataclasses.replace(
        nominal,
        actuators={
            name: _calibrate_actuator(session, name, actuator) for name, actuator in nominal.actuators.items()
        },
        outer_eye=outer_eye or nominal.outer_eye,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    neutral = session.neutral_landmarks
    return calibration if neutral is None else calibration.with_neutral(neutral)


def _calibrate_actuator(
    session: CalibrationSession, name: str, nominal: ActuatorCalibration
) -> ActuatorCalibration:
    """The nominal calibration of one actuator with everything that was measured of it."""
    endpoints, response = session.endpoints.get(name), session.responses.get(name)
    changes: dict[str, Any] = {}
    if endpoints is not None:
        low, high = sorted((endpoints.low, endpoints.high))
        # The horn keeps its speed: a servo of less raw travel for the same angle turns by fewer.
        share = min(1.0, (high - low) / (nominal.range_max - nominal.range_min))
        changes |= {
            "drive_mode": int(endpoints.high < endpoints.low), "range_min": low, "range_max": high,
            "homing_offset": endpoints.neutral - (low + high) / 2, "slew": nominal.slew * share,
        }  # fmt: skip
    if response is not None:
        changes |= {
            "backlash": response.backlash,
            "hysteresis": response.hysteresis,
            "delay": response.delay,
        }
    return dataclasses.replace(nominal, **changes)
