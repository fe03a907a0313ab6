"""Pythons of this machine by version."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path


def find_python(version: str) -> str | None:
    """A Python that makes environments: of the PATH, or of pyenv, whose commands need a chosen version."""
    installed = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    for command in (f"python{version}", *map(str, sorted(installed.glob(f"{version}.*/bin/python")))):
        if (path := shutil.which(command)) and not subprocess.run(
            [path, "-c", "import venv, ensurepip"], capture_output=True, timeout=60
        ).returncode:
            return path
    return None
