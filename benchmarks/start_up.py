"""How long imports, the help and the first step of an environment take, in processes of their own.

    python -m benchmarks.start_up [--json FILE] [--runs 20] [--python PYTHON]

The cases take turns, so that other work on the machine meets all of them alike. The median is reported. The
first step is measured with a warm cache of compiled functions. `--python` is that of another environment in
which the package is installed; its size is that of the files of its packages.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from time import perf_counter

import numpy as np
from rich.console import Console
from rich.table import Table

from eva_sim.files import write_json

_STEP = """
import gymnasium, eva_sim
env = gymnasium.make("EVA/Pose-v0")
env.reset(seed=0)
env.step(env.action_space.sample())
"""
#: What Python is given in each case, and the aim [s].
CASES: dict[str, tuple[list[str], float | None]] = {
    "Python alone": (["-c", ""], None),
    "import numpy": (["-c", "import numpy"], None),
    "import eva_sim": (["-c", "import eva_sim"], 0.15),
    "eva --help": (["-m", "eva_sim.cli", "--help"], 0.3),
    "gym.make to the first step": (["-c", _STEP], 3.0),
}


def measure(python: str, runs: int) -> dict[str, dict[str, float]]:
    """Returns the median wall time and processor time of each case [s]."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in CASES}
    with tempfile.TemporaryDirectory() as empty:  # Python looks for packages where it runs
        for arguments, _ in CASES.values():
            _run([python, *arguments], empty)  # fills caches of files and of compiled functions
        for _ in range(runs):
            for name, (arguments, _) in CASES.items():
                times[name].append(_run([python, *arguments], empty))
    medians = {name: np.median(rows, axis=0).tolist() for name, rows in times.items()}
    return {name: {"wall": wall, "processor": used} for name, (wall, used) in medians.items()}


def installed_size(python: str) -> int:
    """Returns the size of the packages of an environment [bytes]."""
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    told = subprocess.run([python, "-I", "-c", code], check=True, capture_output=True, text=True)
    return sum(path.lstat().st_size for path in Path(told.stdout.strip()).rglob("*"))


def _run(command: list[str], folder: str) -> tuple[float, float]:
    """Runs a program once; returns wall time and processor time [s]."""
    start, before = perf_counter(), _processor_time()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True, cwd=folder)
    return perf_counter() - start, _processor_time() - before


def _processor_time() -> float:
    used = getrusage(RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--python", default=sys.executable)
    asked = parser.parse_args()
    python = str(Path(asked.python).absolute())
    found, size = measure(python, asked.runs), installed_size(python)
    title = f"packages of this environment: {size / 1e6:,.0f} MB"
    table = Table("case", "wall [s]", "processor [s]", "aim, wall [s]", title=title)
    for name, row in found.items():
        aim = CASES[name][1]
        table.add_row(
            name, f"{row['wall']:.3f}", f"{row['processor']:.3f}", "" if aim is None else f"{aim:g}"
        )
    Console().print(table)
    if asked.json:
        write_json(asked.json, {**found, "installed": {"bytes": size}})


if __name__ == "__main__":
    main()
