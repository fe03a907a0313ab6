"""What the host enforces before anything is sent, whatever the board does by itself.

`CommandFilter` bends a command until it is safe: within travel, no faster than the actuator may go, no pair
of cables against each other, and gently after arming. What it cannot bend, it latches as a fault;
only `CommandFilter.begin`, that is arming, ends one.

Commands are plain lists inside: for 25 numbers they cost less than arrays, every control step.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eva_sim.contract import FaceSpec, Floats
from eva_sim.real.boards.interface import BoardState, BoardStatus
from eva_sim.real.calibration.model import Calibration
from eva_sim.real.wire.firmware_table import exclusion_pairs, robot_config

#: How far inside an exclusion's limit the host stays, so that rounding to quarters of a microsecond
#: does not make the board complain.
_SPARE = 1e-3
#: Float32 commands lie on the safe side of a bound only to rounding.
_ROUNDING = 1e-6


class CommandFilter:
    """The safety of one robot on the host.

    Args:
        spec: the face.
        calibration: of the robot.

    Attributes:
        sent: the last command let through, float32 (25,).
        faults: why it lets nothing through, in words; empty if it does.
    """

    def __init__(self, spec: FaceSpec, calibration: Calibration) -> None:
        self._spec, self._safety = spec, robot_config(spec)["safety"]
        self._period = robot_config(spec)["wire"]["period"]  # a status comes with each frame
        self._step, self._rest = fastest_step(spec, calibration).tolist(), spec.neutral.tolist()
        # The firmware has limits in 64ths.
        self._pairs = [(ends, math.floor(64 * limit) / 64 - _SPARE) for *ends, limit in exclusion_pairs(spec)]
        self.sent, self.faults = spec.neutral, tuple[str, ...]()
        self._stalled_for = np.zeros(len(spec))  # for how long each servo has been stalled [s]
        self._steps = 0

    def begin(self) -> None:
        """A new start at rest, as arming makes it: no fault, and gently again."""
        self.sent, self.faults, self._steps = self._spec.neutral, (), 0
        self._stalled_for[:] = 0

    def command(self, asked: ArrayLike) -> NDArray[np.float32]:
        """The command to send for the one asked for, (25,) in [-1, 1].

        Raises:
            CommandError: malformed; nothing changes.
        """
        wanted, sent, share = self._spec.check(asked).tolist(), self.sent.tolist(), self._gentle()
        self._apart(wanted)
        moves = zip(sent, wanted, self._step, strict=True)
        slewed = [old + min(max(new - old, -share * step), share * step) for old, new, step in moves]
        self._wait(slewed, sent)
        self.sent = np.array(slewed, dtype=np.float32)
        self._steps += 1
        return self.sent

    def watch(self, status: BoardStatus) -> tuple[str, ...]:
        """Latches what the board measured or did; returns all latched faults."""
        found = [*self._stopped(status), *self._hot(status), *self._stalled(status)]
        for fault in found:
            self.latch(fault)
        return self.faults

    def latch(self, fault: str) -> None:
        """Adds a fault that somebody else found."""
        self.faults = tuple(dict.fromkeys([*self.faults, fault]))

    def _gentle(self) -> float:
        """Share of full speed: a quarter right after arming, all of it `ease` seconds later."""
        passed = self._steps * self._spec.control_dt / self._safety["ease"]
        return min(1.0, 0.25 + 0.75 * passed)

    def _apart(self, command: list[float]) -> None:
        """Scales both pulls of each pair down until they add up to its limit."""
        for ends, limit in self._pairs:
            pulls = [self._pull(command, end) for end in ends]
            if sum(pulls) > limit:
                for end, pull in zip(ends, pulls, strict=True):
                    less = pull * limit / sum(pulls)
                    command[end] = self._rest[end] + less * (1 - self._rest[end])

    def _wait(self, command: list[float], sent: list[float]) -> None:
        """On the way there, who rises waits for who falls: two speeds differ, so a sum may overshoot."""
        for ends, limit in self._pairs:
            if sum(self._pull(command, end) for end in ends) > limit + _ROUNDING:
                for end in ends:
                    command[end] = min(command[end], sent[end])

    def _pull(self, command: list[float], end: int) -> float:
        """Share of the way from rest to the far end."""
        return max(0.0, (command[end] - self._rest[end]) / (1 - self._rest[end]))

    def _stopped(self, status: BoardStatus) -> list[str]:
        if status.state in (BoardState.ARMING, BoardState.ACTIVE, BoardState.HOLD):
            return []
        why = "; ".join(status.faults) or "it was switched off, or somebody disarmed it"
        return [f"{status.state.name.lower()}: {why}"]

    def _hot(self, status: BoardStatus) -> list[str]:
        bound = self._safety["too_hot"]
        if not np.fmax.reduce(status.temperature) > bound:  # NaN, not measured, never is
            return []
        told = zip(self._spec.names, status.temperature, strict=True)
        return [f"{name} is too hot ({degrees:.0f} degrees)" for name, degrees in told if degrees > bound]

    def _stalled(self, status: BoardStatus) -> list[str]:
        if not np.fmax.reduce(status.load) > self._safety["stall_load"]:  # NaN, not measured, never is
            self._stalled_for[:] = 0
            return []
        stalled = status.load > self._safety["stall_load"]
        self._stalled_for = np.where(stalled, self._stalled_for + self._period, 0.0)
        long = np.flatnonzero(self._stalled_for > self._safety["stall_for"])
        return [f"{self._spec.names[i]} is stalled" for i in long]


def fastest_step(spec: FaceSpec, calibration: Calibration) -> Floats:
    """Most a command may change in one control period, (25,): by rate of the table and calibrated slew."""
    travel = spec.column("high") - spec.column("low")
    by_rate = 2 * spec.column("rate") * spec.control_dt / travel
    periods = spec.control_dt / robot_config(spec)["wire"]["period"]
    by_slew = periods * calibration.limits.slew / np.maximum(calibration.slopes(), 1e-9)
    return np.minimum(by_rate, by_slew)
