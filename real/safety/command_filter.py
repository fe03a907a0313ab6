"""Limits that the host enforces on every command, whatever the board enforces by itself.

`CommandFilter` limits a command until it is safe: within travel, no faster than the actuator may go, no pair
of cables against each other, and slow after arming. A problem that limiting cannot solve is latched as a
fault, and only arming (`CommandFilter.begin`) clears it.

Inside, commands are plain lists: for a few dozen numbers they cost less than arrays, in every control step.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eva_sim.contract import FaceSpec, Floats
from eva_sim.real.boards.interface import BoardState, BoardStatus
from eva_sim.real.calibration.model import Calibration
from eva_sim.real.wire.firmware_table import exclusion_pairs, robot_config

#: Margin to the limit of an exclusion pair, so that rounding to quarters of a microsecond does not make
#: the board report a fault.
_MARGIN = 1e-3
#: Tolerance of a bound, because commands are float32.
_ROUNDING = 1e-6


class CommandFilter:
    """The host-side limits of one robot.

    Args:
        spec: the face.
        calibration: of the robot.

    Attributes:
        sent: the last command after limits, float32 (A,).
        faults: latched faults, in words; empty while the robot may move.
    """

    def __init__(self, spec: FaceSpec, calibration: Calibration) -> None:
        self._spec, self._safety = spec, robot_config(spec)["safety"]
        self._period = robot_config(spec)["wire"]["period"]  # time between two statuses
        self._step, self._rest = fastest_step(spec, calibration).tolist(), spec.neutral.tolist()
        # The firmware stores these limits in 64ths.
        self._pairs = [
            (ends, math.floor(64 * limit) / 64 - _MARGIN) for *ends, limit in exclusion_pairs(spec)
        ]
        self.sent, self.faults = spec.neutral, tuple[str, ...]()
        self._stall_time = np.zeros(len(spec))  # [s]
        self._steps = 0  # since arming

    def begin(self) -> None:
        """Starts again at rest after arming: clears the faults, and begins slowly."""
        self.sent, self.faults, self._steps = self._spec.neutral, (), 0
        self._stall_time[:] = 0

    def command(self, asked: ArrayLike) -> NDArray[np.float32]:
        """Limits the command that is asked for, (A,) in [-1, 1], and returns the one to send.

        Raises:
            CommandError: malformed; nothing changes.
        """
        wanted, sent, share = self._spec.check(asked).tolist(), self.sent.tolist(), self._speed_share()
        self._limit_pairs(wanted)
        moves = zip(sent, wanted, self._step, strict=True)
        slewed = [old + min(max(new - old, -share * step), share * step) for old, new, step in moves]
        self._limit_pairs_on_the_way(slewed, sent)
        self.sent = np.array(slewed, dtype=np.float32)
        self._steps += 1
        return self.sent

    def check_status(self, status: BoardStatus) -> tuple[str, ...]:
        """Latches the faults that a status of the board shows; returns all latched faults."""
        found = [*self._inactive(status), *self._hot(status), *self._stalled(status)]
        for fault in found:
            self.latch(fault)
        return self.faults

    def latch(self, fault: str) -> None:
        """Adds a fault that the caller found."""
        self.faults = tuple(dict.fromkeys([*self.faults, fault]))

    def _speed_share(self) -> float:
        """Share of full speed: a quarter right after arming, full speed `ease` seconds later."""
        eased = self._steps * self._spec.control_dt / self._safety["ease"]
        return min(1.0, 0.25 + 0.75 * eased)

    def _limit_pairs(self, command: list[float]) -> None:
        """Scales both pulls of each pair down until they add up to its limit."""
        for ends, limit in self._pairs:
            pulls = [self._pull(command, end) for end in ends]
            if sum(pulls) > limit:
                for end, pull in zip(ends, pulls, strict=True):
                    allowed = pull * limit / sum(pulls)
                    command[end] = self._rest[end] + allowed * (1 - self._rest[end])

    def _limit_pairs_on_the_way(self, command: list[float], sent: list[float]) -> None:
        """Holds a rising pull while the other one falls: their speeds differ, so the sum could overshoot."""
        for ends, limit in self._pairs:
            if sum(self._pull(command, end) for end in ends) > limit + _ROUNDING:
                for end in ends:
                    command[end] = min(command[end], sent[end])

    def _pull(self, command: list[float], end: int) -> float:
        """Pull of one end: the share of its travel from rest to the far end."""
        return max(0.0, (command[end] - self._rest[end]) / (1 - self._rest[end]))

    def _inactive(self, status: BoardStatus) -> list[str]:
        if status.state in (BoardState.ARMING, BoardState.ACTIVE, BoardState.HOLD):
            return []
        reason = "; ".join(status.faults) or "it was switched off, or somebody disarmed it"
        return [f"{status.state.name.lower()}: {reason}"]

    def _hot(self, status: BoardStatus) -> list[str]:
        bound = self._safety["too_hot"]
        if not np.fmax.reduce(status.temperature) > bound:  # false for NaN, which means not measured
            return []
        temperatures = zip(self._spec.names, status.temperature, strict=True)
        return [
            f"{name} is too hot ({degrees:.0f} degrees)" for name, degrees in temperatures if degrees > bound
        ]

    def _stalled(self, status: BoardStatus) -> list[str]:
        effort = status.effort
        if not np.fmax.reduce(effort) > self._safety["stall_load"]:  # false for NaN
            self._stall_time[:] = 0
            return []
        stalled = effort > self._safety["stall_load"]
        self._stall_time = np.where(stalled, self._stall_time + self._period, 0.0)
        too_long = np.flatnonzero(self._stall_time > self._safety["stall_for"])
        return [f"{self._spec.names[i]} is stalled" for i in too_long]


def fastest_step(spec: FaceSpec, calibration: Calibration) -> Floats:
    """Largest change of a command in one control period, (A,): by the table's rate and calibrated slew."""
    travel = spec.column("high") - spec.column("low")
    by_rate = 2 * spec.column("rate") * spec.control_dt / travel
    periods = spec.control_dt / robot_config(spec)["wire"]["period"]
    by_slew = periods * calibration.limits.slew / np.maximum(calibration.steepest(), 1e-9)
    return np.minimum(by_rate, by_slew)
