"""What the host enforces before anything is sent, whatever the board does by itself.

`Guard` bends a command until it is safe: within travel, no faster than the actuator may go, no pair
of cables against each other, and gently after arming. What it cannot bend, it latches as a fault;
only `Guard.begin`, that is arming, ends one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eva_sim.contract import FaceSpec, Floats
from eva_sim.real.boards.base import State, Status
from eva_sim.real.calibration import Calibration
from eva_sim.real.firmware_table import exclusions, figures

#: How far inside an exclusion's limit the host stays, so that rounding to quarters of a microsecond
#: does not make the board complain.
_SPARE = 1e-3
#: Float32 commands lie on the safe side of a bound only to rounding.
_ROUNDING = 1e-6


class Guard:
    """The safety of one robot on the host.

    Args:
        spec: the face.
        calibration: of the robot.

    Attributes:
        sent: the last command let through, float32 (25,).
        faults: why it lets nothing through, in words; empty if it does.
    """

    def __init__(self, spec: FaceSpec, calibration: Calibration) -> None:
        self._spec, self._safety = spec, figures()["safety"]
        self._period = figures()["wire"]["period"]  # a status comes with each frame
        self._step, self._rest = fastest_step(spec, calibration), spec.neutral
        *ends, limits = zip(*exclusions(), strict=True)
        self._ends = np.array(ends).T
        self._limits = np.floor(64 * np.array(limits)) / 64 - _SPARE  # the firmware has them in 64ths
        self._rests = self._rest[self._ends].astype(float)
        self.sent, self.faults = self._rest, tuple[str, ...]()
        self._stalled_for = np.zeros(len(spec))  # for how long each servo has been stalled [s]
        self._steps = 0

    def begin(self) -> None:
        """A new start at rest, as arming makes it: no fault, and gently again."""
        self.sent, self.faults, self._steps = self._rest, (), 0
        self._stalled_for[:] = 0

    def command(self, asked: ArrayLike) -> NDArray[np.float32]:
        """The command to send for the one asked for, (25,) in [-1, 1].

        Raises:
            CommandError: malformed; nothing changes.
        """
        wanted = self._apart(self._spec.check(asked).astype(float))
        step = self._step * self._gentle()
        slewed = self.sent + np.minimum(np.maximum(wanted - self.sent, -step), step)
        self.sent = self._wait(slewed).astype(np.float32)
        self._steps += 1
        return self.sent

    def watch(self, status: Status) -> tuple[str, ...]:
        """Latches what the board measured or did; returns all latched faults."""
        found = [*self._stopped(status), *self._hot(status), *self._stalled(status)]
        self.faults = tuple(dict.fromkeys([*self.faults, *found]))
        return self.faults

    def latch(self, fault: str) -> None:
        """Adds a fault that somebody else found."""
        self.faults = tuple(dict.fromkeys([*self.faults, fault]))

    def _gentle(self) -> float:
        """Share of full speed: a quarter right after arming, all of it `ease` seconds later."""
        passed = self._steps * self._spec.control_dt / self._safety["ease"]
        return min(1.0, 0.25 + 0.75 * passed)

    def _apart(self, command: Floats) -> Floats:
        """Scales both pulls of each pair down until they add up to its limit."""
        pulls = self._pulls(command)
        sums = pulls.sum(1)
        beyond = sums > self._limits
        if beyond.any():
            command = command.copy()
            less = (self._limits[beyond] / sums[beyond])[:, None] * pulls[beyond]
            command[self._ends[beyond]] = self._rests[beyond] + less * (1 - self._rests[beyond])
        return command

    def _wait(self, command: Floats) -> Floats:
        """On the way there, who rises waits for who falls: two speeds differ, so a sum may overshoot."""
        beyond = self._pulls(command).sum(1) > self._limits + _ROUNDING
        if beyond.any():
            command, ends = command.copy(), self._ends[beyond]
            command[ends] = np.minimum(command[ends], self.sent[ends])
        return command

    def _pulls(self, command: Floats) -> Floats:
        """Shares of the way from rest to the far end, of each pair, (P, 2)."""
        pulls: Floats = np.maximum((command[self._ends] - self._rests) / (1 - self._rests), 0)
        return pulls

    def _stopped(self, status: Status) -> list[str]:
        if status.state in (State.ARMING, State.ACTIVE, State.HOLD):
            return []
        why = "; ".join(status.faults) or "it was switched off, or somebody disarmed it"
        return [f"{status.state.name.lower()}: {why}"]

    def _hot(self, status: Status) -> list[str]:
        hot = status.temperature > self._safety["too_hot"]  # NaN, not measured, never is
        if not hot.any():
            return []
        told = zip(self._spec.names, status.temperature, hot, strict=True)
        return [f"{name} is too hot ({degrees:.0f} degrees)" for name, degrees, is_hot in told if is_hot]

    def _stalled(self, status: Status) -> list[str]:
        stalled = status.load > self._safety["stall_load"]  # NaN, not measured, never is
        self._stalled_for = np.where(stalled, self._stalled_for + self._period, 0.0)
        long = np.flatnonzero(self._stalled_for > self._safety["stall_for"])
        return [f"{self._spec.names[i]} is stalled" for i in long]


def fastest_step(spec: FaceSpec, calibration: Calibration) -> Floats:
    """Most a command may change in one control period, (25,): by rate of the table and calibrated slew."""
    travel = spec.column("high") - spec.column("low")
    by_rate = 2 * spec.column("rate") * spec.control_dt / travel
    periods = spec.control_dt / figures()["wire"]["period"]
    by_slew = periods * calibration.limits.slew / np.maximum(calibration.slopes(), 1e-9)
    return np.minimum(by_rate, by_slew)
