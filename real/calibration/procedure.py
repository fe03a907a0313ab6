"""Making a calibration: servo by servo with a guide, then by camera alone. Can be stopped and resumed.

What was found so far is in one file, written anew after each servo; `build_calibration` makes a
`Calibration` of it.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from eva_sim.contract import Actuator, Face, FaceSpec, Floats, load_spec
from eva_sim.errors import DataError, EvaError
from eva_sim.files import read_json, write_json
from eva_sim.progress import progress
from eva_sim.real.calibration.actuator_sweep import ActuatorResponse, resting_face, sweep_actuator
from eva_sim.real.calibration.operator_ui import (
    Confirm,
    Move,
    OperatorUI,
    Picture,
    Question,
    Skip,
    Stop,
    What,
)
from eva_sim.real.calibration.servo_bench import ServoBench

if TYPE_CHECKING:
    from eva_sim.real.calibration.model import Calibration

VERSION = 1
#: Travel smaller than this share of what robot.toml allows is a mistake, not a servo.
SMALLEST = 0.15

#: What the face does at both ends, by what an actuator moves; for people.
ENDPOINT_MEANINGS: Mapping[str, tuple[str, str]] = {
    "jaw": ("the mouth is shut", "the mouth is as open as it may go"),
    "eye_yaw": ("the eye looks to the robot's own right", "the eye looks to the robot's own left"),
    "eye_pitch": ("the eye looks down", "the eye looks up"),
    "lid": ("the eye is shut", "the eye is wide open"),
    "neck": ("the leg is as short as it may be", "the leg is as long as it may be"),
}
_CABLE = ("the cable is just slack", "the cable pulls as far as the skin should go")


class CalibrationStopped(EvaError):
    """The person wants to go on another day; nothing is lost."""


@dataclass(frozen=True)
class ServoEndpoints:
    """Of one servo, in raw positions: where a command of -1, of neutral and of 1 is."""

    low: float
    neutral: float
    high: float


@dataclass
class CalibrationSession:
    """What was found so far.

    Attributes:
        path: of its file.
        robot: id of the robot.
        board: kind of its board.
        unit: of raw positions.
        marks: per actuator.
        responses: per actuator.
        neutral: landmarks of the resting face, (N, 3) [outer-eye distances], once seen.
    """

    path: Path
    robot: str
    board: str
    unit: str
    marks: dict[str, ServoEndpoints] = field(default_factory=dict)
    responses: dict[str, ActuatorResponse] = field(default_factory=dict)
    neutral: Floats | None = None

    @classmethod
    def open(cls, path: Path, robot: str, board: str, unit: str, resume: bool = True) -> Self:
        """Goes on with the file, or begins it.

        Raises:
            DataError: the file is damaged or of another robot.
        """
        session = cls(path, robot, board, unit)
        if resume and path.exists():
            session._take(read_json(path))
        session.save()
        return session

    def save(self) -> None:
        """Writes the file, atomically."""
        write_json(self.path, {
            "version": VERSION, "robot": self.robot, "board": self.board, "unit": self.unit,
            "digest": load_spec().digest,
            "marks": {name: dataclasses.asdict(m) for name, m in self.marks.items()},
            "responses": {name: r.plain() for name, r in self.responses.items()},
            "neutral": None if self.neutral is None else self.neutral.tolist(),
        })  # fmt: skip

    def _take(self, plain: dict[str, Any]) -> None:
        mine = (VERSION, self.robot, self.board, self.unit, load_spec().digest)
        theirs = tuple(plain.get(name) for name in ("version", "robot", "board", "unit", "digest"))
        if mine != theirs:
            raise DataError(f"{self.path} was begun with another robot or version; name another file.")
        try:
            self.marks = {name: ServoEndpoints(**m) for name, m in plain["marks"].items()}
            self.responses = {name: ActuatorResponse.of(r) for name, r in plain["responses"].items()}
            self.neutral = None if plain["neutral"] is None else np.array(plain["neutral"])
        except (AttributeError, KeyError, TypeError) as error:
            raise DataError(
                f"{self.path} is not a calibration that was begun ({error}); remove it."
            ) from error


def describe_progress(path: Path) -> str:
    """What a file that was begun holds and how to go on, for somebody who stopped."""
    if not path.exists():
        return "Stopped; nothing was found yet."
    found = read_json(path)
    spec = load_spec()
    marks, seen = len(found["marks"]), len(found["responses"])
    return (
        f"Stopped. {path} keeps the ends of {marks} of {len(spec)} servos, and what the camera found of "
        f"{seen} of {len(swept_actuators(spec))} actuators; the same command goes on from there."
    )


@contextmanager
def stoppable(path: Path) -> Iterator[None]:
    """Within it, to be stopped is no error: it says what the file at `path` keeps, and ends the program.

    Raises:
        SystemExit: stopped; 130 by Ctrl-C, as shells have it, else 0.
    """
    try:
        yield
    except (CalibrationStopped, KeyboardInterrupt) as end:
        print(describe_progress(path), file=sys.stderr, flush=True)
        raise SystemExit(130 if isinstance(end, KeyboardInterrupt) else 0) from end


def guide_servos(
    session: CalibrationSession,
    bench: ServoBench,
    guide: OperatorUI,
    look: Callable[[], Picture | None] = lambda: None,
    again: Collection[str] = (),
) -> None:
    """Finds the marks of every servo that has none yet, one armed at a time.

    Args:
        session: kept up to date, and saved after each servo.
        bench: of the robot.
        guide: who decides.
        look: the newest picture, or None.
        again: actuators to do even if they have marks.

    Raises:
        Stopped: the guide wants to end.
        RobotError: a servo was let go; the marks found before are kept.
        CommandError: no such actuator.
    """
    spec = load_spec()
    for name in again:
        spec.index(name)  # or it is told before anything moves
    for index, actuator in enumerate(spec.actuators):
        if actuator.name in session.marks and actuator.name not in again:
            continue
        if not _may_arm(session.unit, bench, index, actuator, guide, look):
            continue
        with bench.armed(index):
            marks = _servo(session.unit, bench, index, actuator, guide, look)
            _park(bench, index)
        if marks is not None:
            session.marks[actuator.name] = marks
            session.save()


def _may_arm(
    unit: str,
    bench: ServoBench,
    index: int,
    actuator: Actuator,
    guide: OperatorUI,
    look: Callable[[], Picture | None],
) -> bool:
    """Whether the guide lets this servo be armed; all are limp until it says so."""
    low, rest, high = (
        float(column[index]) for column in (bench.widest.low, bench.widest.rest, bench.widest.high)
    )
    does = f"jumps to {rest:.0f} us" if unit == "us" else f"glides to {rest:.0f} {unit}"
    question = Question(actuator.name, "arm", f"{does}, wherever it lies", rest, rest, low, high, unit)
    while True:
        match guide.poll(question, look()):
            case Confirm():
                return True
            case Skip():
                return False
            case Stop():
                raise CalibrationStopped("the guide stopped; what was found is kept.")
        bench.idle()


def _servo(
    unit: str,
    bench: ServoBench,
    index: int,
    actuator: Actuator,
    guide: OperatorUI,
    look: Callable[[], Picture | None],
) -> ServoEndpoints | None:
    """The marks of one servo; None if it was skipped."""
    while True:
        found: dict[What, float] = {}
        for what in _wanted(actuator):
            raw = _seek(unit, bench, index, actuator, what, guide, look)
            if raw is None:
                return None
            found[what] = raw
        marks = _marks(actuator, found)
        problem = _problem(marks, bench, index)
        if not problem:
            _tell_direction(actuator, marks, guide)
            return marks
        guide.tell(f"{actuator.name}: {problem}; once more.")


def _wanted(actuator: Actuator) -> tuple[What, ...]:
    """What must be found: neutral is an end of travel for cables and jaw."""
    return (
        ("low", "high") if actuator.neutral in (actuator.low, actuator.high) else ("low", "neutral", "high")
    )


def _seek(
    unit: str,
    bench: ServoBench,
    index: int,
    actuator: Actuator,
    what: What,
    guide: OperatorUI,
    look: Callable[[], Picture | None],
) -> float | None:
    """Moves as the guide says until it is there; None to skip the servo."""
    low, high = float(bench.widest.low[index]), float(bench.widest.high[index])
    while True:
        bench.tick()
        question = Question(
            actuator.name, what, meaning(actuator, what), bench.raw, bench.goal, low, high, unit
        )
        match guide.poll(question, look()):
            case Move(raw):
                bench.go(raw)
            case Confirm() if bench.arrived:
                guide.tell(f"{actuator.name}: {what} is at {bench.raw:.0f} {unit}.")
                return bench.raw
            case Confirm():
                guide.tell(
                    f"still moving, at {bench.raw:.0f} of {bench.goal:.0f} {unit}; say it when it is there."
                )
            case Skip():
                return None
            case Stop():
                raise CalibrationStopped("the guide stopped; what was found is kept.")


def _park(bench: ServoBench, index: int) -> None:
    """Back to rest before it goes limp, so that the next one is not hindered."""
    bench.go(float(bench.widest.rest[index]))
    while not bench.arrived:
        bench.tick()


def meaning(actuator: Actuator, what: What) -> str:
    """What the face does there, for people."""
    low, high = ENDPOINT_MEANINGS.get(actuator.moves, _CABLE)
    return {"low": low, "neutral": "the face is calm", "high": high}[what]


def _marks(actuator: Actuator, found: Mapping[What, float]) -> ServoEndpoints:
    neutral = found.get("neutral", found["low"] if actuator.neutral == actuator.low else found["high"])
    return ServoEndpoints(found["low"], neutral, found["high"])


def _problem(marks: ServoEndpoints, bench: ServoBench, index: int) -> str:
    """Why these marks cannot be, in words; empty if they can."""
    allowed = bench.widest.high[index] - bench.widest.low[index]
    if abs(marks.high - marks.low) < SMALLEST * allowed:
        return "both ends are nearly the same place"
    if not min(marks.low, marks.high) <= marks.neutral <= max(marks.low, marks.high):
        return "neutral is not between the ends"
    return ""


def _tell_direction(actuator: Actuator, marks: ServoEndpoints, guide: OperatorUI) -> None:
    if (marks.high > marks.low) != (actuator.direction > 0):
        guide.tell(f"{actuator.name}: turns the other way than face.toml says; kept as found.")


def measure_by_camera(
    session: CalibrationSession, face: Face, names: Collection[str] | None = None
) -> list[str]:
    """Finds by camera what each actuator does, and the resting face; what was found before is kept.

    Args:
        session: kept up to date, and saved after each actuator.
        face: the robot, calibrated by its marks.
        names: actuators to sweep; by default all that move the face's skin.

    Returns:
        What a person should look at, in words.

    Raises:
        MediaError: the face was lost; go on after seeing to it.
    """
    spec = face.spec
    chosen = swept_actuators(spec) if names is None else list(names)
    if session.neutral is None:
        session.neutral = resting_face(face)
        session.save()
    with progress([n for n in chosen if n not in session.responses], "sweep", unit="actuators") as bar:
        for name in bar:
            bar.set_postfix_str(name)
            session.responses[name] = sweep_actuator(face, spec.index(name))
            session.save()
    return [told for name in chosen if (told := describe_doubt(name, session.responses[name]))]


def swept_actuators(spec: FaceSpec) -> list[str]:
    """Actuators that move the skin; the landmarks are aligned, so they show no eye and no neck."""
    return [spec.names[i] for i in spec.expressive]


def describe_doubt(name: str, response: ActuatorResponse) -> str:
    """What a person should look at, in words; empty if nothing."""
    if response.up is None:
        return f"{name} moves no landmark: is its cable attached?"
    if response.sign == -1:
        return f"{name} moves the face against what the twin does: are its ends swapped?"
    if response.sign is None:
        return f"{name} moves other parts of the face than the twin's: is it the right cable?"
    return ""


def build_calibration(
    session: CalibrationSession, outer_eye: float | None = None, partial: bool = False
) -> Calibration:
    """The calibration.

    Args:
        session: what was found.
        outer_eye: distance of the outer corners of the eyes, measured at the robot [m]; by default as
            designed.
        partial: whether servos without marks may be as the tables say, for boards that count in us.

    Raises:
        DataError: servos have no marks, or what was found contradicts robot.toml.
    """
    from eva_sim.real.calibration.model import Calibration

    missing = [name for name in load_spec().names if name not in session.marks]
    guessable = session.unit == "us"  # nothing is known of a bus servo nobody moved
    if missing and not (partial and guessable):
        hint = ", or let --partial take the table's ends for them" if guessable else ""
        raise DataError(
            f"{len(missing)} servos have no marks yet ({', '.join(missing)}); "
            f"go on with `eva calibrate`{hint}."
        )
    plain = Calibration.nominal(session.robot, session.board, session.unit)
    joints = {name: _joint(session, name, joint) for name, joint in plain.actuators.items()}
    made = dataclasses.replace(
        plain, actuators=joints, outer_eye=outer_eye or plain.outer_eye,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
    )  # fmt: skip
    return made if session.neutral is None else made.seen(session.neutral)


def _joint(session: CalibrationSession, name: str, nominal: Any) -> Any:
    """One actuator of a calibration, as `eva_sim.real.calibration.model.ActuatorCalibration` holds it."""
    marks, seen = session.marks.get(name), session.responses.get(name)
    changes: dict[str, Any] = {}
    if marks is not None:
        least, most = sorted((marks.low, marks.high))
        # The same speed of the horn: a servo of less raw travel for the same angle turns by fewer.
        share = min(1.0, (most - least) / (nominal.range_max - nominal.range_min))
        changes |= {
            "drive_mode": int(marks.high < marks.low), "range_min": least, "range_max": most,
            "homing_offset": marks.neutral - (least + most) / 2, "slew": nominal.slew * share,
        }  # fmt: skip
    if seen is not None:
        changes |= {"backlash": seen.backlash, "hysteresis": seen.hysteresis, "delay": seen.delay}
    return dataclasses.replace(nominal, **changes)
