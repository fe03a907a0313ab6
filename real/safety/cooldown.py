"""A pause before a robot is armed again after a fault, which grows if faults come again and again.

A program that arms in a loop after each fault makes all servos jump each time, and heats what failed.
"""

from __future__ import annotations

from eva_sim.clock import Clock
from eva_sim.contract import FaceSpec
from eva_sim.errors import RobotError
from eva_sim.real.wire.firmware_table import robot_config


class Cooldown:
    """The pauses of one robot, by robot.toml.

    The first arming after a fault needs no pause. Each further one needs twice the pause of the one before,
    counted from the last arming. A robot that was armed for long without a fault begins anew.

    Args:
        spec: the face.
        clock: clock of the robot.

    Attributes:
        count: armings after faults in a row.
        armed_at: time of the last arming by the clock [s].
        in_fault: whether a fault was found before the robot was opened, since it was armed last.
    """

    def __init__(self, spec: FaceSpec, clock: Clock) -> None:
        self._rule, self._clock = robot_config(spec)["safety"], clock
        self.count, self.armed_at, self.in_fault = 0, clock.now(), False

    def check(self) -> None:
        """Checks that the pause after a fault is over.

        Raises:
            RobotError: it is not.
        """
        passed = self._clock.now() - self.armed_at
        if passed > self._rule["forget_after"]:
            self.count = 0
        left = self._pause() - passed
        if left > 0:
            raise RobotError(
                f"the robot was armed after a fault {self.count} times in a row; find the cause, and arm it "
                f"in {left:.0f} s or later."
            )

    def armed(self, after_fault: bool) -> None:
        """Notes that the robot was armed."""
        self.in_fault = False
        self.count += after_fault
        self.armed_at = self._clock.now()

    def _pause(self) -> float:
        """Pause between the last arming and the next one after a fault [s]."""
        if not self.count:
            return 0.0
        return float(min(self._rule["pause_first"] * 2 ** min(self.count - 1, 16), self._rule["pause_most"]))
