"""State that the host keeps for a board that keeps none: arming, faults, and what was read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from eva_sim.contract import Floats


@dataclass
class ArmingSequence:
    """Arming, group by group.

    Attributes:
        groups: groups of actuators that are still to be enabled, in their order.
        next_at: time at which the next group may be enabled [s].
        active: whether the board is arming; it stays True while arming pauses in a hold.
    """

    groups: list[NDArray[np.intp]] = field(default_factory=list)
    next_at: float = 0.0
    active: bool = False

    def begin(self, groups: Sequence[NDArray[np.intp]], chosen: NDArray[np.intp], now: float) -> None:
        """Starts with the first of the groups that hold a chosen actuator."""
        self.groups = [group for g in groups if (group := np.intersect1d(g, chosen)).size]
        self.next_at, self.active = now, True

    def is_due(self, now: float) -> bool:
        """Whether a group is left and its time has come."""
        return bool(self.groups) and now >= self.next_at

    def cancel(self) -> None:
        """Enables no further group."""
        self.groups = []


@dataclass
class FaultLog:
    """Faults of a board, in words.

    Attributes:
        latched: faults that stay until `clear`; each makes the face limp.
        silence: notice that the board held or went limp because targets stopped; "" if it did not.
        clamped: notice of the targets that were clamped last; "" if none was.
    """

    latched: list[str] = field(default_factory=list)
    silence: str = ""
    clamped: str = ""

    def latch(self, faults: Sequence[str]) -> None:
        """Adds faults, each once."""
        self.latched += [fault for fault in faults if fault not in self.latched]

    def clear(self) -> None:
        """Ends the latched faults; notices stay until the next arming."""
        self.latched = []

    def clear_notices(self) -> None:
        """Ends the notices, as arming does."""
        self.silence = self.clamped = ""

    @property
    def all(self) -> tuple[str, ...]:
        """Faults and notices."""
        return (*self.latched, *filter(None, (self.silence, self.clamped)))

    def __str__(self) -> str:
        return "; ".join(self.latched)


@dataclass
class SensorReading:
    """Values that a driver read in one exchange, one for each actuator of the face where it is an array.

    Attributes:
        temperature: of each servo [degrees Celsius]; NaN if unknown.
        load: of each servo, share of the stall torque with its sign; NaN if unknown.
        faults: faults in words; any of them makes the face limp.
        position: measured positions [raw]; None on boards that measure nothing.
        supply: lowest supply voltage of the servos [V]; NaN if unknown.
    """

    temperature: Floats
    load: Floats
    faults: list[str] = field(default_factory=list)
    position: Floats | None = None
    supply: float = float("nan")
