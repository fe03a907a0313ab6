"""Compiles the firmware and the simulator of its microcontroller, and keeps them in a cache."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

from eva_sim.errors import RobotError

#: Programs and headers that `build_firmware` needs, and their Debian packages.
NEEDS = {
    "avr-gcc": "gcc-avr",
    "/usr/lib/avr/include/avr/io.h": "avr-libc",
    "/usr/include/simavr/sim_avr.h": "libsimavr-dev",
    "/usr/include/libelf.h": "libelf-dev",
    "cc": "gcc",
    "make": "make",
}

_SOURCES = Path(__file__).resolve().parents[1]


class FirmwareBuild(NamedTuple):
    """Paths of the compiled files."""

    firmware: Path
    simulator: Path


def missing_packages() -> list[str]:
    """Debian packages that `build_firmware` lacks on this machine."""
    here = [Path(need).exists() if need.startswith("/") else shutil.which(need) for need in NEEDS]
    return [package for package, found in zip(NEEDS.values(), here, strict=True) if not found]


def compiled_table_crc() -> int:
    """CRC-32 of the table that the firmware is compiled with, see `firmware_table.table_crc`."""
    text = (_SOURCES / "firmware" / "table.h").read_text()
    found = re.search(r"#define TABLE_CRC 0x([0-9A-F]{8})UL", text)
    if found is None:
        raise RobotError("real/firmware/table.h has no TABLE_CRC; make it anew: python -m tools.build_table.")
    return int(found[1], 16)


def build_firmware() -> FirmwareBuild:
    """Compiles firmware and simulator into the cache (EVA_CACHE, or the user's), unless they are there.

    Raises:
        RobotError: a compiler or library is missing, or compiling failed.
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
    """Digest of all sources, so that changed sources are compiled again."""
    out = hashlib.sha256()
    for folder in ("firmware", "firmware_simulator"):
        for path in sorted((_SOURCES / folder).iterdir()):
            if path.suffix in (".c", ".h") or path.name == "Makefile":
                out.update(f"{folder}/{path.name}\0".encode() + path.read_bytes())
    return out.hexdigest()[:16]


def _compile(folder: Path) -> None:
    """Compiles beside `folder` and renames, so that no other process sees half of it."""
    if missing := missing_packages():
        raise RobotError(
            f"the virtual robot is compiled on this machine, which lacks {', '.join(missing)}: "
            f"apt-get install {' '.join(missing)}, or use the body 'mock'."
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".part-"))
    try:
        _make(_SOURCES / "firmware", part, "firmware.elf")
        _make(_SOURCES / "firmware_simulator", part, "simulator")
        with contextlib.suppress(OSError):  # another process was faster
            part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _make(sources: Path, out: Path, goal: str) -> None:
    command = ["make", "-s", "-C", str(sources), f"OUT={out}", str(out / goal)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RobotError(f"compiling {sources.name} failed: {done.stderr.strip()[-2000:]}")
