"""Measures the boards of other makers: cost on line and host, time until a dead host's face is limp, noise.

python -m benchmarks.boards --json FILE [--runs 8] [--rounds 600]

On fakes, in memory or on pseudo-terminals; times are the wall's, so say what else the machine did.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from eva_sim.clock import SimulatedClock
from eva_sim.files import write_json
from eva_sim.real.boards.interface import BoardState
from eva_sim.real.simulation.fake_line import PtyLine
from eva_sim.testing.board_rigs import (
    ALL,
    DIRECTIONS,
    KINDS,
    BoardRig,
    build,
    check_under_noise,
    limp,
    open_board,
)
from eva_sim.thread_priority import run_ahead

HOST = """
import os, signal, sys, time
from eva_sim.real.boards.interface import BoardState
from eva_sim.testing.board_rigs import ALL, limits_of, open_board
board, limits = open_board({kind!r}, {name!r}), limits_of({kind!r})
board.configure(limits, 1)
board.arm(ALL)
while board.send(limits.rest).state is not BoardState.ACTIVE:
    time.sleep(0.02)
board.send(limits.high)
print(time.monotonic(), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--json", type=Path, help="file for the metrics")
    parser.add_argument("--runs", type=int, default=8, help="runs with a killed host, and with a silent one")
    parser.add_argument("--rounds", type=int, default=600, help="disturbed exchanges in each direction")
    options = parser.parse_args()
    run_ahead()  # as the thread that drives a robot
    metrics = {kind: measure(kind, options.runs, options.rounds) for kind in KINDS}
    for kind, row in metrics.items():
        print(kind, row)
    print("load average", os.getloadavg())
    if options.json:
        write_json(options.json, metrics)


def measure(kind: str, runs: int, rounds: int) -> dict[str, Any]:
    killed = [kill(kind) for _ in range(runs)]
    silent = [fall_silent(kind) for _ in range(runs)]
    return {
        **cost(kind),
        "ms from SIGKILL to limp, most": round(1e3 * max(killed), 1),
        "ms of silence to hold, most": round(1e3 * max(s[0] for s in silent)),
        "ms of silence to limp, most": round(1e3 * max(s[1] for s in silent)),
        **{
            f"limp by {direction} in {rounds} rounds": noise(kind, direction, rounds)
            for direction in DIRECTIONS
        },
    }


def cost(kind: str) -> dict[str, float]:
    """Bytes of one `send`, and the host's time for it without the fake's."""
    rig, sizes, fake, times = build(kind, SimulatedClock()), [0, 0], [0.0], []
    rig.ready()
    exchange = rig.line.exchange

    def count(data: bytes) -> bytes:
        begin = time.perf_counter()
        answer = exchange(data)
        fake[0] += time.perf_counter() - begin
        sizes[0], sizes[1] = sizes[0] + len(data), sizes[1] + len(answer)
        return answer

    rig.line.exchange = count  # type: ignore[method-assign]
    for n in range(300):
        rig.clock.sleep(0.02)
        fake[0], begin = 0.0, time.perf_counter()
        rig.board.send(rig.limits.rest + n % 7)
        times.append(time.perf_counter() - begin - fake[0])
    rig.board.close()
    return {
        "bytes out": round(sizes[0] / 300),
        "bytes in": round(sizes[1] / 300),
        "ms p50": round(1e3 * float(np.median(times)), 2),
        "ms p99": round(1e3 * float(np.percentile(times, 99)), 2),
    }


def noise(kind: str, direction: str, rounds: int) -> int:
    rig = build(kind, SimulatedClock())
    rig.ready()
    faults = check_under_noise(rig, direction, rounds)
    rig.board.close()
    return faults


def kill(kind: str) -> float:
    """Time from a host's SIGKILL until its face is limp [s]."""
    rig = idle(kind)
    with PtyLine(rig.line) as pty:
        script = HOST.format(kind=kind, name=pty.name)
        with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as host:
            assert host.stdout is not None
            begin = float(host.stdout.readline())
            return until_limp(rig) - begin


def fall_silent(kind: str) -> tuple[float, float]:
    """Time from the last targets until hold, and until limp [s]."""
    rig = idle(kind)
    with PtyLine(rig.line) as pty:
        board = open_board(kind, pty.name)
        board.configure(rig.limits, 1)
        board.arm(ALL)
        while board.send(rig.limits.rest).state is not BoardState.ACTIVE:
            time.sleep(0.02)
        begin = time.monotonic()
        while board._state is not BoardState.HOLD:
            time.sleep(0.001)
        held = time.monotonic() - begin
        silent = until_limp(rig) - begin
        board.close()
        return held, silent


def idle(kind: str) -> BoardRig:
    """A fake that nobody holds."""
    rig = build(kind, SimulatedClock())
    rig.board.close()
    return rig


def until_limp(rig: BoardRig) -> float:
    while not limp(rig):
        time.sleep(0.001)
    return time.monotonic()


if __name__ == "__main__":
    main()
