"""How many threads torch computes with, where its own choice hangs or is slow."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache


@lru_cache(maxsize=1)
def let_torch_survive_forks() -> None:
    """Makes torch compute with one thread in forked children, as its own data loaders do.

    The threads of its pool do not exist in a child, which would wait for them for ever. A module that
    computes with torch calls this on import.
    """
    import torch

    os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Makes torch compute with one thread, for work of a millisecond or less.

    Beside other work, several threads wait for each other far longer than they compute.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
