"""Limits that the host enforces on every command, whatever the board enforces by itself.

`CommandFilter` limits a command until it is safe, by the limits that every body keeps
(`eva_sim.limits.CommandLimits`), no faster than the calibrated actuator may go, and slow after arming. A
problem that limiting cannot solve is latched as a fault, and only arming (`CommandFilter.begin`) clears it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from eva_sim.clock import Clock
from eva_sim.contract import FaceSpec, Floats
from eva_sim.errors import RobotError
from eva_sim.limits.command_limits import CommandLimits
from eva_sim.limits.modelled_load import ModelledLoad
from eva_sim.real.boards.interface import BoardState, BoardStatus
from eva_sim.real.calibration.model import Calibration
from eva_sim.real.wire.firmware_table import robot_config

#: What is latched first when a person ends the motion; everything else is a fault.
DISARMED, STOPPED, CLOSED = "disarmed", "stopped", "closed"
PROGRAM_ENDS = "disarmed by a signal, or because the program ends"
#: Control periods between two steps of the servos' heat, which changes within minutes.
_WARMS_EVERY = 5


class CommandFilter:
    """The host-side limits of one robot.

    Args:
        spec: the face.
        calibration: of the robot.
        clock: tells how long servos cool between commands; None to count control periods.

    Attributes:
        sent: the last command after limits, float32 (A,).
        faults: latched faults, in words; empty while the robot may move.
        limits: the limits that every body keeps, and the temperature of the servos.
    """

    def __init__(self, spec: FaceSpec, calibration: Calibration, clock: Clock | None = None) -> None:
        self._spec, self._safety = spec, robot_config(spec)["safety"]
        self._period = robot_config(spec)["wire"]["period"]  # time between two statuses
        self.limits = CommandLimits(spec, fastest=fastest_step(spec, calibration))
        self._modelled = ModelledLoad(spec)
        self._measured_load = np.full(len(spec), np.nan)
        self._clock, self._commands = clock, 0
        self._driven, self._warmed_at = False, self._now()
        self.sent, self.faults = spec.neutral, tuple[str, ...]()
        self._stall_time = np.zeros(len(spec))  # [s]
        self._steps = 0  # since arming

    def begin(self) -> None:
        """Starts again at rest after arming: clears the faults, and begins slowly. Servos stay warm."""
        self._warm()
        self._driven = True
        self.limits.restart()
        self.sent, self.faults, self._steps = self._spec.neutral, (), 0
        self._stall_time[:] = 0

    def check_cool(self) -> None:
        """Checks that no servo is too hot to be armed.

        Raises:
            RobotError: one is.
        """
        self._warm()
        hottest = int(self.temperature.argmax())
        if self.temperature[hottest] > self.limits.heat.too_hot:
            raise RobotError(
                f"not armed: {self._spec.names[hottest]} is too hot by its load (about "
                f"{self.temperature[hottest]:.0f} degrees); let it cool, then arm again."
            )

    def restore_heat(self, temperature: Floats, age: float) -> None:
        """Takes over temperatures of the servos, (A,) [degrees Celsius], which cooled for `age` [s] since."""
        self.limits.heat.put(..., temperature)
        self.limits.warm(np.zeros(len(self._spec)), age)

    def command(self, asked: ArrayLike) -> NDArray[np.float32]:
        """Limits the command that is asked for, (A,) in [-1, 1], and returns the one to send.

        Raises:
            CommandError: malformed; nothing changes.
        """
        wanted = self._spec.check(asked)
        self.limits.step(wanted, self._speed_share())
        self.sent = self.limits.position.astype(np.float32)
        self._steps, self._commands = self._steps + 1, self._commands + 1
        self._check_heat()
        return self.sent

    def note_held(self) -> None:
        """Notes that the servos still hold the last command: that warms them as well."""
        self._check_heat()

    def _check_heat(self) -> None:
        """Warms the servos from time to time; a hot one is a fault."""
        if self._now() - self._warmed_at < (_WARMS_EVERY - 0.5) * self._spec.control_dt:
            return
        self._warm()
        hot = self.limits.heat.temperature > self.limits.heat.too_hot
        for i in np.flatnonzero(hot):
            self.latch(
                f"{self._spec.names[i]} is too hot by its load (about {self.temperature[i]:.0f} degrees)"
            )

    def _warm(self) -> None:
        """Lets the time pass since servos were warmed last.

        While they were driven they are warmed by their measured load, or else by a modelled one. A robot that
        has heard nothing for so long is limp since then.
        """
        before, self._warmed_at = self._warmed_at, self._now()
        passed = max(0.0, self._warmed_at - before)
        driven = min(passed, self._safety["limp_after"]) if self._driven else 0.0
        modelled = self._modelled(self.limits.position, self.limits.heat)
        measured = self._measured_load
        self.limits.warm(np.where(np.isfinite(measured), measured, modelled), driven)
        self.limits.warm(np.zeros(len(self._spec)), passed - driven)

    def _now(self) -> float:
        """Time by the clock, or else by the number of commands [s]."""
        return self._clock.now() if self._clock else self._commands * self._spec.control_dt

    @property
    def in_fault(self) -> bool:
        """Whether a fault, not a person, made the robot limp; what was latched later follows from it."""
        return bool(self.faults) and self.faults[0] not in (DISARMED, STOPPED, CLOSED, PROGRAM_ENDS)

    @property
    def temperature(self) -> Floats:
        """Temperature of each servo by the model, (A,) [degrees Celsius]."""
        return self.limits.heat.temperature

    @property
    def slowed(self) -> tuple[str, ...]:
        """What is slowed because it is warm, in words; this is no fault."""
        return tuple(
            f"slower, being warm by its load: {self._spec.names[i]} ({self.temperature[i]:.0f} degrees)"
            for i in np.flatnonzero(self.limits.heat.speed < 1)
        )

    def check_status(self, status: BoardStatus) -> tuple[str, ...]:
        """Latches the faults that a status of the board shows; returns all latched faults."""
        self._measured_load = status.load
        found = [*self._inactive(status), *self._hot(status), *self._stalled(status)]
        for fault in found:
            self.latch(fault)
        return self.faults

    def latch(self, fault: str) -> None:
        """Adds a fault that the caller found. The servos cool from now on."""
        if self._driven:
            self._warm()
            self._driven = False
        self.faults = tuple(dict.fromkeys([*self.faults, fault]))

    def _speed_share(self) -> float:
        """Share of full speed: a quarter right after arming, full speed `ease` seconds later."""
        eased = self._steps * self._spec.control_dt / self._safety["ease"]
        return min(1.0, 0.25 + 0.75 * eased)

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
