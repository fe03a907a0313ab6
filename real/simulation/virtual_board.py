"""The virtual robot: our firmware, instruction by instruction, on a simulated microcontroller.

`SimulatedBoard` compiles firmware and simulator at first use (`build_firmware`) and starts the simulator as
a process of its own. Virtual time passes in lockstep: only while somebody sleeps on the board's clock. So a
run depends only on what was sent and when, to the byte.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import struct
import subprocess
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from eva_sim.clock import Clock, WallClock
from eva_sim.contract import Floats
from eva_sim.errors import RobotError
from eva_sim.files import Closing
from eva_sim.real.wire.firmware_table import channel_rows, robot_config

#: Of the simulated processor [1/s].
HERTZ = 16_000_000
#: What `build_firmware` needs: a program or header, and the Debian package it is in.
NEEDS = {
    "avr-gcc": "gcc-avr",
    "/usr/lib/avr/include/avr/io.h": "avr-libc",
    "/usr/include/simavr/sim_avr.h": "libsimavr-dev",
    "/usr/include/libelf.h": "libelf-dev",
    "cc": "gcc",
    "make": "make",
}
#: Called with time [s], channel, and width [us], NaN where limp.
Listener = Callable[[float, int, float], None]

_SOURCES = Path(__file__).resolve().parents[1]
_HEAD, _EVENT = struct.Struct("<QQII"), struct.Struct("<QBd")
_BROKEN = {"none": 0, "first": 1, "second": 2, "stuck": 4, "held": 8, "first cut": 16, "second cut": 32}


class FirmwareBuild(NamedTuple):
    """Where the compiled files are."""

    firmware: Path
    simulator: Path


def missing_packages() -> list[str]:
    """Debian packages that `build_firmware` lacks on this machine."""
    here = [Path(what).exists() if what.startswith("/") else shutil.which(what) for what in NEEDS]
    return [package for package, found in zip(NEEDS.values(), here, strict=True) if not found]


def build_firmware() -> FirmwareBuild:
    """Compiles firmware and simulator into the cache (EVA_CACHE, or the user's), unless they are there.

    Raises:
        RobotError: something to compile with is missing, or compiling failed.
    """
    folder = _cache() / _digest()
    built = FirmwareBuild(folder / "firmware.elf", folder / "simulator")
    if not (built.firmware.exists() and built.simulator.exists()):
        _compile(folder)
    return built


def _cache() -> Path:
    given = os.environ.get("EVA_CACHE") or os.environ.get("XDG_CACHE_HOME")
    return (Path(given) if given else Path.home() / ".cache") / "eva-sim"


def _digest() -> str:
    """Of all sources, so that a changed one is compiled again."""
    out = hashlib.sha256()
    for folder in ("firmware", "simulator"):
        for path in sorted((_SOURCES / folder).iterdir()):
            if path.suffix in (".c", ".h") or path.name == "Makefile":
                out.update(f"{folder}/{path.name}\0".encode() + path.read_bytes())
    return out.hexdigest()[:16]


def _compile(folder: Path) -> None:
    """Makes both beside `folder` and renames, so that of two processes at once none sees half of it."""
    if missing := missing_packages():
        raise RobotError(
            f"the virtual robot is compiled on this machine, which lacks {', '.join(missing)}: "
            f"apt-get install {' '.join(missing)}, or use the body 'mock'."
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".part-"))
    try:
        _make(_SOURCES / "firmware", part, "firmware.elf")
        _make(_SOURCES / "simulator", part, "simulator")
        with contextlib.suppress(OSError):  # somebody else was faster
            part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _make(sources: Path, out: Path, goal: str) -> None:
    command = ["make", "-s", "-C", str(sources), f"OUT={out}", str(out / goal)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RobotError(f"compiling {sources.name} failed: {done.stderr.strip()[-2000:]}")


class SimulatedBoard(Closing):
    """A board with its servos' wires, powered, the host's serial port plugged in.

    Args:
        robot: seed of all that differs between boards: noise, and so the id.
        realtime: instead of lockstep, time is the wall's and `port` a `serial.Serial` on a pseudo-terminal.
        eeprom: file that keeps the EEPROM; by default it is blank, and forgotten in the end.
        oscillators: relative errors of the two PCA9685s' clocks; real ones are up to 0.08 off.
        baud: of the host's side; by default the firmware's.

    Attributes:
        clock: virtual time, or the wall's.
        terminal: in real time, the path that any program may open instead of `port`; else empty.

    Raises:
        RobotError: it cannot be compiled here.
    """

    def __init__(
        self,
        robot: int = 0,
        realtime: bool = False,
        *,
        eeprom: str | os.PathLike[str] | None = None,
        oscillators: tuple[float, float] = (0.0, 0.0),
        baud: int | None = None,
    ) -> None:
        self.realtime, self._baud = realtime, baud or robot_config()["wire"]["baud"]
        self._pulses = np.full(len(channel_rows()), np.nan)
        self._listeners: list[Listener] = []
        self._due, self._asleep = 0, 0
        self._outgoing, self._incoming = bytearray(), bytearray()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # closed by close()
        self._lock = threading.Lock()
        self._process = self._start(robot, eeprom, oscillators)
        self.clock: Clock = WallClock() if realtime else VirtualClock(self)
        self._port: Any = None if realtime else VirtualPort(self)
        self.terminal = ""
        if realtime:
            self._go_live()

    def _start(
        self, robot: int, eeprom: str | os.PathLike[str] | None, oscillators: tuple[float, float]
    ) -> subprocess.Popen[bytes]:
        built = build_firmware()
        told = [str(built.simulator), str(built.firmware), f"--seed={robot}", f"--baud={self._baud}"]
        told.append(f"--oscillators={oscillators[0]!r},{oscillators[1]!r}")
        told += [] if eeprom is None else [f"--eeprom={os.fspath(eeprom)}"]
        told += ["--pty"] if self.realtime else []
        # A session of its own: Ctrl-C is for the host alone, which then still can disarm.
        return subprocess.Popen(
            told, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, start_new_session=True
        )

    @property
    def port(self) -> Any:
        """What the host opens. After `replug` it is another one; in real time it is opened when asked for."""
        if self._port is None:
            import serial

            self._port = serial.Serial(self.terminal, self._baud, timeout=0, write_timeout=1)
        return self._port

    @property
    def pulses(self) -> Floats:
        """What the servos get now, float64 (25,) by channel [us]; NaN where limp."""
        return self._pulses.copy()

    @property
    def busy(self) -> float:
        """Share of its time that the processor was awake, so far."""
        return 1.0 - self._asleep / self._due if self._due else 0.0

    def listen(self, callback: Listener) -> None:
        """Calls this for every change of a pulse, in order; in real time from a thread of its own."""
        self._listeners.append(callback)

    def run(self, duration: float) -> None:
        """Lets `duration` [s] pass, in lockstep; at least a cycle, so that who waits in small steps gets on.

        Raises:
            RobotError: the simulator ended.
        """
        self._due += max(1, round(duration * HERTZ))
        given = bytes(self._outgoing)
        self._outgoing.clear()
        self._tell(b"R", struct.pack("<QI", self._due, len(given)), given)
        self._hear()

    def hang(self) -> None:
        """The program runs into an endless loop with interrupts off."""
        self._tell(b"H")

    def supply(self, volts: float) -> None:
        """Sets the servos' supply."""
        self._tell(b"S", struct.pack("<I", round(1000 * volts)))

    def power_cycle(self) -> None:
        """Everything but the EEPROM and the servos' supply starts afresh."""
        self._tell(b"P")

    def break_bus(
        self, how: Literal["none", "first", "second", "stuck", "held", "first cut", "second cut"] = "stuck"
    ) -> None:
        """Does something to the bus.

        Args:
            how: the first or second PCA9685 stops answering; the bus is stuck for good, or held by one that
                waits for the rest of its byte; one is cut from its power for a moment. `"none"` mends it.
        """
        self._tell(b"B", struct.pack("<I", _BROKEN[how]))

    def set_baud(self, rate: int) -> None:
        """The host's side of the line goes on at another rate."""
        self._tell(b"L", struct.pack("<I", rate))

    def unplug(self) -> None:
        """Pulls the serial plug, as if in the middle of whatever is on the line.

        Raises:
            RobotError: in real time, where the operating system owns the terminal.
        """
        if self.realtime:
            raise RobotError("the virtual robot's plug can only be pulled in lockstep.")
        self._port.is_open = False
        self._outgoing.clear()
        self._incoming.clear()
        self._tell(b"U")

    def replug(self) -> None:
        """Plugs it in again; the host has to open the new `port`."""
        self._port.is_open = False
        self._port = VirtualPort(self)

    def close(self) -> None:
        """Ends the simulator. May be called twice."""
        if self._port is not None:
            self._port.close()
        assert self._process.stdin is not None and self._process.stdout is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        if self.realtime:
            self._reader.join()
        self._process.wait()
        self._process.stdout.close()
        self._errors.close()

    def _tell(self, *parts: bytes) -> None:
        assert self._process.stdin is not None
        try:
            with self._lock:
                self._process.stdin.write(b"".join(parts))
                self._process.stdin.flush()
        except (OSError, ValueError) as error:
            raise self._ended() from error

    def _hear(self) -> None:
        """One report: time, bytes sent, pulses that changed."""
        time, self._asleep, count, changes = _HEAD.unpack(self._take(_HEAD.size))
        self._due = max(self._due, time) if self.realtime else self._due
        self._incoming += self._take(count)
        for cycle, channel, width in _EVENT.iter_unpack(self._take(changes * _EVENT.size)):
            self._pulses[channel] = width
            for listener in self._listeners:
                listener(cycle / HERTZ, channel, width)

    def _take(self, count: int) -> bytes:
        assert self._process.stdout is not None
        data = self._process.stdout.read(count)
        if len(data) < count:
            raise self._ended()
        return data

    def _ended(self) -> RobotError:
        told = ""
        if not self._errors.closed:
            self._errors.seek(0)
            told = self._errors.read().decode(errors="replace").strip()[-500:]
        return RobotError(f"the virtual robot's simulator ended; start it again. {told}")

    def _go_live(self) -> None:
        (length,) = struct.unpack("<I", self._take(4))
        self.terminal = self._take(length).decode()
        self._reader = threading.Thread(target=self._follow, name="virtual robot", daemon=True)
        self._reader.start()

    def _follow(self) -> None:
        with contextlib.suppress(RobotError):  # it was closed
            while True:
                self._hear()


class VirtualPort:
    """The host's end of the line in lockstep, with what a link needs of `serial.Serial`.

    Attributes:
        is_open: until it is closed or the plug is pulled.
    """

    def __init__(self, machine: SimulatedBoard) -> None:
        self._machine, self.is_open = machine, True

    def write(self, data: bytes) -> int:
        """Puts bytes on the line; they go out, at the baud rate, while time passes.

        Raises:
            SerialException: the plug was pulled.
        """
        self._check()
        self._machine._outgoing += data
        return len(data)

    def read(self, size: int = 1) -> bytes:
        """At most `size` bytes of those that have arrived; never waits.

        Raises:
            SerialException: the plug was pulled.
        """
        self._check()
        taken = bytes(self._machine._incoming[:size])
        del self._machine._incoming[:size]
        return taken

    def close(self) -> None:
        self.is_open = False

    def _check(self) -> None:
        if not self.is_open:
            from serial import SerialException

            raise SerialException("the virtual port is closed or unplugged")


class VirtualClock(Clock):
    """Time that only passes while somebody sleeps."""

    def __init__(self, machine: SimulatedBoard) -> None:
        self._machine = machine

    def now(self) -> float:
        return self._machine._due / HERTZ

    def sleep(self, duration: float) -> None:
        if duration > 0:
            self._machine.run(duration)
