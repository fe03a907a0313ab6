"""Keeping a robot held while slow work goes on: a robot that hears nothing for a second goes limp."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, wait
from queue import SimpleQueue
from typing import TypeVar

from eva_sim.clock import WallClock
from eva_sim.contract import Face

T = TypeVar("T")
#: Time between two signs of life, the first after this time [s]: a wire period.
PERIOD = 0.02
#: Longest wait for work that an exception of the caller leaves behind [s].
LEFT_BEHIND = 2.0


class _Worker:
    """A thread that does one piece of work after another.

    It waits for the next one, because a new thread takes its time to start on a busy computer, and whoever
    starts one has to wait for it. It ends when nobody can give it work any more.
    """

    def __init__(self) -> None:
        self._work: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread = threading.Thread(
            target=_do_each, args=(self._work,), name="work while held", daemon=True
        )
        self._thread.start()
        weakref.finalize(self, self._work.put, None)

    @property
    def alive(self) -> bool:
        """Whether it runs: it does not survive a fork."""
        return self._thread.is_alive()

    def do(self, work: Callable[[], T]) -> Future[T]:
        """Begins to work; the future has what the work returns or raises."""
        outcome = Future[T]()

        def run() -> None:
            try:
                outcome.set_result(work())
            except BaseException as error:
                outcome.set_exception(error)

        self._work.put(run)
        return outcome


def _do_each(given: SimpleQueue[Callable[[], None] | None]) -> None:
    while (work := given.get()) is not None:
        work()
        del work  # and what it holds


class _Workers(threading.local):
    """The worker that waits for each thread; one that is still busy is left behind."""

    idle: _Worker | None = None


_workers = _Workers()


def work_while_held(face: Face, work: Callable[[], T]) -> T:
    """Does slow work while a body in real time is held where it is.

    The work runs in a thread of its own, and must not use the body. The caller's thread holds the body, so
    a body is never held by a program whose own thread has ended. Work that takes longer than `held_for` of
    robot.toml ends the hold, and the robot goes limp as after any silence. So does a single call into C code
    that keeps Python's interpreter to itself for so long: detectors, numpy and files do not.

    Args:
        face: any body. Without a clock, or with one that stands still while the caller works, the work is
            simply done.
        work: what to do.

    Returns:
        What the work returns; its exceptions are raised.
    """
    if not isinstance(face.clock, WallClock):
        return work()
    worker, _workers.idle = _workers.idle, None
    if worker is None or not worker.alive:
        worker = _Worker()
    outcome = worker.do(work)
    try:
        while not wait([outcome], PERIOD).done:
            face.hold_still()
    except BaseException:
        wait([outcome], LEFT_BEHIND)
        raise
    _workers.idle = worker
    return outcome.result()


def iterate_while_held(face: Face, items: Iterable[T]) -> Iterator[T]:
    """Yields items for which the caller may have to wait, such as the pictures of a camera.

    Args:
        face: any body; held while it waits for an item.
        items: iterated in threads of their own, one after another.
    """
    iterator, end = iter(items), object()
    while (item := work_while_held(face, lambda: next(iterator, end))) is not end:
        yield item  # type: ignore[misc]
