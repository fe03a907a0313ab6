"""What is remembered of a robot after it is closed: how warm its servos are, and armings after faults.

Without it, a program that is started again and again would take hot servos for cold ones, and would arm
without the pauses that `Cooldown` asks for.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

import numpy as np

from eva_sim.clock import Clock
from eva_sim.errors import DataError
from eva_sim.files import read_json, write_json
from eva_sim.real.safety.command_filter import CommandFilter
from eva_sim.real.safety.cooldown import Cooldown


class RobotMemory:
    """Remembers robots by their id.

    Args:
        clock: of the robot. What happened to a simulated one is forgotten with its clock.
        folder: of the files in which physical robots are remembered, also after the program; None for
            simulated ones.
    """

    _of_simulated: ClassVar[WeakKeyDictionary[Clock, dict[str, dict[str, Any]]]] = WeakKeyDictionary()

    def __init__(self, clock: Clock, folder: str | os.PathLike[str] | None = None) -> None:
        self._folder, self._clock = None if folder is None else Path(folder), clock
        # The robot's clock begins anew with the computer.
        self._now: Callable[[], float] = clock.now if folder is None else time.time
        self._kept = self._of_simulated.setdefault(clock, {}) if folder is None else {}

    def keep(self, robot_id: str, limits: CommandFilter, cooldown: Cooldown) -> None:
        """Notes the state of a robot. A disk that cannot be written is no reason to fail."""
        self._kept[robot_id] = {
            "temperature": limits.temperature.tolist(), "time": self._now(), "count": cooldown.count,
            "since_armed": self._clock.now() - cooldown.armed_at,
            "in_fault": cooldown.in_fault or limits.in_fault,
        }  # fmt: skip
        if self._folder is not None:
            with suppress(DataError, OSError):
                self._folder.mkdir(parents=True, exist_ok=True)
                write_json(self._folder / f"{robot_id}.json", self._kept[robot_id])

    def recall(self, robot_id: str, limits: CommandFilter, cooldown: Cooldown) -> None:
        """Lets the limits and pauses of a robot go on from what is known of it, if that is anything."""
        if self._folder is not None:
            with suppress(DataError):
                self._kept[robot_id] = read_json(self._folder / f"{robot_id}.json")
        with suppress(KeyError, TypeError, ValueError, OverflowError):  # there is none, or it is damaged
            known = self._kept[robot_id]
            temperature = np.array(known["temperature"], dtype=float)
            passed = max(0.0, self._now() - float(known["time"]))  # the computer's time may be set back
            since, count = float(known["since_armed"]), int(known["count"])
            if (
                temperature.shape == limits.temperature.shape
                and np.isfinite([*temperature, passed, since]).all()
            ):
                limits.restore_heat(np.maximum(temperature, limits.temperature), passed)
                cooldown.count, cooldown.in_fault = max(0, count), bool(known["in_fault"])
                cooldown.armed_at = self._clock.now() - max(0.0, since) - passed
