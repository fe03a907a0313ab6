"""Signals and ends of child processes, for tests."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

from eva_sim.command_start import ENDING_SIGNALS


def default_signals() -> None:
    """Lets a child hear signals that a shell ignores for programs in the background; for `preexec_fn`."""
    for number in ENDING_SIGNALS:
        signal.signal(number, signal.SIG_DFL)


def is_running(process: int) -> bool:
    """Whether a process is there and has not ended."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def wait_until(condition: Callable[[], bool], patience: float = 20.0) -> bool:
    """Waits for a condition, at most for a time [s]; returns whether it holds."""
    deadline = time.monotonic() + patience
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()
