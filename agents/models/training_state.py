"""The state of a training under way, in a file from which a later call goes on."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from eva_sim.agents.models.model_file import read_content, write_content
from eva_sim.files import git_commit
from eva_sim.progress import report

#: End of the names of all files with a state.
STATES = "-state.pt"
#: Time between two saves of a state [s]. An interruption costs as much at most.
SAVE_EVERY = 20.0


class TrainingState:
    """Reads and writes the state of a training. It is a checkpoint: it also holds settings and commit.

    Args:
        path: of the file; None to keep no state.
        origin: what the result depends on, as JSON: data and settings. A state of another origin is not used.
    """

    def __init__(self, path: Path | None, origin: dict[str, Any]) -> None:
        self._path, self._origin = path, json.dumps(origin, sort_keys=True)
        self._saved = time.monotonic()

    def read(self) -> dict[str, Any] | None:
        """Returns what was written last; None, and says so, if that is damaged or of another origin."""
        if self._path is None or not self._path.exists():
            return None
        content: dict[str, Any] = {}
        with suppress(Exception):  # a damaged state is as good as none; zip, pickle and torch have their own
            content = read_content(self._path)
        if content.get("origin") != self._origin:
            report(f"{self._path.name} is damaged, or of other data or settings; this part starts over.")
            return None
        report(f"{self._path.name}: the training goes on after {content['done']}.")
        return content

    def write(self, content: Callable[[], dict[str, Any]], done: str, finished: bool = False) -> None:
        """Writes the state if the last time is long ago, or the training is finished.

        Args:
            content: returns the state; called only if it is written.
            done: what was done so far, in words.
            finished: whether the training is finished.
        """
        if self._path is None or (time.monotonic() - self._saved < SAVE_EVERY and not finished):
            return
        write_content(self._path, {"origin": self._origin, "commit": git_commit(), "done": done, **content()})
        self._saved = time.monotonic()
