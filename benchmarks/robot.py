"""What the robot adapter costs: `RobotFace.move` over a pseudo-terminal, a board's rules at the other end.

    python benchmarks/robot.py [--steps 1500] [--out out/robot.json]

The board is the mock, in real time, in a process of its own; the terminal has no baud rate. Per step, in ms:

- work: processor time of the step, that is, all that the adapter computes and all its system calls;
- overhead: the step without what it slept; more than work where others want the processor, too;
- answer: from writing targets until their status is read, at a glance every millisecond;
- late: how much longer than the control period a step took.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import select
import time
import tty
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from eva_sim.files import write_json
from eva_sim.real.boards.base import Board
from eva_sim.real.boards.firmware import FirmwareBoard
from eva_sim.real.calibration import Calibration
from eva_sim.real.clock import WallClock
from eva_sim.real.link import Link
from eva_sim.real.mock import Mock
from eva_sim.real.ports import open_serial
from eva_sim.real.robot import RobotFace

WARM_UP = 50


class CountingClock(WallClock):
    """The wall's clock, which knows how long was slept."""

    def __init__(self) -> None:
        self.slept = 0.0

    def sleep(self, duration: float) -> None:
        begin = time.perf_counter()
        super().sleep(duration)
        self.slept += time.perf_counter() - begin


def serve(master: int) -> None:
    """A mock board at the other end of a terminal."""
    mock = Mock(realtime=True)
    while True:
        select.select([master], [], [])
        try:
            mock.port.write(os.read(master, 4096))
        except OSError:  # the host has closed it
            return
        os.write(master, mock.port.read(4096))


def open_face(path: str, clock: CountingClock, answers: list[float]) -> RobotFace:
    """A face without a camera, whose answers are timed."""

    def connect() -> Board:
        board = FirmwareBoard(Link(open_serial(path), clock))
        send = board.send

        def timed(raw: Any) -> Any:
            begin = time.perf_counter()
            told = send(raw)
            answers.append(time.perf_counter() - begin)
            return told

        board.send = timed  # type: ignore[method-assign]
        return board

    return RobotFace(connect, clock, lambda identity: Calibration.nominal(identity.robot))


def measure(path: str, steps: int) -> dict[str, Any]:
    clock, answers = CountingClock(), list[float]()
    work, overhead, late, unanswered = [], [], [], 0
    commands = np.random.default_rng(0).uniform(-1, 1, (WARM_UP + steps, 25)).astype(np.float32)
    with open_face(path, clock, answers) as face:
        face.reset()
        for number, command in enumerate(commands):
            if number == WARM_UP:
                answers.clear()
            slept, begin, own = clock.slept, time.perf_counter(), time.thread_time()
            reading = face.move(command)
            took = time.perf_counter() - begin
            unanswered += "the board did not answer the last targets" in reading.faults
            if number >= WARM_UP:
                work.append(time.thread_time() - own)
                overhead.append(took - (clock.slept - slept))
                late.append(max(0.0, took - face.spec.control_dt))
        slipped = face.late
    figures = {"work": work, "overhead": overhead, "answer": answers, "late": late}
    told = {name: _quantiles(1000 * np.array(values)) for name, values in figures.items()}
    return {"steps": steps, "unanswered": unanswered, "slipped": slipped, "ms": told}


def _quantiles(values: np.ndarray) -> dict[str, float]:
    shares = {"p50": 50.0, "p99": 99.0, "max": 100.0}
    return {name: round(float(np.percentile(values, share)), 3) for name, share in shares.items()}


def show(told: dict[str, Any]) -> None:
    table = Table("ms", "p50", "p99", "max", title=f"{told['steps']} control steps over a pty")
    for name, row in told["ms"].items():
        table.add_row(name, *(f"{row[q]:.3f}" for q in ("p50", "p99", "max")))
    Console().print(table)
    Console().print(f"unanswered {told['unanswered']}, periods that slipped {told['slipped']}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--out", type=Path, default=Path("out/robot.json"))
    options = parser.parse_args()
    master, slave = os.openpty()
    tty.setraw(slave)
    server = multiprocessing.get_context("fork").Process(target=serve, args=(master,), daemon=True)
    server.start()
    try:
        told = measure(os.ttyname(slave), options.steps)
    finally:
        server.terminate()
        server.join()
    write_json(options.out, told)
    show(told)


if __name__ == "__main__":
    main()
