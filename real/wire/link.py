"""Asking a board and waiting for its answer, by whatever clock there is."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from eva_sim.clock import Clock
from eva_sim.errors import LinkError
from eva_sim.real.wire.protocol import TO_HOST, Decoder, Message, encode_frame

A = TypeVar("A", bound=Message)
R = TypeVar("R")

#: Time that counts as none [s].
_INSTANT = 1e-6


class BytePort(Protocol):
    """Where bytes go and come from; `serial.Serial` with `timeout=0` is one."""

    def write(self, data: bytes, /) -> int | None:
        """Sends bytes and says how many were taken."""

    def read(self, size: int, /) -> bytes:
        """What has arrived, at most `size` bytes; never waits."""

    def close(self) -> None:
        """Lets go."""


@dataclass
class Counters:
    """What happened on a link so far."""

    sent: int = 0
    answered: int = 0
    unanswered: int = 0
    late: int = 0
    bad: int = 0


class Link:
    """A board at the other end of a port.

    Args:
        port: open; closed by `close`.
        clock: by which time-outs are counted.

    Attributes:
        clock: the same.
    """

    def __init__(self, port: BytePort, clock: Clock) -> None:
        self.clock, self._port = clock, port
        self._decoder, self._counters = Decoder(TO_HOST), Counters()
        self._sequence, self._lost = 0, ""
        self._push(b"\0")  # ends whatever half frame the line holds

    @property
    def counters(self) -> Counters:
        """A copy of the counters."""
        return dataclasses.replace(self._counters, bad=self._decoder.bad)

    def ask(self, message: Message, answer: type[A], timeout: float, tries: int = 1) -> A | None:
        """Sends a message and waits for the answer to it.

        Only what does no harm when it comes twice may have several tries. A target must not: by the
        time of a second try it is old.

        Args:
            message: to send.
            answer: the kind that answers it.
            timeout: of each try [s].
            tries: how often to send it.

        Returns:
            The answer, or None if none came in time.

        Raises:
            LinkError: the port is lost.
        """
        for _ in range(tries):
            self._sequence = (self._sequence + 1) & 0xFFFF
            self._counters.sent += 1
            self._push(encode_frame(message, self._sequence))
            found = self._await(answer, self.clock.now() + timeout)
            if found is not None:
                self._counters.answered += 1
                return found
            self._counters.unanswered += 1
        return None

    def demand(self, message: Message, answer: type[A], timeout: float, tries: int = 1) -> A:
        """As `ask`, for what must be answered.

        Raises:
            LinkError: the port is lost, or nobody answers.
        """
        found = self.ask(message, answer, timeout, tries)
        if found is None:
            raise LinkError(
                f"the board does not answer to {type(message).__name__.upper()} ({tries} tries of "
                f"{timeout:g} s); is it powered, is this its port, and has it our firmware?"
            )
        return found

    def close(self) -> None:
        """Closes the port. May be called twice."""
        with contextlib.suppress(LinkError):
            self._guarded(self._port.close)
        self._lost = self._lost or "it was closed"

    def _await(self, answer: type[A], deadline: float) -> A | None:
        left = deadline - self.clock.now()
        while left >= _INSTANT:  # a simulated clock has ticks, and would never pass less than one
            self._guarded(self.clock.wait, self._port, left)
            for frame in self._decoder.feed(self._pull()):
                if frame.sequence == self._sequence and isinstance(frame.message, answer):
                    return frame.message
                self._counters.late += 1
            left = deadline - self.clock.now()
        return None

    def _push(self, data: bytes) -> None:
        self._guarded(self._write, data)

    def _write(self, data: bytes) -> None:
        while data:
            taken = self._port.write(data)
            if not taken:
                raise OSError("the port takes no bytes")
            data = data[taken:]

    def _pull(self) -> bytes:
        return self._guarded(self._port.read, 4096)

    def _guarded(self, action: Callable[..., R], *given: Any) -> R:
        """Uses the port; turns every way in which it fails into one error, and remembers that it failed."""
        if self._lost:
            raise LinkError(f"the link is lost: {self._lost}; connect again.")
        try:
            return action(*given)
        except _FAILURES as error:
            self._lost = str(error) or type(error).__name__
            raise LinkError(
                f"the link is lost: {self._lost}; is the cable plugged in? Then connect again."
            ) from error


def _failures() -> tuple[type[Exception], ...]:
    """What pyserial lets through: its own errors are OSErrors, those of the terminal are not."""
    try:
        import termios
    except ImportError:  # not on every system
        return (OSError,)
    return OSError, termios.error


_FAILURES = _failures()
