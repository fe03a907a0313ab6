"""The operations that a driver adds to a board whose rules the host keeps."""

from __future__ import annotations

import abc

import numpy as np
from numpy.typing import NDArray

from eva_sim.contract import Floats
from eva_sim.real.boards.host_state import SensorReading
from eva_sim.real.boards.interface import Board, BoardLimits
from eva_sim.real.wire.bus_port import BusPort


class DriverOperations(Board):
    """What a `HostManagedBoard` asks of its driver. Arrays have one number for each actuator [raw]."""

    @abc.abstractmethod
    def _enable(self, channels: NDArray[np.intp], start: Floats) -> None:
        """Makes these channels hold `start` [raw], an array of all actuators; other entries do not count."""

    @abc.abstractmethod
    def _send_positions(self, positions: Floats) -> None:
        """Sends positions of all actuators [raw]; a channel with NaN must stay limp."""

    @abc.abstractmethod
    def _torque_off(self) -> None:
        """Makes all channels limp, and reads back that they are.

        It is also the first operation on a board, when nothing is known about its state.

        Raises:
            NoAnswerError: nothing answers (`LinkError`: the line is lost, or something stays driven).
        """

    @abc.abstractmethod
    def _read_sensors(self, fully: bool) -> SensorReading:
        """Reads the board's sensors; all of them if `fully`, else those that one exchange can read.

        Raises:
            NoAnswerError: the board does not answer (`LinkError`: the line is lost).
        """

    @abc.abstractmethod
    def _torque_off_packets(self) -> dict[BusPort, bytes]:
        """Packets for each port that make everything limp, whichever process writes them."""

    @abc.abstractmethod
    def _close_port(self) -> None:
        """Closes the port. May be called twice."""

    def _store_limits(self, limits: BoardLimits) -> None:
        """Writes limits into the board, if it keeps any."""

    def _recover(self) -> None:
        """Prepares the board for use after a fault."""
