"""The map between commands and raw servo positions, which a calibration and its limits define."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eva_sim.contract import Floats
from eva_sim.real.boards.interface import BoardLimits


@dataclass(frozen=True)
class RawPositionMap:
    """Two straight lines per actuator, which meet at rest.

    Attributes:
        rest: command at rest, (A,).
        raw: raw position at rest, (A,).
        below, above: change of raw position per command on either side, (A,); zero without travel there.
        under, over: the same, but infinite without travel, where no raw position is a command.
        rising: positive if the raw position rises with the command.
    """

    rest: Floats
    raw: Floats
    below: Floats
    above: Floats
    under: Floats
    over: Floats
    rising: Floats

    @classmethod
    def of(cls, limits: BoardLimits, reversed_: NDArray[np.bool_], rest: Floats) -> RawPositionMap:
        """Puts the map together.

        Args:
            limits: ends of travel and rest of each actuator [raw].
            reversed_: whether the raw position falls as the command rises, (A,).
            rest: command at rest, (A,).
        """
        low = np.where(reversed_, limits.high, limits.low)
        high = np.where(reversed_, limits.low, limits.high)
        # If rest is an end of the commands, as for cables, that end is the rest position.
        low = np.where(rest <= -1, limits.rest, low)
        high = np.where(rest >= 1, limits.rest, high)
        widths = [np.where(width > 0, width, 1.0) for width in (rest + 1, 1 - rest)]
        below, above = (limits.rest - low) / widths[0], (high - limits.rest) / widths[1]
        under, over = (np.where(gain == 0, np.inf, gain) for gain in (below, above))
        return cls(rest, limits.rest, below, above, under, over, below + above)

    def to_raw(self, command: Floats) -> Floats:
        """Converts commands, (A,), to raw positions."""
        away = command - self.rest
        raw: Floats = self.raw + np.where(away < 0, self.below, self.above) * away
        return raw

    def to_command(self, raw: Floats) -> Floats:
        """Converts raw positions, (A,), to commands, clipped to [-1, 1]; NaN stays NaN."""
        away = raw - self.raw
        command = self.rest + away / np.where(away * self.rising < 0, self.under, self.over)
        return np.minimum(np.maximum(command, -1.0), 1.0)  # NaN stays

    def steepest(self) -> Floats:
        """The largest change of raw position per unit of command, (A,)."""
        return np.maximum(np.abs(self.below), np.abs(self.above))
