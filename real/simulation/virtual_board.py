"""The virtual robot: our firmware, instruction by instruction, on a simulated microcontroller.

`SimulatedBoard` compiles firmware and simulator at first use (`build_firmware`) and starts the simulator as
a process of its own. Virtual time passes in lockstep, only during a sleep on the board's clock, so a run
depends only on the bytes that were sent and their times, and repeats to the byte.
"""

from __future__ import annotations

import contextlib
import os
import struct
import threading
from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from eva_sim.clock import Clock, WallClock
from eva_sim.contract import FaceSpec, Floats
from eva_sim.errors import RobotError
from eva_sim.files import Closing
from eva_sim.optional import import_optional
from eva_sim.real.simulation.firmware_build import build_firmware, compiled_table_crc
from eva_sim.real.simulation.simulator_process import HERTZ, SimulatorProcess
from eva_sim.real.simulation.virtual_port import VirtualClock, VirtualPort
from eva_sim.real.wire.firmware_table import robot_config, table_crc

#: Called with time [s], channel, and width [us], NaN where limp.
Listener = Callable[[float, int, float], None]

_BROKEN = {"none": 0, "first": 1, "second": 2, "stuck": 4, "held": 8, "first cut": 16, "second cut": 32}


class SimulatedBoard(Closing):
    """Our firmware on a simulated microcontroller with two PCA9685.

    Args:
        spec: the face; the firmware is compiled for EVA's tables only.
        seed: seed of the hidden robot, which determines the board's id.
        realtime: whether its time is the wall clock's; else it passes in lockstep with the host.
        eeprom: file that keeps the EEPROM; by default it is forgotten.
        oscillators: relative error of the clock of each PCA9685.
        baud: baud rate of the host's side of the line; by default that of `robot.toml`.

    Attributes:
        spec: the face.
        clock: clock of the board.
        realtime: whether its time is the wall clock's.
        terminal: in real time, path of the terminal that any program may open instead of `port`; else empty.

    Raises:
        RobotError: the firmware cannot be compiled here, or is for other tables than those of this face.
    """

    def __init__(
        self,
        spec: FaceSpec,
        seed: int = 0,
        realtime: bool = False,
        *,
        eeprom: str | os.PathLike[str] | None = None,
        oscillators: tuple[float, float] = (0.0, 0.0),
        baud: int | None = None,
    ) -> None:
        if table_crc(spec) != compiled_table_crc():
            raise RobotError(
                "the firmware in real/firmware is compiled for EVA's tables, not for those of this face; "
                "use the body 'mock', or make table.h for it (tools/build_table.py)."
            )
        self.spec, self.realtime = spec, realtime
        self._baud = baud or robot_config(spec)["wire"]["baud"]
        self._pulses = np.full(len(spec), np.nan)
        self._listeners: list[Listener] = []
        self._due, self._asleep = 0, 0
        self._outgoing, self._incoming = bytearray(), bytearray()
        self._process = SimulatorProcess(self._command_line(seed, eeprom, oscillators))
        self.clock: Clock = WallClock() if realtime else VirtualClock(lambda: self._due / HERTZ, self.run)
        self._port: Any = None if realtime else self._new_port()
        self.terminal = ""
        if realtime:
            self._start_reader()

    def _command_line(
        self, seed: int, eeprom: str | os.PathLike[str] | None, oscillators: tuple[float, float]
    ) -> list[str]:
        built = build_firmware()
        arguments = [str(built.simulator), str(built.firmware), f"--seed={seed}", f"--baud={self._baud}"]
        arguments.append(f"--oscillators={oscillators[0]!r},{oscillators[1]!r}")
        arguments += [] if eeprom is None else [f"--eeprom={os.fspath(eeprom)}"]
        arguments += ["--pty"] if self.realtime else []
        return arguments

    def _new_port(self) -> VirtualPort:
        return VirtualPort(self._outgoing, self._incoming)

    @property
    def port(self) -> Any:
        """Port that the host uses; another one after `replug`. In real time it is opened at first use."""
        if self._port is None:
            serial = import_optional("serial", "real", RobotError)
            self._port = serial.Serial(self.terminal, self._baud, timeout=0, write_timeout=1)
        return self._port

    @property
    def pulses(self) -> Floats:
        """Pulses of the servos now, by channel [us]; NaN where limp."""
        return self._pulses.copy()

    @property
    def busy(self) -> float:
        """Share of the time so far in which the processor was awake."""
        return 1.0 - self._asleep / self._due if self._due else 0.0

    def listen(self, callback: Listener) -> None:
        """Calls `callback` for every change of a pulse, in order; in real time from another thread."""
        self._listeners.append(callback)

    def run(self, duration: float) -> None:
        """Lets `duration` [s] pass, in lockstep; at least one cycle, so that repeated short sleeps end.

        Raises:
            RobotError: the simulator ended.
        """
        self._due += max(1, round(duration * HERTZ))
        data = bytes(self._outgoing)
        self._outgoing.clear()
        self._process.send(b"R", struct.pack("<QI", self._due, len(data)), data)
        self._read_report()

    def hang(self) -> None:
        """Lets the firmware run into an endless loop with interrupts off."""
        self._process.send(b"H")

    def supply(self, volts: float) -> None:
        """Sets the voltage of the servos [V]."""
        self._process.send(b"S", struct.pack("<I", round(1000 * volts)))

    def power_cycle(self) -> None:
        """Restarts everything but the EEPROM and the servos' supply."""
        self._process.send(b"P")

    def break_bus(
        self, fault: Literal["none", "first", "second", "stuck", "held", "first cut", "second cut"] = "stuck"
    ) -> None:
        """Injects a fault into the I2C bus.

        Args:
            fault: the first or second PCA9685 stops answering; the bus is stuck for good, or held by a chip
                that waits for the rest of its byte; one chip loses its power for a moment. `"none"` ends it.
        """
        self._process.send(b"B", struct.pack("<I", _BROKEN[fault]))

    def flip_bus_bit(self, bit: int) -> None:
        """Flips one bit on the I2C bus, after `bit` others have passed."""
        self._process.send(b"F", struct.pack("<I", bit))

    def set_baud(self, rate: int) -> None:
        """Changes the baud rate of the host's side of the line."""
        self._process.send(b"L", struct.pack("<I", rate))

    def unplug(self) -> None:
        """Pulls the serial plug, in the middle of the bytes that are on the line.

        Raises:
            RobotError: in real time, where the operating system owns the terminal.
        """
        if self.realtime:
            raise RobotError("the virtual robot's plug can only be pulled in lockstep.")
        self._port.is_open = False
        self._outgoing.clear()
        self._incoming.clear()
        self._process.send(b"U")

    def replug(self) -> None:
        """Puts the plug in again; the host has to open the new `port`."""
        self._port.is_open = False
        self._port = self._new_port()

    def close(self) -> None:
        """Ends the simulator. May be called twice."""
        if self._port is not None:
            self._port.close()
        self._process.end_input()
        if self.realtime:
            self._reader.join()
        self._process.close()

    def _read_report(self) -> None:
        report = self._process.read_report()
        self._asleep = report.asleep
        self._due = max(self._due, report.time) if self.realtime else self._due
        self._incoming += report.sent
        for cycle, channel, width in report.events:
            self._pulses[channel] = width
            for listener in self._listeners:
                listener(cycle / HERTZ, channel, width)

    def _start_reader(self) -> None:
        self._process.run_ahead()
        (length,) = struct.unpack("<I", self._process.read(4))
        self.terminal = self._process.read(length).decode()
        self._reader = threading.Thread(target=self._read_reports, name="virtual robot", daemon=True)
        self._reader.start()

    def _read_reports(self) -> None:
        with contextlib.suppress(RobotError):  # the board was closed
            while True:
                self._read_report()
