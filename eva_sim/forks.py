"""Whether a resource of this process was made by it, or by a parent process before a fork.

Threads, graphics contexts and detectors do not survive a fork: a forked child that uses one waits for ever
for a thread that it does not have. Whoever makes such a resource keeps a `ForkMark` beside it.
"""

from __future__ import annotations

import os

_forks = 0


class ForkMark:
    """Remembers the process that it was made in."""

    def __init__(self) -> None:
        self._forks = _forks

    @property
    def crossed(self) -> bool:
        """Whether this process was forked from the one that made the mark."""
        return self._forks != _forks

    def check(self, error: type[Exception], message: str) -> None:
        """Raises an error with a message in a forked child of the process that made the mark."""
        if self.crossed:
            raise error(message)


def _count_fork() -> None:
    global _forks
    _forks += 1


os.register_at_fork(after_in_child=_count_fork)
