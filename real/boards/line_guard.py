"""The guard of the lines to a board: no packet that drives a servo passes it without a valid act of arming.

All packets to boards that would hold their position for ever go through a guard: neither a Maestro as shipped
nor a Feetech servo has a timeout. The guard is a process beside the host, because a host that is frozen
(SIGSTOP, swap) between a check of its clock and a write would write afterwards, whatever it had checked. The
guard receives beats from the host's watchdog thread. When beats stop, or the pipe closes because the host has
ended, it writes the torque-off packets to every port, and the act of arming has ended: a packet that drives
servos under it is dropped. The host reads answers from the ports itself.

This file is the program of that process. It needs the standard library only, so that it starts quickly. The
host's side is `guard_process`.
"""

from __future__ import annotations

import os
import select
import struct
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress

#: Kinds of messages from host to guard. Only `GRANT` begins an act; `DRIVE` is written under that act only.
BEAT, GOODBYE, GRANT, END, LIMP, WRITE, DRIVE = b".", b"!", b"G", b"E", b"L", b"W", b"D"
#: Kinds of notices from guard to host: it is alive; it has ended the act by itself; a port takes no bytes.
ALIVE, ENDED, FAILED = b".", b"e", b"f"
#: A message: its kind, the number of an act, the number of a port, and the length of the bytes that follow.
HEAD, STAMP = struct.Struct("<cQBH"), struct.Struct("<d")
#: A notice: its kind, and the number of the act that it is about, or 0. A notice may be read after the next
#: act has begun, and must not end that one.
NOTICE = struct.Struct("<cQ")
#: How often the torque-off packets are written, and the time between [s]; the host may have ended within
#: a packet, which spoils the first one.
REPEATS, PAUSE = 5, 0.02
#: Longest time that a port may take for a packet [s].
PORT_PATIENCE = 0.1


class LineGuard:
    """The rules of a guard, in whatever process.

    Args:
        write: writes bytes to a port, by its number.
        go_limp: writes the torque-off packets to every port.
        now: time since some moment [s]; it counts the computer's sleep, and host and guard share it.
        timeout: time without a beat after which it makes the face limp [s].

    Attributes:
        act: number of the act under which servos may be driven; 0 for none.
        ended: number of the last act that the guard has ended by itself; 0 for none.
    """

    def __init__(
        self,
        write: Callable[[int, bytes], object],
        go_limp: Callable[[], None],
        now: Callable[[], float],
        timeout: float,
    ) -> None:
        self.write, self.act, self.ended = write, 0, 0
        self._go_limp, self._now, self._timeout = go_limp, now, timeout
        self._life = now()

    def beat(self) -> None:
        """Notes that the host is alive, if it was all the time."""
        self.check()
        self._life = self._now()

    def check(self) -> None:
        """Makes the face limp if the host was silent for too long; again each time that it is."""
        if self._now() - self._life >= self._timeout:
            self.limp()
            self._life = self._now()

    def limp(self) -> None:
        """Ends the act and makes the face limp."""
        self.ended = self.act or self.ended
        self.act = 0
        self._go_limp()

    def grant(self, act: int, at: float) -> None:
        """Lets an act begin that was granted at a time [s], unless that is long ago."""
        self.check()
        self.act = act if self._now() - at < self._timeout else 0

    def end(self) -> None:
        """Ends the act; the host makes the face limp."""
        self.act = 0

    def drive(self, act: int, port: int, data: bytes) -> None:
        """Writes a packet that drives servos, or drops it if its act is not the present one."""
        self.check()
        if act and act == self.act:
            self.write(port, data)
            self.check()  # this process may have been frozen since it looked at the clock


def write_all(number: int, data: bytes) -> None:
    """Writes all bytes to a file that does not wait.

    Raises:
        OSError: the file is gone, or does not take them in time.
    """
    until = time.monotonic() + PORT_PATIENCE
    while data:
        with suppress(BlockingIOError):
            data = data[os.write(number, data) :]
            continue
        left = until - time.monotonic()
        if left <= 0 or not select.select([], [number], [], left)[1]:
            raise OSError("the port takes no bytes")


class GuardProgram:
    """The guard's side: obeys the messages of a pipe.

    Args:
        pipe: file number to read messages from.
        back: file number for notices.
        packets: torque-off packets, by the file number of each port.
        now: clock of host and guard [s].
        timeout: time without a beat after which the face is made limp [s].
    """

    def __init__(
        self, pipe: int, back: int, packets: Mapping[int, bytes], now: Callable[[], float], timeout: float
    ) -> None:
        self._pipe, self._back, self._interval = pipe, back, timeout / 20
        self._ports: Sequence[int] = list(packets)
        self._rules = LineGuard(self._write, lambda: send_packets(packets), now, timeout)
        self._received = b""

    def run(self) -> None:
        """Runs until the host says goodbye or has ended."""
        while True:
            ready = select.select([self._pipe], [], [], self._interval)[0]
            self._rules.check()  # before anything that arrived during a freeze of this process
            self._tell_end()
            if not ready:
                continue
            data = os.read(self._pipe, 1 << 16)
            if not data:
                self._rules.limp()
                return
            self._received += data
            for message in self._messages():
                if message[0] == GOODBYE:
                    return
                self._obey(*message)

    def _messages(self) -> Iterator[tuple[bytes, int, int, bytes]]:
        """Takes the whole messages that have arrived."""
        while len(self._received) >= HEAD.size:
            kind, act, port, length = HEAD.unpack_from(self._received)
            if len(self._received) < HEAD.size + length:
                return
            data = self._received[HEAD.size : HEAD.size + length]
            self._received = self._received[HEAD.size + length :]
            yield kind, act, port, data

    def _obey(self, kind: bytes, act: int, port: int, data: bytes) -> None:
        if kind == BEAT:
            self._rules.beat()
            self._tell(ALIVE)
        elif kind == GRANT:
            self._rules.grant(act, STAMP.unpack(data)[0])
        elif kind == END:
            self._rules.end()
        elif kind == LIMP and act and act == self._rules.act:  # it may come after the grant of another
            self._rules.limp()
        elif kind == WRITE:
            self._rules.write(port, data)
        elif kind == DRIVE:
            self._rules.drive(act, port, data)

    def _write(self, port: int, data: bytes) -> None:
        try:
            write_all(self._ports[port], data)
        except OSError:
            self._tell(FAILED)

    def _tell_end(self) -> None:
        if self._rules.ended:
            self._tell(ENDED, self._rules.ended)
            self._rules.ended = 0

    def _tell(self, kind: bytes, act: int = 0) -> None:
        with suppress(OSError):  # the host has ended, or is frozen
            os.write(self._back, NOTICE.pack(kind, act))  # whole, or not at all


def send_packets(packets: Mapping[int, bytes]) -> None:
    """Writes the torque-off packets to every port that still accepts them."""
    for _ in range(REPEATS):
        for number, packet in packets.items():
            with suppress(OSError):  # unplugged; the other ports may still be there
                os.write(number, packet)
        time.sleep(PAUSE)


def clock_of(number: str) -> Callable[[], float]:
    """The clock that the host names by its number in the system; the monotonic one if it has none."""
    return (lambda: time.clock_gettime(int(number))) if number else time.monotonic


if __name__ == "__main__":
    _clock, _timeout, *_pairs = sys.argv[1:]
    _packets = {int(number): bytes.fromhex(packet) for number, packet in (p.split(":") for p in _pairs)}
    os.set_blocking(1, False)
    GuardProgram(0, 1, _packets, clock_of(_clock), float(_timeout)).run()
