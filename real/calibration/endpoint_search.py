"""Finding the endpoints of each servo with an operator, one armed servo at a time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from eva_sim.contract import Actuator, FaceSpec
from eva_sim.errors import RobotError
from eva_sim.real.calibration.model import RESTING_PULL, TAUT_AT_REST, resting_pull
from eva_sim.real.calibration.operator_ui import (
    Confirm,
    MoveTo,
    OperatorAnswer,
    OperatorQuestion,
    OperatorUI,
    Picture,
    SkipServo,
    StopCalibration,
    Subject,
)
from eva_sim.real.calibration.servo_bench import ServoBench
from eva_sim.real.calibration.session import CalibrationSession, CalibrationStopped, ServoEndpoints

#: Travel below this share of what robot.toml allows is a mistake, not a servo.
SMALLEST_TRAVEL = 0.15

#: Number of times that impossible ends of a servo are asked again.
_MOST_TRIES = 3

#: The face at both endpoints, by what an actuator moves; shown to the operator.
ENDPOINT_MEANINGS: Mapping[str, tuple[str, str]] = {
    "jaw": ("the mouth is shut", "the mouth is as open as it may go"),
    "eye_yaw": ("the eye looks to the robot's own right", "the eye looks to the robot's own left"),
    "eye_pitch": ("the eye looks down", "the eye looks up"),
    "lid": ("the eye is shut", "the eye is wide open"),
    "neck": ("the leg is as short as it may be", "the leg is as long as it may be"),
}
_CABLE = ("the cable is just slack", "the cable pulls as far as the skin should go")


def find_endpoints(
    session: CalibrationSession,
    bench: ServoBench,
    operator: OperatorUI,
    camera_view: Callable[[], Picture | None] = lambda: None,
    again: Collection[str] = (),
) -> None:
    """Finds the endpoints of every servo that has none yet, one armed at a time.

    Args:
        session: updated, and saved after each servo.
        bench: of the robot.
        operator: user interface of the operator.
        camera_view: returns the newest picture, or None.
        again: actuators to repeat even if they have endpoints.

    Raises:
        CalibrationStopped: the operator wants to end.
        RobotError: a servo was let go; the endpoints found before are kept.
        CommandError: no such actuator.
    """
    for name in again:
        session.spec.index(name)  # raises before anything moves
    for actuator in session.spec.actuators:
        if actuator.name in session.endpoints and actuator.name not in again:
            continue
        search = EndpointSearch(bench, session.spec, actuator, operator, camera_view, session.unit)
        endpoints = search.run()
        if endpoints is not None:
            session.endpoints[actuator.name] = endpoints
            session.responses.pop(actuator.name, None)  # what the camera saw belongs to the old ends
            session.save()


class EndpointSearch:
    """The search for the endpoints of one servo.

    The bench needs a call in every wire period, so the search never waits for the operator: it asks again
    and again, and ticks the bench in between.

    Args:
        bench: of the robot.
        spec: the face.
        actuator: its row of the table.
        operator: user interface of the operator.
        camera_view: returns the newest picture, or None.
        unit: unit of raw positions.
    """

    def __init__(
        self,
        bench: ServoBench,
        spec: FaceSpec,
        actuator: Actuator,
        operator: OperatorUI,
        camera_view: Callable[[], Picture | None],
        unit: str,
    ) -> None:
        self._bench, self._spec, self._actuator = bench, spec, actuator
        self._index = index = spec.index(actuator.name)
        self._operator, self._camera_view, self._unit = operator, camera_view, unit
        self._low, self._rest, self._high = (
            float(column[index]) for column in (bench.widest.low, bench.widest.rest, bench.widest.high)
        )

    def run(self) -> ServoEndpoints | None:
        """Finds the endpoints; None if the operator skipped the servo.

        Raises:
            CalibrationStopped: the operator wants to end.
            RobotError: the servo was let go.
        """
        if not self._may_arm():
            return None
        with self._bench.armed(self._index, self._wait_for_arming):
            endpoints = self._find()
            self._park()
        return endpoints

    def _may_arm(self) -> bool:
        """Whether the operator allows arming this servo; until then all servos are limp."""
        motion = "jumps" if self._unit == "us" else "glides"
        meaning = f"{motion} to {self._rest:.0f} {self._unit}, wherever it lies"
        while True:
            match self._ask("arm", meaning, self._rest, self._rest):
                case Confirm():
                    return True
                case SkipServo():
                    return False
            self._bench.idle()

    def _find(self) -> ServoEndpoints | None:
        for _ in range(_MOST_TRIES):
            found: dict[Subject, float] = {}
            for subject in self._positions_to_find():
                raw = self._seek(subject)
                if raw is None:
                    return None
                found[subject] = raw
            endpoints = self._endpoints(found)
            problem = self._problem(endpoints)
            if not problem:
                self._report_direction(endpoints)
                return endpoints
            self._operator.tell(f"{self._actuator.name}: {problem}; once more.")
        raise RobotError(
            f"{self._actuator.name} was found wrong {_MOST_TRIES} times, and is limp now: {problem}. "
            "Look at its horn and its cable, then run `eva calibrate` again."
        )

    def _positions_to_find(self) -> tuple[Subject, ...]:
        """Low and high, and neutral unless it is an end of travel, as for cables and jaw."""
        a = self._actuator
        return ("low", "high") if a.neutral in (a.low, a.high) else ("low", "neutral", "high")

    def _seek(self, subject: Subject) -> float | None:
        """Moves the servo as the operator says until the position is confirmed; None to skip the servo."""
        bench, name, unit = self._bench, self._actuator.name, self._unit
        while True:
            bench.tick()
            self._report_notice()
            match self._ask(subject, endpoint_meaning(self._actuator, subject), bench.raw, bench.goal):
                case MoveTo(raw):
                    bench.go(raw)
                case Confirm() if bench.arrived:
                    self._operator.tell(f"{name}: {subject} is at {bench.raw:.0f} {unit}.")
                    return bench.raw
                case Confirm():
                    self._operator.tell(
                        f"still moving, at {bench.raw:.0f} of {bench.goal:.0f} {unit}; "
                        "confirm when it has arrived."
                    )
                case SkipServo():
                    return None

    def _report_notice(self) -> None:
        notice, self._bench.notice = self._bench.notice, ""
        if notice:
            self._operator.tell(f"{self._actuator.name} {notice} {self._unit}; it stays there.")

    def _ask(self, subject: Subject, meaning: str, raw: float, goal: float) -> OperatorAnswer | None:
        question = OperatorQuestion(
            self._actuator.name, subject, meaning, raw, goal, self._low, self._high, self._unit
        )
        answer = self._operator.poll(question, self._camera_view())
        if isinstance(answer, StopCalibration):
            raise CalibrationStopped("the operator stopped; everything found so far is kept.")
        return answer

    def _wait_for_arming(self) -> None:
        self._wait("is being armed")

    def _wait(self, meaning: str) -> None:
        """Tells what the servo does by itself, and hears only whether the operator stops it."""
        self._ask("wait", meaning, self._bench.raw, self._bench.goal)

    def _park(self) -> None:
        """Moves back to rest before the servo goes limp, so that it does not hinder the next one."""
        self._bench.go(self._rest)
        while not self._bench.arrived:
            self._bench.tick()
            self._wait("goes back to rest")

    def _endpoints(self, found: Mapping[Subject, float]) -> ServoEndpoints:
        low, high = found["low"], found["high"]
        at_low = self._actuator.neutral == self._actuator.low
        return ServoEndpoints(low, found.get("neutral", low if at_low else high), high)

    def _problem(self, endpoints: ServoEndpoints) -> str:
        """Reason why these endpoints are impossible, in words; empty if they are possible."""
        low, high = sorted((endpoints.low, endpoints.high))
        if high - low < SMALLEST_TRAVEL * (self._high - self._low):
            return "both ends are nearly the same place"
        if not low <= endpoints.neutral <= high:
            return "neutral is not between the ends"
        pull = resting_pull(self._spec, self._actuator, endpoints.neutral, self._unit)
        return TAUT_AT_REST.format(pull) if pull > RESTING_PULL else ""

    def _report_direction(self, endpoints: ServoEndpoints) -> None:
        if (endpoints.high > endpoints.low) != (self._actuator.direction > 0):
            self._operator.tell(
                f"{self._actuator.name}: turns opposite to face.toml; the measured direction is kept."
            )


def endpoint_meaning(actuator: Actuator, subject: Subject) -> str:
    """The face at an endpoint, in words for the operator."""
    low, high = ENDPOINT_MEANINGS.get(actuator.moves, _CABLE)
    return {"low": low, "neutral": "the face is calm", "high": high}[subject]
