"""The host's side of the guard of a board's lines, see `line_guard`."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Protocol

from eva_sim.clock import ELAPSING, WallClock
from eva_sim.errors import LinkError
from eva_sim.real.boards import line_guard
from eva_sim.real.boards.arming import ArmingAct
from eva_sim.real.boards.line_guard import (
    ALIVE,
    BEAT,
    DRIVE,
    END,
    ENDED,
    GOODBYE,
    GRANT,
    HEAD,
    LIMP,
    NOTICE,
    STAMP,
    WRITE,
    send_packets,
    write_all,
)
from eva_sim.thread_priority import run_ahead

#: Beats without an answer after which the guard counts as frozen; the host sends 80 a second.
MOST_UNANSWERED = 80
#: Longest wait for the answer to one beat while packets that make the face limp may wait in the pipe [s].
PATIENCE = 0.1
#: Longest wait for its end after goodbye [s]; the torque-off packets take 0.1.
GOODBYE_PATIENCE = 1.0
#: Notices read at once.
MOST_NOTICES = 400


class Guard(Protocol):
    """A guard, as the host uses it."""

    @property
    def watching(self) -> bool:
        """Whether it runs."""

    def write(self, port: int, data: bytes, act: ArmingAct | None) -> int:
        """Writes a packet to a port, by its number; `act` is None if the packet drives no servo.

        Raises:
            OSError: the port is gone, or does not take the packet.
        """

    def grant(self, act: ArmingAct) -> None:
        """Lets servos be driven under an act, until it ends."""

    def end(self) -> None:
        """Ends the act."""

    def limp(self, act: ArmingAct) -> None:
        """Has the guard make the face limp, if this act is under way."""

    def beat(self) -> None:
        """Reports that the host is alive."""

    def notices(self) -> list[tuple[bytes, int]]:
        """What it has said since the last call: kinds, and numbers of the acts that they are about."""

    def end_if_frozen(self) -> bool:
        """Asks for a sign of life, and ends a guard that gives none: packets would wait in its pipe for ever.

        Returns:
            Whether it was ended now. From here on what drives no servo is written to the ports directly.
        """

    def close(self, torque_off: bool = False) -> None:
        """Ends the guard; the torque-off packets are written first if `torque_off`. May be called twice."""


class LocalGuard:
    """A guard within the host, for ports that are no files, as those of tests.

    It is frozen whenever the host is, so beats tell it nothing: it asks the act itself.

    Args:
        write: writes bytes to a port, by its number.
        go_limp: writes the torque-off packets to every port.
    """

    watching = True

    def __init__(self, write: Callable[[int, bytes], int], go_limp: Callable[[], None]) -> None:
        self._write, self._go_limp, self._said = write, go_limp, list[tuple[bytes, int]]()

    def write(self, port: int, data: bytes, act: ArmingAct | None) -> int:
        if act is None:
            return self._write(port, data)
        if not act.is_over():
            self._write(port, data)
        if act.is_over():  # before the write, or during it
            self._go_limp()
            self._said.append((ENDED, act.number))
        return len(data)

    def notices(self) -> list[tuple[bytes, int]]:
        said, self._said = self._said, []
        return said

    def grant(self, act: ArmingAct) -> None:
        """Does nothing: the act itself is asked."""

    def end(self) -> None:
        """Does nothing: the act itself is asked."""

    def limp(self, act: ArmingAct) -> None:
        """Does nothing: the act itself is asked."""

    def beat(self) -> None:
        """Does nothing."""

    def end_if_frozen(self) -> bool:
        return False

    def close(self, torque_off: bool = False) -> None:
        """Does nothing: nothing outlives this process."""


class GuardProcess:
    """The host's side of a guard in its own process.

    Args:
        packets: torque-off packets, by the file number of each port, in the order of the ports.
        timeout: time without a beat after which they are written [s].
    """

    def __init__(self, packets: Mapping[int, bytes], timeout: float) -> None:
        self._packets, self._ports, self._unanswered = packets, list(packets), 0
        self._said = list[tuple[bytes, int]]()
        clock = "" if ELAPSING is None else str(ELAPSING)
        arguments = [clock, str(timeout), *(f"{number}:{data.hex()}" for number, data in packets.items())]
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", os.path.realpath(line_guard.__file__), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            pass_fds=tuple(packets),
            start_new_session=True,  # Ctrl-C is for the host alone
        )
        run_ahead(self._process.pid)
        assert self._process.stdin is not None and self._process.stdout is not None
        self._pipe, self._back = self._process.stdin, self._process.stdout
        for pipe in (self._pipe, self._back):
            os.set_blocking(pipe.fileno(), False)

    @property
    def watching(self) -> bool:
        """Whether the process runs, and answers."""
        self._hear()
        if self._unanswered > MOST_UNANSWERED:
            self._kill()
        return self._process.poll() is None

    def end_if_frozen(self) -> bool:
        self._hear()  # answers to earlier beats say nothing
        self.beat()
        if self._process.poll() is not None or self._hear(PATIENCE):
            return False
        self._kill()
        return True

    def write(self, port: int, data: bytes, act: ArmingAct | None) -> int:
        try:
            self._send(DRIVE if act else WRITE, act.number if act else 0, port, data)
        except (BrokenPipeError, ValueError):  # the guard has ended; without it only limp is possible
            if act:
                raise OSError("the guard of this line has ended") from None
            write_all(self._ports[port], data)
        return len(data)

    def grant(self, act: ArmingAct) -> None:
        try:
            self._send(GRANT, act.number, 0, STAMP.pack(WallClock().now()))
        except (OSError, ValueError) as error:
            raise LinkError("the process that guards the line has ended; connect again.") from error

    def end(self) -> None:
        with suppress(OSError, ValueError):  # without a guard nothing drives servos
            self._send(END)

    def limp(self, act: ArmingAct) -> None:
        with suppress(OSError, ValueError):  # without a guard nothing drives servos
            self._send(LIMP, act.number)

    def beat(self) -> None:
        self._unanswered += 1
        with suppress(OSError, ValueError):  # see `watching`
            self._send(BEAT)

    def notices(self) -> list[tuple[bytes, int]]:
        self._hear()
        said, self._said = self._said, []
        return said

    def close(self, torque_off: bool = False) -> None:
        if self._pipe.closed:
            return
        if not torque_off:
            with suppress(OSError):
                self._send(GOODBYE)
        self._pipe.close()
        try:
            self._process.wait(GOODBYE_PATIENCE)
        except subprocess.TimeoutExpired:
            self._kill()
            if torque_off:
                send_packets(self._packets)
        self._back.close()

    def _hear(self, patience: float = 0.0) -> bool:
        """Reads what it has said, waiting for it for a time [s]; returns whether it said anything."""
        with suppress(OSError, ValueError):
            waiting = select.poll()
            waiting.register(self._back, select.POLLIN)
            waiting.poll(1000 * patience)
            if said := os.read(self._back.fileno(), MOST_NOTICES * NOTICE.size):
                self._unanswered = 0
                self._said += [notice for notice in NOTICE.iter_unpack(said) if notice[0] != ALIVE]
                return True
        return False

    def _kill(self) -> None:
        """Ends a frozen guard, which must not write later what waits in its pipe."""
        self._process.kill()
        self._process.wait()

    def _send(self, kind: bytes, act: int = 0, port: int = 0, data: bytes = b"") -> None:
        os.write(self._pipe.fileno(), HEAD.pack(kind, act, port, len(data)) + data)  # whole, or not at all
