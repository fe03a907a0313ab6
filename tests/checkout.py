"""The checkout that is tested: its files, and the wheel that is built of them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def run(*command: str | Path, cwd: Path) -> str:
    """Output of a command that must succeed, without what this process's environment would add."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def listed(*options: str) -> list[str]:
    """Files of the checkout as git knows them."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    out = run("git", "-c", "safe.directory=*", "ls-files", "-z", *options, cwd=ROOT)
    return [name for name in out.split("\0") if name and os.path.lexists(ROOT / name)]


def build_wheel(folder: Path) -> Path:
    """Builds a wheel in a folder, from a copy of the checkout, which the build leaves as it was."""
    for name in listed("--cached", "--others", "--exclude-standard"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name, follow_symlinks=False)
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", cwd=folder)
    (built,) = (folder / "dist").glob("*.whl")
    return built
