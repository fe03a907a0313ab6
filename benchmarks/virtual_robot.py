"""Measures the virtual robot in lockstep: cost, losses, repeatability, and the firmware's size and load."""

from __future__ import annotations

import hashlib
import re
import resource
import subprocess
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eva_sim.contract import load_spec
from eva_sim.progress import progress
from eva_sim.real.boards.firmware import FirmwareBoard
from eva_sim.real.opening import open_hidden
from eva_sim.real.robot import RobotFace
from eva_sim.real.simulation.firmware_build import build_firmware
from eva_sim.real.simulation.virtual_board import SimulatedBoard
from eva_sim.real.wire import protocol as wire

#: Control steps with a camera, and of each of the runs that are compared.
WITH_CAMERA, REPEATED = 250, 250
#: How far `waves` go from their middle [command units].
SWING = 0.4


class HashedBoard(SimulatedBoard):
    """A board with a hash of all bytes to and from its simulator: data, pulses, and their times."""

    def __init__(self) -> None:
        super().__init__(load_spec())
        self.log = hashlib.sha256()
        send, read = self._process.send, self._process.read

        def hashed_send(*parts: bytes) -> None:
            self.log.update(b"".join(parts))
            send(*parts)

        def hashed_read(count: int) -> bytes:
            data = read(count)
            self.log.update(data)
            return data

        self._process.send, self._process.read = hashed_send, hashed_read  # type: ignore[method-assign]


def measure(minutes: float) -> dict[str, Any]:
    long = drive(round(minutes * 60 / 0.04), None)
    hashes = [drive(REPEATED, None)["hash"] for _ in range(3)]
    return {
        "without camera": long,
        "with camera": drive(WITH_CAMERA, 320),
        "repeated": {"steps": REPEATED, "hashes": hashes, "same": len(set(hashes)) == 1},
        "firmware": firmware_size(),
    }


def waves(steps: int) -> NDArray[np.float32]:
    """Commands that move every actuator at every step, (steps, A).

    Each goes to and fro in two seconds, near its rest. Faster ones use up their reversals and then stand
    still; wider ones warm the servos.
    """
    spec = load_spec()
    turns = spec.control_dt * np.arange(steps)[:, None] / 2.0
    middle = spec.neutral.clip(-1 + SWING, 1 - SWING)
    away = SWING * np.sin(2 * np.pi * turns + np.arange(len(spec)))
    return (middle + away).astype(np.float32)


def drive(steps: int, size: int | None) -> dict[str, Any]:
    """Moves all actuators for some control steps."""
    commands = waves(steps)
    children, machine = resource.getrusage(resource.RUSAGE_CHILDREN), HashedBoard()
    with open_hidden(machine, camera_size=size) as face:
        face.reset()
        begin, own, since, awake = time.perf_counter(), time.process_time(), machine.clock.now(), machine.busy
        before, shown = counters(face), progress(commands, "virtual robot", unit="steps")
        faulty = sum(bool(face.move(command).faults) for command in shown)
        passed = machine.clock.now() - since
        took, own = time.perf_counter() - begin, time.process_time() - own
        awake = (machine.busy * (since + passed) - awake * since) / passed
        losses = lost(face, before)
    simulator = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - children.ru_utime
    return {
        "steps": steps,
        "simulated s": round(passed, 2),
        "real-time factor": round(passed / took, 2),
        "host CPU per step, ms": round(1000 * own / steps, 3),
        "simulator CPU per step, ms": round(1000 * simulator / steps, 3),
        "steps with a fault": faulty,
        "processor awake": round(awake, 3),
        **losses,
        "hash": machine.log.hexdigest(),
    }


def counters(face: RobotFace) -> Any:
    assert isinstance(face._board, FirmwareBoard)
    return face._board._link.counters


def lost(face: RobotFace, before: Any) -> dict[str, int]:
    """Messages lost since then, as counted by both ends; the longest loop since power-up."""
    now = counters(face)
    status = face._board._link.demand(wire.Query(), wire.Status, 0.1)  # type: ignore[attr-defined]
    return {
        "frames sent": now.sent - before.sent,
        "unanswered": now.unanswered - before.unanswered,
        "bad at the host": now.bad - before.bad,
        "bad at the board": status.bad,
        "stale at the board": status.stale,
        "longest loop, us": status.loop,
    }


def firmware_size() -> dict[str, int]:
    """Bytes of flash and of static RAM, as `make size` tells them."""
    command = ["avr-size", "-C", "--mcu=atmega2560", str(build_firmware().firmware)]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(r"Program:\s+(\d+) bytes.*Data:\s+(\d+) bytes", output, re.DOTALL)
    assert found is not None, output
    return {"flash, bytes": int(found[1]), "RAM, bytes": int(found[2])}
