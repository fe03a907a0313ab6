"""Faults that are injected on purpose, for the tests of faults and for `conformance/`.

A machine is a `MockBoard` or a `SimulatedBoard` of `eva_sim.real.simulation.virtual_board`.
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
from typing import Any, NamedTuple, Self

import numpy as np

from eva_sim.clock import Clock
from eva_sim.contract import Floats, load_spec
from eva_sim.errors import MediaError
from eva_sim.real.boards.firmware import FirmwareBoard
from eva_sim.real.boards.interface import BoardStatus
from eva_sim.real.simulation.mock_board import MockBoard
from eva_sim.real.vision.camera_source import CameraSource, TimedImage
from eva_sim.recording.reader import Recording, load_recording

ROOT = Path(__file__).resolve().parents[2]
#: Time of one byte on the wire at 500,000 baud [s].
BYTE = 20e-6

Disturbance = Callable[[bytes], bytes]


class LineFilter:
    """A port whose bytes pass through a function in each direction.

    Attributes:
        out: function for bytes to the board.
        back: function for bytes from the board.
    """

    def __init__(self, port: Any, out: Any = bytes, back: Any = bytes) -> None:
        self._port, self.out, self.back = port, out, back

    def write(self, data: bytes) -> int:
        """Sends bytes through `out`."""
        self._port.write(self.out(data))
        return len(data)

    def read(self, size: int) -> bytes:
        return self.back(self._port.read(size))

    def close(self) -> None:
        self._port.close()


class LateAnswers:
    """Passes answers on only some time after they came, as a computer does that is too busy.

    Args:
        clock: counts the time.
        latency: that time [s].
    """

    def __init__(self, clock: Clock, latency: float) -> None:
        self._clock, self._latency, self._coming = clock, latency, list[tuple[float, bytes]]()

    def __call__(self, data: bytes) -> bytes:
        now = self._clock.now()
        self._coming += [(now + self._latency, data)] if data else []
        due = [coming for coming in self._coming if coming[0] <= now]
        self._coming = self._coming[len(due) :]
        return b"".join(answer for _, answer in due)


def flip_bit(bit: int) -> Disturbance:
    """Flips one bit, counted from the first byte, in whatever pieces the bytes come."""
    passed = 0

    def flip(data: bytes) -> bytes:
        nonlocal passed
        changed, at = bytearray(data), bit // 8 - passed
        passed += len(data)
        if 0 <= at < len(data):
            changed[at] ^= 1 << bit % 8
        return bytes(changed)

    return flip


def cut_after(count: int) -> Disturbance:
    """Passes the first `count` bytes and drops the rest, in whatever pieces they come."""
    passed = 0

    def cut(data: bytes) -> bytes:
        nonlocal passed
        kept = data[: max(0, count - passed)]
        passed += len(data)
        return kept

    return cut


def disturb_frames(disturbance: str) -> Disturbance:
    """Disturbs whole frames: `"twice"`, `"late"`, `"swapped"`, or any other name to truncate."""
    held: list[bytes] = []

    def pass_on(data: bytes) -> bytes:
        if disturbance == "twice":
            return data + data
        if disturbance == "late":
            held.append(data)
            return held.pop(0) if len(held) > 3 else b""
        if disturbance == "swapped":
            held.append(data)
            return b"" if len(held) < 2 else held.pop() + held.pop()
        return data[: len(data) // 2] if len(data) % 2 else data

    return pass_on


def disturb_exchange(
    board: FirmwareBoard,
    port: LineFilter,
    clock: Clock,
    direction: str,
    disturbance: Disturbance,
    aim: Floats,
) -> tuple[BoardStatus, BoardStatus]:
    """Disturbs one exchange of targets; the status then, and two good exchanges later."""
    setattr(port, direction, disturbance)
    during = board.send(aim)
    setattr(port, direction, bytes)
    clock.sleep(0.006)
    for _ in range(2):  # a frame without its 00 takes the next one along
        after = board.send(aim)
        clock.sleep(0.02)
    return during, after


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


class FailingCamera(CameraSource):
    """A camera of a grey picture that may fail.

    Attributes:
        time: time of the last picture [s].
        error: message of the error that every picture raises; empty for none.
    """

    def __init__(self) -> None:
        self.time, self.error = 0.0, ""

    def latest_image(self) -> TimedImage:
        if self.error:
            raise MediaError(self.error)
        self.time += 0.04
        return TimedImage(self.time, np.full((120, 160, 3), 90, np.uint8))


class MockTerminal:
    """A mock in real time at the other end of a pseudo-terminal, served by a thread.

    Attributes:
        machine: the mock.
        clock: its clock.
        terminal: path of the terminal.
    """

    def __init__(self) -> None:
        self.machine = MockBoard(load_spec(), realtime=True)
        self.clock = self.machine.clock
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.terminal, self._ended = os.ttyname(self._slave), False
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def listen(self, callback: Any) -> None:
        """Calls `callback` at every change of a pulse."""
        self.machine.listen(callback)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
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


#: A program that moves all channels between both ends without end.
MOVER = """
import sys, time
from eva_sim.real.boards.firmware import FirmwareBoard
from eva_sim.real.calibration.model import Calibration
from eva_sim.clock import WallClock
from eva_sim.contract import load_spec
from eva_sim.real.wire.firmware_table import robot_config
from eva_sim.real.wire.link import Link
from eva_sim.real.wire.serial_ports import open_serial
spec = load_spec()
board = FirmwareBoard(spec, Link(open_serial(sys.argv[1], robot_config(spec)["wire"]["baud"]), WallClock()))
calibration = Calibration.nominal(spec, board.identity.robot_id)
board.configure(calibration.limits, calibration.crc)
board.arm(range(len(spec)))
while True:
    for end in (["low"] * 8 + ["high"] * 8):
        board.send(getattr(calibration.limits, end))
        time.sleep(0.01)
"""


def start_python(script: str, *arguments: str, **options: Any) -> subprocess.Popen[Any]:
    """Starts a Python process in this repository."""
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, **options,
    )  # fmt: skip


def kill_mover(terminal: str, watcher: Any) -> float:
    """Kills a process that moves the face behind a terminal; waits until it is limp.

    On a busy computer the process may give up its link before it is killed; then another one is started.

    Returns:
        The board's time of the last pulse before the kill [s]. It is earlier than the kill by at most a wire
        period and the delay with which pulses are reported.
    """
    for _ in range(5):
        killed = _move_and_kill(terminal, watcher)
        wait_until(lambda: watcher.limp)
        if killed is not None:
            return killed
    raise AssertionError("processes end before they can be killed; is the computer busy?")


def _move_and_kill(terminal: str, watcher: Any) -> float | None:
    """Time at which it was killed; None if it ended by itself."""
    begin = watcher.events
    if watcher.armable is not None:
        watcher.armable = set(range(len(load_spec())))
    mover = start_python(MOVER, terminal, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: watcher.events - begin > 400 or mover.poll() is not None)
        killed = float(watcher.moved_at) if mover.poll() is None else None
    finally:
        mover.send_signal(signal.SIGKILL)
        mover.wait()
    return killed


def wait_until(condition: Callable[[], bool]) -> None:
    """Waits for a condition; fails after 30 s."""
    for _ in range(3000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it never happened")


#: A program that records a face without end; after each move it prints the number of the last frame that
#: must be on disk, and its time.
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


class KilledRecording(NamedTuple):
    """A recording whose process was killed.

    Attributes:
        promised: number of the last frame that the recorder reported.
        late: time at the end that is lost [s].
        back: the recording on disk.
    """

    promised: int
    late: float
    back: Recording


def kill_recorder(folder: Path, opening: str, frames: int) -> KilledRecording:
    """Lets a process record a face for some moves, then kills it.

    Args:
        folder: folder of the recording.
        opening: lines of Python that open `face`.
        frames: number of moves before SIGKILL.
    """
    script = RECORD_FOREVER.format(opening=opening)
    with start_python(script, str(folder), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(frames)]
        process.send_signal(signal.SIGKILL)
        lines += process.stdout.readlines()
    if not lines[0]:
        raise AssertionError("the recorder ended by itself")
    number, wall = [line for line in lines if line.endswith("\n")][-1].split()
    back = load_recording(folder)
    return KilledRecording(int(number), float(wall) - float(back.wall[-1]), back)
