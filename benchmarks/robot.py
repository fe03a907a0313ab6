"""Measures what the robot adapter costs over a pseudo-terminal, and the virtual robot if it can be compiled.

    python -m benchmarks.robot [--steps 1500] [--minutes 10] [--out out/robot.json]

First `RobotFace.move` without a camera, all actuators moving, the mock at the other end of a terminal, in
real time, in a process of its own; the terminal has no baud rate. Per control step (two TARGETS and their
STATUS), in ms:

- work: processor time of the thread in the step, all that the adapter computes and all its system calls, less
  what sleeping itself cost (waits for the answer and for the period);
- wall: the step's time less what it slept; more than work where others want the processor, too;
- awake: processor time with sleeping;
- answer: from writing targets until their status is read;
- late: how much longer than the control period a step took.

A processor that slept for 18 ms is slow at first, a virtual one above all: whoever had the real one meanwhile
has filled its caches and page tables. So it is measured twice, as it is, and as real-time tests such as
cyclictest do it, while processors are kept from sleeping (/dev/cpu_dma_latency, for which one must be root).
And then without a pause:

- hot: work of a step when nothing sleeps, on the mock's virtual time; the mock's own time is taken off.

The virtual robot is driven in lockstep, see `benchmarks.virtual_robot`.
"""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import select
import struct
import time
import tty
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks import virtual_robot
from eva_sim.clock import WallClock
from eva_sim.contract import load_spec
from eva_sim.files import write_json
from eva_sim.real.boards.firmware import FirmwareBoard
from eva_sim.real.boards.interface import Board
from eva_sim.real.calibration.model import Calibration
from eva_sim.real.robot import RobotFace
from eva_sim.real.simulation.firmware_build import missing_packages
from eva_sim.real.simulation.mock_board import MockBoard
from eva_sim.real.wire.firmware_table import robot_config
from eva_sim.real.wire.link import Link
from eva_sim.real.wire.serial_ports import open_serial

WARM_UP = 50
#: While a process holds it open, waking a processor takes at most the time written to it [us].
WAKING = Path("/dev/cpu_dma_latency")


class CountingClock(WallClock):
    """The wall clock; it counts how long it slept, and the processor time that sleeping cost."""

    def __init__(self) -> None:
        self.slept = self.cost = 0.0

    def sleep(self, duration: float) -> None:
        self._rest(super().sleep, duration)

    def wait(self, port: Any, duration: float) -> None:
        self._rest(super().wait, port, duration)

    def _rest(self, rest: Callable[..., None], *given: Any) -> None:
        begin, own = time.perf_counter(), time.thread_time()
        rest(*given)
        self.cost += time.thread_time() - own
        self.slept += time.perf_counter() - begin


def serve(master: int) -> None:
    """A mock board at the other end of a terminal."""
    mock = MockBoard(load_spec(), realtime=True)
    while True:
        select.select([master], [], [])
        try:
            mock.port.write(os.read(master, 4096))
        except OSError:  # the host has closed it
            return
        os.write(master, mock.port.read(4096))


def open_face(path: str, clock: CountingClock, answers: list[float]) -> RobotFace:
    """A face without a camera, whose answers are timed."""
    spec = load_spec()

    def connect() -> Board:
        board = FirmwareBoard(spec, Link(open_serial(path, robot_config(spec)["wire"]["baud"]), clock))
        send = board.send

        def timed(raw: Any) -> Any:
            begin = time.perf_counter()
            status = send(raw)
            answers.append(time.perf_counter() - begin)
            return status

        board.send = timed  # type: ignore[method-assign]
        return board

    return RobotFace(
        load_spec(), connect, clock, lambda identity: Calibration.nominal(load_spec(), identity.robot_id)
    )


def measure(path: str, steps: int) -> dict[str, Any]:
    clock, answers = CountingClock(), list[float]()
    work, wall, awake, late, unanswered = [], [], [], [], 0
    commands = virtual_robot.waves(WARM_UP + steps)
    with open_face(path, clock, answers) as face:
        face.reset()
        for number, command in enumerate(commands):
            if number == WARM_UP:
                answers.clear()
            slept, cost, begin, own = clock.slept, clock.cost, time.perf_counter(), time.thread_time()
            reading = face.move(command)
            took, own = time.perf_counter() - begin, time.thread_time() - own
            unanswered += "the board did not answer the last targets" in reading.faults
            if number >= WARM_UP:
                work.append(own - (clock.cost - cost))
                wall.append(took - (clock.slept - slept))
                awake.append(own)
                late.append(max(0.0, took - face.spec.control_dt))
        slipped = face.late
    metrics = {"work": work, "wall": wall, "awake": awake, "answer": answers, "late": late}
    quantiles = {name: _quantiles(1000 * np.array(values)) for name, values in metrics.items()}
    return {"steps": steps, "unanswered": unanswered, "slipped": slipped, "ms": quantiles}


@contextlib.contextmanager
def kept_awake() -> Iterator[None]:
    """Keeps all processors from sleeping.

    Raises:
        OSError: this user may not do so, or this system cannot.
    """
    with WAKING.open("wb", buffering=0) as file:
        file.write(struct.pack("i", 0))
        yield


class Stopwatch:
    """A mock's port that measures the processor time of the mock."""

    def __init__(self, port: Any) -> None:
        self._port, self.taken, self.close = port, 0.0, port.close

    def write(self, data: bytes) -> int | None:
        return self._timed(self._port.write, data)

    def read(self, size: int) -> bytes:
        return self._timed(self._port.read, size)

    def _timed(self, action: Any, given: Any) -> Any:
        begin = time.thread_time()
        done = action(given)
        self.taken += time.thread_time() - begin
        return done


def hot(steps: int) -> np.ndarray:
    """Processor time of each step when time is virtual, less the mock's [s]; no terminal."""
    mock, found = MockBoard(load_spec()), list[float]()
    port = Stopwatch(mock.port)

    def connect() -> Board:
        return FirmwareBoard(mock.spec, Link(port, mock.clock))

    with RobotFace(
        mock.spec, connect, mock.clock, lambda identity: Calibration.nominal(mock.spec, identity.robot_id)
    ) as face:
        face.reset()
        for command in virtual_robot.waves(steps):
            taken, begin = port.taken, time.thread_time()
            face.move(command)
            found.append(time.thread_time() - begin - (port.taken - taken))
    return np.array(found)


def _quantiles(values: np.ndarray) -> dict[str, float]:
    shares = {"p50": 50.0, "p99": 99.0, "max": 100.0}
    return {name: round(float(np.percentile(values, share)), 3) for name, share in shares.items()}


def show(results: dict[str, Any], how: str) -> None:
    table = Table("ms", "p50", "p99", "max", title=f"{results['steps']} control steps over a pty, {how}")
    for name, row in results["ms"].items():
        table.add_row(name, *(f"{row[q]:.3f}" for q in ("p50", "p99", "max")))
    Console().print(table)
    Console().print(f"unanswered {results['unanswered']}, periods that slipped {results['slipped']}")


def show_virtual(results: dict[str, Any]) -> None:
    without, camera = results["without camera"], results["with camera"]
    table = Table("virtual robot, lockstep", "without camera", "with camera")
    for name in without:
        table.add_row(name, *(str(run[name])[:12] for run in (without, camera)))
    Console().print(table)
    Console().print(
        "firmware", results["firmware"], "three runs byte-identical:", results["repeated"]["same"]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--minutes", type=float, default=10, help="simulated, of the virtual robot")
    parser.add_argument("--out", type=Path, default=Path("out/robot.json"))
    options = parser.parse_args()
    results: dict[str, Any] = {"load average": os.getloadavg(), "hot": _quantiles(1000 * hot(options.steps))}
    results["pty"] = over_pty(options.steps)
    show(results["pty"], "processors may sleep")
    try:
        with kept_awake():
            results["pty, kept awake"] = over_pty(options.steps)
        show(results["pty, kept awake"], "processors kept awake")
    except OSError as error:
        Console().print(f"processors cannot be kept awake: {error}")
    Console().print("hot, ms:", results["hot"])
    if missing := missing_packages():
        Console().print(f"no virtual robot: apt-get install {' '.join(missing)}")
    else:
        results["virtual"] = virtual_robot.measure(options.minutes)
        show_virtual(results["virtual"])
    write_json(options.out, results)


def over_pty(steps: int) -> dict[str, Any]:
    master, slave = os.openpty()
    tty.setraw(slave)
    server = multiprocessing.get_context("fork").Process(target=serve, args=(master,), daemon=True)
    server.start()
    try:
        return measure(os.ttyname(slave), steps)
    finally:
        server.terminate()
        server.join()


if __name__ == "__main__":
    main()
