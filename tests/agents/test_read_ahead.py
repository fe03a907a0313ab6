"""Items that are made in another thread while the latest one is used."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from itertools import islice

import pytest

from eva_sim.agents.mirroring.read_ahead import read_ahead
from eva_sim.errors import MediaError

#: Longer than any wait of these tests should be [s].
PATIENCE = 20.0


def _numbers(count: int, at: Callable[[int], object] = lambda number: None) -> Generator[int, None, None]:
    for number in range(count):
        at(number)
        yield number


def test_items_come_whole_and_in_order() -> None:
    assert list(read_ahead(_numbers(100))) == list(range(100))


def test_the_next_item_is_made_while_one_is_used() -> None:
    made = [threading.Event() for _ in range(5)]
    for number in read_ahead(_numbers(5, lambda number: made[number].set())):
        if number < 4:
            assert made[number + 1].wait(PATIENCE)


def test_at_most_one_item_waits() -> None:
    made: list[int] = []
    items = read_ahead(_numbers(100, made.append))
    for number in items:
        assert len(made) <= number + 2
        if number == 30:
            break
    items.close()
    assert len(made) <= 32


def test_an_error_comes_in_its_place() -> None:
    def fail(number: int) -> None:
        if number == 3:
            raise MediaError("camera 0 stopped sending pictures.")

    ahead = read_ahead(_numbers(9, fail))
    assert list(islice(ahead, 3)) == [0, 1, 2]
    with pytest.raises(MediaError, match="stopped sending"):
        next(ahead)


@pytest.mark.parametrize("used", [0, 1, 3])
def test_items_that_nobody_wants_any_more_are_closed(used: int) -> None:
    closed = threading.Event()

    def items() -> Generator[int, None, None]:
        try:
            yield from _numbers(1000)
        finally:
            closed.set()

    before = threading.active_count()
    ahead = read_ahead(items())
    for _ in range(used):
        next(ahead)
    ahead.close()
    if used:  # a generator that was never started has nothing to close
        assert closed.is_set()
    assert threading.active_count() == before
