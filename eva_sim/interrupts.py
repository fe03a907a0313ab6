"""Ctrl-C and its like as a request to end, so that a face is never stopped in the middle of a motion."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from eva_sim.command_start import ENDING_SIGNALS

#: Time after which a signal is sent again that was lost [s].
_AGAIN = 0.05
_NAMES = {signal.SIGINT: "Ctrl-C"}


class Interrupted(KeyboardInterrupt):
    """A signal asks the program to end; whatever handles Ctrl-C handles it, too.

    Attributes:
        number: of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def signal_of(error: KeyboardInterrupt) -> signal.Signals:
    """Returns the signal that an interruption is the answer to."""
    return signal.Signals(error.number if isinstance(error, Interrupted) else signal.SIGINT)


def describe_interruption(error: KeyboardInterrupt) -> str:
    """Says in words what ended the program."""
    number = signal_of(error)
    return f"stopped by {_NAMES.get(number, number.name)}"


def accepted_signals() -> tuple[signal.Signals, ...]:
    """Returns the signals of `ENDING_SIGNALS` that this thread can handle and nobody wants ignored.

    Only the main thread receives signals. `nohup` ignores SIGHUP, and shells ignore SIGINT in the background.
    """
    if threading.current_thread() is not threading.main_thread():
        return ()
    return tuple(number for number in ENDING_SIGNALS if signal.getsignal(number) != signal.SIG_IGN)


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Turns the first ending signal of the block into a request to end; a second one interrupts at once.

    At the end of the block SIGTERM and SIGHUP go on to their previous handlers, which end the program.
    Outside the main thread nothing is changed.

    Yields:
        A function that returns whether the user asked to end.
    """
    received = list[int]()
    previous: dict[int, Any] = {number: signal.getsignal(number) for number in accepted_signals()}

    def restore() -> None:
        for number, handler in previous.items():
            signal.signal(number, handler)

    def request(number: int, frame: object) -> None:
        received.append(number)
        restore()

    for number in previous:
        signal.signal(number, request)
    try:
        yield lambda: bool(received)
    finally:
        restore()
        for number in received:
            if number != signal.SIGINT:
                signal.raise_signal(number)


@contextmanager
def interruptions() -> Iterator[Callable[[], int]]:
    """Makes every ending signal raise `Interrupted` in the main thread, for the block.

    Yields:
        A function that returns the first such signal, 0 if there was none; also one that other handlers took.
    """
    accepted = accepted_signals()
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.set_blocking(writing, False)
    heard = list[int]()

    def first() -> int:
        with contextlib.suppress(BlockingIOError):
            heard.extend(number for number in os.read(reading, 4096) if number in ENDING_SIGNALS)
        return heard[0] if heard else 0

    previous = {number: signal.signal(number, _interrupt) for number in accepted}
    hook = sys.unraisablehook
    sys.unraisablehook = partial(_repeat_if_lost, hook)
    wakeup = signal.set_wakeup_fd(writing, warn_on_full_buffer=False) if accepted else -1
    try:
        yield first
    finally:
        sys.unraisablehook = hook
        if accepted:
            signal.set_wakeup_fd(wakeup)
        for number, handler in previous.items():
            signal.signal(number, handler)
        os.close(reading)
        os.close(writing)


def _repeat_if_lost(hook: Callable[[Any], object], lost: Any) -> None:
    """Sends a signal again whose exception came in a callback of compiled code, which drops exceptions."""
    if isinstance(lost.exc_value, Interrupted):
        again = threading.Timer(_AGAIN, os.kill, (os.getpid(), lost.exc_value.number))
        again.daemon = True
        again.start()
    else:
        hook(lost)


def accept_held_signals() -> None:
    """Lets the signals come that `eva_sim.command_start` held back."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING_SIGNALS)


def _interrupt(number: int, frame: object) -> None:
    raise Interrupted(number)
