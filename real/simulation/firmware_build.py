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

from eva_sim.cache import cache_folders, choose_cache_folder, user_cache_folder
from eva_sim.errors import SEE_DOCTOR, RobotError

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
        RobotError: a compiler or library is missing, compiling failed, or there is no place for the results.
    """
    bases = firmware_bases()
    name = f"firmware-{_digest()}"
    for folder in cache_folders(bases, name):
        built = _built_in(folder)
        if built.firmware.exists() and built.simulator.exists():
            return built
    _check_compilers()
    chosen = choose_cache_folder(bases, name, "programs of the virtual robot", "EVA_CACHE")
    if chosen is None:
        raise RobotError(
            f"no folder can be written to compile the virtual robot in; set EVA_CACHE to one. {SEE_DOCTOR}"
        )
    _compile(chosen)
    return _built_in(chosen)


def firmware_bases() -> tuple[Path | None, ...]:
    """Returns where the compiled programs may be kept: the folder of EVA_CACHE, or else the user's."""
    given = os.environ.get("EVA_CACHE")
    return (Path(given).absolute() / "eva-sim" if given else user_cache_folder(),)


def _built_in(folder: Path) -> FirmwareBuild:
    return FirmwareBuild(folder / "firmware.elf", folder / "simulator")


def _digest() -> str:
    """Digest of all sources, so that changed sources are compiled again."""
    out = hashlib.sha256()
    for folder in ("firmware", "firmware_simulator"):
        for path in sorted((_SOURCES / folder).iterdir()):
            if path.suffix in (".c", ".h") or path.name == "Makefile":
                out.update(f"{folder}/{path.name}\0".encode() + path.read_bytes())
    return out.hexdigest()[:16]


def _check_compilers() -> None:
    if missing := missing_packages():
        raise RobotError(
            f"the virtual robot is compiled on this machine, which lacks {', '.join(missing)}: "
            f"apt-get install {' '.join(missing)}, or use the body 'mock'. {SEE_DOCTOR}"
        )


def _compile(folder: Path) -> None:
    """Compiles a copy of the sources beside `folder` and renames: nobody sees half of it."""
    part = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".part-"))
    try:
        built = part / "built"
        for name, goal in {"firmware": "firmware.elf", "firmware_simulator": "simulator"}.items():
            shutil.copytree(_SOURCES / name, part / name)
            _make(part / name, goal)
            built.mkdir(exist_ok=True)
            (part / name / "build" / goal).rename(built / goal)
        with contextlib.suppress(OSError):  # another process was faster
            built.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _make(sources: Path, goal: str) -> None:
    """Makes a goal inside a copy of its sources: make takes relative names only, as paths may hold spaces."""
    own = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "GNUMAKEFLAGS")}
    command = ["make", "-s", "OUT=build", f"build/{goal}"]
    done = subprocess.run(command, cwd=sources, env=own, capture_output=True, text=True)
    if done.returncode:
        raise RobotError(f"compiling {sources.name} failed: {done.stderr.strip()[-2000:]} {SEE_DOCTOR}")
