"""Holds back Ctrl-C and its like while the `eva` command is imported; `interruptions` then answers them.

The package imports this module first. Programs other than `eva` are not changed.
"""

from __future__ import annotations

import os
import signal
import sys

#: Signals that ask a program to end: Ctrl-C, `kill`, and the end of its terminal.
ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def _is_command() -> bool:
    """Whether this process is the `eva` command, and no worker that it spawned."""
    words = sys.orig_argv[1:3]
    return words == ["-m", "eva_sim.cli"] or (bool(words) and os.path.basename(words[0]) == "eva")


if _is_command():
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING_SIGNALS)
