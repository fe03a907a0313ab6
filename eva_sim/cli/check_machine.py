"""Checks of `eva doctor` on this computer: Python, libraries, files of the package, memory and disk."""

from __future__ import annotations

import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

import eva_sim
from eva_sim.cli.findings import Finding
from eva_sim.display import display_available
from eva_sim.files import asset, check_output_folder, existing_folder

#: Name of the package on an index.
PACKAGE = "eva-sim"
#: Files of the package without which nothing works, beside its modules.
_ASSETS = ("face.toml", "meshes/skin.npz", "expressions.toml", "models/eva", "samples/person.mp4")
#: What babbling and training write: 4,000 faces with pictures of 64 pixels, and the model [bytes].
_RESULTS = 3e8
#: What a worker of babbling takes [bytes]; `docs/faq.md` has it, too.
_WORKER = 4e8
_SYSTEMS = ("Linux",)


def check_python() -> Finding:
    """Checks the version of Python and the operating system."""
    here = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    found = f"{here}; {PACKAGE} {eva_sim.__version__} in {Path(eva_sim.__file__).parent}"
    wanted = metadata.metadata(PACKAGE)["Requires-Python"]
    if platform.python_version() not in SpecifierSet(wanted, prereleases=True):
        return Finding("python", "fails", found, f"Install a Python {wanted}.")
    if sys.maxsize < 2**32:
        return Finding("python", "fails", f"{found}; 32 bit", "Install a Python of 64 bit.")
    if platform.system() not in _SYSTEMS:
        return Finding("python", "missing", found, f"Only {', '.join(_SYSTEMS)} is tested.")
    return Finding("python", "works", found)


def check_libraries() -> Finding:
    """Checks the libraries that every installation needs, and their versions."""
    if lacking := [text for need in _requirements("") if (text := _lack(need))]:
        return Finding(
            "libraries",
            "fails",
            "; ".join(lacking),
            f"Run: pip install --upgrade --force-reinstall {PACKAGE}",
        )
    count = sum(1 for _ in _requirements(""))
    return Finding("libraries", "works", f"all {count} that every installation needs")


def check_extras() -> Iterator[Finding]:
    """Checks the libraries of each extra."""
    for extra in metadata.metadata(PACKAGE).get_all("Provides-Extra") or ():
        own = list(_requirements(extra))
        lacking = [text for need in own if (text := _lack(need))]
        name = f"extra {extra}"
        if lacking:
            yield Finding(name, "missing", "; ".join(lacking), f"Run: pip install '{PACKAGE}[{extra}]'")
        else:
            yield Finding(name, "works", ", ".join(need.name for need in own))


def _requirements(extra: str) -> Iterator[Requirement]:
    """Requirements of the package itself, or of one of its extras, on this Python."""
    for text in metadata.requires(PACKAGE) or ():
        need = Requirement(text)
        where = need.marker
        always = where is None or where.evaluate({"extra": ""})
        if always if not extra else where is not None and not always and where.evaluate({"extra": extra}):
            yield need


def _lack(need: Requirement) -> str:
    """What an installation lacks of a requirement, in words; empty if it is met."""
    try:
        version = metadata.version(need.name)
    except metadata.PackageNotFoundError:
        return f"{need.name} is not installed"
    if need.specifier.contains(version, prereleases=True):
        return ""
    return f"{need.name} {version} is installed, {need.specifier} is needed"


def check_files() -> Finding:
    """Checks that the files of the installation are there and whole."""
    for name in _ASSETS:
        asset(name)
    # Scripts and caches are rewritten after an installation; a checkout has no list of its modules.
    listed = [file for file in metadata.files(PACKAGE) or () if file.parts[0] == "eva_sim" and file.size]
    hurt = [str(file) for file in listed if not _is_whole(Path(str(file.locate())), file.size)]
    if hurt:
        told = f"{len(hurt)} are missing or changed, such as {hurt[0]}"
        return Finding("files", "fails", told, f"Run: pip install --force-reinstall --no-deps {PACKAGE}")
    found = "the tables, meshes and models" + (
        f", and all {len(listed)} files of the wheel" if listed else ""
    )
    return Finding("files", "works", found)


def _is_whole(path: Path, size: int | None) -> bool:
    try:
        return path.stat().st_size == size
    except OSError:
        return False


def check_disk() -> Finding:
    """Checks the disk of the results, and that of temporary files."""
    out, temporary = Path("out"), Path(tempfile.gettempdir())
    check_output_folder(out)
    free = {place: shutil.disk_usage(existing_folder(place)).free for place in (out, temporary)}
    found = ", ".join(f"{size / 1e9:,.1f} GB free for {place.absolute()}" for place, size in free.items())
    if min(free.values()) < _RESULTS:
        wanted = f"Free some space: babbling and training write {_RESULTS / 1e6:.0f} MB."
        return Finding("disk", "fails", found, f"{wanted} Or run eva in another folder, or set TMPDIR.")
    return Finding("disk", "works", found)


def check_memory() -> Finding:
    """Checks the memory that is free for workers."""
    try:
        lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
        free = 1024 * int(lines["MemAvailable"].split()[0])
    except (OSError, KeyError, ValueError):
        return Finding("memory", "missing", "this system does not tell how much is free", "Nothing.")
    found = f"{free / 1e9:,.1f} GB free"
    if free < 2 * _WORKER:
        return Finding("memory", "missing", found, "Close other programs, or babble with --workers 1.")
    return Finding("memory", "works", found)


def check_display() -> Finding:
    """Checks whether windows can be shown."""
    if display_available():
        return Finding("display", "works", "windows can be shown")
    remedy = "Nothing, if text suffices. A window needs the variable DISPLAY or WAYLAND_DISPLAY."
    return Finding("display", "missing", "no screen; `eva mirror` says in text what to do", remedy)
