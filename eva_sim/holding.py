"""Keeping a robot held while slow work goes on: a robot that hears nothing for a second goes limp."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from eva_sim.clock import WallClock
from eva_sim.contract import Face

T = TypeVar("T")
#: Time between two signs of life, the first after this time [s]: a wire period.
PERIOD = 0.02
#: Longest wait for work that an exception of the caller leaves behind [s].
LEFT_BEHIND = 2.0


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
    done, outcome = threading.Event(), dict[str, Any]()

    def run() -> None:
        try:
            outcome["result"] = work()
        except BaseException as error:
            outcome["error"] = error
        finally:
            done.set()

    thread = threading.Thread(target=run, name="work while held", daemon=True)
    thread.start()
    try:
        while not done.wait(PERIOD):
            face.hold_still()
    except BaseException:
        thread.join(LEFT_BEHIND)
        raise
    thread.join()
    if "error" in outcome:
        raise outcome["error"]
    return outcome["result"]


def iterate_while_held(face: Face, items: Iterable[T]) -> Iterator[T]:
    """Yields items for which the caller may have to wait, such as the pictures of a camera.

    Args:
        face: any body; held while it waits for an item.
        items: iterated in threads of their own, one after another.
    """
    iterator, end = iter(items), object()
    while (item := work_while_held(face, lambda: next(iterator, end))) is not end:
        yield item  # type: ignore[misc]
