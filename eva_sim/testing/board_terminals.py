"""Boards in a process of their own, at pseudo-terminals, in real time: the far end of a serial port.

    with BoardProcess("maestro") as boards, boards.open_face() as face:
        face.reset()

A process of its own, because a fake that shares the interpreter of its host is late whenever its host works.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from typing import Any

import numpy as np

from eva_sim.contract import load_spec
from eva_sim.files import Closing
from eva_sim.real.boards.servo_bus import default_bus_ids
from eva_sim.real.calibration.model import Calibration
from eva_sim.real.opening import open_robot
from eva_sim.real.robot import RobotFace
from eva_sim.real.simulation.fake_bus import FakeDynamixel, FakeFeetech
from eva_sim.real.simulation.fake_line import FakeDevice, FakeLine, PtyLine
from eva_sim.real.simulation.fake_maestro import FakeMaestro
from eva_sim.real.simulation.mock_board import MockBoard, mock_id
from eva_sim.real.vision.camera_source import CameraSource
from eva_sim.testing.board_rigs import held_positions
from eva_sim.thread_priority import run_ahead

#: Kinds of boards; `"firmware"` is the rules of our firmware in Python.
KINDS = ("firmware", "maestro", "feetech", "dynamixel")
#: Interval at which the state of the servos is looked at [s].
LOOK = 0.005


class LateLine(FakeLine):
    """A line whose next answers may be late.

    Attributes:
        delays: of the next answers, one each [s].
    """

    def __init__(self, device: FakeDevice) -> None:
        super().__init__(device)
        self.delays = list[float]()

    def exchange(self, data: bytes) -> bytes:
        answer = super().exchange(data)
        if answer and self.delays:
            time.sleep(self.delays.pop(0))
        return answer


class _MockDevice(FakeDevice):
    """Our firmware's rules as a device at the far end of a line."""

    def __init__(self) -> None:
        super().__init__()
        self.board = MockBoard(load_spec(), realtime=True)

    def feed(self, data: bytes) -> bytes:
        self.board.port.write(data)
        return self.board.port.read(4096)

    def _packet(self) -> None:
        return None

    def _obey(self, packet: bytes) -> bytes:
        return b""


class BoardProcess(Closing):
    """A process with the board of one kind, or two Maestros; a context manager.

    Args:
        kind: one of `KINDS`.

    Attributes:
        kind: as given.
        port: the ports, as `make_face` takes them.
    """

    def __init__(self, kind: str) -> None:
        command = [sys.executable, "-m", "eva_sim.testing.board_terminals", kind]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self.kind, self.port = kind, str(self._ask("port"))

    def open_face(self, camera: CameraSource | None = None) -> RobotFace:
        """Opens the robot with the board, by the wall clock and with the nominal calibration."""
        spec, unit = load_spec(), "us" if self.kind in ("firmware", "maestro") else "ticks"
        robot_id = mock_id(0) if self.kind == "firmware" else "desk"
        calibration = Calibration.nominal(spec, robot_id, self.kind, unit)
        named = None if self.kind == "firmware" else robot_id
        return open_robot(self.port, camera, calibration, board=self.kind, robot_id=named)

    def delay_next_answer(self, delay: float) -> None:
        """Makes the next answer late [s]."""
        self._ask(f"late {delay}")

    @property
    def limp_count(self) -> int:
        """Number of times that driven servos have all gone limp."""
        return int(self._ask("limps"))

    @property
    def driven(self) -> bool:
        """Whether any servo is driven now."""
        return bool(self._ask("driven"))

    def close(self) -> None:
        """Ends the process. May be called twice."""
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        self._process.wait(10)

    def _ask(self, words: str) -> Any:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(words + "\n")
        return json.loads(self._process.stdout.readline())


class _Watch(threading.Thread):
    """Looks at the servos, and counts how often all go limp."""

    def __init__(self, devices: list[FakeDevice]) -> None:
        super().__init__(daemon=True)
        self._devices, self.driven, self.limps = devices, False, 0
        self._looking = threading.Lock()

    def run(self) -> None:
        run_ahead()
        while True:
            self.look()
            time.sleep(LOOK)

    def look(self) -> None:
        """Looks now; whoever asks gets the state of this moment, also on a busy computer."""
        with self._looking:
            driven = self._any_driven()
            self.limps += self.driven and not driven
            self.driven = driven

    def _any_driven(self) -> bool:
        first = self._devices[0]
        held = first.board.pulses if isinstance(first, _MockDevice) else held_positions(*self._devices)
        return not np.isnan(held).all()


def devices_of(kind: str) -> list[FakeDevice]:
    """Fakes of one robot's board: two Maestros at ports of their own, or one bus or board."""
    if kind == "firmware":
        return [_MockDevice()]
    if kind == "maestro":
        return [FakeMaestro([12]), FakeMaestro([12], channels=6)]
    ids = default_bus_ids(load_spec())
    return [FakeFeetech(ids) if kind == "feetech" else FakeDynamixel(ids)]


def serve(kind: str) -> None:
    """Serves a kind of board until standard input ends; answers each line in JSON."""
    run_ahead()  # a board has a processor of its own
    devices = devices_of(kind)
    lines = [LateLine(device) for device in devices]
    watch = _Watch(devices)
    with ExitStack() as stack:
        ends = [stack.enter_context(PtyLine(line)) for line in lines]
        watch.start()
        for words in sys.stdin:
            what, *rest = words.split()
            watch.look()
            if what == "late":
                lines[0].delays.append(float(rest[0]))
            answers = {
                "port": ",".join(end.name for end in ends),
                "limps": watch.limps,
                "driven": watch.driven,
            }
            print(json.dumps(answers.get(what)), flush=True)


if __name__ == "__main__":
    serve(sys.argv[1])
