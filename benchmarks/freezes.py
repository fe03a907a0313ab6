"""Freezes the program that moves a robot, many times, by the wall clock; docs/faults.md has the results.

    python -m benchmarks.freezes                        # 200 freezes on each of five boards; over an hour
    python -m benchmarks.freezes --board feetech --count 20 --out out/feetech
    python -m benchmarks.freezes --body mock            # the same as --board mock

A process opens a face, arms it when a person says so, moves it and records it. It gets SIGSTOP at a random
moment of connecting, arming or moving, and SIGCONT 0.1 to 5 s later. Then it goes on as if nothing had been.
Once all servos are limp, none may be driven before a person has armed again. Everything that was recorded
before the freeze must be in the recording. Each pulse of the mock and of the virtual board must keep limits,
slew and rest, too. A run that was stopped continues; the exit status is 1 if anything was driven or lost, or
broke these rules.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from eva_sim.contract import load_spec
from eva_sim.errors import DataError
from eva_sim.files import read_json, write_json
from eva_sim.progress import progress
from eva_sim.real.simulation.fake_bus import FakeDynamixel, FakeFeetech
from eva_sim.real.simulation.fake_line import FakeDevice, FakeLine, PtyLine
from eva_sim.real.simulation.fake_maestro import FakeMaestro
from eva_sim.recording.reader import load_recording
from eva_sim.testing.board_rigs import held_positions
from eva_sim.testing.fault_injection import MockTerminal, start_python
from eva_sim.testing.pulse_watcher import PulseWatcher

SPEC = load_spec()
BOARDS = ("mock", "virtual", "maestro", "feetech", "dynamixel")
#: Lengths of a freeze [s], the time in which it begins, and how long the board is watched afterwards [s].
LENGTHS, MOMENTS, WATCHED = (0.1, 5.0), (0.0, 1.5), 0.8
#: Longest wait for a word of the program [s].
PATIENCE = 60.0

#: The program. It prints "ask" before it arms, waits for a line, and prints the number of frames after each
#: move. A fault ends the recording; then it asks again.
HOST = """
import sys, itertools
import numpy as np
from eva_sim import make_face
from eva_sim.errors import EvaError
from eva_sim.real.calibration.model import Calibration
from eva_sim.contract import load_spec
from eva_sim.recording.recorder import record_face
kind, port, folder = sys.argv[1:]
spec, unit = load_spec(), "us" if kind in ("maestro", "firmware") else "ticks"
def calibration():
    if kind != "firmware":
        return Calibration.nominal(spec, "r", kind, unit)
    from eva_sim.real.boards.registry import board_opener
    board = board_opener(spec, kind, port)()
    board.close()
    return Calibration.nominal(spec, board.identity.robot_id)
own = {} if kind == "firmware" else {"robot_id": "r"}
known = calibration()
for number in itertools.count():
    print("ask", number, flush=True)
    sys.stdin.readline()
    try:
        with make_face("robot", board=kind, port=port, camera=None, calibration=known, **own) as face:
            with record_face(face, f"{folder}/{number}", pictures=False) as recorded:
                recorded.reset()
                for n in itertools.count(1):
                    recorded.move(np.sin(n / 8 + np.arange(25)).astype(np.float32))
                    print("frame", n, flush=True)
    except EvaError as error:
        print("end", number, str(error).replace("\\n", " "), flush=True)
"""


class Watched(Protocol):
    """The servos' side of a board.

    Attributes:
        port: where the program reaches it.
        wrong: pulses that broke another rule, in words; only of boards whose every pulse is seen.
    """

    port: str
    wrong: list[str]

    @property
    def woken(self) -> int:
        """Number of times that a servo was driven though nobody had armed since all were limp."""

    def allow(self) -> None:
        """A person arms: servos may be driven, until all are limp again."""

    @property
    def limp(self) -> bool:
        """Whether no servo is driven."""


class WatchedDevice:
    """A fake of another maker's board, at a terminal; every packet is looked at."""

    def __init__(self, device: FakeDevice, port: str) -> None:
        self.device, self.port, self.woken, self.wrong = device, port, 0, list[str]()
        self._allowed = self._armed = False
        self._seen, self._limp = len(device.driven), self.limp
        self._feed = device.feed
        device.feed = self._watched  # type: ignore[method-assign]

    def allow(self) -> None:
        self._allowed = True

    @property
    def limp(self) -> bool:
        return bool(np.isnan(held_positions(self.device)).all())

    def _watched(self, data: bytes) -> bytes:
        answer = self._feed(data)
        driven = any(position for _, position in self.device.driven[self._seen :])
        self._seen = len(self.device.driven)
        self.woken += driven and self._limp and not self._allowed
        self._armed |= driven and self._allowed
        limp = self.limp
        if limp and self._armed:  # what a person allowed is over
            self._allowed = self._armed = False
        self._limp = limp
        return answer


class WatchedPulses(PulseWatcher):
    """The pulses of the mock or of the virtual board, at a terminal."""

    def __init__(self, machine: Any, grain: float) -> None:
        super().__init__(machine, grain)
        self.port, self.armable = machine.terminal, set()

    @property
    def woken(self) -> int:
        """See `Watched`."""
        return self.rearmed

    def allow(self) -> None:
        """See `Watched`."""
        self.armable = set(range(len(SPEC)))


@contextmanager
def open_watched(board: str) -> Iterator[Watched]:
    """A board of this kind at a terminal, watched on the servos' side."""
    with ExitStack() as stack:
        if board == "mock":
            terminal = MockTerminal()
            watched: Watched = WatchedPulses(terminal, 0.25)
            stack.enter_context(terminal)
        elif board == "virtual":
            from eva_sim.real.simulation.virtual_board import SimulatedBoard

            watched = WatchedPulses(stack.enter_context(SimulatedBoard(SPEC, realtime=True)), 5.0)
        else:
            ids = range(1, 26)
            device = {"maestro": FakeMaestro, "feetech": FakeFeetech, "dynamixel": FakeDynamixel}[board]
            made = device() if board == "maestro" else device(ids)
            line = stack.enter_context(PtyLine(FakeLine(made)))
            watched = WatchedDevice(made, line.name)
        yield watched


class Program:
    """The program under test, and a person who answers it.

    Args:
        board: kind of the board.
        watched: the board.
        folder: folder for its recordings.
    """

    def __init__(self, board: str, watched: Watched, folder: Path) -> None:
        kind = "firmware" if board in ("mock", "virtual") else board
        self._watched, self._folder = watched, folder
        self._process = start_python(
            HOST, kind, watched.port, str(folder),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        self._said: queue.Queue[list[str]] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()
        self.asks, self.lost = False, 0
        self._number, self._frames = -1, 0
        self._follow(PATIENCE, until_asked=True)

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._said.put(line.split())
        self._said.put(["gone"])

    def _follow(self, seconds: float, until_asked: bool = False) -> None:
        """Follows what the program says for a time."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and not (until_asked and self.asks):
            with suppress(queue.Empty):
                self._hear(*self._said.get(timeout=left))
        if until_asked and not self.asks:
            raise DataError("the program under test does not answer.")

    def _hear(self, word: str, number: str = "0", *_: str) -> None:
        if word == "gone":
            raise DataError("the program under test has ended by itself.")
        if word == "frame":
            self._frames = int(number)
        elif word == "ask":
            self.asks, self._number = True, int(number)
        elif word == "end":
            self._check_recording(int(number))

    def _check_recording(self, number: int) -> None:
        """Every frame that the program reported is in its recording."""
        if self._frames:
            with suppress(DataError):
                self._frames -= len(load_recording(self._folder / str(number))) - 1  # without the reset
            self.lost += max(0, self._frames)
        self._frames = 0

    def arm(self) -> None:
        """The person arms."""
        assert self._process.stdin is not None
        self.asks = False
        self._watched.allow()
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def freeze(self, after: float, seconds: float) -> None:
        """Freezes it after a time for a time, and watches what it does then."""
        self._follow(after)
        os.kill(self._process.pid, signal.SIGSTOP)
        time.sleep(seconds)
        os.kill(self._process.pid, signal.SIGCONT)
        self._follow(WATCHED)

    def close(self) -> None:
        """Ends it."""
        self._process.kill()
        self._process.wait()


def attempt(board: str, count: int, result: dict[str, Any], save: Any, seed: int) -> None:
    """Freezes one board until `result` has this number of freezes; saves after each."""
    random = np.random.default_rng((seed, BOARDS.index(board), result["freezes"]))
    with open_watched(board) as watched, tempfile.TemporaryDirectory() as folder:
        program = Program(board, watched, Path(folder))
        before = dict(result)
        try:
            for _ in progress(range(result["freezes"], count), board, unit="freezes"):
                if program.asks:
                    program.arm()
                seconds = float(random.uniform(*LENGTHS))
                program.freeze(float(random.uniform(*MOMENTS)), seconds)
                result["freezes"] += 1
                result["limp_after"] += watched.limp
                result["woken"] = before["woken"] + watched.woken
                result["wrong"] = before["wrong"] + watched.wrong
                result["frames_lost"] = before["frames_lost"] + program.lost
                save()
        finally:
            program.close()


def main() -> int:
    """Runs the benchmark; 1 if a servo was driven unasked, or a recording lost something."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--board", "--body", choices=BOARDS, help="one board only; all by default")
    parser.add_argument("--count", type=int, default=200, help="freezes on each board")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("out/freezes"))
    options = parser.parse_args()
    path = options.out / "freezes.json"
    options.out.mkdir(parents=True, exist_ok=True)
    results: dict[str, dict[str, Any]] = read_json(path) if path.exists() else {}
    for board in [options.board] if options.board else BOARDS:
        nothing = {"freezes": 0, "limp_after": 0, "woken": 0, "wrong": [], "frames_lost": 0}
        result = results.setdefault(board, nothing)
        attempt(board, options.count, result, lambda: write_json(path, results), options.seed)
    print(json.dumps(results, indent=1))
    return int(any(r["woken"] or r["wrong"] or r["frames_lost"] for r in results.values()))


if __name__ == "__main__":
    sys.exit(main())
