"""Reading ahead: the next item is made in a thread of its own while the latest one is used."""

from __future__ import annotations

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TypeVar

T = TypeVar("T")


def read_ahead(items: Generator[T, None, None]) -> Generator[T, None, None]:
    """Yields the items in their order; each is made while the one before it is used.

    At most one item waits, so that none is old when it is used. An error of the items is raised where the
    item would come. The thread ends with this generator, after the item that it is making.

    Args:
        items: closed at the end. It runs in the other thread only.
    """
    # The thread has ended when the items are closed: a generator that runs cannot be closed.
    with closing(items), ThreadPoolExecutor(1, thread_name_prefix="read-ahead") as worker:
        end = object()
        coming = worker.submit(next, items, end)
        while (item := coming.result()) is not end:
            coming = worker.submit(next, items, end)
            yield item  # type: ignore[misc]
