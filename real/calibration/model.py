"""The calibration of one robot: the map from commands to raw servo positions, in one JSON file per robot.

For each actuator the file holds the five fields of LeRobot's calibration files (`id`, `drive_mode`,
`homing_offset`, `range_min`, `range_max`), its slew, and the measurements of the camera, if there are any.
"""

from __future__ import annotations

import datetime
import json
import os
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from eva_sim.config import config_folder
from eva_sim.contract import Actuator, FaceSpec, Floats
from eva_sim.errors import DataError, RobotError
from eva_sim.files import read_arrays, read_json, write_json
from eva_sim.landmarks import POINTS, Aligner, load_embedding
from eva_sim.real.boards.interface import BoardIdentity, BoardLimits
from eva_sim.real.boards.motion_rules import UNITS, pulse_change_to_raw, pulse_to_raw
from eva_sim.real.calibration.raw_positions import RawPositionMap
from eva_sim.real.wire.firmware_table import channel_rows, robot_config

VERSION = 1
ADVICE = "make a new one with `eva calibrate`"
#: Smallest and largest outer-eye distance of a face [m].
OUTER_EYE = (0.03, 0.2)
#: Largest pull of a cable at rest, share of its nominal travel: horns are set by hand [choice].
RESTING_PULL = 0.25
#: Tolerance of the check of ends and slew against robot.toml [raw].
_ROUNDING = 1e-6


@dataclass(frozen=True)
class ActuatorCalibration:
    """Calibration of one actuator.

    Attributes:
        id: channel of the board.
        drive_mode: 1 if the raw position falls as the command rises, else 0.
        homing_offset: rest minus the middle of the range [raw].
        range_min: smaller end of travel [raw].
        range_max: greater end of travel [raw].
        slew: largest change in one wire period [raw].
        backlash: play between a rising and a falling command [command units], if measured.
        hysteresis: largest gap of the loop of landmarks over commands, share of its height, if measured.
        delay: time from command to motion [control steps], if measured.
    """

    id: int
    drive_mode: int
    homing_offset: float
    range_min: float
    range_max: float
    slew: float
    backlash: float | None = None
    hysteresis: float | None = None
    delay: float | None = None

    @property
    def rest(self) -> float:
        """Rest position [raw]."""
        return (self.range_min + self.range_max) / 2 + self.homing_offset


@dataclass(frozen=True, eq=False)
class Calibration:
    """Calibration of one robot. Arrays are (A,), one entry per actuator, in the order of the actuator table.

    Attributes:
        spec: the face.
        robot_id: id of the robot.
        board: kind of its board, see `BoardIdentity`.
        unit: unit of raw positions, `"us"` or `"ticks"`.
        actuators: calibration of each actuator, by name.
        outer_eye: outer-eye distance of the robot [m].
        neutral_landmarks: landmarks of the resting face as the camera sees it, aligned, (N, 3) [outer-eye
            distances]; None if no camera has measured them yet.
        date: date and time of the calibration, ISO 8601; or `"nominal"`.

    Raises:
        DataError: it contradicts itself, the actuator table, or the limits of robot.toml.
    """

    spec: FaceSpec
    robot_id: str
    board: str
    unit: str
    actuators: Mapping[str, ActuatorCalibration]
    outer_eye: float
    neutral_landmarks: Floats | None = None
    date: str = field(default_factory=lambda: _now())

    def __post_init__(self) -> None:
        self._check_fields()
        joints = [self.actuators[name] for name in self.spec.names]
        low = np.array([j.range_min for j in joints], dtype=float)
        high = np.array([j.range_max for j in joints], dtype=float)
        rest = np.array([j.rest for j in joints]).clip(low, high)
        limits = BoardLimits(low, high, rest, np.array([j.slew for j in joints], dtype=float))
        reversed_ = np.array([j.drive_mode == 1 for j in joints])
        positions = RawPositionMap.of(limits, reversed_, self.spec.neutral.astype(float))
        object.__setattr__(self, "_limits", limits)
        object.__setattr__(self, "_map", positions)

    def _check_fields(self) -> None:
        owner = f"the calibration of {self.robot_id}"
        if sorted(self.actuators) != sorted(self.spec.names):
            raise DataError(f"{owner} is of another actuator table; {ADVICE}.")
        if self.unit not in UNITS:
            raise DataError(f"{owner} counts in {self.unit!r}, not us or ticks; {ADVICE}.")
        smallest, largest = OUTER_EYE
        if not smallest <= self.outer_eye <= largest:  # also refuses NaN
            raise DataError(
                f"{owner} has outer corners of the eyes {1000 * self.outer_eye:g} mm "
                f"apart; a face has {1000 * smallest:g} to {1000 * largest:g}. Measure again."
            )
        for actuator in self.spec.actuators:
            _check_actuator(self.spec, actuator, self.actuators[actuator.name], self.unit)
        if self.neutral_landmarks is not None:
            if self.neutral_landmarks.shape != (len(POINTS), 3):
                raise DataError(f"{owner} has other landmarks; {ADVICE}.")
            if not _is_face(self.neutral_landmarks):
                raise DataError(f"{owner} has landmarks that are no face; {ADVICE}.")

    @classmethod
    def nominal(
        cls, spec: FaceSpec, robot_id: str = "nominal", board: str = "firmware", unit: str = "us"
    ) -> Self:
        """The calibration of a robot that matches robot.toml exactly.

        Args:
            spec: the face.
            robot_id: id of the robot.
            board: kind of its board.
            unit: unit of the board's raw positions, `"us"` or `"ticks"`.
        """
        joints = {a.name: _nominal_actuator(spec, a, unit) for a in spec.actuators}
        # Without a date, so that its CRC is always the same and a board stores it only once.
        return cls(spec, robot_id, board, unit, joints, designed_face(spec).outer_eye, date="nominal")

    @property
    def limits(self) -> BoardLimits:
        """Limits for the board."""
        return self._limits  # type: ignore[attr-defined]

    @property
    def crc(self) -> int:
        """CRC-32 of the content; the board stores it beside the limits. Never 0, which means none."""
        return _crc(self.to_json()) or 1

    def to_raw(self, command: ArrayLike) -> Floats:
        """Converts commands, (A,) in [-1, 1], to raw positions; linear on either side of rest."""
        return self._map.to_raw(np.asarray(command, dtype=float))  # type: ignore[attr-defined]

    def to_command(self, raw: ArrayLike) -> Floats:
        """Converts raw positions, (A,), to commands; NaN (limp) stays NaN, other values are clipped."""
        return self._map.to_command(np.asarray(raw, dtype=float))  # type: ignore[attr-defined]

    def steepest(self) -> Floats:
        """The largest change of raw position per unit of command, (A,)."""
        return self._map.steepest()  # type: ignore[attr-defined]

    def check(self, identity: BoardIdentity) -> None:
        """Checks that the calibration belongs to a board.

        Raises:
            RobotError: another robot, board or unit.
        """
        pairs = (
            ("robot", self.robot_id, identity.robot_id),
            ("kind", self.board, identity.kind),
            ("unit", self.unit, identity.unit),
        )
        for name, mine, theirs in pairs:
            if mine != theirs:
                raise RobotError(
                    f"this calibration is for {name} {mine}, but {theirs} answers at the port; "
                    f"give the file of this robot, or {ADVICE}."
                )

    def check_unchanged(self, found: Calibration) -> None:
        """Checks that the robot still has this calibration: somebody may have moved its horns.

        Args:
            found: the calibration that the robot has now.

        Raises:
            RobotError: it is another one.
        """
        if found.crc != self.crc:
            raise RobotError(
                f"the calibration of robot {self.robot_id} has changed since the robot was opened; "
                "close the robot and open it again to use the new one."
            )

    def with_neutral(self, landmarks: ArrayLike) -> Self:
        """Returns a copy with measured landmarks of the resting face, (N, 3), in any unit and pose."""
        neutral = Aligner.of(np.asarray(landmarks, dtype=float)).neutral
        return replace(self, neutral_landmarks=neutral)

    def save(self, path: str | os.PathLike[str] | None = None) -> Path:
        """Writes the file atomically, by default to `default_path`, and returns its path."""
        place = default_path(self.robot_id) if path is None else Path(path)
        content = self.to_json()
        write_json(place, {**content, "crc": _crc(content)})
        return place

    @classmethod
    def load(cls, path: str | os.PathLike[str], spec: FaceSpec) -> Self:
        """Reads a file.

        Args:
            path: of the file.
            spec: the face it must have been made for.

        Raises:
            DataError: missing, truncated, changed by hand or by accident, or of another face.
        """
        if not Path(path).exists():
            raise DataError(f"there is no calibration at {path}; {ADVICE}.")
        content = read_json(path)
        if not isinstance(content, dict) or content.get("version") != VERSION:
            raise DataError(f"{path} is no calibration of version {VERSION}; {ADVICE}.")
        if content.pop("crc", None) != _crc(content):
            raise DataError(f"{path} is damaged: its CRC does not fit its content; {ADVICE}.")
        return cls.from_json(content, spec, path)

    @classmethod
    def from_json(cls, content: Mapping[str, Any], spec: FaceSpec, path: object = "this content") -> Self:
        """Restores what `to_json` returned, e.g. out of a recording.

        Args:
            content: of a file, without its CRC.
            spec: the face it must have been made for.
            path: where the content is from, for errors.

        Raises:
            DataError: it is not whole, contradicts itself, or is of another face.
        """
        try:
            joints = {name: ActuatorCalibration(**row) for name, row in content["actuators"].items()}
            neutral = content["neutral_landmarks"]
            landmarks = None if neutral is None else np.array(neutral, dtype=float)
            digest, robot_id = content["spec"], content["robot"]
            others = {name: content[name] for name in _SAME_KEY}
            if wrong := [name for name in ("robot", *_SAME_KEY) if not _fits(name, content[name])]:
                raise ValueError(f"{wrong[0]} is {content[wrong[0]]!r}")
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
            raise DataError(f"{path} is not a whole calibration ({error!r:.200}); {ADVICE}.") from error
        if digest != spec.digest:
            raise DataError(f"the calibration of {robot_id} is of another actuator table; {ADVICE}.")
        return cls(spec, robot_id, actuators=joints, neutral_landmarks=landmarks, **others)

    def to_json(self) -> dict[str, Any]:
        """Returns the content of the file, which recordings keep, too; `from_json` reads it."""
        neutral = self.neutral_landmarks
        return {
            "version": VERSION,
            "robot": self.robot_id,
            "spec": self.spec.digest,
            **{name: getattr(self, name) for name in _SAME_KEY},
            "neutral_landmarks": None if neutral is None else np.asarray(neutral).tolist(),
            "actuators": {name: asdict(joint) for name, joint in self.actuators.items()},
        }


#: Attributes that have the same name in the file.
_SAME_KEY = ("board", "unit", "outer_eye", "date")
#: Greatest coordinate of an aligned landmark, and smallest extent of a face [outer-eye distances].
_FARTHEST, _SMALLEST = 10.0, 0.5


def default_path(robot_id: str) -> Path:
    """Path of a robot's calibration file, see `eva_sim.config`."""
    return config_folder() / f"{robot_id}.json"


def designed_face(spec: FaceSpec) -> Aligner:
    """The resting face as designed: its landmarks [outer-eye distances] and outer-eye distance [m]."""
    corners, shares = load_embedding(spec)
    points = read_arrays(spec.file("meshes/skin.npz"))["points"]
    return Aligner.of((shares[:, :, None] * points[corners]).sum(1))


def _nominal_actuator(spec: FaceSpec, actuator: Actuator, unit: str) -> ActuatorCalibration:
    row = channel_rows(spec)[actuator.channel]
    low, high, rest = (
        pulse_to_raw(pulse, unit) for pulse in (*robot_config(spec)["pulse"][actuator.kind], row.rest / 4)
    )
    slew = pulse_change_to_raw(row.slew / 4, unit)
    drive_mode, offset = int(actuator.direction < 0), rest - (low + high) / 2
    return ActuatorCalibration(actuator.channel, drive_mode, offset, low, high, slew)


#: What is wrong with a cable that pulls at rest, in words; its argument is the pull.
TAUT_AT_REST = "pulls its cable by {:.0%} of its travel at rest: its ends are swapped, or its horn is askew"


def resting_pull(spec: FaceSpec, actuator: Actuator, rest: float, unit: str) -> float:
    """Pull of a cable at a position that is to be its rest, share of its nominal travel; 0 for no cable.

    Which way a servo pulls is known from the `direction` of face.toml only. Two cables that are slack at rest
    cannot fight there.

    Args:
        spec: the face.
        actuator: its row of the table.
        rest: the position [raw].
        unit: of the position, `"us"` or `"ticks"`.
    """
    if actuator.kind != "cable":
        return 0.0
    ends = [pulse_to_raw(pulse, unit) for pulse in robot_config(spec)["pulse"][actuator.kind]]
    slack, tight = ends if actuator.direction > 0 else ends[::-1]
    return float((rest - slack) / (tight - slack))


def _check_actuator(spec: FaceSpec, actuator: Actuator, joint: ActuatorCalibration, unit: str) -> None:
    """Checks that a calibrated servo stays within the limits of robot.toml.

    Raises:
        DataError: see the message.
    """
    problem, numbers = None, (joint.homing_offset, joint.range_min, joint.range_max, joint.slew)
    measured = [n for n in (joint.backlash, joint.hysteresis, joint.delay) if n is not None]
    if not all(map(_is_number, (*numbers, *measured))):
        problem = "has a value that is no number"
    elif not all(0 <= n < np.inf for n in measured):
        problem = "has a measurement that is negative or infinite"
    elif joint.id != actuator.channel or joint.drive_mode not in (0, 1):
        problem = f"has channel {joint.id} and drive mode {joint.drive_mode}"
    elif not np.isfinite(numbers).all() or not joint.range_min < joint.range_max or joint.slew <= 0:
        problem = "has no travel or no slew"
    elif (pull := resting_pull(spec, actuator, joint.rest, unit)) > RESTING_PULL:
        problem = f"{TAUT_AT_REST.format(pull)} (`--again {actuator.name}`)"
    elif not joint.range_min - 0.125 <= joint.rest <= joint.range_max + 0.125:
        problem = "rests outside its range"
    else:
        row = channel_rows(spec)[actuator.channel]
        low, high = (pulse_to_raw(quarters / 4, unit) for quarters in (row.low, row.high))
        slew = pulse_change_to_raw(row.slew / 4, unit)
        if min(joint.range_min - low, high - joint.range_max, slew - joint.slew) < -_ROUNDING:
            problem = f"leaves {low:g}..{high:g} {unit} or {slew:g} {unit} a period"
    if problem:
        raise DataError(f"calibration: {actuator.name} {problem}; {ADVICE}.")


def _fits(name: str, value: object) -> bool:
    """Whether a value of the file is of the type that its name has."""
    return _is_number(value) if name == "outer_eye" else isinstance(value, str)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def _is_face(landmarks: Floats) -> bool:
    """Whether these can be the aligned landmarks of a face, (N, 3); False for NaN."""
    near = bool((np.abs(landmarks) <= _FARTHEST).all())
    return near and bool(np.ptp(landmarks[:, :2], axis=0).min() >= _SMALLEST)


def _crc(content: dict[str, Any]) -> int:
    return zlib.crc32(json.dumps(content, sort_keys=True).encode())


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
