"""A monitor of a board's output pulses: whatever host and line do, pulses must obey the tables.

It reads assets/*.toml itself and uses nothing of the code under test.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from typing import Any

import numpy as np

from eva_sim.contract import load_spec
from eva_sim.files import asset

ROBOT = tomllib.loads(asset("robot.toml").read_text())
#: Step of pulses and slew on the wire [us].
GRAIN = 0.25


class PulseWatcher:
    """Listens to a board and collects violations.

    Args:
        machine: the board.
        grain: step of its pulses [us].
        margin: how far pulses may exceed the nominal ends [us]; None for the margin of any calibration.
        periods: tells how many wire periods may lie between two looks at the pulses; None if every change is
            seen.

    Attributes:
        wrong: violations, in words.
        events: number of changes of a pulse.
        last: pulse of each channel [us]; NaN where limp.
        moved_at: time of the last change [s].
        stopped_at: time of the last change that did not make a channel limp [s].
        beyond: most that a pulse was outside its limits [us].
        faster: most that a pulse exceeded its slew, which is a whole number of quarters [us].
        armable: channels that may start, each once; None if starts are not counted.
        rearmed: number of other channels that started.
    """

    def __init__(
        self,
        machine: Any,
        grain: float = GRAIN,
        margin: float | None = None,
        periods: Callable[[], int] | None = None,
    ) -> None:
        spec = load_spec()
        by_channel = sorted(spec.actuators, key=lambda a: a.channel)
        ends = np.array([ROBOT["pulse"][a.kind] for a in by_channel])
        margin = ROBOT["pulse"]["margin"] if margin is None else margin
        self.low = np.maximum(ends[:, 0] - margin, ROBOT["pulse"]["narrowest"])
        self.high = np.minimum(ends[:, 1] + margin, ROBOT["pulse"]["widest"])
        speed = np.array([a.rate / (a.high - a.low) for a in by_channel]) * (ends[:, 1] - ends[:, 0])
        self.slew = speed * ROBOT["wire"]["period"]
        self.rest = ends[:, 0] + np.array([
            (a.neutral - a.low if a.direction > 0 else a.high - a.neutral) / (a.high - a.low)
            for a in by_channel
        ]) * (ends[:, 1] - ends[:, 0])  # fmt: skip
        self.names = [a.name for a in by_channel]
        self.last, self.since = np.full(len(spec), np.nan), np.zeros(len(spec))
        self.wrong: list[str] = []
        self.events, self.moved_at, self.stopped_at, self._grain = 0, 0.0, 0.0, grain
        self._periods = periods
        self.beyond, self.faster, self.rearmed = 0.0, 0.0, 0
        self.armable: set[int] | None = None
        machine.listen(self)

    def __call__(self, time: float, channel: int, width: float) -> None:
        self.events, self.moved_at = self.events + 1, time
        before, event = self.last[channel], f"{self.names[channel]} at {time:.3f} s: {width:g} us"
        self.last[channel] = width
        if np.isnan(width):
            self._end_arming()
            return
        self.stopped_at = time
        self.beyond = max(self.beyond, self.low[channel] - width, width - self.high[channel])
        if not self.low[channel] - self._grain <= width <= self.high[channel] + self._grain:
            self.wrong.append(f"{event} leaves its limits")
        if np.isnan(before):
            self._count_start(channel)
        if np.isnan(before) and abs(width - self.rest[channel]) > 1 + self._grain + self._unseen(channel):
            self.wrong.append(f"{event} is not its rest")
        elif not np.isnan(before):
            self._check_slew(time, channel, abs(width - before), event)
        self.since[channel] = time

    def _end_arming(self) -> None:
        """Once all channels are limp, none may start any more."""
        if self.armable is not None and self.limp:
            self.armable = set()

    def _count_start(self, channel: int) -> None:
        if self.armable is not None:
            self.rearmed += channel not in self.armable
            self.armable.discard(channel)

    def _check_slew(self, time: float, channel: int, step: float, event: str) -> None:
        step -= self._unseen(channel)
        self.faster = max(self.faster, step - round(4 * self.slew[channel]) / 4)
        if step > self.slew[channel] + 2 * self._grain:
            self.wrong.append(f"{event} is a step of {step:g}")
        if self._periods is None and time - self.since[channel] < 0.9 * ROBOT["wire"]["period"]:
            self.wrong.append(f"{event} comes too soon")

    def _unseen(self, channel: int) -> float:
        """How far a channel may have moved since the last look, beyond one period's slew [us]."""
        return 0.0 if self._periods is None else (self._periods() - 1) * round(4 * self.slew[channel]) / 4

    @property
    def limp(self) -> bool:
        """Whether all channels are limp."""
        return bool(np.isnan(self.last).all())
