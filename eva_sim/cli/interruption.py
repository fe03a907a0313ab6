"""What a command says when Ctrl-C, SIGTERM or SIGHUP ends it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def explain_interruption(text: str) -> Iterator[None]:
    """Adds a sentence to an interruption of the block, which `main` prints as it ends the program.

    Args:
        text: what is kept, and how to continue.
    """
    try:
        yield
    except KeyboardInterrupt as interruption:
        if not hasattr(interruption, "__notes__"):  # the innermost block knows most
            interruption.add_note(text)
        raise
