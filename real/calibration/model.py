"""What raw position a command is, on one robot: one JSON per robot, bound to its id.

Per actuator it holds the five fields that LeRobot's files hold (`id`, `drive_mode`, `homing_offset`,
`range_min`, `range_max`), its slew, and what a camera may have measured of it.
"""

from __future__ import annotations

import datetime
import json
import os
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eva_sim.contract import Actuator, Floats, load_spec
from eva_sim.errors import DataError, RobotError
from eva_sim.files import asset, read_arrays, read_json, write_json
from eva_sim.landmarks import POINTS, Aligner, load_embedding
from eva_sim.real.boards.interface import BoardIdentity, BoardLimits
from eva_sim.real.boards.motion_rules import UNITS, pulse_change_to_raw, pulse_to_raw
from eva_sim.real.wire.firmware_table import channel_rows, robot_config

VERSION = 1
ADVICE = "make a new one with `eva calibrate`"
#: Outer-eye distances that a face may have [m].
OUTER_EYE = (0.03, 0.2)
#: By how little ends and slew may be beyond what is allowed [raw].
_ROUNDING = 1e-6


@dataclass(frozen=True)
class ActuatorCalibration:
    """One actuator.

    Attributes:
        id: channel of the board.
        drive_mode: 1 if the raw position falls as the command rises, else 0.
        homing_offset: rest minus the middle of the range [raw].
        range_min: smaller end of travel [raw].
        range_max: greater end of travel [raw].
        slew: most it may move in one wire period [raw].
        backlash: play between a command that rises and one that falls [command units], if measured.
        hysteresis: widest gap of the loop of landmarks over commands, share of its height, if measured.
        delay: from command to motion [control steps], if measured.
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
        """Where it rests [raw]."""
        return (self.range_min + self.range_max) / 2 + self.homing_offset


@dataclass(frozen=True, eq=False)
class Calibration:
    """Of one robot. Arrays are (25,), in the order of the actuator table.

    Attributes:
        robot: id of the robot it was made for.
        board: kind of its board, see `BoardIdentity`.
        unit: of raw positions, `"us"` or `"ticks"`.
        actuators: by name.
        outer_eye: outer-eye distance of the robot [m].
        neutral_landmarks: the resting face as the camera sees it, aligned, (N, 3) [outer-eye
            distances]; None if no camera has seen it yet.
        date: when it was made, ISO 8601; or `"nominal"`.
        spec: digest of the actuator table it was made with.

    Raises:
        DataError: it contradicts itself, the actuator table, or what the board allows.
    """

    robot: str
    board: str
    unit: str
    actuators: Mapping[str, ActuatorCalibration]
    outer_eye: float
    neutral_landmarks: Floats | None = None
    date: str = field(default_factory=lambda: _today())
    spec: str = field(default_factory=lambda: load_spec().digest)

    def __post_init__(self) -> None:
        spec = load_spec()
        if self.spec != spec.digest or tuple(sorted(self.actuators)) != tuple(sorted(spec.names)):
            raise DataError(f"the calibration of {self.robot} is of another actuator table; {ADVICE}.")
        if self.unit not in UNITS:
            raise DataError(
                f"the calibration of {self.robot} counts in {self.unit!r}, not us or ticks; {ADVICE}."
            )
        if not OUTER_EYE[0] <= self.outer_eye <= OUTER_EYE[1]:  # NaN is not, either
            raise DataError(
                f"the calibration of {self.robot} has outer corners of the eyes {1000 * self.outer_eye:g} mm "
                f"apart; a face has {1000 * OUTER_EYE[0]:g} to {1000 * OUTER_EYE[1]:g}. Measure again."
            )
        joints = [self.actuators[name] for name in spec.names]
        for actuator, joint in zip(spec.actuators, joints, strict=True):
            _check(actuator, joint, self.unit)
        if self.neutral_landmarks is not None and self.neutral_landmarks.shape != (len(POINTS), 3):
            raise DataError(f"the calibration of {self.robot} has other landmarks; {ADVICE}.")
        low = np.array([j.range_min for j in joints], dtype=float)
        high = np.array([j.range_max for j in joints], dtype=float)
        rest = np.array([j.rest for j in joints]).clip(low, high)
        limits = BoardLimits(low, high, rest, np.array([j.slew for j in joints], dtype=float))
        turned = np.array([j.drive_mode == 1 for j in joints])
        object.__setattr__(self, "_limits", limits)
        object.__setattr__(self, "_maps", _Maps.of(limits, turned, spec.neutral.astype(float)))

    @classmethod
    def nominal(cls, robot: str = "nominal", board: str = "firmware", unit: str = "us") -> Self:
        """The calibration of a robot that is exactly as assets/robot.toml says.

        Args:
            robot: its id.
            board: kind of its board.
            unit: of the board's raw positions, `"us"` or `"ticks"`.
        """
        joints = {a.name: _nominal(a, unit) for a in load_spec().actuators}
        # Without a date, so that its CRC is always the same and a board keeps it only once.
        return cls(robot, board, unit, joints, designed_face().outer_eye, date="nominal")

    @property
    def limits(self) -> BoardLimits:
        """What the board is given."""
        return self._limits  # type: ignore[attr-defined]

    @property
    def crc(self) -> int:
        """CRC-32 of everything in it; the board keeps it beside the limits. Never 0, which means none."""
        return _crc(self._content()) or 1

    def to_raw(self, command: ArrayLike) -> Floats:
        """Commands, (25,) in [-1, 1], to raw positions, linear on either side of rest."""
        return self._maps.forward(np.asarray(command, dtype=float))  # type: ignore[attr-defined]

    def to_command(self, raw: ArrayLike) -> Floats:
        """Raw positions, (25,), to commands; NaN (limp) stays NaN, what is out of range is clipped."""
        return self._maps.backward(np.asarray(raw, dtype=float))  # type: ignore[attr-defined]

    def slopes(self) -> Floats:
        """The steepest raw travel per unit of command of each actuator, (25,)."""
        return self._maps.steepest()  # type: ignore[attr-defined]

    def check(self, identity: BoardIdentity) -> None:
        """Refuses to serve another robot.

        Raises:
            RobotError: another robot, board or unit.
        """
        for what in ("robot", "kind", "unit"):
            mine = {"kind": self.board}.get(what) or getattr(self, what)
            theirs = getattr(identity, {"robot": "robot_id"}.get(what, what))
            if mine != theirs:
                raise RobotError(
                    f"this calibration is for {what} {mine}, but {theirs} answers at the port; "
                    f"give the file of this robot, or {ADVICE}."
                )

    def seen(self, landmarks: ArrayLike) -> Self:
        """The same, with the resting face as a camera sees it, (N, 3), any unit and pose."""
        neutral = Aligner.of(np.asarray(landmarks, dtype=float)).neutral
        return replace(self, neutral_landmarks=neutral)

    def save(self, path: str | os.PathLike[str] | None = None) -> Path:
        """Writes the file atomically, by default where `load` looks for it, and says where."""
        place = default_path(self.robot) if path is None else Path(path)
        content = self._content()
        write_json(place, {**content, "crc": _crc(content)})
        return place

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Reads a file.

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
        return cls._of(content, path)

    @classmethod
    def _of(cls, content: dict[str, Any], path: object) -> Self:
        try:
            joints = {name: ActuatorCalibration(**row) for name, row in content["actuators"].items()}
            neutral = content["neutral_landmarks"]
            seen = None if neutral is None else np.array(neutral, dtype=float)
            others = {f.name: content[f.name] for f in fields(cls) if f.name in _PLAIN}
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise DataError(f"{path} is not a whole calibration ({error!r}); {ADVICE}.") from error
        return cls(actuators=joints, neutral_landmarks=seen, **others)

    def _content(self) -> dict[str, Any]:
        seen = None if self.neutral_landmarks is None else np.asarray(self.neutral_landmarks).tolist()
        return {
            "version": VERSION,
            **{name: getattr(self, name) for name in _PLAIN},
            "neutral_landmarks": seen,
            "actuators": {name: asdict(joint) for name, joint in self.actuators.items()},
        }


_PLAIN = ("robot", "board", "unit", "outer_eye", "date", "spec")


@dataclass(frozen=True)
class _Maps:
    """Two straight lines per actuator, which meet at rest.

    Attributes:
        rest: where, as a command, (25,).
        raw: the same, raw.
        below, above: raw travel per command on either side, (25,); zero on a side without travel.
        under, over: the same, but infinite without travel: no raw position there is a command.
        rising: positive where raw rises with the command.
    """

    rest: Floats
    raw: Floats
    below: Floats
    above: Floats
    under: Floats
    over: Floats
    rising: Floats

    @classmethod
    def of(cls, limits: BoardLimits, turned: NDArray[np.bool_], rest: Floats) -> _Maps:
        low = np.where(turned, limits.high, limits.low)
        high = np.where(turned, limits.low, limits.high)
        # Where rest is an end of the commands, as of cables, that end is at rest.
        low = np.where(rest <= -1, limits.rest, low)
        high = np.where(rest >= 1, limits.rest, high)
        widths = [np.where(width > 0, width, 1.0) for width in (rest + 1, 1 - rest)]
        below, above = (limits.rest - low) / widths[0], (high - limits.rest) / widths[1]
        under, over = (np.where(slope == 0, np.inf, slope) for slope in (below, above))
        return cls(rest, limits.rest, below, above, under, over, below + above)

    def forward(self, command: Floats) -> Floats:
        away = command - self.rest
        raw: Floats = self.raw + np.where(away < 0, self.below, self.above) * away
        return raw

    def backward(self, raw: Floats) -> Floats:
        away = raw - self.raw
        command = self.rest + away / np.where(away * self.rising < 0, self.under, self.over)
        return np.minimum(np.maximum(command, -1.0), 1.0)  # NaN stays

    def steepest(self) -> Floats:
        return np.maximum(np.abs(self.below), np.abs(self.above))


def default_path(robot: str) -> Path:
    """Where the calibration of a robot is kept: `EVA_CONFIG`, or the user's configuration folder."""
    base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    folder = Path(os.environ.get("EVA_CONFIG") or Path(base) / "eva-sim")
    return folder / f"{robot}.json"


def designed_face() -> Aligner:
    """The resting face as designed: its landmarks [outer-eye distances] and outer-eye distance [m]."""
    corners, shares = load_embedding(load_spec())
    points = read_arrays(asset("meshes/skin.npz"))["points"]
    return Aligner.of((shares[:, :, None] * points[corners]).sum(1))


def _nominal(a: Actuator, unit: str) -> ActuatorCalibration:
    row = channel_rows(load_spec())[a.channel]
    low, high, rest = (
        pulse_to_raw(pulse, unit) for pulse in (*robot_config(load_spec())["pulse"][a.kind], row.rest / 4)
    )
    slew = pulse_change_to_raw(row.slew / 4, unit)
    return ActuatorCalibration(a.channel, int(a.direction < 0), rest - (low + high) / 2, low, high, slew)


def _check(actuator: Actuator, joint: ActuatorCalibration, unit: str) -> None:
    """Refuses what would let a servo go where robot.toml does not.

    Raises:
        DataError: see the message.
    """
    problem, numbers = None, (joint.homing_offset, joint.range_min, joint.range_max, joint.slew)
    if joint.id != actuator.channel or joint.drive_mode not in (0, 1):
        problem = f"has channel {joint.id} and drive mode {joint.drive_mode}"
    elif not np.isfinite(numbers).all() or not joint.range_min < joint.range_max or joint.slew <= 0:
        problem = "has no travel or no slew"
    elif not joint.range_min - 0.125 <= joint.rest <= joint.range_max + 0.125:
        problem = "rests outside its range"
    else:
        row = channel_rows(load_spec())[actuator.channel]
        low, high = (pulse_to_raw(quarters / 4, unit) for quarters in (row.low, row.high))
        slew = pulse_change_to_raw(row.slew / 4, unit)
        if min(joint.range_min - low, high - joint.range_max, slew - joint.slew) < -_ROUNDING:
            problem = f"leaves {low:g}..{high:g} {unit} or {slew:g} {unit} a period"
    if problem:
        raise DataError(f"calibration: {actuator.name} {problem}; {ADVICE}.")


def _crc(content: dict[str, Any]) -> int:
    return zlib.crc32(json.dumps(content, sort_keys=True).encode())


def _today() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
