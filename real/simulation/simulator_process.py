"""The process that simulates the microcontroller, and its messages; see real/firmware_simulator/README.md."""

from __future__ import annotations

import contextlib
import struct
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from typing import NamedTuple

from eva_sim.errors import RobotError
from eva_sim.thread_priority import run_ahead

#: Clock of the simulated processor [1/s].
HERTZ = 16_000_000
_HEAD, _EVENT = struct.Struct("<QQII"), struct.Struct("<QBd")


class SimulatorReport(NamedTuple):
    """A report of the simulator.

    Attributes:
        time: time of the simulation [cycles].
        asleep: part of it in which the processor was asleep [cycles].
        sent: bytes that the board has sent since the last report.
        events: changes of pulses since then: time [cycles], channel, width [us], NaN where limp.
    """

    time: int
    asleep: int
    sent: bytes
    events: list[tuple[int, int, float]]


class SimulatorProcess:
    """A running simulator.

    Args:
        arguments: its command line.

    Raises:
        RobotError: it cannot be started.
    """

    def __init__(self, arguments: Sequence[str]) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # closed by close()
        self._lock = threading.Lock()
        # A session of its own: Ctrl-C is for the host alone, which then can still disarm.
        try:
            self._process = subprocess.Popen(
                list(arguments),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                start_new_session=True,
            )
        except OSError as error:  # a disk on which no file may be executed
            self._errors.close()
            raise RobotError(
                f"{error.filename}: {error.strerror}; set EVA_CACHE to another folder."
            ) from error

    def run_ahead(self) -> None:
        """Lets it run ahead of other programs: a board in real time has a processor of its own."""
        run_ahead(self._process.pid)

    def send(self, *parts: bytes) -> None:
        """Sends a command.

        Raises:
            RobotError: the simulator has ended.
        """
        assert self._process.stdin is not None
        try:
            with self._lock:
                self._process.stdin.write(b"".join(parts))
                self._process.stdin.flush()
        except (OSError, ValueError) as error:
            raise self._ended() from error

    def read(self, count: int) -> bytes:
        """Reads exactly `count` bytes.

        Raises:
            RobotError: the simulator has ended.
        """
        assert self._process.stdout is not None
        data = self._process.stdout.read(count)
        if len(data) < count:
            raise self._ended()
        return data

    def read_report(self) -> SimulatorReport:
        """Waits for the next report.

        Raises:
            RobotError: the simulator has ended.
        """
        time, asleep, count, changes = _HEAD.unpack(self.read(_HEAD.size))
        sent = self.read(count)
        return SimulatorReport(time, asleep, sent, list(_EVENT.iter_unpack(self.read(changes * _EVENT.size))))

    def end_input(self) -> None:
        """Closes the simulator's input, after which it ends by itself."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()

    def kill(self) -> None:
        """Ends the simulator at once."""
        self._process.kill()

    def close(self) -> None:
        """Waits until the simulator has ended. May be called twice."""
        assert self._process.stdout is not None
        self.end_input()
        self._process.wait()
        self._process.stdout.close()
        self._errors.close()

    def _ended(self) -> RobotError:
        message = ""
        if not self._errors.closed:
            self._errors.seek(0)
            message = self._errors.read().decode(errors="replace").strip()[-500:]
        return RobotError(f"the virtual robot's simulator ended; start it again. {message}")
