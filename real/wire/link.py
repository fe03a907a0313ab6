"""A link to a board: sends a message and waits for the answer, by any clock."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from eva_sim.clock import Clock
from eva_sim.errors import SEE_DOCTOR, LinkError
from eva_sim.real.wire.protocol import TO_HOST, Decoder, Message, encode_frame

A = TypeVar("A", bound=Message)
R = TypeVar("R")

#: Remaining time that counts as none [s].
_INSTANT = 1e-6


class BytePort(Protocol):
    """A port for bytes in both directions; `serial.Serial` with `timeout=0` is one."""

    def write(self, data: bytes, /) -> int | None:
        """Sends bytes and returns how many were taken."""

    def read(self, size: int, /) -> bytes:
        """Returns at most `size` of the bytes that have arrived; never waits."""

    def close(self) -> None:
        """Closes the port."""


@dataclass
class Counters:
    """Numbers of messages and answers on a link so far."""

    sent: int = 0
    answered: int = 0
    unanswered: int = 0
    late: int = 0
    bad: int = 0


class Link:
    """The host's end of a link to a board.

    Args:
        port: an open port; `close` closes it.
        clock: clock that counts time-outs.

    Attributes:
        clock: the same clock.
    """

    def __init__(self, port: BytePort, clock: Clock) -> None:
        self.clock, self._port = clock, port
        self._decoder, self._counters = Decoder(TO_HOST), Counters()
        self._sequence, self._lost, self._exchange = 0, "", threading.RLock()
        self._send(b"\0")  # ends whatever half frame the line holds

    def expect_channels(self, count: int) -> None:
        """From now on, messages with another number of pulses count as bad frames."""
        self._decoder.channels = count

    @property
    def counters(self) -> Counters:
        """A copy of the counters."""
        return dataclasses.replace(self._counters, bad=self._decoder.bad)

    def ask(self, message: Message, answer: type[A], timeout: float, tries: int = 1) -> A | None:
        """Sends a message and waits for the answer to it.

        Only a message that may arrive twice can have several tries. Targets cannot: they are old by the
        time of a second try.

        Args:
            message: message to send.
            answer: kind of message that answers it.
            timeout: longest wait for the answer to each try [s].
            tries: greatest number of times that it is sent.

        Returns:
            The answer, or None if none came in time.

        Raises:
            LinkError: the port is lost.
        """
        for _ in range(tries):
            with self._exchange:  # a stop may come from another thread, and must not take its answer
                found = self._ask_once(message, answer, timeout)
            if found is not None:
                return found
        return None

    def _ask_once(self, message: Message, answer: type[A], timeout: float) -> A | None:
        self._sequence = (self._sequence + 1) & 0xFFFFFFFF
        self._counters.sent += 1
        self._send(encode_frame(message, self._sequence))
        found = self._await(answer, self.clock.now() + timeout)
        if found is None:
            self._counters.unanswered += 1
        else:
            self._counters.answered += 1
        return found

    def demand(self, message: Message, answer: type[A], timeout: float, tries: int = 1) -> A:
        """Sends a message that must be answered, see `ask`.

        Raises:
            LinkError: the port is lost, or no answer came.
        """
        found = self.ask(message, answer, timeout, tries)
        if found is None:
            raise LinkError(
                f"the board does not answer to {type(message).__name__.upper()} ({tries} tries of "
                f"{timeout:g} s); check its power, its port, and that it has our firmware. {SEE_DOCTOR}"
            )
        return found

    def close(self) -> None:
        """Closes the port. May be called twice."""
        with contextlib.suppress(LinkError):
            self._use_port(self._port.close)
        self._lost = self._lost or "it was closed"

    def _await(self, answer: type[A], deadline: float) -> A | None:
        """Waits for an answer; looks once more after the deadline, if this program was frozen until then."""
        left = deadline - self.clock.now()
        while True:
            if in_time := left >= _INSTANT:  # a simulated clock has ticks, and would never pass less than one
                self._use_port(self.clock.wait, self._port, left)
            for frame in self._decoder.feed(self._receive()):
                if isinstance(frame.message, answer) and frame.sequence == answer.number(self._sequence):
                    return frame.message
                self._counters.late += 1
            if not in_time:
                return None
            left = deadline - self.clock.now()

    def _send(self, data: bytes) -> None:
        self._use_port(self._write, data)

    def _write(self, data: bytes) -> None:
        while data:
            taken = self._port.write(data)
            if not taken:
                raise OSError("the port takes no bytes")
            data = data[taken:]

    def _receive(self) -> bytes:
        return self._use_port(self._port.read, 4096)

    def _use_port(self, action: Callable[..., R], *arguments: Any) -> R:
        """Uses the port. Every failure becomes a `LinkError`, and the link stays lost."""
        if self._lost:
            raise LinkError(f"the link is lost: {self._lost}; connect again.")
        try:
            return action(*arguments)
        except PORT_ERRORS as error:
            self._lost = str(error) or type(error).__name__
            raise LinkError(
                f"the link is lost: {self._lost}; is the cable plugged in? Then connect again. {SEE_DOCTOR}"
            ) from error


def _port_errors() -> tuple[type[Exception], ...]:
    """Errors that pyserial raises: its own are OSErrors, those of the terminal are not."""
    try:
        import termios
    except ImportError:  # not on every system
        return (OSError,)
    return OSError, termios.error


#: Every error with which a port may fail.
PORT_ERRORS = _port_errors()
