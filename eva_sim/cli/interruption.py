"""What a command says when Ctrl-C ends it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console


@contextmanager
def explain_interruption(text: str) -> Iterator[None]:
    """Prints a sentence if Ctrl-C ends the block; the command then ends with status 130.

    Args:
        text: what is kept, and how to continue.
    """
    try:
        yield
    except KeyboardInterrupt:
        Console(stderr=True).print(f"Stopped. {text}", soft_wrap=True)
        raise
