"""What may go wrong, done on purpose: for the tests of faults and for benchmarks/faults.py.

Machines are a `MockBoard` or a `Machine` of `eva_sim.real.simulation.virtual_board`.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
import time
import tty
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy as np

from eva_sim.clock import Clock
from eva_sim.contract import Floats
from eva_sim.errors import MediaError
from eva_sim.real.boards.firmware import FirmwareBoard
from eva_sim.real.boards.interface import BoardStatus
from eva_sim.real.simulation.mock_board import MockBoard
from eva_sim.real.vision.camera_source import CameraSource, TimedImage
from eva_sim.real.wire.protocol import CHANNELS
from eva_sim.recording.reader import Recording, load_recording

ROOT = Path(__file__).resolve().parent.parent
#: What a board says of one lost frame.
UNANSWERED = "the board did not answer the last targets"
#: Time of one byte on the wire at 500,000 baud [s].
BYTE = 20e-6

Harm = Callable[[bytes], bytes]


class LineFilter:
    """A port whose bytes go through a function each way."""

    def __init__(self, port: Any, out: Any = bytes, back: Any = bytes) -> None:
        self._port, self.out, self.back = port, out, back

    def write(self, data: bytes) -> int:
        self._port.write(self.out(data))
        return len(data)

    def read(self, size: int) -> bytes:
        return self.back(self._port.read(size))

    def close(self) -> None:
        self._port.close()


def once(bit: int) -> Harm:
    """Flips one bit of what comes through, counted from the first byte, in whatever pieces it comes."""
    passed = 0

    def flip(data: bytes) -> bytes:
        nonlocal passed
        changed, at = bytearray(data), bit // 8 - passed
        passed += len(data)
        if 0 <= at < len(data):
            changed[at] ^= 1 << bit % 8
        return bytes(changed)

    return flip


def only(count: int) -> Harm:
    """Lets the first bytes through and no more, in whatever pieces they come."""
    passed = 0

    def cut(data: bytes) -> bytes:
        nonlocal passed
        kept = data[: max(0, count - passed)]
        passed += len(data)
        return kept

    return cut


def shuffled(how: str) -> Harm:
    """What a bad line may do to whole frames."""
    held: list[bytes] = []

    def pass_on(data: bytes) -> bytes:
        if how == "twice":
            return data + data
        if how == "late":
            held.append(data)
            return held.pop(0) if len(held) > 3 else b""
        if how == "swapped":
            held.append(data)
            return b"" if len(held) < 2 else held.pop() + held.pop()
        return data[: len(data) // 2] if len(data) % 2 else data

    return pass_on


def spoil(
    board: FirmwareBoard, port: LineFilter, clock: Clock, way: str, harm: Harm, aim: Floats
) -> tuple[BoardStatus, BoardStatus]:
    """Harms one exchange of targets; what the host is told then, and two good exchanges later."""
    setattr(port, way, harm)
    told = board.send(aim)
    setattr(port, way, bytes)
    clock.sleep(0.006)
    for _ in range(2):  # a frame without its 00 takes the next one along
        after = board.send(aim)
        clock.sleep(0.02)
    return told, after


def pull_plug(machine: Any, frame: bytes, count: int) -> None:
    """Writes a frame and pulls the plug when `count` of its bytes have passed."""
    if isinstance(machine, MockBoard):
        machine.port.write(frame[:count])
        machine.port.unplug()
        return
    machine.port.write(frame)
    machine.clock.sleep((count + 0.5) * BYTE)
    machine.unplug()


def plug_in(machine: Any) -> None:
    """Puts the plug back."""
    (machine.port if isinstance(machine, MockBoard) else machine).replug()


class Blink(CameraSource):
    """An eye that may be closed or lost."""

    def __init__(self) -> None:
        self.time, self.error = 0.0, ""

    def latest_image(self) -> TimedImage:
        if self.error:
            raise MediaError(self.error)
        self.time += 0.04
        return TimedImage(self.time, np.full((120, 160, 3), 90, np.uint8))


class Terminal:
    """A mock in real time at the other end of a pseudo-terminal, served by a thread."""

    def __init__(self) -> None:
        self.machine = MockBoard(realtime=True)
        self.clock = self.machine.clock
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.terminal, self._ended = os.ttyname(self._slave), False
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def listen(self, callback: Any) -> None:
        self.machine.listen(callback)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended = True
        self._thread.join()
        os.close(self._slave)
        os.close(self._master)

    def _serve(self) -> None:
        while not self._ended:
            if select.select([self._master], [], [], 0.002)[0]:
                self.machine.port.write(os.read(self._master, 4096))
                os.write(self._master, self.machine.port.read(4096))
            self.machine.advance()


#: Moves all channels to and fro for ever.
MOVER = """
import sys, time
from eva_sim.real.boards.firmware import FirmwareBoard
from eva_sim.real.calibration.model import Calibration
from eva_sim.clock import WallClock
from eva_sim.contract import load_spec
from eva_sim.real.wire.link import Link
from eva_sim.real.wire.serial_ports import open_serial
board = FirmwareBoard(Link(open_serial(sys.argv[1]), WallClock()))
calibration = Calibration.nominal(load_spec(), board.identity.robot)
board.configure(calibration.limits, calibration.crc)
board.arm(range(25))
while True:
    for end in (["low"] * 8 + ["high"] * 8):
        board.send(getattr(calibration.limits, end))
        time.sleep(0.01)
"""


def start(script: str, *arguments: str, **options: Any) -> subprocess.Popen[Any]:
    """A Python process of its own in this repository."""
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, **options,
    )  # fmt: skip


def kill_mover(terminal: str, watcher: Any) -> float:
    """Kills a process that moves the face behind a terminal; waits until it is limp.

    The watcher knows the rest. Returned is the board's time of the last pulse before the kill [s], which is
    at most a wire period, and what the pulses take to be told, before it. On a busy computer a mover may
    give its link up before it is killed; then another one is started.
    """
    for _ in range(5):
        killed = _move_and_kill(terminal, watcher)
        wait_until(lambda: watcher.limp)
        if killed is not None:
            return killed
    raise AssertionError("movers end before they can be killed; is the computer that busy?")


def _move_and_kill(terminal: str, watcher: Any) -> float | None:
    """When it was killed; None if it ended by itself."""
    begin = watcher.events
    if watcher.armable is not None:
        watcher.armable = set(range(CHANNELS))
    mover = start(MOVER, terminal, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: watcher.events - begin > 400 or mover.poll() is not None)
        killed = float(watcher.moved_at) if mover.poll() is None else None
    finally:
        mover.send_signal(signal.SIGKILL)
        mover.wait()
    return killed


def wait_until(condition: Callable[[], bool]) -> None:
    for _ in range(3000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it never happened")


#: Records a face for ever and says after each move which frame the caller may count on, and its time.
RECORD_FOREVER = """
import sys
from eva_sim.clock import WallClock
from eva_sim.recording.recorder import record_face
{opening}
class Ticks(WallClock):
    def now(self):
        self.last = super().now()
        return self.last
clock = Ticks()
with record_face(face, sys.argv[1], clock=clock) as recorded:
    recorded.reset(3)
    number = 0
    while True:
        recorded.move(recorded.spec.neutral)
        number += 1
        print(number, clock.last, flush=True)
"""


class Killed(NamedTuple):
    """A recording whose process was killed.

    Attributes:
        promised: number of the last frame that the recorder said it had.
        late: how much of it is lost [s].
        back: what the disk has.
    """

    promised: int
    late: float
    back: Recording


def kill_recorder(folder: Path, opening: str, frames: int) -> Killed:
    """Lets a process record `face`, as some lines open it, for `frames` moves; then SIGKILL."""
    script = RECORD_FOREVER.format(opening=opening)
    with start(script, str(folder), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(frames)]
        process.send_signal(signal.SIGKILL)
        lines += process.stdout.readlines()
    if not lines[0]:
        raise AssertionError("the recorder ended by itself")
    number, wall = [line for line in lines if line.endswith("\n")][-1].split()
    back = load_recording(folder)
    return Killed(int(number), float(wall) - float(back.wall[-1]), back)
