"""A serial line without hardware: its devices parse and build real packets, in memory or on a terminal.

The devices are in `fake_maestro.py` and `fake_bus.py`. They are written from the vendors' manuals, not from
the drivers or the libraries, so that each checks the other. They also have the unpleasant properties of the
real ones: writing a goal switches a Feetech servo on, and boards may start with power on their servos.

    line = FakeLine(FakeFeetech(range(1, 26)))
    board = Feetech(spec, BusPort(MemoryPort(line), "fake", 1_000_000), robot_id="fake")

Any program can open a pseudo-terminal: `with PtyLine(line) as pty: Feetech.open(spec, pty.name, "fake")`.
"""

from __future__ import annotations

import abc
import os
import select
import threading
import tty
from collections.abc import Callable

from eva_sim.files import Closing
from eva_sim.thread_priority import run_ahead


class FakeDevice(abc.ABC):
    """A device at the far end of a serial line.

    Attributes:
        driven: every (channel or id, raw position) that a servo was driven to; 0 is limp on a Maestro.
        heard: every valid packet that arrived.
    """

    def __init__(self) -> None:
        self.driven: list[tuple[int, int]] = []
        self.heard: list[bytes] = []
        self._pending = b""

    def feed(self, data: bytes) -> bytes:
        """Takes bytes in any pieces; returns the answers to the packets that are complete."""
        self._pending += data
        answer = b""
        while (packet := self._packet()) is not None:
            if packet:
                self.heard.append(packet)
                answer += self._obey(packet)
        return answer

    @abc.abstractmethod
    def _packet(self) -> bytes | None:
        """Takes the next packet off `_pending`; empty if it was invalid, None if more bytes are needed."""

    @abc.abstractmethod
    def _obey(self, packet: bytes) -> bytes:
        """Executes a packet; returns the answer."""

    def _take(self, count: int) -> bytes:
        taken, self._pending = self._pending[:count], self._pending[count:]
        return taken


class FakeLine:
    """A line with a device at its end, and with the faults of lines.

    Attributes:
        device: the device at its end.
        lose_requests: number of the next writes that never arrive.
        lose_replies: number of the next answers that never arrive.
        spoil: functions that disturb the next answers, one each, e.g. flip a bit.
        spoil_requests: functions that disturb the next writes, one each.
        plugged: whether the cable is plugged in.
    """

    def __init__(self, device: FakeDevice) -> None:
        self.device = device
        self.lose_requests = self.lose_replies = 0
        self.spoil: list[Callable[[bytes], bytes]] = []
        self.spoil_requests: list[Callable[[bytes], bytes]] = []
        self.plugged = True

    def exchange(self, data: bytes) -> bytes:
        """Writes bytes to the device; returns its answers.

        Raises:
            OSError: the cable is unplugged.
        """
        if not self.plugged:
            raise OSError(5, "Input/output error")
        if data and self.lose_requests:
            self.lose_requests -= 1
            return b""
        if data and self.spoil_requests:
            data = self.spoil_requests.pop(0)(data)
        answer = self.device.feed(data)
        if answer and self.lose_replies:
            self.lose_replies -= 1
            return b""
        return self.spoil.pop(0)(answer) if answer and self.spoil else answer


class MemoryPort:
    """The host's end of a line, in memory, with the methods of pyserial that `BusPort` needs."""

    def __init__(self, line: FakeLine) -> None:
        self._line, self._answers = line, b""

    def write(self, data: bytes) -> int:
        self._answers += self._line.exchange(data)
        return len(data)

    def read(self, count: int) -> bytes:
        self._line.exchange(b"")
        taken, self._answers = self._answers[:count], self._answers[count:]
        return taken

    def reset_input_buffer(self) -> None:
        self._line.exchange(b"")
        self._answers = b""

    def close(self) -> None:
        pass


class PtyLine(Closing):
    """The host's end of a line, as a pseudo-terminal that any program can open; a context manager."""

    def __init__(self, line: FakeLine) -> None:
        self._line = line
        self._ours, self._theirs = os.openpty()
        tty.setraw(self._theirs)
        self.name = os.ttyname(self._theirs)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="eva-fake-board", daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        """Runs until `close` or `FakeLine.plugged` unplugs the cable, which removes the terminal."""
        run_ahead()  # a board has a processor of its own
        try:
            while not self._ended.is_set():
                if select.select([self._ours], [], [], 0.02)[0]:
                    os.write(self._ours, self._line.exchange(os.read(self._ours, 4096)))
        except OSError:
            pass
        finally:
            os.close(self._ours)
            os.close(self._theirs)

    def close(self) -> None:
        """Unplugs the cable. May be called twice."""
        self._ended.set()
        self._thread.join()
