"""Standard streams that are absent, closed, full or replaced, and whose numbers belong to other files."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eva_sim.progress import progress
from eva_sim.streams import on_terminal, silence_stderr, tell


class Nothing:
    """A stream without any method."""


class Broken(io.StringIO):
    """A stream whose every method fails in a way of its own."""

    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")

    def flush(self) -> None:
        raise RuntimeError("not now")

    def isatty(self) -> bool:
        raise ValueError("I/O operation on closed file")


def closed() -> io.StringIO:
    stream = io.StringIO()
    stream.close()
    return stream


STREAMS: dict[str, Callable[[], object]] = {
    "none": lambda: None,
    "nothing": Nothing,
    "broken": Broken,
    "closed": closed,
}


@pytest.mark.parametrize("kind", STREAMS)
def test_any_error_stream_will_do(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture, kind: str
) -> None:
    monkeypatch.setattr("eva_sim.progress_bars.EVERY", 0.0)
    monkeypatch.setattr(sys, "stderr", STREAMS[kind]())
    tell("a line")
    assert not on_terminal()
    assert list(progress(range(2), "work")) == [0, 1]
    with silence_stderr():
        os.write(2, b"a native library")
    os.write(2, b"afterwards")
    monkeypatch.undo()
    assert capfd.readouterr() == ("", "afterwards")


def run_without_streams(program: str, closing: str, folder: Path) -> Any:
    """Runs a program with some of its standard streams closed from the start, and with Python's buffers."""
    file = folder / "program.py"
    file.write_text(program)
    return subprocess.run(
        ["sh", "-c", f'exec "$0" "$1" {closing}', sys.executable, str(file)],
        cwd=folder, env={**os.environ, "PYTHONUNBUFFERED": ""}, capture_output=True, text=True, timeout=100,
    )  # fmt: skip


DETECTS = """
import numpy as np
from eva_sim.detector import Detector
mine = open("mine.txt", "w")
with Detector() as detector:
    found = detector.detect(np.zeros((64, 64, 3), np.uint8))
mine.write(f"found {found}")
mine.close()
"""


@pytest.mark.parametrize("closing", ["2>&-", "<&- 2>&-", "<&- >&- 2>&-"])
def test_the_detector_needs_no_streams_and_logs_into_nobodys_file(tmp_path: Path, closing: str) -> None:
    done = run_without_streams(DETECTS, closing, tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "mine.txt").read_text() == "found None"


STARTS_ANOTHER = """
import subprocess, sys
import eva_sim
mine = open("mine.txt", "w")
subprocess.run([sys.executable, "-c", "import os; os.write(2, b'an error')"], check=True)
mine.write("mine")
"""


def test_programs_that_are_started_have_an_error_stream(tmp_path: Path) -> None:
    assert run_without_streams(STARTS_ANOTHER, "2>&-", tmp_path).returncode == 0
    assert (tmp_path / "mine.txt").read_text() == "mine"


FIRST_A_FILE = """
import os
mine = open("mine.txt", "wb", buffering=0)
assert mine.fileno() == 2
from eva_sim.streams import silence_stderr
with silence_stderr():
    mine.write(b"during, ")
mine.write(b"after")
"""


def test_a_file_that_got_the_number_of_the_error_stream_is_left_alone(tmp_path: Path) -> None:
    assert run_without_streams(FIRST_A_FILE, "2>&-", tmp_path).returncode == 0
    assert (tmp_path / "mine.txt").read_text() == "during, after"


CLOSED_LATER = """
import os
from eva_sim.streams import silence_stderr
os.close(2)
with silence_stderr():
    mine = open("mine.txt", "w")
    assert mine.fileno() > 2
    os.write(2, b"a native library")
mine.write("mine")
"""


def test_an_error_stream_may_be_closed_later(tmp_path: Path) -> None:
    assert run_without_streams(CLOSED_LATER, "", tmp_path).returncode == 0
    assert (tmp_path / "mine.txt").read_text() == "mine"


COMMAND = """
import sys
from eva_sim.cli import main
sys.argv = ["eva", *{arguments}]
main()
"""


@pytest.mark.parametrize(
    ("arguments", "closing", "code", "out", "error"),
    [
        (["actuators"], "2>&-", 0, "zygomaticus", ""),
        (["actuators"], "<&- >&- 2>&-", 0, "", ""),
        (["look", "nosuch"], "2>&-", 1, "", ""),
        (["look", "nosuch"], ">&-", 1, "", "nosuch"),
        (["actuators"], ">/dev/full", 1, "", "No space left"),
        (["look", "nosuch"], "2>/dev/full", 1, "", ""),
    ],
)
def test_a_command_needs_no_streams(
    tmp_path: Path, arguments: list[str], closing: str, code: int, out: str, error: str
) -> None:
    done = run_without_streams(COMMAND.format(arguments=arguments), closing, tmp_path)
    assert done.returncode == code
    assert out in done.stdout and error in done.stderr and "Traceback" not in done.stderr
    assert bool(done.stderr) == bool(error)
