"""Libraries on the environments and under the commands, each in an environment of its own in `out/clients/`.

`./run clients` runs them. Each library has a module of checks beside this one; a check is what a user of
the library writes. docs/clients.md is the table of results. Nothing is sent: usage reports are switched off.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

pytestmark = pytest.mark.clients
HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
#: Longest time of an installation, and of the checks of one library [s].
INSTALLING, RUNNING = 1800, 1200
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "WANDB_MODE": "disabled", "OMP_NUM_THREADS": "1"}
#: A checkout of Gymnasium's sources; its tests are in no package of it.
GYMNASIUM_SOURCES = "GYMNASIUM_SOURCES"


class Client(NamedTuple):
    """A library and what is installed for it.

    Attributes:
        name: name of the package whose version is shown.
        requirements: what is installed.
        pinned: packages that stay at this project's version; None for all of them.
    """

    name: str
    requirements: tuple[str, ...]
    pinned: tuple[str, ...] | None = None


CLIENTS = {
    "gymnasium": Client("gymnasium", ("array-api-compat", "moviepy", "pygame")),
    "stable_baselines3": Client("stable-baselines3", ("stable-baselines3", "tensorboard")),
    "torchrl": Client("torchrl", ("torchrl",)),
    "skrl": Client("skrl", ("skrl",)),
    "ray": Client("ray", ("ray>=2.60,<3",)),
    "rerun": Client("rerun-sdk", ("rerun-sdk>=0.41,<0.42",)),
    "rllib": Client("ray", ("ray[rllib]",), ("torch", "numpy")),  # it wants a Gymnasium of its own
}


def python_of(key: str, client: Client) -> Path:
    """Returns the Python of a library's environment; made at the first run.

    The environment sees the packages of this one, so it holds only what the library adds or replaces.
    """
    place = ROOT / "out" / "clients" / key
    python, made = place / "bin" / "python", place / "made"
    wanted = "\n".join((sys.prefix, *client.requirements))
    if made.exists() and made.read_text() == wanted:
        return python
    shutil.rmtree(place, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", place], check=True, timeout=INSTALLING)
    folder = sysconfig.get_path("purelib", vars={"base": str(place)})
    (Path(folder) / "project.pth").write_text(
        f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n"
    )
    constraints = place / "constraints.txt"
    constraints.write_text("\n".join(pins(client.pinned)))
    install = [str(python), "-m", "pip", "install", "--quiet", "--constraint", str(constraints)]
    subprocess.run([*install, *client.requirements], check=True, timeout=INSTALLING)
    made.write_text(wanted)
    return python


def pins(names: tuple[str, ...] | None) -> list[str]:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    pinned = [line for line in lines if re.match(r"[\w.-]+==", line)]
    return [line for line in pinned if names is None or line.partition("==")[0] in names]


def run(command: Sequence[str | Path], folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs a program in a folder of its own, because libraries write logs where they run."""
    return subprocess.run(
        [str(part) for part in command], cwd=folder, env={**os.environ, **QUIET}, text=True, timeout=RUNNING,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def summary(output: str) -> str:
    """Returns the last line in which pytest counts tests; libraries write after it."""
    counted = [line for line in output.splitlines() if re.search(r"\d+ (passed|failed|error)", line)]
    return counted[-1].strip("= ") if counted else "no test ran"


@pytest.mark.parametrize("key", CLIENTS)
def test_a_library_runs_on_the_environments(key: str, tmp_path: Path) -> None:
    python = python_of(key, CLIENTS[key])
    command: list[str | Path] = [
        python, "-m", "pytest", "-c", ROOT / "pyproject.toml", "-p", "no:cacheprovider", "-rfEs",
        "-o", "filterwarnings=default", "--disable-warnings", "-m", "", "--basetemp", tmp_path / "checks",
        HERE / f"{key}_checks.py",
    ]  # fmt: skip
    done = run(command, tmp_path)
    code = f"import importlib.metadata; print(importlib.metadata.version({CLIENTS[key].name!r}))"
    version = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True, timeout=60)
    print(f"\n{CLIENTS[key].name} {version.stdout.strip()}: {summary(done.stdout)}")
    assert done.returncode == 0, done.stdout[-6000:]


def test_gymnasiums_own_tests_pass_on_the_ids(tmp_path: Path) -> None:
    """Its tests of environments and of vector environments, over the ids instead of its own environments."""
    if GYMNASIUM_SOURCES not in os.environ:
        pytest.skip(f"set {GYMNASIUM_SOURCES} to a checkout of Gymnasium; no package holds its tests")
    sources = Path(os.environ[GYMNASIUM_SOURCES]).resolve()
    python = python_of("gymnasium", CLIENTS["gymnasium"])
    done = run([python, HERE / "gymnasium_suite.py", sources], tmp_path)
    installed = importlib.metadata.version("gymnasium")
    print(f"\nGymnasium's tests, {installed} installed: {summary(done.stdout)}")
    assert done.returncode == 0, done.stdout[-6000:]
