"""What a physical body measures beyond the face contract; recordings keep it to identify a robot from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Telemetry:
    """Raw values of one reading. Arrays are float32 (A,), one number for each actuator; NaN where unknown.

    Attributes:
        target: raw position that was sent to the board last [us or ticks, as the calibration].
        output: raw position that the board reported: that of a bus servo, or the pulse that a board puts out.
        temperature: of each servo [degrees Celsius].
        load: of each servo, share of its stall torque; negative in the direction of falling raw positions.
        supply: supply voltage of the servos [V].
        board_time: the board's own time of the report, since it was switched on [s].
        picture_time: time of exposure of the picture that was read, by the body's clock [s].
    """

    target: NDArray[np.float32]
    output: NDArray[np.float32]
    temperature: NDArray[np.float32]
    load: NDArray[np.float32]
    supply: float = np.nan
    board_time: float = np.nan
    picture_time: float = np.nan

    @classmethod
    def unknown(cls, actuators: int) -> Self:
        """Nothing known of this number of actuators."""
        row = np.full(actuators, np.nan, np.float32)
        return cls(target=row, output=row, temperature=row, load=row)
