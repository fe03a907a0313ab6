"""A link to a board: sends a message and waits for the answer, by any clock."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, cast

from eva_sim.clock import Clock
from eva_sim.errors import SEE_DOCTOR, LinkError
from eva_sim.real.wire.protocol import TO_HOST, Decoder, Message, WireFrame, encode_frame

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


class _Awaited:
    """Messages with the same meaning whose answers are still to come: an answer to any of them will do.

    They are the tries of one message, or targets, each of which replaces the ones before it.
    """

    def __init__(self) -> None:
        self._message: Message | None = None
        self._until, self._newest = dict[int, float](), 0

    def add(self, message: Message, number: int, now: float, late: float) -> None:
        """Adds a message that is sent now [s]; forgets those before it, but for the ones with its meaning.

        Args:
            message: which is sent.
            number: its sequence number.
            now: this moment [s].
            late: age up to which it has the meaning of later ones of its kind [s]; 0 if it never has.
        """
        alike = message is self._message or (late > 0 and type(message) is type(self._message))
        self._until = {n: until for n, until in self._until.items() if alike and now <= until}
        self._until[number] = now + late if late else math.inf
        self._message, self._newest = message, number

    def take(self, frame: WireFrame, answer: type[Message], now: float) -> bool:
        """Whether a frame is the answer to one of them; it and those before it are answered then."""
        numbers = {
            answer.number(n): n for n, until in self._until.items() if now <= until or n == self._newest
        }
        if not isinstance(frame.message, answer) or frame.sequence not in numbers:
            return False
        self._until = {n: until for n, until in self._until.items() if n > numbers[frame.sequence]}
        return True


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
        self._awaited = _Awaited()
        self._send(b"\0")  # ends whatever half frame the line holds

    def expect_channels(self, count: int) -> None:
        """From now on, messages with another number of pulses count as bad frames."""
        self._decoder.channels = count

    @property
    def counters(self) -> Counters:
        """A copy of the counters."""
        return dataclasses.replace(self._counters, bad=self._decoder.bad)

    def ask(
        self, message: Message, answer: type[A], timeout: float, tries: int = 1, late: float = 0.0
    ) -> A | None:
        """Sends a message and waits for the answer to it.

        Only a message that may arrive twice can have several tries. Targets cannot: they are old by the
        time of a second try.

        An answer that comes too late for its own try is taken in a later one: a board that answers late, as
        on a busy computer, is not silent.

        Args:
            message: message to send.
            answer: kind of message that answers it.
            timeout: longest wait for the answer to each try [s].
            tries: greatest number of times that it is sent.
            late: age up to which an answer to an earlier message of this kind is taken, too [s]; only for
                messages that replace each other, and unless another kind was sent in between.

        Returns:
            The answer, or None if none came in time.

        Raises:
            LinkError: the port is lost.
        """
        for _ in range(tries):
            with self._exchange:  # a stop may come from another thread, and must not take its answer
                found = self._ask_once(message, answer, timeout, late)
            if found is not None:
                return found
        return None

    def _ask_once(self, message: Message, answer: type[A], timeout: float, late: float) -> A | None:
        self._sequence = (self._sequence + 1) & 0xFFFFFFFF
        self._awaited.add(message, self._sequence, self.clock.now(), late)
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
            found = None
            for frame in self._decoder.feed(self._receive()):  # of several answers the newest one counts
                current = frame.sequence == answer.number(self._sequence)
                self._counters.late += not (current and isinstance(frame.message, answer))
                if self._awaited.take(frame, answer, self.clock.now()):
                    found = cast(A, frame.message)
            if found is not None or not in_time:
                return found
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
