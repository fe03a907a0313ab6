"""Checks of `eva doctor` on cameras, serial ports, the firmware's toolchain and the robot's board."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from eva_sim.cli.findings import Finding
from eva_sim.contract import load_spec
from eva_sim.errors import RobotError
from eva_sim.files import check_output_folder
from eva_sim.thread_priority import run_ahead

#: Programs that put the firmware on a board, and their Debian packages.
_FLASHING = {"avr-gcc": "gcc-avr", "avr-objcopy": "binutils-avr", "avrdude": "avrdude", "make": "make"}


def check_cameras(devices: Path = Path("/sys/class/video4linux"), nodes: Path = Path("/dev")) -> Finding:
    """Lists the cameras that the system knows. None is opened, so none lights up.

    Args:
        devices: folder in which Linux lists video devices.
        nodes: folder of their device files.
    """
    listed = sorted(devices.glob("video*"), key=lambda path: (len(path.name), path.name))
    if not listed:
        return Finding(
            "cameras", "missing", "none; clips and pictures can be mirrored without one",
            "Plug one in. A virtual machine or container must be given /dev/video0.",
        )  # fmt: skip
    told = [f"{each.name.removeprefix('video')}: {_first_line(each / 'name')}" for each in listed]
    shut = [nodes / each.name for each in listed if not os.access(nodes / each.name, os.R_OK | os.W_OK)]
    if shut:
        found = f"{'; '.join(told)}; {', '.join(map(str, shut))} cannot be opened by this user"
        remedy = "Join the group video: sudo usermod -aG video $USER, and log in again."
        return Finding("cameras", "missing", found, remedy)
    return Finding("cameras", "works", f"{'; '.join(told)}; test one with --camera NUMBER")


def _first_line(file: Path) -> str:
    try:
        return file.read_text(errors="replace").partition("\n")[0]
    except OSError:
        return "?"


def check_ports() -> Finding:
    """Lists the serial ports, and which boards their adapters fit. None is opened."""
    from eva_sim.real.boards.registry import BOARDS
    from eva_sim.real.wire.serial_ports import find_ports

    try:
        by_kind = {kind: find_ports(kind) for kind in BOARDS}
    except RobotError:
        remedy = "Run: pip install 'eva-sim[real]'"
        return Finding("serial ports", "missing", "pyserial does not load; robots need it", remedy)
    ports = {port.path: port for found in by_kind.values() for port in found}
    if not ports:
        remedy = "Plug the board in. The bodies virtual and mock need none."
        return Finding("serial ports", "missing", "none; only a physical robot needs one", remedy)
    fitting = {
        path: [k for k, found in by_kind.items() for p in found if p.path == path and p.adapter]
        for path in ports
    }
    told = "; ".join(
        f"{path} ({', '.join(kinds) or 'no adapter of a board'})" for path, kinds in fitting.items()
    )
    if shut := [path for path in ports if not os.access(path, os.R_OK | os.W_OK)]:
        found = f"{told}; {', '.join(shut)} cannot be opened by this user"
        remedy = "Join the group dialout: sudo usermod -aG dialout $USER, and log in again."
        return Finding("serial ports", "missing", found, remedy)
    return Finding("serial ports", "works", f"{told}; ask a board with --port PATH or --port auto")


def check_priority() -> Finding:
    """Checks whether the system lets the thread that drives a robot run ahead of other programs."""
    with ThreadPoolExecutor(1) as threads:  # a thread that ends at once
        allowed = threads.submit(run_ahead).result()
    if allowed:
        return Finding("real-time priority", "works", "a robot is driven ahead of other programs")
    return Finding(
        "real-time priority", "missing", "a busy computer may make a robot wait, hold and go limp",
        "Allow it to your group: echo '@dialout - rtprio 2' | sudo tee /etc/security/limits.d/eva.conf, "
        "and log in again.",
    )  # fmt: skip


def check_toolchain() -> Iterator[Finding]:
    """Checks what compiles the firmware, what simulates its microcontroller, and what flashes a board."""
    from eva_sim.real.simulation.firmware_build import firmware_bases, missing_packages

    if lacking := missing_packages():
        found = f"without {', '.join(lacking)}; the body virtual needs them, the body mock does not"
        yield Finding("virtual robot", "missing", found, f"Run: apt-get install {' '.join(lacking)}")
    elif place := next((base for base in firmware_bases() if base is not None), None):
        check_output_folder(place)
        found = f"compiler and simulator are here; programs are kept in {place}"
        yield Finding("virtual robot", "works", found)
    else:
        remedy = "Set EVA_CACHE to a folder that can be written."
        yield Finding("virtual robot", "missing", "no folder for its programs", remedy)
    if lacking := [package for tool, package in _FLASHING.items() if not shutil.which(tool)]:
        found = f"without {', '.join(lacking)}; needed only to put firmware on a board"
        yield Finding("flashing", "missing", found, f"Run: apt-get install {' '.join(lacking)}")
    else:
        yield Finding("flashing", "works", ", ".join(_FLASHING))


def check_board(board: str, port: str, robot_id: str | None) -> Iterator[Finding]:
    """Asks the board that was named who it is, and looks for its calibration. Its servos become limp.

    Args:
        board: kind of the board.
        port: its port; `"auto"` searches for it.
        robot_id: id of the robot, if its board has no USB serial number.
    """
    from eva_sim.real.boards.registry import board_opener
    from eva_sim.real.calibration.model import default_path

    opened = board_opener(load_spec(), board, port, robot_id)()
    try:
        identity, status = opened.identity, opened.status()
    finally:
        opened.close()
    supply = "" if math.isnan(status.supply) else f", {status.supply:.1f} V"
    found = (
        f"{identity.kind} {identity.version}, robot {identity.robot_id}, {status.state.name.lower()}{supply}"
    )
    if status.faults:
        yield Finding(
            "board", "fails", f"{found}: {'; '.join(status.faults)}", "See docs/safety.md, Faults in words."
        )
    else:
        yield Finding("board", "works", found)
    path = default_path(identity.robot_id)
    if path.exists():
        yield Finding("calibration", "works", str(path))
    else:
        yield Finding("calibration", "missing", f"none at {path}", "Run: eva calibrate")
